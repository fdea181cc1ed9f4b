package api

import (
	"context"
	"fmt"
	"time"

	"pixelwall/core"
	"pixelwall/edge/token"
)

const (
	pastItems    = 20  // items of a page when nothing else is asked for
	pastItemsMax = 100 // bounds what one request costs the history
	pastTimeout  = 2 * time.Second
)

// A pixelPast is what happened to one pixel, newest first.
type pixelPast struct {
	X     int         `json:"x"`
	Y     int         `json:"y"`
	Items []pixelItem `json:"items"`
	Next  *uint64     `json:"next"` // before= of the next page, null on the last
}

type pixelItem struct {
	Seq   uint64 `json:"seq"`
	Time  stamp  `json:"time"`
	Color uint8  `json:"color"`
	User  *user  `json:"user"`          // null: nobody
	UID   string `json:"uid,omitempty"` // for operators only
}

func (a *API) getPixel(r *request) error {
	if err := a.lookup(r); err != nil {
		return err
	}
	return a.pixelPast(r, false)
}

// pixelPast answers with what happened to a pixel, for an operator with the uids.
func (a *API) pixelPast(r *request, uids bool) error {
	q := &r.query
	x, y := int(q.required("x", 0, core.SideMax-1)), int(q.required("y", 0, core.SideMax-1))
	limit := int(q.number("limit", pastItems, 1, pastItemsMax))
	before := uint64(q.number("before", 0, 1, 1<<53-1))
	if err := q.err(); err != nil {
		return err
	}
	c := a.o.Canvas.Config()
	if g := c.Geometry(); !g.Contains(x, y) {
		return outOfCanvas(x, y, g)
	}
	shard, off := core.Locate(x, y)
	// One more than asked for tells whether there is a next page.
	events, err := a.askHistory(func(ctx context.Context) ([]core.PastEvent, error) {
		return a.o.History.Pixel(ctx, shard, off, before, limit+1)
	})
	if err != nil {
		return err
	}
	past := pixelPast{X: x, Y: y, Items: []pixelItem{}}
	for i := range events[:min(limit, len(events))] {
		item := a.pixelItem(&events[i])
		if uids {
			item.UID = token.FormatID(events[i].User)
		}
		past.Items = append(past.Items, item)
	}
	if len(events) > limit {
		past.Next = &past.Items[limit-1].Seq
	}
	return r.json(past, noStore)
}

// lookup charges the network of r one of Options.Lookups.
func (a *API) lookup(r *request) error {
	addr, exempt := a.o.ClientAddr(peerOf(r.RequestCtx), r.Request.Header.RawHeaders())
	if exempt {
		return nil
	}
	if wait := a.o.Lookups.Take(addr, 1, a.o.Now()); wait > 0 {
		return &core.Error{Code: core.CodeTooMany, Msg: "too many lookups from this address", RetryAfter: wait}
	}
	return nil
}

func outOfCanvas(x, y int, g core.Geometry) error {
	return core.NewError(core.CodeOutOfCanvas, fmt.Sprintf("pixel %d,%d is not on the canvas of %dx%d", x, y, g.Width, g.Height))
}

// askHistory asks behind the gate, for pastTimeout at most.
func (a *API) askHistory(ask func(context.Context) ([]core.PastEvent, error)) (events []core.PastEvent, err error) {
	err = a.past.run(func() error {
		ctx, cancel := context.WithTimeout(context.Background(), pastTimeout)
		defer cancel()
		events, err = ask(ctx)
		if err != nil && ctx.Err() != nil { // a store tells why its caller's context ended, and that was us
			return &core.Error{Code: core.CodeUnavailable, Msg: "the history does not answer in time", RetryAfter: time.Second, Err: err}
		}
		return err
	})
	return events, err
}

func (a *API) pixelItem(e *core.PastEvent) pixelItem {
	item := pixelItem{Seq: e.Seq, Time: stamp(time.UnixMilli(e.TimeMS)), Color: e.Color}
	if e.User != 0 {
		id, name := a.o.User(e.User)
		item.User = &user{token.FormatID(id), name}
	}
	return item
}
