package embedded

import (
	"errors"
	"fmt"
	"path/filepath"

	"pixelwall/core"
	"pixelwall/persist"
)

// recover opens the log and brings the sequencer to its end: from the newest
// snapshot that the log covers, and from as much of the log as the answers to
// repeated requests and the cooldowns need.
func (s *Store) recover() error {
	o := &s.options
	s.log = &segmentLog{
		fs: o.FS, dir: filepath.Join(o.Dir, logName), canvas: s.meta.canvas,
		segmentBytes: o.SegmentBytes, allocateBytes: o.AllocateBytes, changed: make(chan struct{}),
	}
	if err := s.log.list(); err != nil {
		return err
	}
	if err := s.log.openLast(); err != nil {
		return err
	}
	s.snaps = &snapshots{
		fs: o.FS, dir: filepath.Join(o.Dir, snapshotsName), canvas: s.meta.canvas, logger: o.Logger,
		heads: func() core.Heads {
			s.log.mu.Lock()
			defer s.log.mu.Unlock()
			return s.log.heads
		},
		offers: make(chan offer, 1), offeredMS: o.Clock(),
	}
	f, err := s.fold()
	if err != nil {
		return errors.Join(err, s.log.file.Close())
	}
	s.queue = &queue{wake: make(chan struct{}, 1)}
	q := &sequencer{
		log: s.log, queue: s.queue, clock: o.Clock, canvas: s.meta.canvas, logger: o.Logger,
		board: f.board, heads: f.follower.Heads, times: f.times, requests: f.requests, cooldowns: f.cooldowns,
	}
	q.setConfig(f.config, f.now)
	q.state.Store(&State{Mode: OK})
	s.snaps.events = f.unsnapped
	q.onCommit = func(placements int) {
		s.snaps.events += placements
		s.snaps.offer(q, o)
	}
	s.seq = q
	s.log.heads, s.log.timeMS = q.heads, q.latest()
	return nil
}

// fold tries the snapshots from the newest to the oldest, then none.
func (s *Store) fold() (*fold, error) {
	names, err := s.snaps.names()
	if err != nil {
		return nil, err
	}
	for i := len(names) - 1; i >= -1; i-- {
		f := fold{now: s.options.Clock(), cooldowns: core.NewCharges(core.Cooldown{}), requests: newRequests()}
		if err := f.requests.loadFloors(s.options.FS, s.options.Dir, s.meta.canvas); err != nil {
			s.options.Logger.Warn("floors passed over: a request from before the last window may be stored again", "error", err)
		}
		if i >= 0 {
			if f.base, err = s.snaps.load(names[i]); err == nil {
				f.board, err = boardOf(f.base)
			}
			if err != nil {
				s.options.Logger.Warn("snapshot passed over", "error", err)
				continue
			}
			f.times = f.base.Times
			f.setConfig(&f.base.Config)
		}
		if err := f.run(s.log); err != nil {
			return nil, err
		}
		if f.base == nil || reaches(&f.base.Heads, &f.follower.Heads) {
			return &f, nil
		}
		s.options.Logger.Warn("snapshot passed over: it is ahead of the log", "name", names[i])
	}
	return nil, errors.New("unreachable: no snapshot is a snapshot too")
}

// A fold is the state that the log leads to.
type fold struct {
	now       int64
	base      *core.Snapshot // where it begins, nil for the first record
	follower  core.Follower
	config    *core.Config
	board     *core.Board
	times     [core.ShardsMax]int64
	requests  *requests
	cooldowns *core.Charges
	// Requests are remembered from records later than this.
	requestsFromMS int64

	unsnapped int // placements behind base
	record    core.Record
}

func (f *fold) setConfig(c *core.Config) {
	f.config = c
	f.cooldowns.SetRule(c.Cooldown(), f.now)
}

func (f *fold) run(l *segmentLog) error {
	if f.base != nil {
		f.requestsFromMS = f.requestsMS()
	} // without a snapshot the whole log is read, and every floor found
	first := f.firstSegment(l)
	if f.base == nil && l.segments[first].number != 1 {
		return fmt.Errorf("%s: the log begins with segment %d, and there is no snapshot before it", l.dir, l.segments[first].number)
	}
	f.follower.Heads = l.segments[first].heads
	return l.scan(first, f.apply)
}

// firstSegment returns the last segment before which nothing matters any more.
func (f *fold) firstSegment(l *segmentLog) int {
	if f.base == nil {
		return 0
	}
	needMS := min(f.requestsMS(), f.now-int64(f.config.BurstMax)*f.config.CooldownMS)
	for i := len(l.segments) - 1; i > 0; i-- {
		if s := &l.segments[i]; s.timeMS < needMS && reaches(&s.heads, &f.base.Heads) {
			return i
		}
	}
	return 0
}

// requestsMS is from when on requests are read from the log: a window before now,
// or before the floors were written, which know everything before that.
func (f *fold) requestsMS() int64 {
	if f.requests.expiredMS == 0 {
		return f.now - core.ResendWindowMS
	}
	return min(f.now, f.requests.expiredMS) - core.ResendWindowMS
}

func (f *fold) apply(rec []byte) error {
	r := &f.record
	if err := persist.DecodeRecord(rec, r); err != nil {
		return err
	}
	if verdict := f.follower.Next(r); verdict != core.Apply {
		return f.follower.GapError(r)
	}
	f.times[r.Shard] = max(f.times[r.Shard], r.TimeMS)
	f.remember(r)
	if f.base != nil && r.Last() <= f.base.Heads[r.Shard] {
		return nil
	}
	if f.board == nil {
		if r.Config == nil {
			return errors.New("the log does not begin with a start canvas")
		}
		if err := r.Config.Validate(); err != nil {
			return err
		}
		f.board = core.NewBoard(r.Config.Geometry(), r.Config.Blank)
		f.setConfig(r.Config)
	}
	if r.Kind == core.KindConfig && r.Config.Version > f.config.Version {
		f.setConfig(r.Config)
	}
	f.unsnapped += len(r.Events)
	return f.board.Apply(r)
}

// remember keeps what a repeated request or the same user may ask about.
func (f *fold) remember(r *core.Record) {
	resend := r.TimeMS > f.requestsFromMS
	rule := f.cooldowns.Rule()
	rest := rule.EveryMS > 0 && r.TimeMS+int64(rule.Max)*rule.EveryMS > f.now
	if resend {
		f.requests.expire(f.now, 0)
	}
	for i := range r.Events {
		e := &r.Events[i]
		if resend {
			f.requests.add(e.Request, r.Shard, r.First+uint64(i), r.TimeMS)
		}
		if rest {
			f.cooldowns.Stored(e.User, e.Request, r.TimeMS)
		}
	}
}
