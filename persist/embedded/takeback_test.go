package embedded

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pixelwall/core"
)

// lostStory returns what an archive is given by a stream that loses its end three
// times, and what is true in the end.
func lostStory(t *testing.T) (told []*core.Record, truth *stream) {
	truth = newStream(t, archiveBase())
	seen := 0
	catchUp := func() {
		told = append(told, truth.records[seen:]...)
		seen = len(truth.records)
	}
	// lose gives the archive n records that the stream then forgets.
	lose := func(id core.ShardID, n int) {
		catchUp()
		other := newStream(t, archiveBase())
		for _, r := range truth.records {
			other.add(t, *r.Clone())
		}
		for i := range n {
			other.paint(t, id, 3+i)
		}
		told = append(told, other.records[len(truth.records):]...)
	}
	truth.arm(t, 1, 1)
	truth.paint(t, 0, 7)
	truth.paint(t, 1, 9)
	lose(0, 3)
	truth.arm(t, 0, 2)
	truth.paint(t, 0, 20)
	truth.paint(t, 1, 2)
	lose(0, 1)
	lose(1, 4)
	truth.arm(t, 1, 2)
	truth.arm(t, 0, 3)
	truth.paint(t, 1, 11)
	truth.paint(t, 0, 2)
	catchUp()
	return told, truth
}

// sameHistory checks that h tells the events of s, and no others.
func sameHistory(t *testing.T, a *Archive, s *stream) {
	t.Helper()
	awaitArchiveIndex(t, a)
	pixels, users := make(map[pixel][]core.PastEvent), make(map[uint64]int)
	var heads core.Heads
	heads[0] = archiveBase().Heads[0]
	for _, r := range s.records {
		heads[r.Shard] = r.Last()
		for i, e := range r.Events {
			at := pixel{r.Shard, e.Offset}
			pixels[at] = append(pixels[at], core.PastEvent{Shard: r.Shard, Seq: r.First + uint64(i), TimeMS: r.TimeMS, Event: e})
			users[e.User]++
		}
	}
	ctx := context.Background()
	for id := range core.ShardID(2) {
		for off := range uint32(80) {
			want := pixels[pixel{id, off}]
			slices.Reverse(want)
			if got, err := a.History().Pixel(ctx, id, off, 0, 100); err != nil || !slices.Equal(got, want) {
				t.Fatalf("shard %d offset %d: %+v, %v; want %+v", id, off, got, err, want)
			}
		}
	}
	for user, n := range users {
		if got, err := a.History().User(ctx, user, nil, 1000); err != nil || len(got) != n {
			t.Errorf("user %d has %d events, %v; want %d", user, len(got), err, n)
		}
	}
	if got, err := a.History().HeadsAt(ctx, archiveMS+1000); err != nil || got != heads {
		t.Errorf("HeadsAt = %v, %v; want %v", got[:2], err, heads[:2])
	}
}

type pixel struct {
	shard core.ShardID
	off   uint32
}

func TestAMarkerTakesBackWhatTheStreamLost(t *testing.T) {
	told, truth := lostStory(t)
	if len(told) < len(truth.records)+8 {
		t.Fatal("the stream loses nothing")
	}
	o := archiveOptions(newMemFS())
	var hours atomic.Int64 // so that each of the many snapshots stays
	o.Clock, o.SnapshotEvents = func() int64 { return archiveMS + hours.Add(1)*3_600_000 }, 1
	a := mustOpenArchive(t, o)
	write(t, a, told...)
	samePixels(t, a, truth.fold)
	sameHistory(t, a, truth)
	write(t, a, told...) // all of it once more
	samePixels(t, a, truth.fold)
	closeArchive(t, a)
	o.IndexFS = vfs.NewMem()
	a = mustOpenArchive(t, o)
	samePixels(t, a, truth.fold)
	sameHistory(t, a, truth)
	closeArchive(t, a)

	// The newest snapshot that is left may be of what was taken back.
	disk := o.FS.(*memFS)
	all, err := disk.List("/archive/snapshots")
	if err != nil || len(all) < 3 {
		t.Fatalf("snapshots %v, %v", all, err)
	}
	t.Logf("%d snapshots", len(all))
	for left := 1; left < len(all); left++ {
		fsys := disk.crash(nil)
		for _, name := range all[left:] {
			if err := fsys.Remove("/archive/snapshots/" + name); err != nil {
				t.Fatal(err)
			}
		}
		o.FS, o.IndexFS = fsys, vfs.NewMem()
		a = mustOpenArchive(t, o)
		write(t, a, told...)
		for _, id := range truth.fold.Board.Geometry().Shards() {
			if string(a.fold.Board.Pixels(id)) != string(truth.fold.Board.Pixels(id)) {
				t.Errorf("from %s shard %d differs", all[left-1], id)
			}
		}
	}
}

func TestOneCallMayHoldWhatItsMarkerTakesBack(t *testing.T) {
	told, truth := lostStory(t)
	a := mustOpenArchive(t, archiveOptions(newMemFS()))
	for id := range core.ShardID(2) {
		var rs []*core.Record
		for _, r := range told {
			if r.Shard == id {
				rs = append(rs, r)
			}
		}
		if err := a.Write(context.Background(), rs); err != nil {
			t.Fatal(err)
		}
	}
	samePixels(t, a, truth.fold)
}

func TestWhatLiesBeforeTheArchiveCannotBeTakenBack(t *testing.T) {
	told, _ := lostStory(t)
	a := mustOpenArchive(t, archiveOptions(newMemFS()))
	write(t, a, told[:3]...)
	back := core.Record{Kind: core.KindMarker, Canvas: testCanvas, Epoch: 2, Relay: 72, First: core.EpochSeq(2) + 1, LastOld: archiveBase().Heads[0] - 1}
	for _, last := range []uint64{archiveBase().Heads[0] - 1, archiveBase().Heads[0] + 2} { // the second one is within a record
		back.LastOld = last
		if err := a.Write(context.Background(), []*core.Record{&back}); core.CodeOf(err) != core.CodeMismatch {
			t.Errorf("back to %d: %v", last, err)
		}
	}
}

func TestACrashWhileSomethingIsTakenBack(t *testing.T) {
	told, truth := lostStory(t)
	live := func(fsys *memFS) {
		a, err := OpenArchive(archiveOptions(fsys))
		if err != nil {
			return
		}
		for _, r := range told {
			if a.Write(context.Background(), []*core.Record{r}) != nil {
				break
			}
		}
		_ = a.Close() // with the power gone it cannot succeed
	}
	dry := newMemFS()
	live(dry)
	step := 1
	if testing.Short() {
		step = 5
	}
	for at := 1; at <= dry.ops; at += step {
		ok := t.Run(fmt.Sprintf("at change %d", at), func(t *testing.T) {
			fsys := newMemFS()
			fsys.offAt = at
			live(fsys)
			o := archiveOptions(fsys.crash(rand.New(rand.NewPCG(3, uint64(at)))))
			a := mustOpenArchive(t, o)
			write(t, a, told...)
			samePixels(t, a, truth.fold)
		})
		if !ok {
			return
		}
	}
}
