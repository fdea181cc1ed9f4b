package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync/atomic"
	"testing"

	"pixelwall/core"
)

func testSnapshot(timeMS int64) *core.Snapshot {
	c := testConfig(600, 520, 5000)
	board := core.NewBoard(c.Geometry(), 3)
	s := &core.Snapshot{Canvas: testCanvas, Config: c, TimeMS: timeMS}
	for _, id := range c.Geometry().Shards() {
		s.Heads[id], s.Times[id] = uint64(id), timeMS
		s.Shards[id] = board.AppendPacked(nil, id)
	}
	return s
}

func testSnapshots(fsys *memFS) *snapshots {
	o := memOptions(fsys)
	o.ensureDefaults()
	return &snapshots{fs: fsys, dir: "/snapshots", canvas: testCanvas, logger: o.Logger, heads: func() core.Heads {
		return testSnapshot(0).Heads
	}}
}

func TestOfOldSnapshotsOneAnHourStays(t *testing.T) {
	p := testSnapshots(newMemFS())
	const minute = 60_000
	for i := range int64(24) {
		if err := p.Put(context.Background(), testSnapshot(i*10*minute)); err != nil {
			t.Fatal(err)
		}
		if err := p.prune(); err != nil {
			t.Fatal(err)
		}
	}
	names, err := p.names()
	if err != nil {
		t.Fatal(err)
	}
	var minutes []int64
	for _, name := range names {
		minutes = append(minutes, snapshotTimeMS(name)/minute)
	}
	if got := fmt.Sprint(minutes); got != "[0 60 120 180 210 220 230]" {
		t.Errorf("snapshots of minutes %s stay", got)
	}
}

func TestASnapshotThatCannotBeReadIsPassedOver(t *testing.T) {
	fsys := newMemFS()
	p := testSnapshots(fsys)
	for _, ms := range []int64{1000, 2000} {
		if err := p.Put(context.Background(), testSnapshot(ms)); err != nil {
			t.Fatal(err)
		}
	}
	f, err := fsys.Open("/snapshots/" + snapshotName(testSnapshot(2000)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xff}, 900); err != nil {
		t.Fatal(err)
	}
	if s, err := p.Latest(context.Background()); err != nil || s.TimeMS != 1000 {
		t.Errorf("Latest = %+v, %v", s, err)
	}
}

// Damage in a part of the log that a start does not read shows that it does not.
func TestAStartReadsOnlyWhatTheSnapshotLeaves(t *testing.T) {
	fsys := newMemFS()
	o := memOptions(fsys)
	o.SegmentBytes, o.AllocateBytes, o.SnapshotEvents, o.Create.Config.CooldownMS = 2000, 500, 20, 0
	var now atomic.Int64
	o.Clock = now.Load
	s := mustOpen(t, o)
	for n := range uint32(200) {
		now.Add(2 * core.ResendWindowMS / 100)
		place(t, s, placement(int(n), 3, int(n)%16, n+1))
	}
	want := foldLog(t, s)
	awaitIndex(t, s)
	mustClose(t, s)
	f, err := fsys.Open("/canvas/log/" + segmentName(2))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xff}, 900); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, o)
	for _, id := range want.Geometry().Shards() {
		if !bytes.Equal(s.seq.board.Pixels(id), want.Pixels(id)) {
			t.Errorf("shard %d differs", id)
		}
	}
	mustClose(t, s)
	if err := fsys.Remove("/canvas/snapshots"); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(o); err == nil {
		s.Close()
		t.Error("without snapshots the damage was not met: this test shows nothing")
	}
}

// An accepted snapshot encodes to the very same bytes, and none makes its reader
// panic. The checksum is put right, or nothing but it would be tried.
func FuzzSnapshot(f *testing.F) {
	small := testSnapshot(0)
	small.Config = testConfig(3, 3, 0)
	small.Shards = [core.ShardsMax][]byte{{1, 2, 3, 4, 0x50}}
	b := appendSnapshot(nil, small)
	f.Add(b[:len(b)-4])
	small.Holders[0] = core.Holder{Epoch: 3, Relay: 8}
	b = appendSnapshot(nil, small)
	f.Add(b[:len(b)-4])
	f.Fuzz(func(t *testing.T, body []byte) {
		b := binary.LittleEndian.AppendUint32(bytes.Clone(body), crc32.Checksum(body, core.Castagnoli))
		s, err := decodeSnapshot(b)
		if err != nil {
			return
		}
		if got := appendSnapshot(nil, s); !bytes.Equal(got, b) {
			t.Fatalf("round trip\n in %x\nout %x", b, got)
		}
		if fold, err := core.NewFold(s); err == nil && fold.Board.Geometry() != s.Config.Geometry() {
			t.Fatalf("a board of %+v", fold.Board.Geometry())
		}
	})
}
