package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pixelwall/core"
)

// ArchiveOptions say where an archive lies and how it works. Only Dir must be
// set, and Base where Dir may be empty. The rest is as in Options.
type ArchiveOptions struct {
	Dir string
	// Base is what a new archive begins with; a folder that holds one goes on from
	// what it holds. Of a shard without pixels nothing is known: it is blank, unless
	// its start canvas is written.
	Base *core.Snapshot
	// Canvas is the canvas that the folder must be of; Base's when 0, and any
	// when there is no Base either.
	Canvas uint64

	Clock  func() int64
	Logger *slog.Logger

	SegmentBytes, AllocateBytes int64
	SnapshotEvents              int
	SnapshotEvery               time.Duration
	IndexSpareBytes             uint64
	IndexFlushEvery             time.Duration
	ProbeEvery                  time.Duration // how often the index asks a full disk again

	FS      FS
	IndexFS vfs.FS
}

func (o *ArchiveOptions) options() Options {
	return Options{
		Dir: o.Dir, Clock: o.Clock, Logger: o.Logger, SegmentBytes: o.SegmentBytes, AllocateBytes: o.AllocateBytes,
		SnapshotEvents: o.SnapshotEvents, SnapshotEvery: o.SnapshotEvery, IndexSpareBytes: o.IndexSpareBytes,
		IndexFlushEvery: o.IndexFlushEvery, ProbeEvery: o.ProbeEvery, FS: o.FS, IndexFS: o.IndexFS,
	}
}

// An Archive keeps the log of a canvas that others sequence, in one folder. It
// implements core.Archive and core.Log; History and Snapshots give the other
// ports. Its log begins after Base and holds accepted records only. All methods
// may be called concurrently.
type Archive struct {
	folder

	mu     sync.Mutex // protects following; held while a group is written
	writer logWriter
	held   core.Follower // what is durable
	fold   *fold         // the canvas at held, less what waits for the canvas to grow
	closed bool
}

// OpenArchive opens the archive in o.Dir, or creates it there. The error is a
// *core.Error with CodeMismatch when the folder was written by a newer program,
// is of another canvas or no archive, with CodeNotFound when it is empty and there
// is no Base, and with CodeUnavailable when another process has it open.
func OpenArchive(o ArchiveOptions) (*Archive, error) {
	a := &Archive{folder: folder{options: o.options()}}
	if err := a.open(formatArchive, o.begin); err != nil {
		return nil, err
	}
	want := o.Canvas
	if want == 0 && o.Base != nil {
		want = o.Base.Canvas
	}
	if want != 0 && want != a.meta.canvas {
		return nil, a.abandon(core.NewError(core.CodeMismatch, fmt.Sprintf("%s holds canvas %016x; asked for was %016x", o.Dir, a.meta.canvas, want)))
	}
	f, err := a.folder.fold(nil)
	if err != nil {
		return nil, a.abandon(err)
	}
	a.fold, a.held = f, f.read
	a.writer.begin(a.log, a.options.Logger)
	if err := a.follow(); err != nil {
		return nil, err
	}
	return a, nil
}

// begin returns Base where it can be begun with.
func (o *ArchiveOptions) begin(int64) (*core.Snapshot, error) {
	b := o.Base
	switch {
	case b == nil:
		return nil, core.NewError(core.CodeNotFound, o.Dir+" holds nothing yet, and an archive needs something to begin with")
	case b.Canvas == 0:
		return nil, core.NewError(core.CodeInvalid, "a canvas needs an id")
	}
	if err := b.Config.Validate(); err != nil {
		return nil, err
	}
	for s, seq := range b.Heads {
		if seq > 0 && b.Shards[s] == nil {
			return nil, core.NewError(core.CodeInvalid, fmt.Sprintf("shard %d has come to seq %d, and its pixels are missing", s, seq))
		}
	}
	_, err := core.NewFold(b)
	return b, err
}

// Write implements core.Archive. What is held already is skipped; a hole is an
// error, and nothing behind it is stored. A marker that names an earlier end than
// the archive has takes back what lies between. CodeReadOnly means that the disk is
// full: nothing was stored, try again later.
func (a *Archive) Write(_ context.Context, rs []*core.Record) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(rs) > 0 {
		news, held, rest, err := a.judge(rs)
		if err == nil && len(news) > 0 {
			err = a.store(news, &held)
		}
		if err != nil {
			return err
		}
		rs = rest
	}
	return nil
}

// judge returns what of rs is new and what is held after it. It goes as far as
// the next configuration, by which what follows has to be judged.
func (a *Archive) judge(rs []*core.Record) (news []*core.Record, held core.Follower, rest []*core.Record, err error) {
	held = a.held
	for i, r := range rs {
		if r.Shard >= core.ShardsMax || r.Shard != rs[0].Shard {
			return nil, held, nil, core.NewError(core.CodeInvalid, fmt.Sprintf("a record of shard %d among those of shard %d", r.Shard, rs[0].Shard))
		}
		if r.Kind == core.KindClaim {
			continue
		}
		c := *r // which the rule may cut
		before := held.Position(c.Shard)
		held.Trust(&c)
		switch verdict := held.Next(&c); {
		case verdict == core.Gap:
			return nil, held, nil, held.GapError(&c)
		case verdict == core.Phantom:
			if len(news) > 0 { // it may take back what is only now to be stored
				return news, a.upTo(news), rs[i:], nil
			}
			if err := a.log.canTakeBack(&c); err != nil {
				return nil, held, nil, err
			}
			held.GoTo(c.Shard, core.Position{Holder: c.Holder(), Seq: c.First})
		case verdict == core.Duplicate, c.Kind == core.KindStart && a.fold.Begun>>c.Shard&1 == 1:
			held.GoTo(c.Shard, before)
			continue
		}
		if err := a.fold.Fits(&c); err != nil {
			return nil, held, nil, err
		}
		news = append(news, &c)
		if c.Config != nil {
			return news, held, rs[i+1:], nil
		}
	}
	return news, held, nil, nil
}

// upTo returns what is held after rs, which follow what is.
func (a *Archive) upTo(rs []*core.Record) core.Follower {
	held, last := a.held, rs[len(rs)-1]
	held.GoTo(last.Shard, core.Position{Holder: last.Holder(), Seq: last.Last()})
	return held
}

// store makes rs one durable group and follows them.
func (a *Archive) store(rs []*core.Record, held *core.Follower) error {
	w := &a.writer
	if a.closed || w.stopped() || !a.keepOwed() {
		return a.refusal()
	}
	timeMS := a.log.timeMS
	for {
		w.group.begin(a.log.end)
		for _, r := range rs {
			w.record(r)
			timeMS = max(timeMS, r.TimeMS)
		}
		if !w.prepare(int64(len(w.group.buf))) {
			return a.refusal()
		}
		if w.group.base == a.log.end {
			break
		} // otherwise the log goes on in a new segment
	}
	if !w.write() {
		return a.refusal()
	}
	a.held = *held
	a.log.publish(&held.Heads, timeMS)
	for _, r := range rs {
		a.snaps.events += max(1, len(r.Events))
		if err := a.fold.give(r); err != nil {
			w.stop(err) // what is durable cannot be followed
			return a.refusal()
		}
	}
	a.keepOwed()
	if now := a.options.Clock(); a.snaps.due(&a.options, now) {
		a.snaps.offer(offer{snapshot: a.snapshot(now)}, now)
	}
	return nil
}

// keepOwed puts a snapshot behind a start canvas, and behind a marker that takes
// something back, before anything else is written. A start has no seq, so the
// heads of a segment do not tell whether it lies before it; and a snapshot of what
// was taken back leads nowhere.
func (a *Archive) keepOwed() bool {
	if !a.fold.owed {
		return true
	}
	err := a.snaps.Put(context.Background(), a.snapshot(a.options.Clock()))
	switch {
	case err == nil:
		a.fold.owed = false
	case isFull(err):
		a.writer.setFull(err)
	default:
		a.writer.stop(err)
	}
	return err == nil
}

func (a *Archive) snapshot(now int64) *core.Snapshot { return a.fold.Snapshot(max(now, a.log.timeMS)) }

// refusal is what a caller hears while nothing can be stored.
func (a *Archive) refusal() error {
	switch state := a.writer.state.Load(); {
	case a.closed:
		return core.NewError(core.CodeUnavailable, "the archive is closed")
	case state.Mode == Stopped:
		return core.NewError(core.CodeUnavailable, "the archive has stopped: "+state.Reason)
	default:
		return &core.Error{Code: core.CodeReadOnly, Msg: "the archive's disk is full", Err: a.writer.full, RetryAfter: 5 * time.Second}
	}
}

// Watermark implements core.Archive: everything that is written is durable.
func (a *Archive) Watermark(_ context.Context, s core.ShardID) (core.Position, error) {
	if s >= core.ShardsMax {
		return core.Position{}, core.NewError(core.CodeUnknownShard, fmt.Sprintf("there is no shard %d", s))
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.held.Position(s), nil
}

// SetWatermark implements core.Archive. A record says it by being there.
func (a *Archive) SetWatermark(context.Context, core.ShardID, core.Position) error { return nil }

// Disturbed implements core.Archive: it has no nodes that come and go.
func (a *Archive) Disturbed() uint64 { return 0 }

// State tells whether the archive takes records, and if not, why.
func (a *Archive) State() State { return *a.writer.state.Load() }

// Close takes a last snapshot, stops everything, and lets others open the folder.
// Writes that come later are refused.
func (a *Archive) Close() error {
	return a.close(func() *offer {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.closed = true
		if a.snaps.events == 0 || a.writer.stopped() {
			return nil
		}
		return &offer{snapshot: a.snapshot(a.options.Clock())}
	})
}
