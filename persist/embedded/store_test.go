package embedded

import (
	"context"
	"errors"
	"testing"
	"time"

	"pixelwall/core"
)

const testCanvas = 0x1234_5678_9abc_def0

func testConfig(width, height int, cooldownMS int64) core.Config {
	p, _ := core.NamedPalette("place2017")
	return core.Config{Version: 1, Width: width, Height: height, Bits: 4, Palette: p, CooldownMS: cooldownMS, BurstMax: 1}
}

func testOptions(t *testing.T) Options {
	return Options{Dir: t.TempDir(), Create: core.Create{Canvas: testCanvas, Config: testConfig(1000, 1000, 0)}}
}

func mustOpen(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func mustClose(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// placement returns the placement number n of instance 7.
func placement(x, y, color int, n uint32) core.Placement {
	s, off := core.Locate(x, y)
	return core.Placement{Shard: s, Offset: off, Color: uint8(color), User: 42, Request: core.Request{Instance: 7, Number: n}}
}

func place(t *testing.T, s *Store, ps ...core.Placement) []core.Outcome {
	t.Helper()
	out := make([]core.Outcome, len(ps))
	if err := s.Place(context.Background(), ps, out); err != nil {
		t.Fatal(err)
	}
	return out
}

var errEnough = errors.New("enough")

// tail returns clones of the records after from up to the log's present end.
func tail(t *testing.T, s *Store, from core.Heads) (rs []core.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	want, err := s.Heads(ctx)
	if err != nil {
		t.Fatal(err)
	}
	have, shards := from, s.Config()
	starts := len(shards.Geometry().Shards())
	if from != (core.Heads{}) {
		starts = 0
	}
	if have == want && starts == 0 {
		return nil
	}
	err = s.Tail(ctx, from, func(r *core.Record) error {
		c := *r
		c.Events = append([]core.Event(nil), r.Events...)
		c.Pixels = append([]byte(nil), r.Pixels...)
		rs = append(rs, c)
		have[r.Shard] = r.Last()
		if r.Kind == core.KindStart {
			starts--
		}
		if have == want && starts <= 0 {
			return errEnough
		}
		return nil
	})
	if err != errEnough {
		t.Fatalf("Tail = %v after %d records", err, len(rs))
	}
	return rs
}

// fold returns the board that the whole log of s leads to.
func foldLog(t *testing.T, s *Store) *core.Board {
	t.Helper()
	var f core.Follower
	var b *core.Board
	for _, r := range tail(t, s, core.Heads{}) {
		if b == nil {
			b = core.NewBoard(r.Config.Geometry(), r.Config.Blank)
		}
		if v := f.Next(&r); v != core.Apply {
			t.Fatalf("record %+v: verdict %v", r, v)
		}
		if err := b.Apply(&r); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestAPlacementIsThereAfterReopening(t *testing.T) {
	o := testOptions(t)
	s := mustOpen(t, o)
	out := place(t, s, placement(1, 2, 5, 1), placement(999, 999, 7, 2), placement(1, 2, 6, 3))
	for i, want := range []uint64{1, 1, 2} {
		if out[i].Err != nil || out[i].Seq != want {
			t.Errorf("outcome %d = %+v, want seq %d", i, out[i], want)
		}
	}
	mustClose(t, s)

	s = mustOpen(t, o)
	b := foldLog(t, s)
	if got := b.At(0, 2*512+1); got != 6 {
		t.Errorf("pixel 1,2 = %d, want 6", got)
	}
	again := place(t, s, placement(999, 999, 7, 2), placement(4, 4, 1, 4))
	if !again[0].Repeated || again[0].Seq != 1 {
		t.Errorf("sent again: %+v, want the first answer", again[0])
	}
	if again[1].Seq != 3 {
		t.Errorf("the next one: %+v, want seq 3", again[1])
	}
	past, err := s.History().Pixel(context.Background(), 0, 2*512+1, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(past) != 2 || past[0].Color != 6 || past[0].Old != 5 || past[1].Seq != 1 {
		t.Errorf("history = %+v", past)
	}
}
