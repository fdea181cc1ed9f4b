package relay

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"pixelwall/core"
	"pixelwall/persist"
)

// Options are what a Relay stands on. All of the first group are needed.
type Options struct {
	ID     uint64 // random, of this process; never used again by another one
	Outbox core.Outbox
	Leases core.Leases
	Topic  core.Topic // nil: the outbox is the log, see alone.go
	Create core.Create
	NowMS  func() int64
	Logger *slog.Logger

	// Config returns the configuration of a shard of the outbox; needed without a Topic.
	Config func(context.Context, core.ShardID) (*core.Config, error)
	// Snapshots are where a fold of the log begins; nil: at its first record.
	Snapshots core.Snapshots
	// Existed reports whether a shard was built before. Without a Topic, one that
	// was and is in no snapshot is left to a relay that has it. Nil: never.
	Existed func(core.ShardID) bool
	// Safe returns the seqs up to which a consumer that lost everything can begin
	// without the outbox. The outbox keeps the rest. Nil: what is in the topic.
	Safe func(context.Context) (core.Heads, error)

	StandEvery time.Duration // how often a shard's stand is asked for; 200 ms when 0
	CarryEvery time.Duration // how often an idle outbox is read; 5 ms when 0
	ClaimEvery time.Duration // how often a claim is said again; 1 minute when 0
	LeaseTTL   time.Duration // 3 s when 0
	TrimAfter  time.Duration // how long an entry stays at least; 1 minute when 0
	Patience   time.Duration // how long Snapshots may be unavailable before the whole log is read, and the log's end unknown before we claim; 10 s when 0
	BatchMax   int           // entries carried at once; 256 when 0
}

// startOf returns the start canvas of a shard that has never been, nil when it is
// blank. The shards of a new canvas may be made by several relays; all of a cluster
// are started with the same picture, and a shard that comes by growing has none.
func (o *Options) startOf(config *core.Config) *core.Board {
	c := &o.Create
	if c.Start == nil || config.Version != c.Config.Version || config.Geometry() != c.Start.Geometry() {
		return nil
	}
	return c.Start
}

func (o *Options) ensureDefaults() {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&o.StandEvery, 200 * time.Millisecond}, {&o.CarryEvery, 5 * time.Millisecond}, {&o.ClaimEvery, time.Minute},
		{&o.LeaseTTL, 3 * time.Second}, {&o.TrimAfter, time.Minute}, {&o.Patience, 10 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if o.BatchMax == 0 {
		o.BatchMax = 256
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// role is the name of the lease under which a shard is carried.
const role = "relay"

// A Relay serves every shard whose lease it can get. Call Run.
type Relay struct {
	o     Options
	view  *view
	safe  atomic.Pointer[core.Heads]
	began time.Time // Run
	stats counters
}

type counters struct {
	carried, takeOvers, stoodDown, republished, holes atomic.Int64
}

// Stats is what a relay did since it was made.
type Stats struct {
	Carried     int64 // records brought to the topic
	TakeOvers   int64 // shards armed
	StoodDown   int64 // take-overs given up because another relay was at the same shard
	Republished int64 // records of a frozen outbox published again
	Holes       int64 // take-overs that found the outbox to lack what the topic lacks too
	Stale       int64 // records of somebody who was deposed, seen in the topic
}

// Stats returns the counters.
func (r *Relay) Stats() Stats {
	return Stats{
		Carried: r.stats.carried.Load(), TakeOvers: r.stats.takeOvers.Load(), StoodDown: r.stats.stoodDown.Load(), Republished: r.stats.republished.Load(),
		Holes: r.stats.holes.Load(), Stale: r.view.stale.Load(),
	}
}

// New returns a relay that Run makes live.
func New(o Options) *Relay {
	o.ensureDefaults()
	r := &Relay{o: o, view: newView()}
	r.safe.Store(&core.Heads{})
	return r
}

// Run relays until ctx ends.
func (r *Relay) Run(ctx context.Context) {
	r.began = time.Now()
	if r.o.Topic == nil {
		r.runAlone(ctx)
		return
	}
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { r.follow(ctx) })
	parts.Go(func() { r.watchEnd(ctx) })
	parts.Go(func() { r.watchSafe(ctx) })
	started, version := uint64(0), uint32(0)
	for {
		var shards []core.ShardID
		shards, version = r.shards()
		for _, s := range shards {
			if started>>s&1 == 0 {
				started |= 1 << s
				sh := newShard(r, s)
				parts.Go(func() { sh.loop(ctx, sh.step) })
			}
		}
		if !r.view.wait(ctx, func(v *view) bool { return v.fold != nil && v.fold.Config.Version > version }) {
			return
		}
	}
}

// shards returns the ids of the canvas and the version of its configuration. It
// begins with shard 0 alone: whoever holds that makes the canvas.
func (r *Relay) shards() ([]core.ShardID, uint32) {
	r.view.mu.Lock()
	defer r.view.mu.Unlock()
	if r.view.fold == nil || r.view.fold.Board == nil {
		return []core.ShardID{0}, 0
	}
	c := &r.view.fold.Config
	return c.Geometry().Shards(), c.Version
}

// watchEnd tells the view where the log ends, in each reading of it. Others write
// meanwhile, so it is asked again until the view is as good as there.
func (r *Relay) watchEnd(ctx context.Context) {
	level := 0 // the reading that has come to the end
	for r.view.wait(ctx, func(v *view) bool { return v.fold != nil && v.begun != level }) && ctx.Err() == nil {
		reading := r.view.reading()
		short, cancel := context.WithTimeout(ctx, r.o.Patience)
		end, err := r.o.Topic.Heads(short)
		cancel()
		if err == nil {
			r.view.endsAt(reading, end)
			short, cancel = context.WithTimeout(ctx, 10*r.o.StandEvery)
			if r.view.wait(short, func(v *view) bool { return v.fold != nil && v.fold.Heads.Reach(&end) }) {
				level = reading
			}
			cancel()
		}
		_ = persist.Pause(ctx, r.o.StandEvery)
	}
}

// watchSafe keeps what Safe says, for trimming.
func (r *Relay) watchSafe(ctx context.Context) {
	every := time.NewTicker(10 * time.Second)
	defer every.Stop()
	for {
		if r.o.Safe == nil {
			heads := r.view.heads()
			r.safe.Store(&heads)
		} else if heads, err := r.o.Safe(ctx); err == nil {
			r.safe.Store(&heads)
		}
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

// base returns the snapshot that the view begins with: old enough to hold, with
// the log after it, every request that may be sent again. Where there is none so
// old, that is the whole log; the newest one is for a log that lacks its beginning.
func (r *Relay) base(ctx context.Context, newest bool) (s *core.Snapshot, err error) {
	switch {
	case r.o.Snapshots == nil:
		return nil, nil
	case newest:
		s, err = r.o.Snapshots.Latest(ctx)
	default:
		s, err = r.o.Snapshots.At(ctx, r.o.NowMS()-core.ResendWindowMS)
	}
	switch core.CodeOf(err) {
	case core.CodeNotFound:
		return nil, nil
	case core.CodeUnavailable:
		// Nothing is carried before the log is read, so a history that stays away must
		// not keep us from it: the whole log, where it still begins with the canvas.
		if err != nil && time.Since(r.began) >= r.o.Patience {
			return nil, nil
		}
	}
	return s, err
}

var (
	// errGap ends a Tail that has to be asked again from the head.
	errGap = errors.New("a record is missing")
	// errLacks ends one that began before what the log still holds.
	errLacks = core.NewError(core.CodeUnavailable, "the log lacks what lies before the newest snapshot; it is read again from there")
)

// follow keeps the view at the end of the topic until ctx ends.
func (r *Relay) follow(ctx context.Context) {
	newest, told := false, ""
	for ctx.Err() == nil {
		err := r.followOnce(ctx, newest)
		if ctx.Err() != nil {
			return
		}
		if err.Error() != told {
			told = err.Error()
			r.o.Logger.Warn("the relay reads the log again", "err", err)
		}
		switch code := core.CodeOf(err); {
		case errors.Is(err, errLacks):
			r.view.reset(nil)
			newest = true
		case code == core.CodeNotFound || code == core.CodeMismatch:
			r.view.reset(nil)
			newest = code == core.CodeNotFound && !newest
		}
		_ = persist.Pause(ctx, r.o.StandEvery)
	}
}

func (r *Relay) followOnce(ctx context.Context, newest bool) error {
	if r.view.reading() == 0 {
		base, err := r.base(ctx, newest)
		if err != nil {
			return err
		}
		fold, err := core.NewFold(base)
		if err != nil {
			return err
		}
		r.view.reset(fold)
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	r.view.endBy(end)
	err := r.o.Topic.Tail(ctx, r.view.heads(), func(rec *core.Record) error { return r.view.next(rec, r.o.NowMS()) })
	if errors.Is(context.Cause(ctx), errLacks) {
		return errLacks
	}
	return err
}
