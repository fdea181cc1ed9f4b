package relay

import (
	"context"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"pixelwall/core"
)

// A view is the log as this relay has read it: the fold, and the requests that
// may still be sent again. It is kept warm, because a shard takes no placements
// while it is taken over.
type view struct {
	stale atomic.Int64

	mu      sync.Mutex  // protects following
	fold    *core.Fold  // nil until a base was read
	begun   int         // times that the log was read from a base on
	base    core.Heads  // of the last of them
	end     *core.Heads // of the log when it was asked last, nil before that
	recent  [core.ShardsMax]recent
	jumps   [core.ShardsMax][]core.Jump // the last that the log made
	holes   [core.ShardsMax]hole
	changed chan struct{}           // closed when a record was read
	stop    context.CancelCauseFunc // ends the present reading of the topic, nil before the first
}

// A hole is where a record was missing: behind head, when there is one.
type hole struct {
	head  uint64
	asked time.Time     // when the log was last asked again because of it
	pause time.Duration // until it may be asked again, longer each time
	epoch uint32        // whose records do not join, though the log was asked again; 0: none
}

// askAgainAfter is how soon the log is asked again because of one hole. It is doubled
// each time: what lies behind the hole has to be read once without that, because our
// own claim lies behind it.
const askAgainAfter = 10 * time.Second

// jumpsMax bounds the jumps of a shard that are kept. A server that comes back with
// requests of before the oldest has been away for longer than requests count, unless
// there was a take-over every other second.
const jumpsMax = 64

func newView() *view { return &view{changed: make(chan struct{})} }

// reset begins again with fold, nil while there is none.
func (v *view) reset(fold *core.Fold) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if fold != nil {
		v.begun++
		v.base = fold.Heads
	}
	v.fold, v.recent, v.jumps = fold, [core.ShardsMax]recent{}, [core.ShardsMax][]core.Jump{}
	v.holes = [core.ShardsMax]hole{}
	v.end = nil
	v.wake()
}

// wake lets those who wait look again. v.mu is held.
func (v *view) wake() {
	close(v.changed)
	v.changed = make(chan struct{})
}

// reading returns how often the log was read from a base on, 0 while it is not.
func (v *view) reading() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fold == nil {
		return 0
	}
	return v.begun
}

// endsAt notes where the log ends, for the given reading of it.
func (v *view) endsAt(reading int, end core.Heads) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fold != nil && v.begun == reading {
		v.end = &end
		v.wake()
	}
}

// isAtEnd reports whether s was read to where the log ends, or to a hole in it. v.mu
// is held.
func (v *view) isAtEnd(s core.ShardID) bool {
	return v.fold != nil && v.end != nil && (v.fold.Heads[s] >= v.end[s] || v.lacking(s) != 0)
}

func (v *view) heads() core.Heads {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fold == nil {
		return core.Heads{}
	}
	return v.fold.Heads
}

// next takes one record of the topic. At a hole the log is asked again. What does not
// join then is dropped, so that the others go on and a claim from beyond the hole is
// heard: what is missing comes behind that, from the outbox.
func (v *view) next(r *core.Record, nowMS int64) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.fold.OnApply = func(r *core.Record) { v.applied(r, nowMS) } // also of what had to wait
	verdict, err := v.fold.Next(r)
	switch {
	case err != nil:
		v.fold = nil // it has moved past what it could not apply
		return err
	case verdict == core.Gap || verdict == core.Phantom: // the topic alone is followed, so a phantom is a hole too
		if v.missing(r) {
			return errGap
		}
	case verdict == core.Stale:
		v.stale.Add(1)
	}
	v.wake()
	return nil
}

// missing notes that something is missing before r, and reports whether to ask the log
// again. v.mu is held.
func (v *view) missing(r *core.Record) bool {
	s, now := r.Shard, time.Now()
	h := &v.holes[s]
	if head := v.fold.Heads[s]; h.head != head {
		*h = hole{head: head}
	}
	if now.Sub(h.asked) >= h.pause {
		h.asked, h.pause = now, max(askAgainAfter, 2*h.pause)
		v.fold.Rewind(s)
		return true
	}
	h.epoch = r.Epoch
	return false
}

// lacking returns the epoch whose records do not join the log of s, 0 when there is
// none. v.mu is held.
func (v *view) lacking(s core.ShardID) uint32 {
	if h := &v.holes[s]; v.fold != nil && h.head == v.fold.Heads[s] {
		return h.epoch
	}
	return 0
}

func (v *view) applied(r *core.Record, nowMS int64) {
	v.recent[r.Shard].add(r, nowMS)
	if r.Kind == core.KindMarker {
		all := append(v.jumps[r.Shard], core.Jump{From: r.LastOld, To: r.First})
		v.jumps[r.Shard] = all[max(0, len(all)-jumpsMax):]
	}
}

// armed reports whether the log of s has an epoch among those under which seqs were
// given. v.mu is held.
func (v *view) armed(s core.ShardID, epoch uint32) bool {
	return epoch == core.SeqEpoch(v.base[s]) ||
		slices.ContainsFunc(v.jumps[s], func(j core.Jump) bool { return core.SeqEpoch(j.To) == epoch })
}

// endBy sets what ends the present reading of the topic.
func (v *view) endBy(stop context.CancelCauseFunc) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stop = stop
}

// readAgain ends the present reading of the topic because of cause.
func (v *view) readAgain(cause error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.stop != nil {
		v.stop(cause)
	}
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

// after returns a copy of the events beyond seq that count at nowMS.
func (q *recent) after(seq uint64, nowMS int64) []core.PastEvent {
	events := q.events[q.first:]
	first := sort.Search(len(events), func(i int) bool {
		return events[i].Seq > seq && events[i].TimeMS >= nowMS-core.ResendWindowMS
	})
	return slices.Clone(events[first:])
}
