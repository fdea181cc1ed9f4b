package core

import (
	"math/rand/v2"
	"testing"
)

func placements(first uint64, n int) *Record {
	r := &Record{Kind: KindPlacements, Shard: 2, First: first, Events: make([]Event, n)}
	for i := range r.Events {
		r.Events[i].Offset = uint32(first) + uint32(i) // so that an event tells its seq
	}
	return r
}

func TestFollowerJudges(t *testing.T) {
	for _, tt := range []struct {
		name  string
		head  uint64
		r     *Record
		want  Verdict
		after uint64
		first uint64 // of the record as it is to be applied
	}{
		{"the first record applies to an empty follower", 0, placements(1, 3), Apply, 3, 1},
		{"the next record applies", 3, placements(4, 1), Apply, 4, 4},
		{"a record seen before is a duplicate", 3, placements(1, 3), Duplicate, 3, 1},
		{"a part of what was seen is a duplicate", 9, placements(2, 3), Duplicate, 9, 2},
		{"a record behind a hole is a gap", 3, placements(5, 2), Gap, 3, 5},
		{"a record half seen is cut to what is new", 3, placements(2, 5), Apply, 6, 4},
		{"a start canvas applies before the first event", 0, &Record{Kind: KindStart, Shard: 2}, Apply, 0, 0},
		{"a start canvas after the first event is a duplicate", 1, &Record{Kind: KindStart, Shard: 2}, Duplicate, 1, 0},
		{"a configuration takes a seq of its own", 3, &Record{Kind: KindConfig, Shard: 2, First: 4}, Apply, 4, 4},
		{"a configuration seen before is a duplicate", 4, &Record{Kind: KindConfig, Shard: 2, First: 4}, Duplicate, 4, 4},
		{"a configuration behind a hole is a gap", 2, &Record{Kind: KindConfig, Shard: 2, First: 4}, Gap, 2, 4},
		{"a claim changes nothing", 3, &Record{Kind: KindClaim, Shard: 2, First: 4}, Duplicate, 3, 4},
		{"a marker right after its last event jumps", 3, &Record{Kind: KindMarker, Shard: 2, LastOld: 3, First: 1000}, Apply, 1000, 1000},
		{"a marker after another last event is a gap", 2, &Record{Kind: KindMarker, Shard: 2, LastOld: 3, First: 1000}, Gap, 2, 1000},
		{"a marker passed before is a duplicate", 1005, &Record{Kind: KindMarker, Shard: 2, LastOld: 3, First: 1000}, Duplicate, 1005, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var f Follower
			f.Heads[2] = tt.head
			if got := f.Next(tt.r); got != tt.want {
				t.Fatalf("Next = %v, want %v", got, tt.want)
			}
			if f.Heads[2] != tt.after || tt.r.First != tt.first {
				t.Errorf("head %d, record begins at %d, want %d and %d", f.Heads[2], tt.r.First, tt.after, tt.first)
			}
			for s, h := range f.Heads {
				if s != 2 && h != 0 {
					t.Errorf("shard %d moved to %d", s, h)
				}
			}
		})
	}
}

// However a log is cut into deliveries (records doubled, overlapping, late or
// ahead), a follower that fetches again after a gap applies each seq once.
func TestFollowerAppliesEachSeqOnce(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 9))
		var f Follower
		next := uint64(1)
		for next <= 500 {
			first := 1 + rnd.Uint64N(next+3)
			r := placements(first, 1+rnd.IntN(9))
			if f.Next(r) != Apply {
				continue
			}
			for i := range r.Events {
				if uint64(r.Events[i].Offset) != next {
					t.Fatalf("seed %d: applied seq %d, want %d", seed, r.Events[i].Offset, next)
				}
				next++
			}
			if r.Last() != f.Heads[2] || f.Heads[2] != next-1 {
				t.Fatalf("seed %d: head %d after seq %d", seed, f.Heads[2], next-1)
			}
		}
	}
}

func TestGapErrorNamesTheHole(t *testing.T) {
	var f Follower
	f.Heads[2] = 7
	if got, want := f.GapError(placements(11, 1)).Error(), "internal: shard 2: record begins at seq 11 after 7"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
