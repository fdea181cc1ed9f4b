package kafka

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"pixelwall/core"
)

// A run is what a follower goes through.
type run struct {
	ends   []uint64 // head after each record that was applied
	at     []int64  // offset of each
	reload bool     // it found that it must reload
	core.Follower
}

func (r *run) next(rec *core.Record, offset int64) {
	c := *rec
	switch r.Next(&c) {
	case core.Apply:
		r.ends = append(r.ends, c.Last())
		r.at = append(r.at, offset)
	case core.Gap, core.Phantom:
		r.reload = true
	}
}

// after returns what r went through behind seq.
func (r *run) after(seq uint64) []uint64 {
	i, _ := slices.BinarySearch(r.ends, seq+1)
	if seq == 0 {
		i = 0 // the start canvas has seq 0
	}
	return r.ends[i:]
}

func TestASearchLeadsWhereAFollowerOfEverythingWent(t *testing.T) {
	layouts := 10_000
	if testing.Short() {
		layouts = 2000
	}
	base := rand.Uint64()
	found, gone := 0, 0
	for i := range layouts {
		seed := base + uint64(i)
		rng := rand.New(rand.NewPCG(seed, 0))
		m := newMemoryPartition(t, makeHistory(rng, 4+rng.IntN(60)), 1+rng.IntN(8))
		all := &run{}
		for o, r := range m.records {
			all.next(r, int64(o))
		}
		if all.reload {
			t.Fatalf("seed %d: the history itself has a hole", seed)
		}
		// Retention leaves days of claims, and so never a deposed relay's records alone.
		if n := int64(len(m.records)) - 2*layoutBack; n > 0 && rng.IntN(2) == 0 {
			m.begin = rng.Int64N(n)
		}
		for range 20 {
			from := uint64(0)
			if n := rng.IntN(len(all.ends) + 1); n > 0 {
				from = all.ends[n-1]
				if rng.IntN(3) == 0 { // inside a record, or where seqs were lost
					from -= min(from, rng.Uint64N(6))
				}
			}
			if checkSearch(t, seed, m, all, from) {
				found++
			} else {
				gone++
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("seeds from %d: %d places found, %d gone", base, found, gone)
	if found == 0 || gone == 0 {
		t.Error("one of the outcomes never came")
	}
}

// checkSearch reports whether there is a place for from.
func checkSearch(t *testing.T, seed uint64, m *memoryPartition, all *run, from uint64) bool {
	t.Helper()
	k := &seeker{log: m, shard: layoutShard, back: layoutBack}
	p, err := k.seek(t.Context(), from)
	want := all.after(from)
	need := int64(len(m.records)) // offset of the first that a reader from there needs
	if len(want) > 0 {
		need = all.at[len(all.at)-len(want)]
	}
	if core.CodeOf(err) == core.CodeNotFound && err != nil {
		if m.begin <= need && (from > 0 || m.begin == 0) {
			t.Errorf("seed %d: from %d with the beginning at %d: %v, but offset %d is there", seed, from, m.begin, err, need)
		}
		return false
	}
	if err != nil {
		t.Errorf("seed %d: from %d: %v", seed, from, err)
		return false
	}
	got := &run{}
	got.Heads[layoutShard] = from
	if p.claim != nil {
		got.next(p.claim, 0)
	}
	for o := p.offset; o < int64(len(m.records)); o++ {
		got.next(m.records[o], o)
	}
	between := from > 0 && !slices.Contains(all.ends, from) && !inside(m, all, from)
	switch {
	case between && len(want) > 0:
		// A reader that holds what nobody else has must hear so.
		if !got.reload && countsIn(m, p.offset) {
			t.Errorf("seed %d: from %d, which no log holds: not told to reload", seed, from)
		}
	case m.begin > need && got.reload:
		// The beginning lies among what somebody repeated, so only a record behind
		// that shows what is missing. The reader hears of it, which is what counts.
	case m.begin > need && len(got.ends) == 0:
		if countsIn(m, p.offset) {
			t.Errorf("seed %d: from %d is neither found nor gone", seed, from)
		}
	case got.reload || !slices.Equal(got.ends, want):
		t.Errorf("seed %d: from %d (begin %d): offset %d of %d, claim %+v, went to %v, reload %v\nwant %v", seed, from, m.begin, p.offset, len(m.records), p.claim, got.ends, got.reload, want)
	case got.Holders[layoutShard] != all.Holders[layoutShard]:
		t.Errorf("seed %d: from %d: ends with %v, want %v", seed, from, got.Holders[layoutShard], all.Holders[layoutShard])
	case p.known > p.offset:
		t.Errorf("seed %d: from %d: offset %d, known %d", seed, from, p.offset, p.known)
	}
	return true
}

// inside reports whether seq lies in a record that all went through.
func inside(m *memoryPartition, all *run, seq uint64) bool {
	for _, o := range all.at {
		if r := m.records[o]; r.First <= seq && seq <= r.Last() {
			return true
		}
	}
	return false
}

// countsIn reports whether a follower that stands nowhere hears anything behind offset.
func countsIn(m *memoryPartition, offset int64) bool {
	for _, r := range m.records[offset:] {
		if r.Kind != core.KindClaim {
			return true
		}
	}
	return false
}

func TestTheLastSeqIsThatOfWhoMayWrite(t *testing.T) {
	base := rand.Uint64()
	for i := range 2000 {
		seed := base + uint64(i)
		rng := rand.New(rand.NewPCG(seed, 1))
		m := newMemoryPartition(t, makeHistory(rng, 4+rng.IntN(60)), 1+rng.IntN(8))
		var all run
		for o, r := range m.records {
			all.next(r, int64(o))
		}
		k := &seeker{log: m, shard: layoutShard, back: layoutBack}
		last, _, err := k.last(t.Context())
		if err != nil || last != all.Heads[layoutShard] {
			t.Fatalf("seed %d: %d, %v, want %d", seed, last, err, all.Heads[layoutShard])
		}
	}
}

func TestASearchReadsLittle(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	m := newMemoryPartition(t, makeHistory(rng, 100_000), 8)
	var all run
	for o, r := range m.records {
		all.next(r, int64(o))
	}
	worst := 0
	for range 500 {
		m.reads = 0
		k := &seeker{log: m, shard: layoutShard, back: layoutBack}
		if _, err := k.seek(context.Background(), all.ends[1+rng.IntN(len(all.ends)-1)]); err != nil {
			t.Fatal(err)
		}
		worst = max(worst, m.reads)
	}
	// 18 halvings and some steps around the place.
	if t.Logf("at most %d reads in %d records", worst, len(m.records)); worst > 60 {
		t.Errorf("%d reads", worst)
	}
}

// A relay that is deposed in the middle of its take-over has published more again
// than what counts. Whoever takes over next joins what counts, not that.
func TestASearchSeesThroughATakeOverThatWasDeposed(t *testing.T) {
	holder := func(e uint32) core.Holder { return core.Holder{Epoch: e, Relay: uint64(100 + e)} }
	record := func(e uint32, r core.Record) *core.Record {
		r.Canvas, r.Shard, r.Epoch, r.Relay = layoutCanvas, layoutShard, e, holder(e).Relay
		return &r
	}
	one := core.EpochSeq(1)
	m := newMemoryPartition(t, []*core.Record{
		record(1, core.Record{Kind: core.KindClaim}),
		record(1, core.Record{Kind: core.KindStart, Config: layoutConfig()}),
		record(1, core.Record{Kind: core.KindMarker, First: one, LastOld: 0}),
		record(1, core.Record{Kind: core.KindPlacements, First: one + 1, Events: make([]core.Event, 2)}),
		record(2, core.Record{Kind: core.KindClaim}),
		record(3, core.Record{Kind: core.KindClaim}),
		record(2, core.Record{Kind: core.KindPlacements, First: one + 3, Events: make([]core.Event, 4)}), // void
		record(4, core.Record{Kind: core.KindClaim}),
		record(4, core.Record{Kind: core.KindMarker, First: core.EpochSeq(4), LastOld: one + 2}),
		record(4, core.Record{Kind: core.KindPlacements, First: core.EpochSeq(4) + 1, Events: make([]core.Event, 1)}),
	}, 100)
	for _, tt := range []struct {
		begin  int64
		from   uint64
		offset int64
		holder core.Holder
	}{
		{0, 0, 0, core.Holder{}},
		{0, one + 1, 3, holder(1)},
		{0, one + 2, 8, holder(4)},
		{2, one + 2, 8, holder(4)}, // what came before is gone
	} {
		m.begin = tt.begin
		k := &seeker{log: m, shard: layoutShard, back: layoutBack}
		at, err := k.seek(t.Context(), tt.from)
		if err != nil {
			t.Errorf("from %d: %v", tt.from, err)
			continue
		}
		got := core.Holder{}
		if at.claim != nil {
			got = at.claim.Holder()
		}
		if at.offset != tt.offset || got != tt.holder {
			t.Errorf("from %d: offset %d under %v, want %d under %v", tt.from, at.offset, got, tt.offset, tt.holder)
		}
	}
}

// The log begins between the claim that deposed a relay and what that one had under
// way, and a read ends there too: only what comes later shows that it is void.
func TestASearchAtTheBeginningIsNotLedByWhoWasDeposed(t *testing.T) {
	old, right := core.Holder{Epoch: 1, Relay: 101}, core.Holder{Epoch: 2, Relay: 102}
	record := func(by core.Holder, r core.Record) *core.Record {
		r.Canvas, r.Shard, r.Epoch, r.Relay = layoutCanvas, layoutShard, by.Epoch, by.Relay
		return &r
	}
	placements := func(by core.Holder, first uint64) *core.Record {
		return record(by, core.Record{Kind: core.KindPlacements, First: first, Events: make([]core.Event, 2)})
	}
	m := newMemoryPartition(t, []*core.Record{
		record(right, core.Record{Kind: core.KindClaim}),
		record(old, core.Record{Kind: core.KindClaim}), // the log begins here
		placements(old, 11),
		placements(old, 13),
		placements(old, 15),
		placements(right, 13),
		record(right, core.Record{Kind: core.KindMarker, First: 100, LastOld: 14}),
		placements(right, 101),
	}, 1)
	m.begin = 1
	k := &seeker{log: m, shard: layoutShard, back: 4}
	at, err := k.seek(t.Context(), 14)
	if err != nil {
		t.Fatal(err)
	}
	if at.offset != 6 || at.claim == nil || at.claim.Holder() != right {
		t.Errorf("offset %d, claim %+v, want 6 under %v", at.offset, at.claim, right)
	}
}
