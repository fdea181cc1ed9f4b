package main

import (
	"fmt"
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
	start    *client.Canvas // before the first event
	refusals [256]atomic.Int64

	sent, accepted, rejected atomic.Int64
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

// A balance compares the acknowledgements with how far each shard's order went.
// It is exact as long as nobody else paints.
type balance struct {
	lost       int64 // acknowledged, but not in the order, or in a place given twice
	duplicated int64 // places in the order beyond those acknowledged
	faults     []string
}

// balance takes the seqs at which the shards ended, and how many seqs each shard
// gave to something that is no placement.
func (a *account) balance(end [wire.ShardsMax]uint64, others uint64) (b balance) {
	for i, s := range a.start.Shards {
		if s == nil {
			continue
		}
		length := int64(end[i]) - int64(s.Seq)
		taken := make([]bool, max(0, length))
		distinct := int64(0)
		for n, o := range a.outcomes {
			if o.seq == 0 || int(o.shard) != i {
				continue
			}
			at := int64(o.seq) - int64(s.Seq) - 1
			switch {
			case at < 0 || at >= length:
				b.lost++
				b.fault("event %d was acknowledged as shard %d seq %d, which lies outside %d to %d", n, i, o.seq, s.Seq+1, end[i])
			case taken[at]:
				b.lost++
				b.fault("shard %d seq %d was given to two events", i, o.seq)
			default:
				taken[at] = true
				distinct++
			}
		}
		if extra := length - distinct - int64(others); extra > 0 {
			b.duplicated += extra
			b.fault("shard %d has %d events that nobody here was told of", i, extra)
		}
	}
	return b
}

// faultsMax bounds how many faults of one kind a report tells.
const faultsMax = 10

func (b *balance) fault(format string, args ...any) {
	if len(b.faults) < faultsMax {
		b.faults = append(b.faults, fmt.Sprintf(format, args...))
	}
}
