package coretest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"pixelwall/core"
)

// MemoryOutbox models the sequencer's store, all its shards on one server: what
// core.Outbox and core.Leases promise, the edges' way to place, and what a server
// may do to all of it. It starts no goroutine and reads no clock but its own, so
// that a run repeats. It may be used concurrently; each caller takes a port of
// its own, with a Hook of its own, by As.
type MemoryOutbox struct {
	mu      sync.Mutex
	now     func() int64 // unix ms
	shards  [core.ShardsMax]outboxShard
	armed   [2][core.ShardsMax]armed // by server: in its process, on no disk and no replica
	stood   [2][core.ShardsMax]stood // by server, as armed
	server  int
	fenced  [core.ShardsMax]uint32 // the highest fence that ever was
	doubt   []core.PastEvent       // acknowledged after a server had lost that fence
	undo    []undo                 // every write of the shards, to be taken back
	left    [2]*left               // by server: what it held when the other became the master
	since   int                    // of undo: the writes of this server as the master
	changed chan struct{}          // closed and replaced when a stream grows
	leases  map[leaseKey]lease
	mistake Mistake
}

// A Mistake is something that the model does wrong on purpose.
type Mistake uint8

const (
	NoMistake    Mistake = iota
	StoresArmed          // what was armed survives a restart
	ArmsAnyFence         // a take-over may go on though its writes were lost
)

// Err lets m make a mistake from now on.
func (m *MemoryOutbox) Err(mistake Mistake) { m.mistake = mistake }

// armed is what a process remembers of a shard: the epoch that may place, and the
// seq that it gave last. A server that was put back finds another seq.
type armed struct {
	epoch uint32
	seq   uint64
	jumps []core.Jump // as stood's
}

// stood is what a process remembers of a shard that stands still: its fence, and
// how many steps of a take-over there were. Who lost one of them may not arm.
type stood struct {
	epoch uint32
	step  uint64
	jumps []core.Jump // of the last rebuild since the fence
}

// outboxShard is what a server keeps of a shard on its disk and on its replicas.
type outboxShard struct {
	canvas uint64
	config *core.Config // replaced, never changed
	pixels []byte       // as core.Board.Pixels
	start  *core.Record // of a shard that was built before it had any seq, until it is armed
	epoch  uint32
	relay  uint64
	seq    uint64
	timeMS int64
	seen   uint64
	stream []*core.Record                 // replaced or appended to, never changed
	known  map[uint64]map[uint32]answered // requests, by page and number
	step   uint64                         // fences, rebuilds and recalls so far
	copied *published
	copies int
}

// answered is what became of a request.
type answered struct {
	seq    uint64
	timeMS int64
}

// undo takes one write back.
type undo struct {
	shard  core.ShardID
	stored []core.PastEvent // what the write acknowledged
	back   func()
}

// left is what a server holds that is not the master any more.
type left struct {
	shards [core.ShardsMax]outboxShard
	stored []core.PastEvent // what it acknowledged
}

// published is an immutable copy of a shard, for readers.
type published struct {
	holder core.Holder
	canvas uint64
	seq    uint64
	timeMS int64
	config *core.Config
	pixels []byte
}

// NewMemoryOutbox returns an empty outbox. now returns unix milliseconds.
func NewMemoryOutbox(now func() int64) *MemoryOutbox {
	return &MemoryOutbox{now: now, changed: make(chan struct{}), leases: make(map[leaseKey]lease)}
}

// OutboxPort is one process's way to a MemoryOutbox.
type OutboxPort struct {
	m    *MemoryOutbox
	hook Hook
}

// As returns a port whose calls go through h, which may be nil.
func (m *MemoryOutbox) As(h Hook) *OutboxPort { return &OutboxPort{m: m, hook: h} }

func (o *OutboxPort) call(ctx context.Context, method string, s core.ShardID, write bool, effect func(*MemoryOutbox) error) error {
	if s >= core.ShardsMax {
		return core.NewError(core.CodeUnknownShard, fmt.Sprintf("there is no shard %d", s))
	}
	return o.hook.through(ctx, Call{"outbox", method, s, write}, func() error {
		o.m.mu.Lock()
		defer o.m.mu.Unlock()
		return effect(o.m)
	})
}

// Stand implements core.Outbox.
func (o *OutboxPort) Stand(ctx context.Context, s core.ShardID) (st core.Stand, err error) {
	err = o.call(ctx, "Stand", s, false, func(m *MemoryOutbox) error {
		st = m.stand(s)
		return nil
	})
	return st, err
}

func (m *MemoryOutbox) stand(s core.ShardID) core.Stand {
	sh := &m.shards[s]
	st := core.Stand{Canvas: sh.canvas, Epoch: sh.epoch, Armed: m.isArmed(s), Relay: sh.relay, Seq: sh.seq, Seen: sh.seen}
	if sh.config != nil {
		st.Version = sh.config.Version
	}
	for _, r := range sh.stream {
		if r.Kind == core.KindStart {
			continue
		}
		if st.Bottom == 0 {
			st.Bottom = r.Last()
		}
		st.Top = r.Last()
	}
	return st
}

// isArmed compares what the process remembers with what is stored, as the real
// one does: each alone may be of another time.
func (m *MemoryOutbox) isArmed(s core.ShardID) bool {
	a, sh := m.armed[m.server][s], &m.shards[s]
	return a.epoch != 0 && a.epoch == sh.epoch && a.seq == sh.seq
}

// Fence implements core.Outbox.
func (o *OutboxPort) Fence(ctx context.Context, s core.ShardID, epoch uint32) (uint64, error) {
	var seq atomic.Uint64 // a late effect has nobody to tell
	err := o.call(ctx, "Fence", s, true, func(m *MemoryOutbox) error {
		sh := &m.shards[s]
		if epoch < sh.epoch {
			return mismatch("shard %d: fence %d is below %d", s, epoch, sh.epoch)
		}
		m.armed[m.server][s] = armed{}
		m.fenced[s] = max(m.fenced[s], epoch)
		was := sh.epoch
		sh.epoch = epoch
		m.stepped(s, nil, func() { sh.epoch = was })
		seq.Store(sh.seq)
		return nil
	})
	return seq.Load(), err
}

// fencedBy is the terms of Rebuild, Recall and Arm.
func (m *MemoryOutbox) fencedBy(s core.ShardID, epoch uint32) error {
	switch sh := &m.shards[s]; {
	case epoch == 0 || epoch != sh.epoch:
		return mismatch("shard %d: epoch %d is not the last fence %d", s, epoch, sh.epoch)
	case m.isArmed(s):
		return mismatch("shard %d: armed by epoch %d", s, epoch)
	case (m.stood[m.server][s].epoch != epoch || m.stood[m.server][s].step != sh.step) && m.mistake != ArmsAnyFence:
		return mismatch("shard %d: the server was put back since fence %d", s, epoch)
	}
	return nil
}

// stepped notes a step of a take-over, which back takes back.
func (m *MemoryOutbox) stepped(s core.ShardID, jumps []core.Jump, back func()) {
	sh := &m.shards[s]
	sh.step++
	m.stood[m.server][s] = stood{sh.epoch, sh.step, jumps}
	m.wrote(s, nil, func() {
		sh.step--
		back()
	})
}

// Rebuild implements core.Outbox.
func (o *OutboxPort) Rebuild(ctx context.Context, s core.ShardID, epoch uint32, b core.Base) error {
	if b.Canvas == 0 || b.Config == nil || len(b.Pixels) != core.ShardPixels*int(b.Config.Bits)/8 {
		return core.NewError(core.CodeInvalid, fmt.Sprintf("a base of %d bytes for shard %d", len(b.Pixels), s))
	}
	config, pixels, jumps := cloneConfig(b.Config), append([]byte(nil), b.Pixels...), append([]core.Jump(nil), b.Jumps...)
	return o.call(ctx, "Rebuild", s, true, func(m *MemoryOutbox) error {
		if err := m.fencedBy(s, epoch); err != nil {
			return err
		}
		sh := &m.shards[s]
		was := *sh
		sh.canvas, sh.config, sh.pixels, sh.start = b.Canvas, config, pixels, nil
		sh.timeMS = max(sh.timeMS, b.TimeMS)
		if sh.seq == 0 && len(sh.stream) == 0 {
			sh.start = startOf(s, &b)
		}
		m.stepped(s, jumps, func() {
			sh.canvas, sh.config, sh.pixels, sh.timeMS, sh.start = was.canvas, was.config, was.pixels, was.timeMS, was.start
		})
		return nil
	})
}

// Arm implements core.Outbox.
func (o *OutboxPort) Arm(ctx context.Context, s core.ShardID, h core.Holder, minSeq, lastOld uint64) error {
	return o.call(ctx, "Arm", s, true, func(m *MemoryOutbox) error {
		sh := &m.shards[s]
		if m.isArmed(s) && sh.epoch == h.Epoch && sh.relay == h.Relay {
			return nil
		}
		if err := m.fencedBy(s, h.Epoch); err != nil {
			return err
		}
		if sh.canvas == 0 {
			return mismatch("shard %d was never built", s)
		}
		relay, seq, timeMS, start, n := sh.relay, sh.seq, sh.timeMS, sh.start, len(sh.stream)
		if n > 0 {
			minSeq = max(minSeq, sh.stream[n-1].Last())
		}
		sh.relay, sh.seq, sh.timeMS = h.Relay, max(sh.seq, minSeq)+1, max(sh.timeMS, m.now())
		m.armed[m.server][s] = armed{h.Epoch, sh.seq, m.stood[m.server][s].jumps}
		if start != nil && n == 0 && lastOld == 0 {
			first := *start
			first.Epoch, first.Relay, first.TimeMS = h.Epoch, h.Relay, sh.timeMS
			sh.stream = append(sh.stream, &first)
		}
		sh.start = nil
		sh.stream = append(sh.stream, &core.Record{
			Kind: core.KindMarker, Canvas: sh.canvas, Epoch: h.Epoch, Relay: h.Relay, Shard: s, First: sh.seq, TimeMS: sh.timeMS, LastOld: lastOld,
		})
		m.wrote(s, nil, func() {
			sh.relay, sh.seq, sh.timeMS, sh.start, sh.stream = relay, seq, timeMS, start, sh.stream[:n:n]
		})
		m.wake()
		return nil
	})
}

// startOf returns the record that begins a shard with b, for who finds no log but
// the stream. What it lacks, arming adds.
func startOf(s core.ShardID, b *core.Base) *core.Record {
	blank := core.NewBoard(b.Config.Geometry(), b.Config.Blank)
	r := &core.Record{Kind: core.KindStart, Canvas: b.Canvas, Shard: s, Config: cloneConfig(b.Config)}
	if p := packed(s, b); !bytes.Equal(p, blank.AppendPacked(nil, s)) {
		r.Pixels = p
	}
	return r
}

// packed returns the valid area of b as core.Board.AppendPacked has it.
func packed(s core.ShardID, b *core.Base) []byte {
	whole := outboxShard{config: b.Config, pixels: b.Pixels}
	board := core.NewBoard(b.Config.Geometry(), b.Config.Blank)
	w, h := board.Geometry().Area(s)
	for y := range h {
		for x := range w {
			off := uint32(y*core.ShardSide + x)
			board.Set(s, off, whole.at(off))
		}
	}
	return board.AppendPacked(nil, s)
}

// Configure implements core.Outbox.
func (o *OutboxPort) Configure(ctx context.Context, s core.ShardID, c *core.Config) error {
	c = cloneConfig(c)
	return o.call(ctx, "Configure", s, true, func(m *MemoryOutbox) error {
		sh := &m.shards[s]
		if sh.config == nil {
			return core.NewError(core.CodeUnavailable, fmt.Sprintf("shard %d was never built", s))
		}
		if c.Version <= sh.config.Version {
			return nil
		}
		if err := c.Replaces(sh.config); err != nil {
			return err
		}
		if !m.isArmed(s) {
			return core.NewError(core.CodeUnavailable, fmt.Sprintf("shard %d is not armed", s))
		}
		config, seq, timeMS, n := sh.config, sh.seq, sh.timeMS, len(sh.stream)
		sh.config, sh.seq, sh.timeMS = c, seq+1, max(timeMS, m.now())
		m.armed[m.server][s].seq = sh.seq
		sh.stream = append(sh.stream, &core.Record{
			Kind: core.KindConfig, Canvas: sh.canvas, Epoch: sh.epoch, Relay: sh.relay, Shard: s, First: sh.seq, TimeMS: sh.timeMS, Config: c,
		})
		m.wrote(s, nil, func() {
			sh.config, sh.seq, sh.timeMS, sh.stream = config, seq, timeMS, sh.stream[:n:n]
		})
		m.wake()
		return nil
	})
}

// Read implements core.Outbox.
func (o *OutboxPort) Read(ctx context.Context, s core.ShardID, after uint64, limit int, fn func(*core.Record) error) error {
	var found []*core.Record
	err := o.call(ctx, "Read", s, false, func(m *MemoryOutbox) error {
		found = found[:0]
		for _, r := range m.shards[s].stream {
			if r.Last() > after && len(found) < limit {
				found = append(found, r)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, r := range found {
		if err := fn(cloneRecord(r)); err != nil {
			return err
		}
	}
	return nil
}

// Trim implements core.Outbox.
func (o *OutboxPort) Trim(ctx context.Context, s core.ShardID, epoch uint32, seq uint64) error {
	return o.call(ctx, "Trim", s, true, func(m *MemoryOutbox) error {
		sh := &m.shards[s]
		if epoch != sh.epoch {
			return mismatch("shard %d: trim by epoch %d, the present one is %d", s, epoch, sh.epoch)
		}
		was, n := sh.stream, 0
		for n < len(was) && was[n].Last() < seq {
			n++
		}
		sh.stream = append([]*core.Record(nil), was[n:]...)
		m.wrote(s, nil, func() { sh.stream = was })
		return nil
	})
}

// Report implements core.Outbox.
func (o *OutboxPort) Report(ctx context.Context, s core.ShardID, seq uint64) error {
	return o.call(ctx, "Report", s, true, func(m *MemoryOutbox) error {
		sh := &m.shards[s]
		was := sh.seen
		sh.seen = max(was, seq)
		m.wrote(s, nil, func() { sh.seen = was })
		return nil
	})
}

// Publish implements core.Outbox.
func (o *OutboxPort) Publish(ctx context.Context, s core.ShardID) error {
	return o.call(ctx, "Publish", s, true, func(m *MemoryOutbox) error {
		sh := &m.shards[s]
		if !m.isArmed(s) {
			return core.NewError(core.CodeUnavailable, fmt.Sprintf("shard %d is not armed", s))
		}
		if sh.copied != nil && sh.copied.seq == sh.seq {
			return nil
		}
		was, n := sh.copied, sh.copies
		sh.copied = &published{core.Holder{Epoch: sh.epoch, Relay: sh.relay}, sh.canvas, sh.seq, sh.timeMS, sh.config, bytes.Clone(sh.pixels)}
		sh.copies = n + 1
		m.wrote(s, nil, func() { sh.copied, sh.copies = was, n })
		return nil
	})
}

func (m *MemoryOutbox) wrote(s core.ShardID, stored []core.PastEvent, back func()) {
	m.undo = append(m.undo, undo{s, stored, back})
}

func (m *MemoryOutbox) wake() {
	close(m.changed)
	m.changed = make(chan struct{})
}

func mismatch(format string, args ...any) *core.Error {
	return core.NewError(core.CodeMismatch, fmt.Sprintf(format, args...))
}
