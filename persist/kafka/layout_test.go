package kafka

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"pixelwall/core"
	"pixelwall/persist"
)

// A memoryPartition is a partition whose first records may be gone.
type memoryPartition struct {
	records []*core.Record
	entries []entry
	begin   int64
	chunk   int // entries a read
	reads   int
}

func newMemoryPartition(t *testing.T, records []*core.Record, chunk int) *memoryPartition {
	t.Helper()
	m := &memoryPartition{records: records, chunk: chunk}
	for o, r := range records {
		e, err := parseEntry(persist.AppendRecord(nil, r), layoutShard, int64(o), layoutCanvas)
		if err != nil {
			t.Fatal(err)
		}
		m.entries = append(m.entries, e)
	}
	return m
}

func (m *memoryPartition) bounds(context.Context) (begin, end int64, err error) {
	return m.begin, int64(len(m.entries)), nil
}

func (m *memoryPartition) read(_ context.Context, offset int64, bytesMax int32) (es []entry, next int64, err error) {
	m.reads++
	n := m.chunk
	if bytesMax == rangeBytes {
		n *= 2
	}
	if offset < m.begin || offset >= int64(len(m.entries)) {
		return nil, 0, kerr.OffsetOutOfRange
	}
	next = min(offset+int64(n), int64(len(m.entries)))
	return m.entries[offset:next:next], next, nil
}

const (
	layoutShard  = 5
	layoutCanvas = 0xca7
	// The bounds that the search counts on, smaller than they are.
	layoutAppendMax = 3
	layoutBack      = 4 * layoutAppendMax
)

// A history writes a partition as relays do that die, wake up late, do not hear
// of what they stored, and lose what their sequencer had.
type history struct {
	rng     *rand.Rand
	log     []*core.Record
	right   core.Holder
	before  core.Holder // who was deposed last
	head    uint64      // of a follower of everything
	stream  uint64      // last seq that the sequencer gave
	pending []*core.Record
	recent  []*core.Record // the last ones of right
	zombies []*core.Record // what the one who was deposed may still write
}

func makeHistory(rng *rand.Rand, steps int) []*core.Record {
	h := &history{rng: rng}
	h.takeOver()
	for range steps {
		switch n := rng.IntN(20); {
		case n < 13:
			h.carry()
		case n < 16:
			h.write(h.claim(h.right))
		case n < 18:
			h.wake()
		default:
			h.takeOver()
		}
	}
	return h.log
}

func (h *history) write(rs ...*core.Record) { h.log = append(h.log, rs...) }

func (h *history) claim(by core.Holder) *core.Record {
	return &core.Record{Kind: core.KindClaim, Canvas: layoutCanvas, Shard: layoutShard, Epoch: by.Epoch, Relay: by.Relay, TimeMS: 1}
}

// place lets the sequencer give seqs, at most layoutAppendMax records of them.
func (h *history) place() {
	for range 1 + h.rng.IntN(layoutAppendMax) {
		r := &core.Record{Kind: core.KindPlacements, Canvas: layoutCanvas, Shard: layoutShard, Epoch: h.right.Epoch, Relay: h.right.Relay, First: h.stream + 1}
		r.Events = make([]core.Event, 1+h.rng.IntN(4))
		if h.rng.IntN(12) == 0 {
			r.Kind, r.Events, r.Config = core.KindConfig, nil, layoutConfig()
		}
		for i := range r.Events {
			r.Events[i] = core.Event{Offset: uint32(h.rng.IntN(100)), Color: uint8(h.rng.IntN(16))}
		}
		h.stream = r.Last()
		h.pending = append(h.pending, r)
	}
}

func layoutConfig() *core.Config {
	p, _ := core.NamedPalette("place2017")
	return &core.Config{Version: 2, Width: 600, Height: 520, Bits: 4, Palette: p, BurstMax: 1}
}

// carry is one Append, that may be stored in part and made again.
func (h *history) carry() {
	h.place()
	for h.rng.IntN(5) == 0 { // stored to here, and not told
		h.write(h.pending[:1+h.rng.IntN(len(h.pending))]...)
	}
	h.write(h.pending...)
	h.settle(h.pending)
	h.pending = nil
}

// settle notes what a follower has now.
func (h *history) settle(rs []*core.Record) {
	if len(rs) > 0 {
		h.head = max(h.head, rs[len(rs)-1].Last())
		h.recent = rs
	}
}

// wake lets who was deposed go on with what it had under way.
func (h *history) wake() {
	if len(h.zombies) == 0 {
		return
	}
	if h.rng.IntN(2) == 0 {
		h.write(h.claim(h.before))
	}
	h.write(h.zombies...)
	h.zombies = nil
}

// takeOver is a claim and what follows from it. The last Append of who is deposed
// may be there in part, or twice, the second time in part.
func (h *history) takeOver() {
	lost := false
	if h.right.Epoch > 0 {
		h.place()
		for range h.rng.IntN(3) {
			n := h.rng.IntN(len(h.pending) + 1)
			h.write(h.pending[:n]...)
			h.settle(h.pending[:n])
		}
		h.zombies = append(append([]*core.Record(nil), h.recent[:h.rng.IntN(len(h.recent)+1)]...), h.pending...)
		lost = h.rng.IntN(3) == 0 // the sequencer comes back without what is not in the log
	}
	h.before = h.right
	h.right = core.Holder{Epoch: h.right.Epoch + 1, Relay: h.rng.Uint64()}
	h.write(h.claim(h.right))
	if h.rng.IntN(3) == 0 { // somebody else claimed too late
		h.write(h.claim(core.Holder{Epoch: h.right.Epoch, Relay: h.rng.Uint64()}))
	}
	if h.rng.IntN(3) == 0 {
		h.wake()
	}
	if h.right.Epoch == 1 {
		h.write(&core.Record{Kind: core.KindStart, Canvas: layoutCanvas, Shard: layoutShard, Epoch: 1, Relay: h.right.Relay, Config: layoutConfig()})
	}
	if !lost {
		for _, r := range h.pending { // published again
			c := *r
			c.Epoch, c.Relay = h.right.Epoch, h.right.Relay
			if c.Last() > h.head {
				h.write(&c)
				h.settle([]*core.Record{&c})
			}
		}
	}
	for range h.rng.IntN(3) { // it takes long
		h.write(h.claim(h.right))
	}
	h.pending = nil
	m := &core.Record{Kind: core.KindMarker, Canvas: layoutCanvas, Shard: layoutShard, Epoch: h.right.Epoch, Relay: h.right.Relay, First: max(h.stream, h.head) + 1 + h.rng.Uint64N(50), LastOld: h.head}
	h.write(m)
	h.stream = m.First
	h.settle([]*core.Record{m})
}
