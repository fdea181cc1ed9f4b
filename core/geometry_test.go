package core

import (
	"fmt"
	"slices"
	"testing"
)

func TestGeometryNamesItsShards(t *testing.T) {
	upTo := func(n int) (ids []ShardID) {
		for i := range n {
			ids = append(ids, ShardID(i))
		}
		return ids
	}
	for _, tt := range []struct {
		name          string
		width, height int
		want          []ShardID
	}{
		{"one pixel is one shard", 1, 1, upTo(1)},
		{"500x500 is one shard", 500, 500, upTo(1)},
		{"512x512 is still one shard", 512, 512, upTo(1)},
		{"513x512 reaches the second column", 513, 512, []ShardID{0, 1}},
		{"512x513 reaches the second row", 512, 513, []ShardID{0, 2}},
		{"1000x1000 has shards 0 to 3", 1000, 1000, upTo(4)},
		{"2000x1000 has the two left quarters of 2000x2000 above", 2000, 1000, upTo(8)},
		{"2000x2000 has shards 0 to 15", 2000, 2000, upTo(16)},
		{"4096x4096 has shards 0 to 63", 4096, 4096, upTo(64)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := Geometry{Width: tt.width, Height: tt.height, Bits: 4}
			if got := g.Shards(); !slices.Equal(got, tt.want) {
				t.Errorf("Shards() = %v, want %v", got, tt.want)
			}
			for s := range 256 {
				if got, want := g.Has(ShardID(s)), slices.Contains(tt.want, ShardID(s)); got != want {
					t.Errorf("Has(%d) = %v, want %v", s, got, want)
				}
			}
		})
	}
}

func TestGeometryRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string // reads on from "Geometry refuses ..."
		g    Geometry
		ok   bool
	}{
		{"the zero value", Geometry{}, false},
		{"a width of zero", Geometry{0, 10, 4}, false},
		{"a negative height", Geometry{10, -1, 4}, false},
		{"a side above 4096", Geometry{4097, 10, 4}, false},
		{"three bits a pixel", Geometry{10, 10, 3}, false},
		{"nothing about the largest canvas", Geometry{4096, 4096, 8}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.g.Validate()
			if (err == nil) != tt.ok {
				t.Fatalf("Validate(%+v) = %v", tt.g, err)
			}
			if err != nil && CodeOf(err) != CodeInvalid {
				t.Errorf("code %v, want %v", CodeOf(err), CodeInvalid)
			}
		})
	}
}

// Every pixel of the largest canvas has a place of its own, and finds back.
func TestLocateAndCoordinatesAreInverse(t *testing.T) {
	g := Geometry{SideMax, SideMax, 4}
	taken := make([]bool, SideMax*SideMax)
	for y := range SideMax {
		for x := range SideMax {
			s, off := Locate(x, y)
			if s >= ShardsMax || off >= ShardPixels || !g.Has(s) {
				t.Fatalf("Locate(%d, %d) = %d, %d", x, y, s, off)
			}
			i := int(s)*ShardPixels + int(off)
			if taken[i] {
				t.Fatalf("two pixels share shard %d offset %d", s, off)
			}
			taken[i] = true
			if bx, by := Coordinates(s, off); bx != x || by != y {
				t.Fatalf("Coordinates(Locate(%d, %d)) = %d, %d", x, y, bx, by)
			}
		}
	}
}

// The shards of a canvas keep their ids and never lose a pixel when it grows,
// and their areas always add up to the canvas.
func TestGrowthRenamesNothing(t *testing.T) {
	sides := []int{1, 500, 512, 513, 1000, 1024, 1025, 2000, 2048, 4096}
	for _, w := range sides {
		for _, h := range sides {
			g := Geometry{w, h, 4}
			pixels := 0
			for _, s := range g.Shards() {
				aw, ah := g.Area(s)
				pixels += aw * ah
				for _, to := range []Geometry{{min(w+300, SideMax), h, 4}, {w, min(h+300, SideMax), 4}, {SideMax, SideMax, 4}} {
					if bw, bh := to.Area(s); bw < aw || bh < ah {
						t.Fatalf("%dx%d to %dx%d: shard %d shrinks from %dx%d to %dx%d", w, h, to.Width, to.Height, s, aw, ah, bw, bh)
					}
				}
			}
			if pixels != w*h {
				t.Errorf("%dx%d: areas hold %d pixels, want %d", w, h, pixels, w*h)
			}
		}
	}
}

func TestAreaOfAShardBeyondTheLargestCanvasIsNothing(t *testing.T) {
	g := Geometry{SideMax, SideMax, 8}
	for s := ShardsMax; s < 256; s++ {
		if w, h := g.Area(ShardID(s)); w != 0 || h != 0 {
			t.Errorf("Area(%d) = %dx%d", s, w, h)
		}
		if n := g.PackedBytes(ShardID(s)); n != 0 {
			t.Errorf("PackedBytes(%d) = %d", s, n)
		}
	}
}

func TestPackedBytesRoundsUp(t *testing.T) {
	for _, tt := range []struct {
		g    Geometry
		s    ShardID
		want int
	}{
		{Geometry{512, 512, 4}, 0, 128 << 10},
		{Geometry{512, 512, 8}, 0, 256 << 10},
		{Geometry{3, 3, 4}, 0, 5},
		{Geometry{3, 3, 8}, 0, 9},
		{Geometry{1000, 1000, 4}, 3, 488 * 488 / 2},
		{Geometry{512, 512, 4}, 1, 0},
	} {
		if got := tt.g.PackedBytes(tt.s); got != tt.want {
			t.Errorf("%+v.PackedBytes(%d) = %d, want %d", tt.g, tt.s, got, tt.want)
		}
	}
}

func TestContainsIsTheCanvasAndNoMore(t *testing.T) {
	g := Geometry{10, 20, 4}
	for _, tt := range []struct {
		x, y int
		want bool
	}{{0, 0, true}, {9, 19, true}, {10, 0, false}, {0, 20, false}, {-1, 0, false}, {0, -1, false}} {
		t.Run(fmt.Sprintf("%d,%d", tt.x, tt.y), func(t *testing.T) {
			if got := g.Contains(tt.x, tt.y); got != tt.want {
				t.Errorf("Contains = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestBitsForChoosesTheNarrowestPixel(t *testing.T) {
	for n, want := range map[int]uint8{2: 4, 16: 4, 17: 8, 32: 8, 256: 8} {
		if got := BitsFor(n); got != want {
			t.Errorf("BitsFor(%d) = %d, want %d", n, got, want)
		}
	}
}
