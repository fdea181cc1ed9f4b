package embedded

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

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
