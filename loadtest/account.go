package main

import (
	"sync/atomic"

	"pixelwall/loadtest/client"
	"pixelwall/tools/trace"
	"pixelwall/wire"
)

// An outcome is what the server said of one event. Each is written by one
// painter's goroutine and read when all have ended.
type outcome struct {
	seq     uint64 // 0: not accepted
	shard   uint8
	refused bool
	code    uint8
}

// An account is what was asked for and what the server said to it.
type account struct {
	width    int
	events   []trace.Event
	outcomes []outcome
	start    *client.Canvas    // before the first event
	refusals [256]atomic.Int64 // final ones, by code
	retries  [256]atomic.Int64 // refusals after which the event was sent again, by code

	sent, accepted, rejected, again atomic.Int64
}

func newAccount(width int, events []trace.Event, start *client.Canvas) *account {
	return &account{width: width, events: events, outcomes: make([]outcome, len(events)), start: start}
}

func (a *account) placed(id int32, p wire.Placed) {
	a.outcomes[id] = outcome{seq: p.Seq, shard: p.Shard}
	a.accepted.Add(1)
}

func (a *account) refused(id int32, r wire.Refusal) {
	a.outcomes[id] = outcome{refused: true, code: r.Code}
	a.refusals[r.Code].Add(1)
	a.rejected.Add(1)
}

func (a *account) retried(_ int32, r wire.Refusal, _ bool) {
	a.retries[r.Code].Add(1)
	a.again.Add(1)
}

// answers counts what servers said to placements, by name.
func (a *account) answers() map[string]int64 {
	all := map[string]int64{"placed": a.accepted.Load()}
	for code := range a.refusals {
		if n := a.refusals[code].Load() + a.retries[code].Load(); n > 0 {
			all[client.CodeName(uint8(code))] = n
		}
	}
	return all
}

func (a *account) xy(e trace.Event) (x, y int) { return int(e.Pos) % a.width, int(e.Pos) / a.width }

// heads returns the last acknowledged seq of each shard, or the one at the start.
func (a *account) heads() (h [wire.ShardsMax]uint64) {
	for i, s := range a.start.Shards {
		if s != nil {
			h[i] = s.Seq
		}
	}
	for _, o := range a.outcomes {
		h[o.shard] = max(h[o.shard], o.seq)
	}
	return h
}

// fold returns the canvas that the accepted events add up to. The events of a
// pixel were decided in their order, so the order of the trace is enough.
func (a *account) fold() *client.Canvas {
	c := a.start.Clone()
	for i, e := range a.events {
		if a.outcomes[i].seq > 0 {
			s, at := c.Locate(a.xy(e))
			c.Shards[s].View.Set(at, e.Color)
		}
	}
	return c
}
