// Package archive brings the log to where it is kept for ever.
//
//	Log.Tail -> core.Follower -> a batch a shard -> Archive.Write -> Archive.SetWatermark
//
// What comes in is the ordered log, what goes out are the same records in the
// archive, each once by its key however often it is written. A record that is
// missing is never skipped: the shard stops there and says so. The watermark stays
// behind what was written by Settle, because a node of the archive that is killed
// may forget what it acknowledged a moment ago.
package archive

import (
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
	Owner   uint64 // random, of this process
	Archive core.Archive
	Leases  core.Leases // nil: this worker serves every shard
	// Tail follows the log of shards only, as core.Log.Tail does.
	Tail   func(ctx context.Context, shards []core.ShardID, from core.Heads, fn func(*core.Record) error) error
	Shards func() []core.ShardID // of the canvas as it is now
	Logger *slog.Logger

	// TakesBack says that the log is a stream, which may lose its end when its server
	// dies, and that Archive follows a marker that says so.
	TakesBack bool

	Settle    time.Duration // how long a written row may still be forgotten by its node; 15 s when 0
	LeaseTTL  time.Duration // 10 s when 0
	RetryEach time.Duration // after a failure; 500 ms when 0
	EventsMax int           // placements in one call of Write; 1024 when 0
}

func (o *Options) ensureDefaults() {
	if o.Settle == 0 {
		o.Settle = 15 * time.Second
	}
	if o.LeaseTTL == 0 {
		o.LeaseTTL = 10 * time.Second
	}
	if o.RetryEach == 0 {
		o.RetryEach = 500 * time.Millisecond
	}
	if o.EventsMax == 0 {
		o.EventsMax = 1024
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// role is the name of the lease under which a shard is archived.
const role = "archive"

// A Worker archives the shards whose lease it can get. Call Run.
type Worker struct {
	o      Options
	stats  counters
	warned string
	holes  [core.ShardsMax]hole // of the goroutine that runs
}

// A hole is a place at which a shard cannot go on. The log is asked again a few times
// at once. Then what does not join is dropped, so that the shard does not hold up
// others, and goes on when a relay publishes again what is missing. Meanwhile its
// watermark comes to where the hole is, and the log is asked again when the round ends.
type hole struct {
	after uint64
	times int
}

const (
	holeTimes = 4
	holeRest  = 30 * time.Second // and no less than twice Settle
)

type counters struct {
	records, events, stale, gaps, restarts, takenBack atomic.Int64
}

// Stats is what a worker did since it was made.
type Stats struct {
	Records  int64 // written; what is written again counts again
	Events   int64 // placements among them
	Stale    int64 // records of somebody who was deposed
	Gaps     int64 // times the log was asked again because a record was missing
	Restarts int64 // times it went back to the watermark

	TakenBack int64 // times the stream lost its end
}

// Stats returns the counters.
func (w *Worker) Stats() Stats {
	c := &w.stats
	return Stats{c.records.Load(), c.events.Load(), c.stale.Load(), c.gaps.Load(), c.restarts.Load(), c.takenBack.Load()}
}

// New returns a worker that Run makes live.
func New(o Options) *Worker {
	o.ensureDefaults()
	return &Worker{o: o}
}

// Run archives until ctx ends.
func (w *Worker) Run(ctx context.Context) {
	for ctx.Err() == nil {
		before := w.stats.records.Load()
		err := w.round(ctx)
		if ctx.Err() != nil {
			break
		}
		if w.stats.records.Load() != before { // it went on, so what is wrong now is news
			w.warned = ""
		}
		if text := err.Error(); text != w.warned && !errors.Is(err, errShards) {
			w.warned = text
			w.o.Logger.Warn("the archive begins again at its watermark", "err", err)
		}
		w.stats.restarts.Add(1)
		_ = persist.Pause(ctx, w.o.RetryEach)
	}
}

var (
	errShards    = errors.New("other shards are to be archived now")
	errDisturbed = errors.New("a node of the archive was lost or came back")
	errGap       = errors.New("a record is missing")
)

// round archives the shards that are ours now from their watermarks on, until
// something makes it begin again.
func (w *Worker) round(ctx context.Context) error {
	mine, err := w.mine(ctx)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer end(nil)
	parts.Go(func() { end(w.watch(ctx, mine)) })
	if len(mine) == 0 {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	disturbed := w.o.Archive.Disturbed()
	var f core.Follower
	var rest *time.Timer
	defer func() {
		if rest != nil {
			rest.Stop()
		}
	}()
	writers := make(map[core.ShardID]*writer, len(mine))
	for _, s := range mine {
		p, err := w.o.Archive.Watermark(ctx, s)
		if err != nil {
			return err
		}
		f.GoTo(s, p)
		wr := newWriter(w, s, disturbed)
		writers[s] = wr
		parts.Go(func() { end(wr.run(ctx)) })
	}
	err = w.o.Tail(ctx, mine, f.Heads, func(r *core.Record) error {
		wr := writers[r.Shard]
		if wr == nil {
			return nil
		}
		verdict := f.Next(r)
		if verdict == core.Phantom && w.o.TakesBack {
			f.GoTo(r.Shard, core.Position{Holder: r.Holder(), Seq: r.First})
			w.stats.takenBack.Add(1)
			w.o.Logger.Warn("the stream lost its end; the archive takes it back", "shard", r.Shard, "last", r.LastOld)
			verdict = core.Apply
		}
		switch verdict {
		case core.Stale:
			w.stats.stale.Add(1)
		case core.Gap, core.Phantom: // a topic has no phantoms
			w.stats.gaps.Add(1)
			err := errors.Join(errGap, f.GapError(r))
			if w.holes[r.Shard].again(f.Heads[r.Shard]) {
				return err
			}
			if rest == nil {
				rest = time.AfterFunc(max(holeRest, 2*w.o.Settle), func() { end(err) })
			}
		case core.Apply:
			return wr.put(ctx, r, f.Position(r.Shard))
		}
		return nil
	})
	end(err)
	return context.Cause(ctx)
}

// again notes that nothing follows after, and reports whether to ask again at once. Who
// begins at the watermark again comes by older holes first.
func (h *hole) again(after uint64) bool {
	if after < h.after {
		return false
	}
	if after > h.after {
		*h = hole{after: after}
	}
	h.times++
	return h.times <= holeTimes
}

// mine returns the shards whose lease this worker has.
func (w *Worker) mine(ctx context.Context) (mine []core.ShardID, err error) {
	for _, s := range w.o.Shards() {
		if w.o.Leases == nil {
			mine = append(mine, s)
			continue
		}
		held, err := w.o.Leases.Hold(ctx, s, role, w.o.Owner, w.o.LeaseTTL)
		if err != nil {
			return nil, err
		}
		if held {
			mine = append(mine, s)
		}
	}
	return mine, nil
}

// watch renews the leases and returns when the set of shards is another one.
// While the leases cannot be asked everything goes on: two who archive the same
// write the same.
func (w *Worker) watch(ctx context.Context, have []core.ShardID) error {
	every := time.NewTicker(w.o.LeaseTTL / 3)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			w.release(ctx, have)
			return context.Cause(ctx)
		case <-every.C:
		}
		if now, err := w.mine(ctx); err == nil && !slices.Equal(now, have) {
			return errShards
		}
	}
}

// release gives the leases up when the process ends, so that others go on at once.
func (w *Worker) release(ctx context.Context, have []core.ShardID) {
	if w.o.Leases == nil || !errors.Is(context.Cause(ctx), context.Canceled) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	for _, s := range have {
		_ = w.o.Leases.Release(ctx, s, role, w.o.Owner) // it ends by itself
	}
}
