package core

import "fmt"

const (
	// ShardSide is the width and height of a shard in pixels.
	ShardSide = 512
	// ShardPixels is the number of offsets of a shard, 2^18.
	ShardPixels = ShardSide * ShardSide
	// SideMax is the largest width or height of a canvas in pixels.
	SideMax = 4096
	// ShardsMax is the number of shards of the largest canvas. A set of shards
	// therefore fits the bits of a uint64.
	ShardsMax = (SideMax / ShardSide) * (SideMax / ShardSide)
)

// A ShardID names a shard: the Morton code of its column and row, column lowest,
// so that growing the canvas never renames one. 0 <= id < ShardsMax.
type ShardID uint8

// A Geometry is the size of a canvas and the width of one of its pixels.
// The zero Geometry is not valid.
type Geometry struct {
	Width, Height int   // pixels, 1..SideMax
	Bits          uint8 // bits a pixel, 4 or 8; fixed when the canvas is made
}

// Validate reports the first thing that is wrong with g.
func (g Geometry) Validate() error {
	if g.Width < 1 || g.Height < 1 || g.Width > SideMax || g.Height > SideMax {
		return NewError(CodeInvalid, fmt.Sprintf("canvas size %dx%d: each side must be 1 to %d", g.Width, g.Height, SideMax))
	}
	if g.Bits != 4 && g.Bits != 8 {
		return NewError(CodeInvalid, fmt.Sprintf("%d bits a pixel: must be 4 or 8", g.Bits))
	}
	return nil
}

// BitsFor returns the bits a pixel of a canvas that is made with n colours.
func BitsFor(n int) uint8 {
	if n <= 16 {
		return 4
	}
	return 8
}

// Contains reports whether pixel (x, y) lies on the canvas.
func (g Geometry) Contains(x, y int) bool {
	return uint(x) < uint(g.Width) && uint(y) < uint(g.Height)
}

// Locate returns the shard of pixel (x, y) and the pixel's offset in it,
// y%512*512 + x%512, also where the canvas fills the shard only in part.
func Locate(x, y int) (ShardID, uint32) {
	return morton(x/ShardSide, y/ShardSide), uint32(y%ShardSide*ShardSide + x%ShardSide)
}

// Coordinates is the inverse of Locate.
func Coordinates(s ShardID, off uint32) (x, y int) {
	col, row := s.Cell()
	return col*ShardSide + int(off%ShardSide), row*ShardSide + int(off/ShardSide)
}

// Cell returns the column and row of s in the grid of shards.
func (s ShardID) Cell() (col, row int) {
	for i := range 3 {
		col |= int(s>>(2*i)&1) << i
		row |= int(s>>(2*i+1)&1) << i
	}
	return col, row
}

func morton(col, row int) ShardID {
	id := 0
	for i := range 3 {
		id |= (col >> i & 1) << (2 * i)
		id |= (row >> i & 1) << (2*i + 1)
	}
	return ShardID(id)
}

// Area returns how many columns and rows of shard s the canvas fills; both are
// zero when it does not reach the shard.
func (g Geometry) Area(s ShardID) (w, h int) {
	if s >= ShardsMax {
		return 0, 0
	}
	col, row := s.Cell()
	w = min(ShardSide, g.Width-col*ShardSide)
	h = min(ShardSide, g.Height-row*ShardSide)
	if w <= 0 || h <= 0 {
		return 0, 0
	}
	return w, h
}

// Shards returns the ids of all shards of the canvas, rising.
func (g Geometry) Shards() []ShardID {
	var ids []ShardID
	for id := range ShardID(ShardsMax) {
		if w, _ := g.Area(id); w > 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// Has reports whether the canvas reaches shard s.
func (g Geometry) Has(s ShardID) bool {
	w, _ := g.Area(s)
	return w > 0
}

// PackedBytes returns the length of shard s as Board.AppendPacked gives it.
func (g Geometry) PackedBytes(s ShardID) int {
	w, h := g.Area(s)
	return (w*h*int(g.Bits) + 7) / 8
}

// Lacks reports whether r, or an event of it, lies where a canvas of g does not reach
// to: one that grew does.
func (g Geometry) Lacks(r *Record) bool {
	if r.Config != nil {
		return false
	}
	if !g.Has(r.Shard) {
		return true
	}
	w, h := g.Area(r.Shard)
	for i := range r.Events {
		if off := r.Events[i].Offset; off < ShardPixels && (off%ShardSide >= uint32(w) || off/ShardSide >= uint32(h)) {
			return true
		}
	}
	return false
}
