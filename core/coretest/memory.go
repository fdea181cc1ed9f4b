package coretest

import (
	"context"
	"fmt"
	"sync"

	"pixelwall/core"
)

// Memory keeps all five ports in plain maps and slices: the reference by which
// other stores are understood, and a store for tests of what stands on the ports.
// All state but the records and snapshots is derived from the records, as in a
// real store that starts again. It may be used concurrently.
type Memory struct {
	mu    sync.Mutex
	fault error // what every port answers while it is not nil
	lossy bool  // see Lose

	clock  *Clock
	canvas uint64
	config core.Config

	records   []*core.Record // in the order in which they became durable
	changed   chan struct{}  // closed and replaced when records or closed change
	closed    bool
	floor     core.Heads // records up to here are trimmed
	snapshots []*core.Snapshot

	board    *core.Board
	heads    core.Heads
	timeMS   [core.ShardsMax]int64
	requests map[core.Request]stored
	users    map[uint64]int64 // theoretical arrival times, see core.Cooldown
}

// stored is what became of a request.
type stored struct {
	shard  core.ShardID
	seq    uint64
	timeMS int64
}

// NewMemory returns a Memory with a fresh blank canvas.
func NewMemory(s Setup) (*Memory, error) {
	if err := s.Config.Validate(); err != nil {
		return nil, err
	}
	m := &Memory{clock: s.Clock, canvas: 0x5eed}
	m.reset(s.Config)
	for _, shard := range m.board.Geometry().Shards() {
		c := s.Config
		m.records = append(m.records, &core.Record{Kind: core.KindStart, Canvas: m.canvas, Shard: shard, TimeMS: m.clock.Now(), Config: &c})
	}
	return m, nil
}

func (m *Memory) reset(c core.Config) {
	m.config = c
	m.changed = make(chan struct{})
	m.board = core.NewBoard(c.Geometry(), c.Blank)
	m.requests = make(map[core.Request]stored)
	m.users = make(map[uint64]int64)
}

// Store returns m as a store under test, with every hook.
func (m *Memory) Store() *Store {
	return &Store{
		Sequencer: m, Log: m, History: m, Cooldowns: m, Snapshots: m, Canvas: m.canvas,
		Crash: func() *Store { return m.Crash().Store() },
		Lose:  m.Lose,
		Trim:  m.Trim,
	}
}

// Canvas returns the id of the canvas.
func (m *Memory) Canvas() uint64 { return m.canvas }

// Fail makes every port answer err until Fail(nil): a store that is down.
// Tails that run go on waiting.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = err
}

// Lose makes the outcomes of the later half of each Place unknown until heal is
// called: one is stored, the next one is not, and so on.
func (m *Memory) Lose() (heal func()) {
	set := func(lossy bool) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.lossy = lossy
	}
	set(true)
	return func() { set(false) }
}

// lock takes the lock when the store can answer; otherwise it says why not.
func (m *Memory) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	err := m.fault
	if m.closed {
		err = core.NewError(core.CodeUnavailable, "the store is closed")
	}
	if err != nil {
		m.mu.Unlock()
	}
	return err
}

// Crash ends m with all its tails, and returns a Memory made from its records
// and snapshots alone.
func (m *Memory) Crash() *Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.wake()
	n := &Memory{clock: m.clock, canvas: m.canvas, records: m.records, floor: m.floor, snapshots: m.snapshots}
	n.reset(*m.records[0].Config)
	for _, r := range n.records {
		n.replay(r)
	}
	return n
}

func (m *Memory) wake() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// Place implements core.Sequencer.
func (m *Memory) Place(ctx context.Context, ps []core.Placement, out []core.Outcome) error {
	if err := m.lock(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	now := m.clock.Now() // once, since a record has one time for all its events
	groups := make(map[core.ShardID]*core.Record)
	for i, p := range ps {
		lost := m.lossy && i >= len(ps)/2
		if lost {
			out[i] = core.Outcome{Unknown: true, Err: core.NewError(core.CodeUnavailable, "the answer was lost")}
			if i%2 == 1 {
				continue
			}
		}
		o := m.decide(p, now)
		if !lost {
			out[i] = o
		}
		if o.Err != nil || o.Repeated {
			continue
		}
		r := groups[p.Shard]
		if r == nil {
			r = &core.Record{Kind: core.KindPlacements, Canvas: m.canvas, Shard: p.Shard, First: o.Seq, TimeMS: o.TimeMS}
			groups[p.Shard] = r
			m.records = append(m.records, r)
		}
		old := m.board.Set(p.Shard, p.Offset, p.Color)
		r.Events = append(r.Events, core.Event{Offset: p.Offset, Color: p.Color, Old: old, User: p.User, Request: p.Request})
	}
	m.wake()
	return nil
}

// decide answers p and, unless it refuses, enters it everywhere but in a record.
func (m *Memory) decide(p core.Placement, now int64) core.Outcome {
	if s, ok := m.requests[p.Request]; ok {
		if now-s.timeMS >= core.ResendWindowMS {
			return m.refuse(p.User, now, core.ErrExpired)
		}
		return core.Outcome{Shard: s.shard, Seq: s.seq, TimeMS: s.timeMS, Repeated: true, Allowance: m.allowance(p.User, now)}
	}
	if err := m.config.Judge(&p); err != nil {
		return m.refuse(p.User, now, err)
	}
	if a, ok := m.take(p.User, now); !ok {
		return m.refuse(p.User, now, a.Refusal(now))
	}
	m.heads[p.Shard]++
	m.timeMS[p.Shard] = max(now, m.timeMS[p.Shard])
	s := stored{p.Shard, m.heads[p.Shard], m.timeMS[p.Shard]}
	m.requests[p.Request] = s
	return core.Outcome{Shard: s.shard, Seq: s.seq, TimeMS: s.timeMS, Allowance: m.allowance(p.User, now)}
}

func (m *Memory) refuse(user uint64, now int64, err *core.Error) core.Outcome {
	return core.Outcome{Err: err, Allowance: m.allowance(user, now)}
}

// Configure implements core.Sequencer.
func (m *Memory) Configure(ctx context.Context, c core.Config) error {
	if err := m.lock(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if err := c.Follows(&m.config); err != nil {
		return err
	}
	c.Palette = append(core.Palette(nil), c.Palette...)
	for _, s := range c.Geometry().Shards() {
		m.timeMS[s] = max(m.clock.Now(), m.timeMS[s])
		r := &core.Record{Kind: core.KindConfig, Canvas: m.canvas, Shard: s, First: m.heads[s] + 1, TimeMS: m.timeMS[s], Config: &c}
		m.records = append(m.records, r)
		m.replay(r)
	}
	m.wake()
	return nil
}

// replay enters a durable record everywhere but in the records.
func (m *Memory) replay(r *core.Record) {
	if err := m.board.Apply(r); err != nil {
		panic(fmt.Sprintf("coretest: own record does not apply: %v", err))
	}
	m.heads[r.Shard] = r.Last()
	m.timeMS[r.Shard] = r.TimeMS
	if r.Kind == core.KindConfig {
		m.config = *r.Config
	}
	for i, e := range r.Events {
		m.requests[e.Request] = stored{r.Shard, r.First + uint64(i), r.TimeMS}
		m.charge(e.User, r.TimeMS)
	}
}
