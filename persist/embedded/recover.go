package embedded

import (
	"errors"
	"fmt"
	"math"

	"pixelwall/core"
	"pixelwall/persist"
)

// recover brings the sequencer to the end of the log: from the newest snapshot
// that the log covers, and from as much of the log as the answers to repeated
// requests and the cooldowns need.
func (s *Store) recover() error {
	o := &s.options
	f, err := s.fold(func() *memory { return newMemory(o, s.meta.canvas) })
	if err != nil {
		return err
	}
	s.queue = &queue{wake: make(chan struct{}, 1)}
	s.seq = &sequencer{
		queue: s.queue, clock: o.Clock, canvas: s.meta.canvas,
		board: f.Board, heads: f.Heads, times: f.Times, requests: f.memory.requests, cooldowns: f.memory.cooldowns, snaps: s.snaps,
	}
	s.seq.setConfig(&f.Config, f.memory.now)
	s.seq.begin(s.log, o.Logger)
	s.seq.onCommit = func(placements int) { s.seq.snapshot(o, placements) }
	return nil
}

// fold brings a fold to the end of the log, and tells the log where that is. It
// tries the snapshots from the newest to the oldest, then none. remember is nil
// where nobody places.
func (d *folder) fold(remember func() *memory) (*fold, error) {
	names, err := d.snaps.names()
	if err != nil {
		return nil, err
	}
	for i := len(names) - 1; i >= -1; i-- {
		f := &fold{}
		if remember != nil {
			f.memory = remember()
		} else {
			f.log = d.log
		}
		if i >= 0 {
			if f.base, err = d.snaps.load(names[i]); err != nil {
				d.options.Logger.Warn("snapshot passed over", "err", err)
				continue
			}
		}
		if f.Fold, err = core.NewFold(f.base); err != nil {
			d.options.Logger.Warn("snapshot passed over", "name", names[i], "err", err)
			continue
		}
		err := f.run(d.log)
		if err != nil && (i < 0 || !errors.Is(err, errOtherPast)) {
			return nil, err
		}
		if err == nil && (f.base == nil || f.read.Heads.Reach(&f.base.Heads)) {
			d.snaps.events = f.unsnapped
			d.log.heads, d.log.timeMS = f.read.Heads, max(d.log.floor().timeMS, f.latest())
			return f, nil
		}
		d.options.Logger.Warn("snapshot passed over: it is ahead of the log, or of another one", "name", names[i])
	}
	return nil, errors.New("unreachable: no snapshot is a snapshot too")
}

// errOtherPast says that the log does not go on from where a fold stands.
var errOtherPast = errors.New("the log does not go on from there")

// A fold is the state that the log leads to.
type fold struct {
	*core.Fold
	base   *core.Snapshot // where it begins, nil for the first record
	memory *memory        // nil where nobody places
	read   core.Follower  // of what is read, which may begin long before base

	log  *segmentLog // of an archive, to undo what a marker takes back; otherwise nil
	owed bool        // what lies behind base needs a snapshot before the log goes on

	unsnapped int // placements behind base
	record    core.Record
	give      func(*core.Record) error // next, behind the claims that the log leaves out
}

func (f *fold) run(l *segmentLog) error {
	first := 0
	if f.base != nil {
		f.read.Holders = f.base.Holders
		first = f.firstSegment(l)
	}
	h := &l.segments[first].segmentHeader
	if f.base == nil && (h.number != 1 || h.heads != core.Heads{}) {
		return fmt.Errorf("%s: the log begins with segment %d after events, and no snapshot of them can be used", l.dir, h.number)
	}
	if f.memory != nil {
		f.memory.begin(f.base)
	}
	f.read.Heads = h.heads
	f.give = persist.WithClaims(f.next)
	return l.scan(first, f.apply)
}

// firstSegment returns the last segment before which nothing matters any more.
func (f *fold) firstSegment(l *segmentLog) int {
	needMS := int64(math.MaxInt64)
	if f.memory != nil {
		needMS = f.memory.needMS(&f.base.Config)
	}
	for i := len(l.segments) - 1; i > 0; i-- {
		if s := &l.segments[i]; s.timeMS < needMS && f.base.Heads.Reach(&s.heads) {
			return i
		}
	}
	return 0
}

func (f *fold) apply(rec []byte) error {
	r := &f.record
	if err := persist.DecodeRecord(rec, r); err != nil {
		return err
	}
	f.read.Trust(r)
	switch verdict := f.read.Next(r); {
	case verdict == core.Phantom && f.log != nil:
		f.read.GoTo(r.Shard, core.Position{Holder: r.Holder(), Seq: r.First})
	case verdict != core.Apply:
		return f.read.GapError(r)
	}
	if f.memory != nil {
		f.memory.add(r)
	}
	return f.give(r)
}

// next takes one record that is in the log, or a claim that could be.
func (f *fold) next(r *core.Record) error {
	version := f.Config.Version
	verdict, err := f.Next(r)
	switch {
	case err != nil:
		return err
	case verdict == core.Phantom && f.log != nil:
		return f.takeBack(r)
	case verdict == core.Gap || verdict == core.Phantom:
		return errOtherPast
	case verdict == core.Apply:
		f.unsnapped += len(r.Events)
		f.owed = f.owed || r.Kind == core.KindStart
	}
	if f.memory != nil && f.Config.Version != version {
		f.memory.cooldowns.SetRule(f.Config.Cooldown(), f.memory.now)
	}
	return nil
}

// latest returns the time of the last event.
func (f *fold) latest() (ms int64) {
	for _, t := range f.Times {
		ms = max(ms, t)
	}
	return ms
}
