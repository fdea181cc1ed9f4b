package core

import (
	"bytes"
	"testing"
)

func foldBase() *Snapshot {
	p, _ := NamedPalette("place2017")
	c := Config{Version: 1, Width: 600, Height: 512, Bits: 4, Palette: p, BurstMax: 1}
	b := NewBoard(c.Geometry(), 0)
	b.Set(1, 5, 9)
	s := &Snapshot{Canvas: 7, Config: c}
	for _, id := range c.Geometry().Shards() {
		s.Shards[id] = b.AppendPacked(nil, id)
	}
	s.Heads[1], s.Holders[1] = EpochSeq(1)+3, Holder{1, 8}
	return s
}

func newFold(t *testing.T, base *Snapshot) *Fold {
	t.Helper()
	f, err := NewFold(base)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func feed(t *testing.T, f *Fold, want Verdict, r Record) {
	t.Helper()
	r.Canvas = 7
	if v, err := f.Next(&r); err != nil || v != want {
		t.Fatalf("%+v: verdict %v, %v; want %v", r, v, err, want)
	}
}

func one(off uint32, color uint8) []Event { return []Event{{Offset: off, Color: color}} }

// A shard by which the canvas grew has no start in the stream of an outbox, and
// may be read before the configuration that another shard's stream holds.
func TestAShardWaitsInTheFoldForTheCanvasToGrow(t *testing.T) {
	f := newFold(t, foldBase())
	first, later := EpochSeq(1)+1, EpochSeq(2)+1
	feed(t, f, Duplicate, Record{Kind: KindClaim, Shard: 4, Epoch: 1, Relay: 8})
	feed(t, f, Duplicate, Record{Kind: KindMarker, Shard: 4, Epoch: 1, Relay: 8, First: first})
	events := one(9, 3)
	feed(t, f, Duplicate, Record{Kind: KindPlacements, Shard: 4, Epoch: 1, Relay: 8, First: first + 1, Events: events})
	events[0] = Event{Offset: 10, Color: 12}
	feed(t, f, Duplicate, Record{Kind: KindClaim, Shard: 4, Epoch: 2, Relay: 9})
	feed(t, f, Duplicate, Record{Kind: KindMarker, Shard: 4, Epoch: 2, Relay: 9, First: later, LastOld: first + 1})
	if f.Heads[4] != 0 || f.Snapshot(0).Shards[4] != nil {
		t.Fatal("the fold has a shard that the canvas has not")
	}
	wide := f.Config
	wide.Version, wide.Width = 2, 1100
	feed(t, f, Apply, Record{Kind: KindConfig, Shard: 1, Epoch: 1, Relay: 8, First: EpochSeq(1) + 4, Config: &wide})
	if f.Position(4) != (Position{Holder{2, 9}, later}) || f.Board.At(4, 9) != 3 || f.Board.At(4, 10) != 0 {
		t.Errorf("shard 4 is at %+v with colour %d", f.Position(4), f.Board.At(4, 9))
	}
	feed(t, f, Apply, Record{Kind: KindPlacements, Shard: 4, Epoch: 2, Relay: 9, First: later + 1, Events: one(9, 4)})
}

func TestWhatWaitsInTheFoldIsBounded(t *testing.T) {
	f := newFold(t, foldBase())
	r := Record{Kind: KindPlacements, Canvas: 7, Shard: 4, First: 1, Events: one(1, 1)}
	for range waitingMax {
		feed(t, f, Duplicate, r)
	}
	if _, err := f.Next(&r); CodeOf(err) != CodeUnavailable {
		t.Errorf("one more: %v", err)
	}
}

// One shard's log may hold pixels of a larger canvas before its own configuration
// record, or without one, when another shard's log said so first.
func TestPixelsWaitForTheCanvasToGrowToThem(t *testing.T) {
	f := newFold(t, foldBase())
	var applied []uint64
	f.OnApply = func(r *Record) { applied = append(applied, r.First) }
	at := func(n uint64) uint64 { return EpochSeq(1) + n }
	feed(t, f, Duplicate, Record{Kind: KindPlacements, Shard: 1, Epoch: 1, Relay: 8, First: at(4), Events: one(300, 3)})
	feed(t, f, Duplicate, Record{Kind: KindPlacements, Shard: 1, Epoch: 1, Relay: 8, First: at(5), Events: one(301, 4)})
	if f.Heads[1] != at(3) {
		t.Fatalf("the shard is at %d", f.Heads[1])
	}
	wide := f.Config
	wide.Version, wide.Width = 2, 1024
	feed(t, f, Apply, Record{Kind: KindConfig, Shard: 1, Epoch: 1, Relay: 8, First: at(6), Config: &wide})
	feed(t, f, Apply, Record{Kind: KindPlacements, Shard: 1, Epoch: 1, Relay: 8, First: at(7), Events: one(302, 5)})
	if f.Board.At(1, 300) != 3 || f.Board.At(1, 301) != 4 || f.Heads[1] != at(7) || len(applied) != 4 || applied[0] != at(4) {
		t.Errorf("the shard is at %d, applied were %d", f.Heads[1], applied)
	}
}

// A shard's start is read after another shard's log has said that the canvas grew.
func TestAStartIsOfTheCanvasThatItBeganOn(t *testing.T) {
	old := foldBase().Config
	b := NewBoard(old.Geometry(), 0)
	b.Set(1, 5, 9)
	f := newFold(t, nil)
	grown := old
	grown.Version, grown.Width, grown.Height = 2, 1000, 600
	feed(t, f, Apply, Record{Kind: KindStart, Config: &grown})
	feed(t, f, Apply, Record{Kind: KindStart, Shard: 1, Config: &old, Pixels: b.AppendPacked(nil, 1)})
	if f.Config.Version != 2 || f.Board.At(1, 5) != 9 || f.Board.At(1, 6) != 0 {
		t.Errorf("version %d, colour %d", f.Config.Version, f.Board.At(1, 5))
	}
}

func TestASecondStartChangesNothing(t *testing.T) {
	f := newFold(t, foldBase())
	feed(t, f, Duplicate, Record{Kind: KindStart, Shard: 0, Config: &f.Config, Pixels: bytes.Repeat([]byte{0x33}, ShardPixels/2)})
	if f.Board.At(0, 0) != 0 {
		t.Error("it painted")
	}
}

func TestFitsRefusesWhatTheBoardCannotTake(t *testing.T) {
	f := newFold(t, foldBase())
	small, deep, odd := f.Config, f.Config, f.Config
	small.Version, small.Width = 2, 512
	deep.Version, deep.Bits = 2, 8
	odd.Version = 2
	for _, tt := range []struct {
		name string
		r    Record
		want Code
	}{
		{"an offset beside the shard", Record{Kind: KindPlacements, Canvas: 7, Shard: 1, Events: one(ShardPixels, 1)}, CodeMalformed},
		{"a colour that does not fit", Record{Kind: KindPlacements, Canvas: 7, Events: one(1, 16)}, CodeMalformed},
		{"another canvas", Record{Kind: KindMarker, Canvas: 8}, CodeMismatch},
		{"a smaller canvas", Record{Kind: KindConfig, Canvas: 7, Config: &small}, CodeInvalid},
		{"other bits a pixel", Record{Kind: KindConfig, Canvas: 7, Config: &deep}, CodeInvalid},
		{"no configuration where there must be one", Record{Kind: KindConfig, Canvas: 7}, CodeMalformed},
		{"a configuration without the shard", Record{Kind: KindConfig, Canvas: 7, Shard: 9, Config: &odd}, CodeMalformed},
		{"a start of the wrong length", Record{Kind: KindStart, Canvas: 7, Config: &odd, Pixels: []byte{1}}, CodeMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := f.Fits(&tt.r); err == nil || CodeOf(err) != tt.want {
				t.Errorf("Fits = %v, want %v", err, tt.want)
			}
		})
	}
	if err := (&Fold{}).Fits(&Record{Kind: KindMarker, Canvas: 7}); CodeOf(err) != CodeMalformed {
		t.Errorf("a log without a start: %v", err)
	}
}
