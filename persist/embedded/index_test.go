package embedded

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pixelwall/core"
)

// awaitIndex waits until the index holds the whole log.
func awaitIndex(t *testing.T, s *Store) {
	t.Helper()
	want, err := s.Heads(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	give := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		have, err := s.History().Indexed(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if have == want {
			return
		}
		select {
		case <-tick.C:
		case <-give:
			t.Fatalf("the index stays at %v, the log is at %v", have[:4], want[:4])
		}
	}
}

func pixelEvents(t *testing.T, s *Store, x, y int) []core.PastEvent {
	t.Helper()
	shard, off := core.Locate(x, y)
	past, err := s.History().Pixel(context.Background(), shard, off, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return past
}

func TestAnIndexThatCannotBeUsedIsMadeAnew(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
	}{
		{"it is gone", func(t *testing.T, dir string) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}},
		{"its files are damaged", func(t *testing.T, dir string) {
			names, err := filepath.Glob(filepath.Join(dir, "MANIFEST*"))
			if err != nil || len(names) == 0 {
				t.Fatalf("%v, %v", names, err)
			}
			for _, name := range names {
				if err := os.WriteFile(name, []byte("not a manifest"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"it is of another canvas", func(t *testing.T, dir string) {
			o := testOptions(t)
			o.Create.Canvas = 99
			other := mustOpen(t, o)
			place(t, other, by(1, 1, 1, 1))
			awaitIndex(t, other)
			mustClose(t, other)
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(o.Dir, indexName), dir); err != nil {
				t.Fatal(err)
			}
		}},
		{"it is ahead of the log", func(t *testing.T, dir string) {
			logDir := filepath.Join(filepath.Dir(dir), logName)
			if err := os.Truncate(filepath.Join(logDir, segmentName(1)), segmentHeaderBytes); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(filepath.Join(filepath.Dir(dir), snapshotsName)); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(filepath.Join(filepath.Dir(dir), metaName)); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := testOptions(t)
			s := mustOpen(t, o)
			for i := range 50 {
				place(t, s, by(uint64(i+1), 3, 3, i%16))
			}
			awaitIndex(t, s)
			mustClose(t, s)
			tt.spoil(t, filepath.Join(o.Dir, indexName))
			s = mustOpen(t, o)
			awaitIndex(t, s)
			heads, _ := s.Heads(context.Background())
			if past := pixelEvents(t, s, 3, 3); len(past) != int(heads[0]) {
				t.Errorf("%d events, the log has %d", len(past), heads[0])
			}
		})
	}
}

func TestTheIndexGoesOnWhereItWasFlushed(t *testing.T) {
	o := testOptions(t)
	o.IndexFlushEvery = time.Millisecond
	s := mustOpen(t, o)
	for i := range 50 {
		place(t, s, by(uint64(i+1), 3, 3, i%16))
	}
	awaitIndex(t, s)
	mustClose(t, s)
	s = mustOpen(t, o)
	if h, _ := s.History().Indexed(context.Background()); h[0] == 0 {
		t.Error("the index began anew")
	}
	place(t, s, by(99, 3, 3, 1))
	awaitIndex(t, s)
	if past := pixelEvents(t, s, 3, 3); len(past) != 51 || past[0].User != 99 || past[50].Seq != 1 {
		t.Errorf("%d events, the newest %+v", len(past), past[0])
	}
}

func TestTheIndexWaitsForRoomWhilePlacingGoesOn(t *testing.T) {
	fsys := newMemFS()
	o := memOptions(fsys)
	o.IndexSpareBytes = 10 << 20
	s := mustOpen(t, o)
	place(t, s, by(1, 3, 3, 1))
	awaitIndex(t, s)
	before, _ := s.History().Indexed(context.Background())
	fsys.mu.Lock()
	fsys.capacity = fsys.used() + 1<<20 // enough for the log, too little for the index
	fsys.mu.Unlock()
	for i := range 20 {
		if o := place(t, s, by(uint64(i+2), 3, 3, i%16))[0]; o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	if past := pixelEvents(t, s, 3, 3); len(past) != 1 {
		t.Errorf("%d events while the index waits, want the one from before", len(past))
	}
	if now, _ := s.History().Indexed(context.Background()); now != before {
		t.Errorf("the index went on to %v", now[:4])
	}
	fsys.mu.Lock()
	fsys.capacity = 0
	fsys.mu.Unlock()
	awaitIndex(t, s)
	if past := pixelEvents(t, s, 3, 3); len(past) != 21 {
		t.Errorf("%d events after there was room, want 21", len(past))
	}
}

// The whole store on a small file system of its own, filled by somebody else.
func TestARealFullDisk(t *testing.T) {
	o, dir := smallDisk(t)
	s := mustOpen(t, o)
	first := by(1, 1, 1, 1)
	kept := place(t, s, first)[0]
	awaitIndex(t, s)

	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)
	flushed, err := s.index.db.AsyncFlush() // as it happens at any time
	if err != nil {
		t.Fatal(err)
	}
	told := 1
	for user := uint64(2); s.State().Mode == OK; user++ {
		if o := place(t, s, by(user, int(user)%1000, 2, 1))[0]; o.Err == nil {
			told++
		}
	}
	if o := place(t, s, first, by(1<<40, 1, 1, 1)); !o[0].Repeated || o[0].Seq != kept.Seq || codeOf(o[1]) != core.CodeReadOnly {
		t.Errorf("while full: %+v", o)
	}
	if past := pixelEvents(t, s, 1, 1); len(past) != 1 {
		t.Errorf("history while full: %+v", past)
	}
	foldLog(t, s)

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	await(t, s, OK)
	<-flushed
	if o := place(t, s, by(1<<41, 9, 9, 1))[0]; o.Err != nil {
		t.Error(o.Err)
	}
	told++
	awaitIndex(t, s)
	mustClose(t, s)
	s = mustOpen(t, o)
	n := 0
	for _, r := range tail(t, s, core.Heads{}) {
		n += len(r.Events)
	}
	if n != told {
		t.Errorf("%d stored, %d acknowledged", n, told)
	}
	mustClose(t, s) // before the file system goes
}

func TestAStoreOnAFullDiskCanBeClosedAndOpened(t *testing.T) {
	o, dir := smallDisk(t)
	s := mustOpen(t, o)
	for user := range uint64(20) {
		place(t, s, by(user+1, 1, 1, 1))
	}
	awaitIndex(t, s)
	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)
	if _, err := s.index.db.AsyncFlush(); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, o)
	awaitIndex(t, s)
	if past := pixelEvents(t, s, 1, 1); len(past) != 20 {
		t.Errorf("%d events, want 20", len(past))
	}
	mustClose(t, s)
}

// smallDisk returns the options of a store on a file system of 48 MiB, and where
// that is mounted.
func smallDisk(t *testing.T) (Options, string) {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=48m"); err != nil {
		t.Skipf("mounting a tmpfs is not permitted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	o := testOptions(t)
	o.Dir, o.SegmentBytes, o.IndexSpareBytes, o.ProbeEvery = filepath.Join(dir, "canvas"), 4<<20, 24<<20, time.Millisecond
	return o, dir
}

// fill takes all the room there is.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 64<<10)
	for len(b) > 0 {
		if _, err := f.Write(b); err != nil {
			b = b[:len(b)/2]
		}
	}
}
