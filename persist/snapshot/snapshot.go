// Package snapshot keeps the states from which a fold of the log can begin, and
// publishes the canvas for readers.
//
//	Log.Tail -> core.Fold -> Snapshots.Put        every minute in which something changed
//	Outbox.Publish                                every second, an immutable copy a shard, by one of several workers
//
// What comes in is the ordered log, what goes out are snapshots of what it leads
// to. It follows the log alone, never an outbox: a snapshot holds nothing that a
// take-over could make undone.
package snapshot

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pixelwall/core"
	"pixelwall/persist"
)

// Options are what a Worker stands on.
type Options struct {
	Owner     uint64 // random, of this process
	Log       core.Log
	Snapshots core.Snapshots
	Leases    core.Leases // nil: this worker is the only one
	Logger    *slog.Logger

	Every    time.Duration // between two snapshots; 1 minute when 0
	LeaseTTL time.Duration // 10 s when 0
}

// role is the name of the lease, of shard 0, under which one worker puts snapshots.
const role = "snapshot"

// A Worker puts snapshots while it has the lease. Call Run.
type Worker struct {
	o     Options
	putAt time.Time  // of the last snapshot; of the goroutine that runs
	holes core.Heads // 1 + the head at which the log was asked again; of a round's Tail
	stats struct{ put, stale, gaps atomic.Int64 }
}

// Stats is what a worker did since it was made.
type Stats struct {
	Put   int64
	Stale int64 // records of somebody who was deposed
	Gaps  int64 // records that did not join what was read before
}

// Stats returns the counters.
func (w *Worker) Stats() Stats {
	return Stats{w.stats.put.Load(), w.stats.stale.Load(), w.stats.gaps.Load()}
}

// New returns a worker that Run makes live.
func New(o Options) *Worker {
	if o.Every == 0 {
		o.Every = time.Minute
	}
	if o.LeaseTTL == 0 {
		o.LeaseTTL = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Worker{o: o}
}

// Run puts snapshots until ctx ends.
func (w *Worker) Run(ctx context.Context) {
	warned := ""
	for ctx.Err() == nil {
		held, err := w.hold(ctx)
		if held && err == nil {
			err = w.round(ctx)
		}
		if err != nil && ctx.Err() == nil && err.Error() != warned {
			warned = err.Error()
			w.o.Logger.Warn("no snapshots for a while", "err", err)
		}
		_ = persist.Pause(ctx, w.o.LeaseTTL/3)
	}
	if w.o.Leases != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = w.o.Leases.Release(ctx, 0, role, w.o.Owner) // it ends by itself
	}
}

func (w *Worker) hold(ctx context.Context) (bool, error) {
	if w.o.Leases == nil {
		return true, nil
	}
	return w.o.Leases.Hold(ctx, 0, role, w.o.Owner, w.o.LeaseTTL)
}

var (
	errLease = errors.New("another worker puts snapshots now")
	errGap   = errors.New("a record is missing")
)

// A state is a fold that one goroutine feeds and another one keeps.
type state struct {
	mu    sync.Mutex // protects following
	fold  *core.Fold // nil when it is of no use any more
	kept  core.Heads
	lacks bool // what comes behind a hole was dropped
}

// round folds the log from the newest snapshot on, and puts one every now and
// then, until the lease is lost or the log ends.
func (w *Worker) round(alive context.Context) error {
	base, err := w.o.Snapshots.Latest(alive)
	if err != nil && core.CodeOf(err) != core.CodeNotFound {
		return err
	}
	fold, err := core.NewFold(base)
	if err != nil {
		return err
	}
	st := &state{fold: fold, kept: fold.Heads}
	ctx, end := context.WithCancelCause(alive)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer end(nil)
	from := fold.Heads
	parts.Go(func() { end(w.o.Log.Tail(ctx, from, func(r *core.Record) error { return w.next(st, r) })) })
	lease, every := time.NewTicker(w.o.LeaseTTL/3), time.NewTicker(w.o.Every)
	defer lease.Stop()
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			// A log that ends again and again must not mean that nothing is ever kept, and
			// the next round may not come as far where something is missing.
			cause := context.Cause(ctx)
			broken := errors.Is(cause, errGap) || core.CodeOf(cause) == core.CodeNotFound
			if alive.Err() == nil && (broken || time.Since(w.putAt) >= w.o.Every) {
				err = w.put(alive, st)
			}
			return errors.Join(cause, err)
		case <-lease.C:
			if held, err := w.hold(ctx); err == nil && !held {
				return errLease
			}
		case <-every.C:
			if err := w.put(ctx, st); err != nil {
				return err
			}
			if st.isLacking() {
				return errGap // the log may have it by now
			}
		}
	}
}

func (st *state) isLacking() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.lacks
}

// put keeps what st has come to, if that is something new. Its time is that of the
// newest event, since the clock of a worker must not say which snapshot is the newest.
func (w *Worker) put(ctx context.Context, st *state) error {
	st.mu.Lock()
	var s *core.Snapshot
	if st.fold != nil && st.fold.Heads != st.kept {
		s = st.fold.Snapshot(slices.Max(st.fold.Times[:]))
	}
	st.mu.Unlock()
	if s == nil {
		return nil
	}
	// We may have slept for longer than the lease lasts.
	if held, err := w.hold(ctx); err != nil || !held {
		return cmp.Or(err, errLease)
	}
	if err := w.o.Snapshots.Put(ctx, s); err != nil {
		return err
	}
	st.kept, w.putAt = s.Heads, time.Now()
	w.stats.put.Add(1)
	return nil
}

// next takes one record. A hole is never stepped over: the log is asked again. What
// does not join then is dropped, so that the others go on, and with them the shard
// when a relay publishes again what is missing.
func (w *Worker) next(st *state, r *core.Record) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	verdict, err := st.fold.Next(r)
	switch {
	case err != nil:
		st.fold = nil
		return err
	case verdict == core.Stale:
		w.stats.stale.Add(1)
	case verdict == core.Gap || verdict == core.Phantom:
		w.stats.gaps.Add(1)
		if at := 1 + st.fold.Heads[r.Shard]; w.holes[r.Shard] != at {
			w.holes[r.Shard] = at
			return errors.Join(errGap, st.fold.GapError(r))
		}
		st.lacks = true
	}
	return nil
}
