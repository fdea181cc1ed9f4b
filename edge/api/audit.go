package api

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"pixelwall/core"
	"pixelwall/edge/token"
)

// A userPast is what one user placed, newest first.
type userPast struct {
	UID   string     `json:"uid"` // 16 hex digits; it stays with operators
	User  user       `json:"user"`
	Items []userItem `json:"items"`
	Next  *string    `json:"next"` // before= of the next page, null on the last
}

type userItem struct {
	X     int    `json:"x"`
	Y     int    `json:"y"`
	Shard uint8  `json:"shard"`
	Seq   uint64 `json:"seq"`
	Time  stamp  `json:"time"`
	Color uint8  `json:"color"`
	Old   uint8  `json:"old"` // what it covered
}

// getPixelUsers is getPixel with the uid of each user, which getUser asks for.
func (a *API) getPixelUsers(r *request) error { return a.pixelPast(r, true) }

func (a *API) getUser(r *request) error {
	q := &r.query
	limit := int(q.number("limit", pastItems, 1, pastItemsMax))
	uid := q.uid("uid")
	before := q.place("before")
	if err := q.err(); err != nil {
		return err
	}
	events, err := a.askHistory(func(ctx context.Context) ([]core.PastEvent, error) {
		return a.o.History.User(ctx, uid, before, limit+1)
	})
	if err != nil {
		return err
	}
	id, name := a.o.User(uid)
	past := userPast{UID: token.FormatID(uid), User: user{token.FormatID(id), name}, Items: []userItem{}}
	for i := range events[:min(limit, len(events))] {
		e := &events[i]
		x, y := core.Coordinates(e.Shard, e.Offset)
		past.Items = append(past.Items, userItem{x, y, uint8(e.Shard), e.Seq, stamp(time.UnixMilli(e.TimeMS)), e.Color, e.Old})
	}
	if len(events) > limit {
		last := &events[limit-1]
		next := fmt.Sprintf("%d-%d-%d", last.TimeMS, last.Shard, last.Seq)
		past.Next = &next
	}
	return r.json(past, noStore)
}

// uid returns the parameter name, which must be there: 16 hex digits, not all 0.
func (q *query) uid(name string) uint64 {
	text := q.values.Get(name)
	n, err := strconv.ParseUint(text, 16, 64)
	switch {
	case !q.has(name):
		q.wrong = append(q.wrong, name+" is missing")
	case err != nil || n == 0 || token.FormatID(n) != text:
		q.wrong = append(q.wrong, fmt.Sprintf("%s=%q is not 16 hex digits of a user", name, clip(text)))
	}
	return n
}

// place returns the parameter name as getUser gave it, nil when it is missing.
func (q *query) place(name string) *core.PastEvent {
	if !q.has(name) {
		return nil
	}
	var e core.PastEvent
	text := q.values.Get(name)
	parts := strings.Split(text, "-")
	if len(parts) == 3 {
		var errs [3]error
		var ms, shard uint64
		ms, errs[0] = strconv.ParseUint(parts[0], 10, 53)
		shard, errs[1] = strconv.ParseUint(parts[1], 10, 8)
		e.Seq, errs[2] = strconv.ParseUint(parts[2], 10, 53)
		e.TimeMS, e.Shard = int64(ms), core.ShardID(shard)
		if errs == [3]error{} && shard < core.ShardsMax {
			return &e
		}
	}
	q.wrong = append(q.wrong, fmt.Sprintf("%s=%q is not a next of an earlier page", name, clip(text)))
	return nil
}
