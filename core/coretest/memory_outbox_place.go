package coretest

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"pixelwall/core"
)

// A Placed is what the outbox says of a batch: an answer for each event, then one
// for each request that was only asked about.
type Placed struct {
	Answers []Answer
}

// An Answer is what became of one request.
type Answer struct {
	Seq    uint64 // 0: it is not stored
	TimeMS int64
	Repeat bool // it was stored before
	Expire bool // its outcome is no longer kept, and it is not stored now
}

// PlaceBatch is an edge's way to place: events get their seqs in one step with
// their pixels, their entry in the stream and the memory of their requests. What
// a page sent again is answered with its original seq, and so are the requests
// in asked, which are looked up and never stored. CodeUnavailable when epoch is
// not the armed one, CodeMismatch when version is not that of the configuration;
// nothing is stored then.
func (o *OutboxPort) PlaceBatch(ctx context.Context, s core.ShardID, epoch, version uint32, events []core.Event, asked []core.Request) (Placed, error) {
	events, asked = append([]core.Event(nil), events...), append([]core.Request(nil), asked...)
	var placed atomic.Pointer[Placed] // a late effect has nobody to tell
	err := o.call(ctx, "Place", s, true, func(m *MemoryOutbox) error {
		p, err := m.place(s, epoch, version, events, asked)
		placed.Store(&p)
		return err
	})
	if p := placed.Load(); err == nil && p != nil {
		return *p, nil
	}
	return Placed{}, err
}

func (m *MemoryOutbox) place(s core.ShardID, epoch, version uint32, events []core.Event, asked []core.Request) (p Placed, err error) {
	sh := &m.shards[s]
	switch {
	case !m.isArmed(s) || sh.epoch != epoch:
		return p, core.NewError(core.CodeUnavailable, fmt.Sprintf("shard %d: epoch %d is not armed, the present one is %d", s, epoch, sh.epoch))
	case sh.config.Version != version:
		return p, mismatch("shard %d: configuration version %d, the present one is %d", s, version, sh.config.Version)
	}
	for _, e := range events {
		if err := sh.config.Judge(&core.Placement{Shard: s, Offset: e.Offset, Color: e.Color}); err != nil {
			return p, err
		}
	}
	seq, timeMS, jumps := sh.seq, sh.timeMS, m.armed[m.server][s].jumps
	var before []answered // of the requests that are stored
	now := max(m.now(), timeMS)
	r := &core.Record{Kind: core.KindPlacements, Canvas: sh.canvas, Epoch: epoch, Relay: sh.relay, Shard: s, First: seq + 1, TimeMS: now}
	for _, e := range events {
		a := sh.lookUp(e.Request, m.now(), jumps)
		if a == (Answer{}) {
			sh.seq++
			a = Answer{Seq: sh.seq, TimeMS: now}
			before = append(before, sh.known[e.Request.Instance][e.Request.Number])
			sh.remember(e.Request, answered{sh.seq, now})
			e.Old = sh.set(e.Offset, e.Color)
			r.Events = append(r.Events, e)
		}
		p.Answers = append(p.Answers, a)
	}
	for _, q := range asked {
		p.Answers = append(p.Answers, sh.lookUp(q, m.now(), jumps))
	}
	if len(r.Events) > 0 {
		m.append(s, r, seq, timeMS, before)
	}
	return p, nil
}

// append puts r in the stream, and how to take it back in the undo list.
func (m *MemoryOutbox) append(s core.ShardID, r *core.Record, seq uint64, timeMS int64, before []answered) {
	sh := &m.shards[s]
	n := len(sh.stream)
	sh.stream = append(sh.stream, r)
	sh.timeMS = r.TimeMS
	m.armed[m.server][s].seq = sh.seq
	var stored []core.PastEvent
	for i, e := range r.Events {
		stored = append(stored, core.PastEvent{Shard: s, Seq: r.First + uint64(i), TimeMS: r.TimeMS, Event: e})
	}
	if sh.epoch < m.fenced[s] {
		m.doubt = append(m.doubt, stored...)
	}
	m.wrote(s, stored, func() {
		for i := len(r.Events) - 1; i >= 0; i-- {
			sh.set(r.Events[i].Offset, r.Events[i].Old)
			sh.remember(r.Events[i].Request, before[i])
		}
		sh.seq, sh.timeMS, sh.stream = seq, timeMS, sh.stream[:n:n]
	})
	m.wake()
}

// Recall implements core.Outbox.
func (o *OutboxPort) Recall(ctx context.Context, s core.ShardID, epoch uint32, stored []core.PastEvent) error {
	stored = append([]core.PastEvent(nil), stored...)
	return o.call(ctx, "Recall", s, true, func(m *MemoryOutbox) error {
		if err := m.fencedBy(s, epoch); err != nil {
			return err
		}
		sh, jumps := &m.shards[s], m.stood[m.server][s].jumps
		var added []core.Request
		var before []answered
		for _, e := range stored {
			a := sh.known[e.Request.Instance][e.Request.Number]
			if a.counts(m.now(), jumps) {
				continue
			}
			added, before = append(added, e.Request), append(before, a)
			sh.remember(e.Request, answered{e.Seq, e.TimeMS})
		}
		m.stepped(s, jumps, func() {
			for i := len(added) - 1; i >= 0; i-- {
				sh.remember(added[i], before[i])
			}
		})
		return nil
	})
}

// counts reports whether a is what became of a request, also when that is too long
// ago to be told. What lies within a jump of the log came to no log.
func (a answered) counts(nowMS int64, jumps []core.Jump) bool {
	if a == (answered{}) {
		return false
	}
	return nowMS-a.timeMS >= core.ResendWindowMS || !slices.ContainsFunc(jumps, func(j core.Jump) bool { return j.From < a.seq && a.seq < j.To })
}

// remember makes a the outcome of r; the zero one is none.
func (sh *outboxShard) remember(r core.Request, a answered) {
	if a == (answered{}) {
		delete(sh.known[r.Instance], r.Number)
		return
	}
	if sh.known == nil {
		sh.known = make(map[uint64]map[uint32]answered)
	}
	if sh.known[r.Instance] == nil {
		sh.known[r.Instance] = make(map[uint32]answered)
	}
	sh.known[r.Instance][r.Number] = a
}

// lookUp says what is known of r at nowMS, nothing for a new one. A page's numbers
// rise, so what is below one that has left the window has left it as well.
func (sh *outboxShard) lookUp(r core.Request, nowMS int64, jumps []core.Jump) Answer {
	page := sh.known[r.Instance]
	if a := page[r.Number]; a.counts(nowMS, jumps) {
		if nowMS-a.timeMS >= core.ResendWindowMS {
			return Answer{Expire: true}
		}
		return Answer{Seq: a.seq, TimeMS: a.timeMS, Repeat: true}
	}
	for number, a := range page {
		if number > r.Number && nowMS-a.timeMS >= core.ResendWindowMS {
			return Answer{Expire: true}
		}
	}
	return Answer{}
}

// at is core.Board.At on the whole shard.
func (sh *outboxShard) at(off uint32) uint8 {
	if sh.config.Bits == 8 {
		return sh.pixels[off]
	}
	return sh.pixels[off>>1] >> (^off & 1 << 2) & 0x0f
}

// set paints as core.Board.Set does, on the whole shard.
func (sh *outboxShard) set(off uint32, color uint8) (old uint8) {
	if sh.config.Bits == 8 {
		old, sh.pixels[off] = sh.pixels[off], color
		return old
	}
	p, shift := &sh.pixels[off>>1], ^off&1<<2
	old = *p >> shift & 0x0f
	*p = *p&^(0x0f<<shift) | color&0x0f<<shift
	return old
}
