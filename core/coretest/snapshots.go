package coretest

import (
	"reflect"
	"testing"

	"pixelwall/core"
)

// TestSnapshots checks that what open returns keeps the promises of
// core.Snapshots. A store may also make snapshots of its own.
func TestSnapshots(t *testing.T, open func(*testing.T, Setup) *Store) {
	adapt(t, open, snapshots)
}

// ladderMS is the time between snapshots of the suite: a store may thin out
// older ones that are closer together than an hour.
const ladderMS = 2 * 3600 * 1000

func snapshots(t T, open func(T, Setup) *Store) {
	t.Run("a store without snapshots says not found", func(t T) {
		s := setup()
		st := open(t, s)
		if _, err := st.Snapshots.At(t.Context(), startMS-1); err == nil || core.CodeOf(err) != core.CodeNotFound {
			t.Errorf("At = %v, want %v", err, core.CodeNotFound)
		}
	})
	t.Run("the latest snapshot comes back as it was put, whatever became of the memory", func(t T) {
		s := setup()
		st := open(t, s)
		virtual(t, st)
		var last *core.Snapshot
		for range 3 {
			last = putNext(t, s, st)
		}
		got := latest(t, st)
		equal(t, got, last)
		got.Shards[0][0] ^= 0xff
		got.Config.Palette[0].Name = "scribbled"
		got.Heads[0] = 99
		equal(t, latest(t, st), last)
	})
	t.Run("the snapshot of a time is the newest up to it", func(t T) { snapshotOfTime(t, open) })
	t.Run("a snapshot that is ahead of the log is not the latest", func(t T) {
		s := setup()
		st := open(t, s)
		virtual(t, st)
		sound := putNext(t, s, st)
		s.Clock.Advance(ladderMS)
		ahead := snapshotOf(t, s, st)
		ahead.Heads[1] += 5
		put(t, st, ahead)
		if got := latest(t, st); !within(got.Heads, headsOf(t, st)) {
			t.Fatalf("the latest reaches to %v, the log to %v", got.Heads[:4], headsOf(t, st))
		} else {
			equal(t, got, sound)
		}
	})
	t.Run("a snapshot and the log after it give the canvas", func(t T) { snapshotFold(t, open) })
	t.Run("a snapshot survives a crash", func(t T) {
		s := setup()
		st := open(t, s)
		virtual(t, st)
		putNext(t, s, st)
		last := putNext(t, s, st)
		st = crash(t, st)
		equal(t, latest(t, st), last)
	})
}

// putNext paints, lets two hours pass, puts a snapshot and scribbles over it.
// It returns what was put.
func putNext(t T, s Setup, st *Store) *core.Snapshot {
	t.Helper()
	s.Clock.Advance(ladderMS)
	mustPlace(t, st, newPage(uint64(s.Clock.Now()-startMS)).taps(40)...)
	snap := snapshotOf(t, s, st)
	kept := cloneSnapshot(snap)
	put(t, st, snap)
	for i := range snap.Shards {
		clear(snap.Shards[i])
	}
	clear(snap.Config.Palette)
	return kept
}

// snapshotOf folds the whole log.
func snapshotOf(t T, s Setup, st *Store) *core.Snapshot {
	t.Helper()
	board := core.NewBoard(s.Config.Geometry(), s.Config.Blank)
	snap := &core.Snapshot{Canvas: st.Canvas, Config: *cloneConfig(&s.Config), TimeMS: s.Clock.Now()}
	for _, r := range readAll(t, st) {
		if err := board.Apply(r); err != nil {
			t.Fatalf("%v", err)
		}
		snap.Heads[r.Shard], snap.Times[r.Shard] = r.Last(), r.TimeMS
	}
	for _, shard := range board.Geometry().Shards() {
		snap.Shards[shard] = board.AppendPacked(nil, shard)
	}
	return snap
}

func put(t T, st *Store, s *core.Snapshot) {
	t.Helper()
	if err := st.Snapshots.Put(t.Context(), s); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

func latest(t T, st *Store) *core.Snapshot {
	t.Helper()
	s, err := st.Snapshots.Latest(t.Context())
	if err != nil {
		t.Fatalf("Latest: %v", err)
	}
	return s
}

func equal(t T, got, want *core.Snapshot) {
	t.Helper()
	if got.TimeMS != want.TimeMS || got.Heads != want.Heads {
		t.Fatalf("the snapshot of %d ms after the start with heads %v, want %d with %v",
			got.TimeMS-startMS, got.Heads[:4], want.TimeMS-startMS, want.Heads[:4])
	}
	for s := range want.Shards { // a missing shard may be nil or empty
		if string(got.Shards[s]) != string(want.Shards[s]) {
			t.Errorf("shard %d differs", s)
		}
	}
	if got.Canvas != want.Canvas || got.Times != want.Times || !reflect.DeepEqual(got.Config, want.Config) {
		t.Errorf("canvas %x, times %v, configuration %+v\nwant %x, %v, %+v", got.Canvas, got.Times[:4], got.Config, want.Canvas, want.Times[:4], want.Config)
	}
}

func snapshotFold(t T, open func(T, Setup) *Store) {
	s := setup()
	st := open(t, s)
	virtual(t, st)
	putNext(t, s, st)
	s.Clock.Advance(ladderMS)
	mustPlace(t, st, newPage(77).taps(50)...)
	snap := latest(t, st)
	board := core.NewBoard(snap.Config.Geometry(), snap.Config.Blank)
	for _, shard := range board.Geometry().Shards() {
		if err := board.LoadPacked(shard, snap.Shards[shard]); err != nil {
			t.Fatalf("%v", err)
		}
	}
	f := core.Follower{Heads: snap.Heads}
	for _, r := range read(t, st, snap.Heads, headsOf(t, st)) {
		if f.Next(r) != core.Apply {
			continue
		}
		if err := board.Apply(r); err != nil {
			t.Fatalf("%v", err)
		}
	}
	want := snapshotOf(t, s, st)
	for _, shard := range board.Geometry().Shards() {
		if string(board.AppendPacked(nil, shard)) != string(want.Shards[shard]) {
			t.Errorf("shard %d differs", shard)
		}
	}
}

func snapshotOfTime(t T, open func(T, Setup) *Store) {
	s := setup()
	st := open(t, s)
	virtual(t, st)
	var put []*core.Snapshot
	for range 3 {
		put = append(put, putNext(t, s, st))
	}
	for i, want := range put {
		for _, later := range []int64{0, 1, ladderMS - 1} {
			got, err := st.Snapshots.At(t.Context(), want.TimeMS+later)
			if err != nil {
				t.Fatalf("At %d ms after snapshot %d: %v", later, i, err)
			}
			equal(t, got, want)
		}
	}
	got, err := st.Snapshots.At(t.Context(), put[0].TimeMS-1)
	if err == nil && got.TimeMS > put[0].TimeMS-1 || err != nil && core.CodeOf(err) != core.CodeNotFound {
		t.Errorf("before the first: %v, %v", got, err)
	}
}
