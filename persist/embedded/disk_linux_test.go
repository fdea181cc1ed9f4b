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

// The whole store on a small file system of its own, filled by somebody else.
func TestARealFullDisk(t *testing.T) {
	o, dir := smallDisk(t)
	s := mustOpen(t, o)
	first := by(1, 1, 1, 1)
	kept := place(t, s, first)[0]
	awaitIndex(t, s)

	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)
	flushed, err := s.index.db.Load().AsyncFlush() // as it happens at any time
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
	if _, err := s.index.db.Load().AsyncFlush(); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)

	s = mustOpen(t, o)
	if o := place(t, s, by(1, 1, 1, 1))[0]; !o.Repeated {
		t.Errorf("sent again: %+v", o)
	}
	foldLog(t, s)
	if _, err := s.History().Pixel(context.Background(), 0, 0, 0, 1); core.CodeOf(err) != core.CodeUnavailable {
		t.Errorf("history without room for an index: %v", err)
	}
	mustClose(t, s)

	s = mustOpen(t, o)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
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
