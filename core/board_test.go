package core

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"testing"
)

// naive is a board that nobody can get wrong: one byte a pixel.
type naive map[[2]int]uint8

func (n naive) pack(g Geometry, s ShardID) []byte {
	w, h := g.Area(s)
	var colors []uint8
	for y := range h {
		for x := range w {
			px, py := Coordinates(s, uint32(y*ShardSide+x))
			colors = append(colors, n[[2]int{px, py}])
		}
	}
	if g.Bits == 8 {
		return colors
	}
	var out []byte
	for i := 0; i < len(colors); i += 2 {
		b := colors[i] << 4
		if i+1 < len(colors) {
			b |= colors[i+1]
		}
		out = append(out, b)
	}
	return out
}

var boardSizes = []Geometry{
	{1, 1, 4}, {3, 3, 4}, {7, 5, 8}, {512, 4, 4}, {513, 7, 4}, {515, 514, 4}, {515, 514, 8}, {1000, 600, 4},
}

func TestBoardKeepsWhatWasSet(t *testing.T) {
	for _, g := range boardSizes {
		t.Run(fmt.Sprintf("%dx%d at %d bits", g.Width, g.Height, g.Bits), func(t *testing.T) {
			seed := uint64(g.Width)
			rnd := rand.New(rand.NewPCG(seed, 1))
			b, n := NewBoard(g, 0), naive{}
			for range 5000 {
				x, y, c := rnd.IntN(g.Width), rnd.IntN(g.Height), uint8(rnd.UintN(1<<g.Bits))
				s, off := Locate(x, y)
				if old := b.Set(s, off, c); old != n[[2]int{x, y}] {
					t.Fatalf("seed %d: Set(%d,%d) returned %d, want %d", seed, x, y, old, n[[2]int{x, y}])
				}
				n[[2]int{x, y}] = c
				if got := b.At(s, off); got != c {
					t.Fatalf("seed %d: At(%d,%d) = %d, want %d", seed, x, y, got, c)
				}
			}
			for _, s := range g.Shards() {
				want := n.pack(g, s)
				got := b.AppendPacked([]byte("kept"), s)
				if !bytes.Equal(got, append([]byte("kept"), want...)) {
					t.Fatalf("seed %d: shard %d packs differently", seed, s)
				}
				if sum, _ := b.Checksum(s, nil); sum != crc32.Checksum(want, Castagnoli) {
					t.Errorf("shard %d: checksum %08x", s, sum)
				}
				other := NewBoard(g, 3)
				if err := other.LoadPacked(s, want); err != nil {
					t.Fatal(err)
				}
				if again := other.AppendPacked(nil, s); !bytes.Equal(again, want) {
					t.Errorf("shard %d does not survive LoadPacked", s)
				}
			}
		})
	}
}

func TestNewBoardIsBlankEverywhere(t *testing.T) {
	for _, g := range boardSizes {
		b := NewBoard(g, 9)
		for _, s := range g.Shards() {
			for off := range uint32(ShardPixels) {
				if c := b.At(s, off); c != 9 {
					t.Fatalf("%+v: shard %d offset %d is %d", g, s, off, c)
				}
			}
		}
	}
}

func TestNewBoardPanicsOnAGeometryThatIsNotValid(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	NewBoard(Geometry{}, 0)
}

func TestBoardGrows(t *testing.T) {
	b := NewBoard(Geometry{500, 500, 4}, 1)
	s, off := Locate(499, 499)
	b.Set(s, off, 7)
	if err := b.Grow(1000, 501); err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		x, y int
		want uint8
	}{{499, 499, 7}, {500, 500, 1}, {999, 500, 1}, {498, 499, 1}} {
		if s, off := Locate(p.x, p.y); b.At(s, off) != p.want {
			t.Errorf("pixel %d,%d is %d after growing, want %d", p.x, p.y, b.At(s, off), p.want)
		}
	}
	for _, tt := range []struct {
		name string
		w, h int
	}{{"refuses a smaller width", 999, 501}, {"refuses a smaller height", 1000, 500}, {"refuses more than 4096", 4097, 501}} {
		t.Run(tt.name, func(t *testing.T) {
			if err := b.Grow(tt.w, tt.h); CodeOf(err) != CodeInvalid {
				t.Errorf("Grow = %v", err)
			}
			if g := b.Geometry(); g.Width != 1000 || g.Height != 501 {
				t.Errorf("the refusal changed the size to %dx%d", g.Width, g.Height)
			}
		})
	}
}

func TestCloneSharesNothing(t *testing.T) {
	b := NewBoard(Geometry{600, 10, 8}, 0)
	c := b.Clone()
	b.Set(1, 5, 200)
	if c.At(1, 5) != 0 {
		t.Error("the clone changed with its original")
	}
	if c.Geometry() != b.Geometry() || c.Pixels(2) != nil {
		t.Error("the clone has another shape")
	}
}

func TestLoadPackedRefuses(t *testing.T) {
	g := Geometry{3, 3, 4}
	for _, tt := range []struct {
		name string // reads on from "LoadPacked refuses ..."
		s    ShardID
		src  []byte
		want Code
	}{
		{"a byte too few", 0, make([]byte, 4), CodeMalformed},
		{"a byte too many", 0, make([]byte, 6), CodeMalformed},
		{"a last nibble that belongs to no pixel", 0, []byte{1, 2, 3, 4, 1}, CodeMalformed},
		{"a shard that the canvas does not reach", 1, nil, CodeUnknownShard},
		{"a shard that no canvas has", 64, make([]byte, 5), CodeUnknownShard},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := NewBoard(g, 9)
			before := b.AppendPacked(nil, 0)
			if err := b.LoadPacked(tt.s, tt.src); CodeOf(err) != tt.want || err == nil {
				t.Errorf("LoadPacked = %v, want %v", err, tt.want)
			}
			if !bytes.Equal(b.AppendPacked(nil, 0), before) {
				t.Error("the refusal changed the board")
			}
		})
	}
}

func TestApplyTakesARecordWholeOrNotAtAll(t *testing.T) {
	good := Event{Offset: 1, Color: 5}
	grown := &Config{Version: 2, Width: 700, Height: 8, Bits: 4}
	huge := &Config{Version: 2, Width: 5000, Height: 8, Bits: 4}
	for _, tt := range []struct {
		name string
		r    Record
		ok   bool
	}{
		{"placements on the canvas", Record{Kind: KindPlacements, Events: []Event{good, {Offset: 7*ShardSide + 9, Color: 15}}}, true},
		{"a placement beyond the shard", Record{Kind: KindPlacements, Events: []Event{good, {Offset: ShardPixels}}}, false},
		{"a placement right of what the canvas fills", Record{Kind: KindPlacements, Events: []Event{good, {Offset: 10}}}, false},
		{"a placement below what the canvas fills", Record{Kind: KindPlacements, Events: []Event{good, {Offset: 8 * ShardSide}}}, false},
		{"a colour that does not fit the pixel", Record{Kind: KindPlacements, Events: []Event{good, {Offset: 2, Color: 16}}}, false},
		{"a shard that the canvas lacks", Record{Kind: KindPlacements, Shard: 1, Events: []Event{good}}, false},
		{"a start canvas", Record{Kind: KindStart, Pixels: bytes.Repeat([]byte{0x12}, 40)}, true},
		{"a blank start canvas", Record{Kind: KindStart}, true},
		{"a start canvas of another size", Record{Kind: KindStart, Pixels: make([]byte, 39)}, false},
		{"a configuration that grows", Record{Kind: KindConfig, Config: grown}, true},
		{"a configuration beyond every canvas", Record{Kind: KindConfig, Config: huge}, false},
		{"a claim", Record{Kind: KindClaim}, true},
		{"a marker", Record{Kind: KindMarker}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := NewBoard(Geometry{10, 8, 4}, 0)
			before := bytes.Clone(b.Pixels(0))
			err := b.Apply(&tt.r)
			if (err == nil) != tt.ok {
				t.Fatalf("Apply = %v", err)
			}
			if err != nil && !bytes.Equal(b.Pixels(0), before) {
				t.Error("the refused record changed the board")
			}
			if tt.ok && tt.r.Kind == KindPlacements && b.At(0, 1) != 5 {
				t.Error("the placement is not on the board")
			}
			if tt.ok && tt.r.Pixels != nil && (b.At(0, 0) != 1 || b.At(0, 7*ShardSide+9) != 2) {
				t.Error("the start canvas is not on the board")
			}
			if tt.r.Config == grown && !b.Geometry().Has(1) {
				t.Error("the board did not grow")
			}
		})
	}
}

// A board that is ahead of a configuration record, because another shard's log
// has told of a larger canvas, never shrinks.
func TestApplyNeverShrinksTheBoard(t *testing.T) {
	b := NewBoard(Geometry{900, 900, 4}, 0)
	if err := b.Apply(&Record{Kind: KindConfig, Config: &Config{Version: 2, Width: 800, Height: 1000, Bits: 4}}); err != nil {
		t.Fatal(err)
	}
	if g := b.Geometry(); g.Width != 900 || g.Height != 1000 {
		t.Errorf("%dx%d, want 900x1000", g.Width, g.Height)
	}
}

func TestApplyOfPlacementsAllocatesNothing(t *testing.T) {
	b := NewBoard(Geometry{512, 512, 4}, 0)
	r := &Record{Kind: KindPlacements, Events: make([]Event, 64)}
	if n := testing.AllocsPerRun(100, func() {
		if err := b.Apply(r); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a record", n)
	}
}

// What LoadPacked accepts, AppendPacked gives back to the byte; what it refuses
// leaves the board as it was.
func FuzzLoadPacked(f *testing.F) {
	f.Add(uint16(3), uint16(3), true, []byte{1, 2, 3, 4, 0x50})
	f.Add(uint16(3), uint16(3), true, []byte{1, 2, 3, 4, 0x51})
	f.Add(uint16(2), uint16(2), false, []byte{1, 2, 3, 255})
	f.Fuzz(func(t *testing.T, w, h uint16, narrow bool, src []byte) {
		g := Geometry{Width: 1 + int(w)%64, Height: 1 + int(h)%64, Bits: 8}
		if narrow {
			g.Bits = 4
		}
		b := NewBoard(g, 1)
		before := bytes.Clone(b.Pixels(0))
		if err := b.LoadPacked(0, src); err != nil {
			if !bytes.Equal(b.Pixels(0), before) {
				t.Fatalf("refused (%v) and changed", err)
			}
			return
		}
		if got := b.AppendPacked(nil, 0); !bytes.Equal(got, src) {
			t.Fatalf("%+v\n in %x\nout %x", g, src, got)
		}
	})
}

func BenchmarkApply(b *testing.B) {
	board := NewBoard(Geometry{512, 512, 4}, 0)
	r := &Record{Kind: KindPlacements, Events: make([]Event, 64)}
	for i := range r.Events {
		r.Events[i] = Event{Offset: uint32(i * 4099 % ShardPixels), Color: uint8(i % 16)}
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := board.Apply(r); err != nil {
			b.Fatal(err)
		}
	}
}
