package relay

import (
	"context"
	"sync"
	"sync/atomic"

	"pixelwall/core"
)

// A view is the log as this relay has read it: the fold, and the requests that
// may still be sent again. It is kept warm, because a shard takes no placements
// while it is taken over.
type view struct {
	stale atomic.Int64

	mu      sync.Mutex // protects following
	fold    *core.Fold // nil until a base was read
	recent  [core.ShardsMax]recent
	changed chan struct{} // closed when a record was read
}

func newView() *view { return &view{changed: make(chan struct{})} }

// reset begins again with fold.
func (v *view) reset(fold *core.Fold) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fold, v.recent = fold, [core.ShardsMax]recent{}
	v.wake()
}

// wake lets those who wait look again. v.mu is held.
func (v *view) wake() {
	close(v.changed)
	v.changed = make(chan struct{})
}

func (v *view) begun() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.fold != nil
}

func (v *view) heads() core.Heads {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fold == nil {
		return core.Heads{}
	}
	return v.fold.Heads
}

// next takes one record of the topic.
func (v *view) next(r *core.Record, nowMS int64) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fold.OnApply = func(r *core.Record) { v.recent[r.Shard].add(r, nowMS) } // also of what had to wait
	verdict, err := v.fold.Next(r)
	switch {
	case err != nil:
		v.fold = nil // it has moved past what it could not apply
		return err
	case verdict == core.Gap || verdict == core.Phantom: // the topic alone is followed, so a phantom is a hole too
		return errGap
	case verdict == core.Stale:
		v.stale.Add(1)
	}
	v.wake()
	return nil
}

// wait blocks until cond holds, which is called with the lock held, or returns
// false when ctx ends.
func (v *view) wait(ctx context.Context, cond func(*view) bool) bool {
	for {
		v.mu.Lock()
		ok, changed := cond(v), v.changed
		v.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

// recent is the events of one shard that may be asked about, oldest first.
type recent struct {
	events []core.PastEvent
	first  int // of events that still counts
}

func (q *recent) add(r *core.Record, nowMS int64) {
	for q.first < len(q.events) && q.events[q.first].TimeMS < nowMS-core.ResendWindowMS {
		q.first++
	}
	if q.first > 1024 && q.first > len(q.events)/2 {
		q.events = q.events[:copy(q.events, q.events[q.first:])]
		q.first = 0
	}
	for i := range r.Events {
		q.events = append(q.events, core.PastEvent{Shard: r.Shard, Seq: r.First + uint64(i), TimeMS: r.TimeMS, Event: r.Events[i]})
	}
}

// all returns a copy of the events that count at nowMS.
func (q *recent) all(nowMS int64) (kept []core.PastEvent) {
	for _, e := range q.events[q.first:] {
		if e.TimeMS >= nowMS-core.ResendWindowMS {
			kept = append(kept, e)
		}
	}
	return kept
}
