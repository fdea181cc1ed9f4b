package embedded

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pixelwall/core"
)

const archiveMS = 1_491_237_000_000

func mustOpenArchive(t *testing.T, o ArchiveOptions) *Archive {
	t.Helper()
	a, err := OpenArchive(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// archiveBase is a canvas that was in use for a while: shard 0 was painted under
// epoch 1, and nothing has happened in shard 1.
func archiveBase() *core.Snapshot {
	c := testConfig(600, 500, 0)
	b := core.NewBoard(c.Geometry(), 0)
	b.Set(0, 3, 9)
	b.Set(1, 4, 8)
	s := &core.Snapshot{Canvas: testCanvas, Config: c, TimeMS: archiveMS}
	s.Heads[0], s.Holders[0] = core.EpochSeq(1)+5, core.Holder{Epoch: 1, Relay: 71}
	for id := range core.ShardID(2) {
		s.Times[id], s.Shards[id] = archiveMS, b.AppendPacked(nil, id)
	}
	return s
}

func archiveOptions(fsys *memFS) ArchiveOptions {
	return ArchiveOptions{
		Dir: "/archive", FS: fsys, IndexFS: vfs.NewMem(), Base: archiveBase(), ProbeEvery: time.Millisecond, IndexSpareBytes: 1,
		Clock: func() int64 { return archiveMS }, SegmentBytes: 2500, AllocateBytes: 1000, SnapshotEvents: 40,
	}
}

// A stream makes what an outbox would hold of each shard.
type stream struct {
	fold    *core.Fold // of all that was made
	records []*core.Record
}

func newStream(t *testing.T, base *core.Snapshot) *stream {
	t.Helper()
	f, err := core.NewFold(base)
	if err != nil {
		t.Fatal(err)
	}
	return &stream{fold: f}
}

func (s *stream) add(t *testing.T, r core.Record) {
	t.Helper()
	r.Canvas, r.TimeMS = testCanvas, max(r.TimeMS, archiveMS)
	s.records = append(s.records, r.Clone())
	s.fold.Trust(&r)
	if v, err := s.fold.Next(&r); err != nil || v != core.Apply {
		t.Fatalf("%+v: verdict %v, %v", r, v, err)
	}
}

// arm begins an epoch of shard id.
func (s *stream) arm(t *testing.T, id core.ShardID, epoch uint32) {
	t.Helper()
	s.add(t, core.Record{
		Kind: core.KindMarker, Shard: id, Epoch: epoch, Relay: uint64(70 + epoch), First: core.EpochSeq(epoch) + 1, LastOld: s.fold.Heads[id],
	})
}

// paint adds a record of n events.
func (s *stream) paint(t *testing.T, id core.ShardID, n int) {
	t.Helper()
	h := s.fold.Holders[id]
	r := core.Record{Kind: core.KindPlacements, Shard: id, Epoch: h.Epoch, Relay: h.Relay, First: s.fold.Heads[id] + 1}
	for i := range n {
		seq := r.First + uint64(i)
		e := core.Event{Offset: uint32(seq) % 80, Color: uint8(seq % 16), User: seq % 5, Request: core.Request{Instance: uint64(id) + 1, Number: uint32(len(s.records)*100 + i)}}
		e.Old = s.fold.Board.At(id, e.Offset)
		r.Events = append(r.Events, e)
	}
	s.add(t, r)
}

// grow widens the canvas, as shard id says it.
func (s *stream) grow(t *testing.T, id core.ShardID, version uint32, width int) {
	t.Helper()
	h, c := s.fold.Holders[id], s.fold.Config
	c.Version, c.Width = version, width
	s.add(t, core.Record{Kind: core.KindConfig, Shard: id, Epoch: h.Epoch, Relay: h.Relay, First: s.fold.Heads[id] + 1, Config: &c})
}

// storyOf is a stream with everything in it: epochs, growth, a shard that grew.
func storyOf(t *testing.T) *stream {
	s := newStream(t, archiveBase())
	s.paint(t, 0, 3)
	s.arm(t, 1, 1)
	for i := range 6 {
		s.paint(t, core.ShardID(i%2), 1+7*i%11)
	}
	s.arm(t, 0, 2)
	s.paint(t, 0, 12)
	s.grow(t, 0, 2, 1100)
	s.paint(t, 0, 2)
	s.grow(t, 1, 2, 1100)
	s.arm(t, 4, 1)
	s.paint(t, 4, 9)
	s.arm(t, 1, 2)
	for i := range 12 {
		s.paint(t, []core.ShardID{0, 1, 4}[i%3], 1+5*i%9)
	}
	s.arm(t, 4, 3)
	s.paint(t, 4, 1)
	return s
}

func write(t *testing.T, a *Archive, rs ...*core.Record) {
	t.Helper()
	for _, r := range rs {
		if err := a.Write(context.Background(), []*core.Record{r.Clone()}); err != nil {
			t.Fatalf("Write of shard %d seq %d: %v", r.Shard, r.First, err)
		}
	}
}

// readArchive hands fn what a reader who holds from is given, up to the present end.
func readArchive(t *testing.T, a *Archive, from *core.Snapshot, fn func(*core.Record)) {
	t.Helper()
	want, _ := a.Heads(context.Background())
	have := from.Heads
	if have == want {
		return
	}
	err := a.Tail(t.Context(), from.Heads, func(r *core.Record) error {
		have[r.Shard] = max(have[r.Shard], r.Last())
		fn(r)
		if have == want {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("Tail = %v", err)
	}
}

// archived returns the records of a behind from, without claims, and checks that
// a follower is led through them by the claims alone.
func archived(t *testing.T, a *Archive, from *core.Snapshot) (rs []*core.Record) {
	t.Helper()
	f := core.Follower{Heads: from.Heads, Holders: from.Holders}
	readArchive(t, a, from, func(r *core.Record) {
		if v := f.Next(r); v != core.Apply && r.Kind != core.KindClaim {
			t.Errorf("shard %d seq %d: verdict %v", r.Shard, r.First, v)
		}
		if r.Kind != core.KindClaim && r.Kind != core.KindStart {
			rs = append(rs, r.Clone())
		}
	})
	return rs
}

// samePixels checks that a, and its newest snapshot with the log behind it, is the canvas of want.
func samePixels(t *testing.T, a *Archive, want *core.Fold) {
	t.Helper()
	snap, err := a.Snapshots().Latest(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	have, err := core.NewFold(snap)
	if err != nil {
		t.Fatal(err)
	}
	readArchive(t, a, snap, func(r *core.Record) {
		if _, err := have.Next(r); err != nil {
			t.Fatal(err)
		}
	})
	for name, f := range map[string]*core.Fold{"the archive": a.fold.Fold, "its snapshot and log": have} {
		if f.Heads != want.Heads || !reflect.DeepEqual(f.Config, want.Config) {
			t.Errorf("%s has come to %v with %+v, want %v", name, f.Heads[:5], f.Config, want.Heads[:5])
		}
		for _, id := range want.Board.Geometry().Shards() {
			if string(f.Board.Pixels(id)) != string(want.Board.Pixels(id)) {
				t.Errorf("shard %d of %s differs", id, name)
			}
		}
	}
	for id := range core.ShardID(core.ShardsMax) {
		if p, err := a.Watermark(context.Background(), id); err != nil || p != want.Position(id) {
			t.Errorf("shard %d: watermark %+v, %v; want %+v", id, p, err, want.Position(id))
		}
	}
}

func TestAnArchiveHoldsWhatWasWrittenAndGoesOn(t *testing.T) {
	fsys, s := newMemFS(), storyOf(t)
	o := archiveOptions(fsys)
	a := mustOpenArchive(t, o)
	if p, _ := a.Watermark(context.Background(), 0); p != (core.Position{Holder: core.Holder{Epoch: 1, Relay: 71}, Seq: core.EpochSeq(1) + 5}) {
		t.Errorf("a new archive is at %+v", p)
	}
	half := len(s.records) / 2
	write(t, a, s.records[:half]...)
	closeArchive(t, a)
	if err := a.Write(context.Background(), s.records[half:half+1]); core.CodeOf(err) != core.CodeUnavailable {
		t.Errorf("Write after Close: %v", err)
	}
	o.Base = nil // it goes on from what it holds
	a = mustOpenArchive(t, o)
	write(t, a, s.records...) // the first half once more
	samePixels(t, a, s.fold)
	if got := archived(t, a, archiveBase()); !reflect.DeepEqual(got, inOrder(s.records)) {
		t.Errorf("%d records are held, %d were written, or they differ", len(got), len(s.records))
	}
	closeArchive(t, a)
	samePixels(t, mustOpenArchive(t, o), s.fold)
}

// inOrder returns rs as a store gives them back.
func inOrder(rs []*core.Record) (out []*core.Record) {
	for _, r := range rs {
		c := r.Clone()
		if c.Kind != core.KindPlacements {
			c.Events = []core.Event{}
		}
		out = append(out, c)
	}
	return out
}

func closeArchive(t *testing.T, a *Archive) {
	t.Helper()
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
}

// The stream of a shard that is new begins with its start canvas, which a base
// from before knows nothing of.
func TestAStartThatIsWrittenPaintsTheShard(t *testing.T) {
	base := archiveBase()
	pixels := base.Shards[1]
	base.Shards[1] = nil
	o := archiveOptions(newMemFS())
	o.Base = base
	s := newStream(t, base)
	s.add(t, core.Record{Kind: core.KindStart, Shard: 1, Epoch: 1, Relay: 71, Config: &base.Config, Pixels: pixels})
	s.arm(t, 1, 1)
	s.paint(t, 1, 2)
	for range 2 {
		a := mustOpenArchive(t, o)
		write(t, a, s.records...)
		if samePixels(t, a, s.fold); a.fold.Board.At(1, 4) != 8 {
			t.Error("the start canvas is not there")
		}
		closeArchive(t, a)
	}
}

func TestOneCallOfWriteIsCutAtAConfiguration(t *testing.T) {
	s := newStream(t, archiveBase())
	s.paint(t, 0, 3)
	s.grow(t, 0, 2, 1100)
	h := s.fold.Holders[0]
	s.paint(t, 0, 2)
	s.add(t, core.Record{Kind: core.KindConfig, Shard: 0, Epoch: h.Epoch, Relay: h.Relay, First: s.fold.Heads[0] + 1, Config: &s.fold.Config})
	s.paint(t, 0, 2)
	a := mustOpenArchive(t, archiveOptions(newMemFS()))
	if err := a.Write(context.Background(), s.records); err != nil {
		t.Fatal(err)
	}
	samePixels(t, a, s.fold)
}

// Shards are written side by side, so the configuration by which a shard came
// into being may be written after that shard's first events.
func TestAShardMayComeBeforeTheConfigurationThatNamesIt(t *testing.T) {
	s := storyOf(t)
	var early, late []*core.Record
	for _, r := range s.records {
		if r.Shard == 4 {
			early = append(early, r)
		} else {
			late = append(late, r)
		}
	}
	fsys := newMemFS()
	o := archiveOptions(fsys)
	a := mustOpenArchive(t, o)
	write(t, a, early...)
	closeArchive(t, a)
	a = mustOpenArchive(t, o)
	if p, _ := a.Watermark(context.Background(), 4); p != s.fold.Position(4) {
		t.Errorf("shard 4 is at %+v, want %+v", p, s.fold.Position(4))
	}
	write(t, a, late...)
	samePixels(t, a, s.fold)
	closeArchive(t, a)
	samePixels(t, mustOpenArchive(t, o), s.fold)
}

func TestWriteRefuses(t *testing.T) {
	s := storyOf(t)
	o := archiveOptions(newMemFS())
	a := mustOpenArchive(t, o)
	write(t, a, s.records[:4]...)
	next := s.fold // of the whole story: where shard 0 will once be
	hole := s.records[len(s.records)-4].Clone()
	hole.Shard, hole.First = 0, next.Heads[0]+9
	other := s.records[4].Clone()
	other.Canvas++
	beside := s.records[4].Clone()
	for beside.Kind != core.KindPlacements {
		t.Fatal("the story begins otherwise")
	}
	beside.Events[0].Color = 16
	back := core.Record{Kind: core.KindMarker, Canvas: testCanvas, Shard: 0, Epoch: 2, Relay: 72, First: core.EpochSeq(2) + 1, LastOld: core.EpochSeq(1) + 6}
	for _, tt := range []struct {
		name string
		rs   []*core.Record
		want core.Code
	}{
		{"a hole", []*core.Record{hole}, core.CodeInternal},
		{"a hole behind what could be stored", []*core.Record{s.records[4], hole}, core.CodeInternal},
		{"a marker from before what is held, within a record", []*core.Record{&back}, core.CodeMismatch},
		{"a record of another canvas", []*core.Record{other}, core.CodeMismatch},
		{"a colour that does not fit", []*core.Record{beside}, core.CodeMalformed},
		{"records of two shards", []*core.Record{s.records[4], {Shard: 1}}, core.CodeInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, _ := a.Heads(context.Background())
			if err := a.Write(context.Background(), tt.rs); err == nil || core.CodeOf(err) != tt.want {
				t.Errorf("Write = %v, want %v", err, tt.want)
			}
			if after, _ := a.Heads(context.Background()); after != before {
				t.Error("something was stored")
			}
		})
	}
	write(t, a, s.records...)
	samePixels(t, a, s.fold)
}

func TestOpenArchiveRefuses(t *testing.T) {
	full := newMemFS()
	closeArchive(t, mustOpenArchive(t, archiveOptions(full)))
	painted := newMemFS()
	po := memOptions(painted)
	po.Dir = "/archive"
	mustClose(t, mustOpen(t, po))
	for _, tt := range []struct {
		name string
		fsys *memFS
		with func(*ArchiveOptions)
		want core.Code
		says string
	}{
		{"a folder of another canvas", full, func(o *ArchiveOptions) { o.Base.Canvas = 1 }, core.CodeMismatch, "holds canvas 123456789abcdef0; asked for was 0000000000000001"},
		{"a folder that is not of the canvas asked for", full, func(o *ArchiveOptions) { o.Base, o.Canvas = nil, 1 }, core.CodeMismatch, "holds canvas"},
		{"a folder that people paint on", painted, func(*ArchiveOptions) {}, core.CodeMismatch, "paint on"},
		{"an empty folder without a base", newMemFS(), func(o *ArchiveOptions) { o.Base = nil }, core.CodeNotFound, "begin with"},
		{"a base with a shard missing", newMemFS(), func(o *ArchiveOptions) { o.Base.Shards[0] = nil }, core.CodeInvalid, "pixels are missing"},
		{"a base with a shard cut short", newMemFS(), func(o *ArchiveOptions) { o.Base.Shards[0] = o.Base.Shards[0][1:] }, core.CodeMalformed, "bytes"},
		{"a base without a configuration", newMemFS(), func(o *ArchiveOptions) { o.Base.Config = core.Config{} }, core.CodeInvalid, ""},
		{"a base without an id", newMemFS(), func(o *ArchiveOptions) { o.Base.Canvas = 0 }, core.CodeInvalid, "id"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := archiveOptions(tt.fsys)
			tt.with(&o)
			a, err := OpenArchive(o)
			if err == nil {
				a.Close()
				t.Fatal("it was taken")
			}
			if core.CodeOf(err) != tt.want || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("OpenArchive = %v, want %v and %q", err, tt.want, tt.says)
			}
		})
	}
	mo := memOptions(full)
	mo.Dir = "/archive"
	if s, err := Open(mo); err == nil {
		s.Close()
		t.Error("Open took an archive")
	} else if core.CodeOf(err) != core.CodeMismatch {
		t.Errorf("Open of an archive = %v", err)
	}
}

func TestAnArchiveOnAFullDiskGoesOnWhenThereIsRoom(t *testing.T) {
	for name, disk := range fullDisks {
		t.Run(name, func(t *testing.T) {
			fsys, s := newMemFS(), storyOf(t)
			o := archiveOptions(fsys)
			o.SegmentBytes = 1 << 20
			a := mustOpenArchive(t, o)
			with := func(fn func(*memFS)) {
				fsys.mu.Lock()
				defer fsys.mu.Unlock()
				fn(fsys)
			}
			with(disk.fill)
			n := 0
			var err error
			for ; n < len(s.records) && err == nil; n++ { // what is reserved may still be used up
				err = a.Write(context.Background(), s.records[n:n+1])
			}
			if core.CodeOf(err) != core.CodeReadOnly || err == nil || a.State().Mode != ReadOnly {
				t.Fatalf("Write = %v, state %+v", err, a.State())
			}
			if err := a.Write(context.Background(), s.records[n-1:n]); core.CodeOf(err) != core.CodeReadOnly || err == nil {
				t.Fatalf("Write again = %v", err)
			}
			with(disk.free)
			write(t, a, s.records[n-1:]...)
			if a.State().Mode != OK {
				t.Errorf("state %+v", a.State())
			}
			samePixels(t, a, s.fold)
		})
	}
}

func TestAFailedFsyncStopsTheArchiveForGood(t *testing.T) {
	fsys, s := newMemFS(), storyOf(t)
	o := archiveOptions(fsys)
	o.SegmentBytes = 1 << 20
	a := mustOpenArchive(t, o)
	write(t, a, s.records[:5]...)
	failed := false
	fsys.mu.Lock()
	fsys.fault = func(op, name string) error {
		if op == "sync" && strings.HasSuffix(name, ".seg") && !failed {
			failed = true
			return syscall.EIO
		}
		return nil
	}
	fsys.mu.Unlock()
	for range 3 {
		if err := a.Write(context.Background(), s.records[5:6]); core.CodeOf(err) != core.CodeUnavailable {
			t.Fatalf("Write = %v", err)
		}
	}
	if a.State().Mode != Stopped || len(archived(t, a, archiveBase())) != 5 {
		t.Errorf("state %+v, %d records", a.State(), len(archived(t, a, archiveBase())))
	}
	_ = a.Close()
	o.FS, o.IndexFS = fsys.crash(rand.New(rand.NewPCG(1, 1))), vfs.NewMem()
	a = mustOpenArchive(t, o)
	write(t, a, s.records...)
	samePixels(t, a, s.fold)
}
