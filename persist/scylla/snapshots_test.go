package scylla

import (
	"context"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"

	"pixelwall/core"
)

// snapshotAt is of a canvas of 600 × 520 at a time, with nothing in the log but
// what head says of shard 0.
func snapshotAt(ms int64, head uint64) *core.Snapshot {
	c := testConfig()
	s := &core.Snapshot{Canvas: testCanvas, Config: c, TimeMS: ms}
	b := core.NewBoard(c.Geometry(), c.Blank)
	b.Set(0, uint32(head%core.ShardPixels), 3)
	for _, shard := range c.Geometry().Shards() {
		s.Shards[shard] = b.AppendPacked(nil, shard)
		s.Holders[shard] = core.Holder{Epoch: 3 + uint32(shard), Relay: 1<<63 + uint64(shard)}
		s.Times[shard] = ms - int64(shard)
	}
	s.Heads[0] = head
	return s
}

func mustPut(t *testing.T, s *Store, snap *core.Snapshot) {
	t.Helper()
	if err := s.Put(t.Context(), snap); err != nil {
		t.Fatal(err)
	}
}

func TestASnapshotComesBackWithItsHolders(t *testing.T) {
	s := fresh(t)
	mustWrite(t, s, start(), placements(1, 10))
	want := snapshotAt(startMS, 10)
	mustPut(t, s, want)
	mustPut(t, s, want) // after a time-out, say
	got, err := ready(t, s.o).Latest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("came back with heads %v, holders %v, times %v", got.Heads[:4], got.Holders[:4], got.Times[:4])
	}
	if n := len(timesOf(t, s)); n != 1 {
		t.Errorf("%d snapshots of one", n)
	}
}

// A relay that connects before there is a canvas never names it; it reads what
// others put all the same.
func TestWhoCameBeforeTheCanvasReadsItsSnapshots(t *testing.T) {
	early := fresh(t)
	s := ready(t, early.o)
	mustWrite(t, s, start(), placements(1, 10))
	want := snapshotAt(startMS, 10)
	mustPut(t, s, want)
	got, err := early.Latest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("came back with heads %v of canvas %x", got.Heads[:4], got.Canvas)
	}
}

// timesOf returns the times of the snapshots that there are, newest first.
func timesOf(t *testing.T, s *Store) (all []int64) {
	t.Helper()
	c, err := s.connected()
	if err != nil {
		t.Fatal(err)
	}
	iter := c.QueryWithContext(t.Context(), `SELECT ts FROM snapshots WHERE part = 0`).Iter()
	var ms int64
	for iter.Scan(&ms) {
		all = append(all, ms-startMS)
	}
	if err := iter.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestOfOldSnapshotsTheFirstOfEachHourStays(t *testing.T) {
	s := fresh(t)
	const minute = minuteMS
	begin := int64(startMS) / hourMS * hourMS
	for i := range int64(13) { // every 20 minutes from a full hour on
		mustPut(t, s, snapshotAt(begin+i*20*minute, 0))
	}
	var got []int64
	for _, ms := range timesOf(t, s) {
		got = append(got, (ms+startMS-begin)/minute)
	}
	if want := []int64{240, 220, 200, 180, 120, 60, 0}; !slices.Equal(got, want) {
		t.Errorf("snapshots of minute %v stay, want %v", got, want)
	}
	if n := shardsOf(t, s); n != 7*4 {
		t.Errorf("%d shards, want %d", n, 7*4)
	}
}

// A removal that is cut off in the middle is finished after the next Put. Nobody takes
// what is left meanwhile for a snapshot.
func TestARemovalThatIsCutOffIsFinishedLater(t *testing.T) {
	s := fresh(t)
	begin := int64(startMS) / hourMS * hourMS
	for i := range int64(5) { // as many as stay
		mustPut(t, s, snapshotAt(begin+i*minuteMS, 0))
	}
	ctx, cut := context.WithCancel(t.Context())
	defer cut()
	var removed atomic.Int64
	observe(t, s, func(statement string) {
		if statement == deleteShard && removed.Add(1) == 2 {
			cut()
		}
	})
	if err := s.Put(ctx, snapshotAt(begin+5*minuteMS, 0)); err != nil {
		t.Fatal(err)
	}
	if ctx.Err() == nil {
		t.Fatal("nothing was removed")
	}
	if got, err := s.At(t.Context(), begin+minuteMS); err != nil || got.TimeMS != begin {
		t.Errorf("where one is half gone, At = %+v, %v", got, err)
	}
	mustPut(t, s, snapshotAt(begin+6*minuteMS, 0))
	var got []int64
	for _, ms := range timesOf(t, s) {
		got = append(got, (ms+startMS-begin)/minuteMS)
	}
	if want := []int64{6, 5, 4, 3, 0}; !slices.Equal(got, want) {
		t.Errorf("snapshots of minute %v stay, want %v", got, want)
	}
	if n := shardsOf(t, s); n != 5*4 {
		t.Errorf("%d shards, want %d", n, 5*4)
	}
}

// shardsOf counts the shards of all snapshots.
func shardsOf(t *testing.T, s *Store) (n int64) {
	t.Helper()
	c, err := s.connected()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.QueryWithContext(t.Context(), `SELECT count(*) FROM snapshot_shards`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestHeadsOfTheNewestSnapshotComeWithoutItsShards(t *testing.T) {
	s := fresh(t)
	if _, err := s.LatestHeads(t.Context()); core.CodeOf(err) != core.CodeNotFound {
		t.Errorf("before any: %v", err)
	}
	mustWrite(t, s, start(), placements(1, 10))
	old, whole, half, ahead := snapshotAt(startMS, 4), snapshotAt(startMS+1000, 8), snapshotAt(startMS+2000, 9), snapshotAt(startMS+3000, 11)
	for _, snap := range []*core.Snapshot{old, whole, half} {
		mustPut(t, s, snap)
	}
	if got, err := s.LatestHeads(t.Context()); err != nil || got != half.Heads {
		t.Errorf("LatestHeads = %v, %v", got[:1], err)
	}
	mustPut(t, s, ahead) // the log ends at 10
	execute(t, s, `DELETE FROM snapshot_shards WHERE ts = ? AND id = ? AND shard = 3`, half.TimeMS, int64(9))
	if got, err := s.Latest(t.Context()); err != nil || got.Heads != whole.Heads {
		t.Fatalf("Latest = %+v, %v", got, err)
	}
	var read atomic.Int64
	observe(t, s, func(statement string) {
		if statement == selectShard {
			read.Add(1)
		}
	})
	if got, err := s.LatestHeads(t.Context()); err != nil || got != whole.Heads {
		t.Errorf("LatestHeads = %v, %v, where Latest has %v", got[:1], err, whole.Heads[:1])
	}
	if n := read.Load(); n != 0 {
		t.Errorf("%d shards were read", n)
	}
}

func TestASnapshotThatCannotBeReadIsPassedOver(t *testing.T) {
	for name, damage := range map[string]string{
		"a shard is missing":           `DELETE FROM snapshot_shards WHERE ts = ? AND id = ? AND shard = 2`,
		"a shard is damaged":           `UPDATE snapshot_shards SET data = 0x01020304 WHERE ts = ? AND id = ? AND shard = 2`,
		"its configuration is damaged": `UPDATE snapshots SET config = 0x01 WHERE part = 0 AND ts = ? AND id = ?`,
		"its heads are damaged":        `UPDATE snapshots SET heads = 0x01 WHERE part = 0 AND ts = ? AND id = ?`,
		"its row was never written":    `DELETE FROM snapshots WHERE part = 0 AND ts = ? AND id = ?`,
	} {
		t.Run(name, func(t *testing.T) {
			s := fresh(t)
			mustWrite(t, s, start(), placements(1, 10))
			sound, damaged := snapshotAt(startMS, 5), snapshotAt(startMS+1000, 10)
			mustPut(t, s, sound)
			mustPut(t, s, damaged)
			execute(t, s, damage, damaged.TimeMS, int64(10))
			if got, err := s.Latest(t.Context()); err != nil || !reflect.DeepEqual(got, sound) {
				t.Errorf("Latest = %+v, %v", got, err)
			}
		})
	}
}

func TestASnapshotOfTheWrongSizeOrCanvasIsNotKept(t *testing.T) {
	s := fresh(t)
	bad := snapshotAt(startMS, 0)
	bad.Shards[1] = bad.Shards[1][1:]
	if err := s.Put(t.Context(), bad); core.CodeOf(err) != core.CodeMalformed {
		t.Errorf("Put = %v", err)
	}
	other := snapshotAt(startMS, 0)
	other.Canvas++
	if err := s.Put(t.Context(), other); core.CodeOf(err) != core.CodeMismatch {
		t.Errorf("Put of another canvas = %v", err)
	}
	if n := len(timesOf(t, s)); n != 0 {
		t.Errorf("%d snapshots", n)
	}
}
