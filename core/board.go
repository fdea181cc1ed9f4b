package core

import (
	"bytes"
	"fmt"
	"hash/crc32"
)

// Castagnoli is the table of every CRC-32C in Pixelwall.
var Castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Board holds the colours of a canvas, packed Geometry.Bits a pixel.
// Only the ordered log may change it. It is not safe for concurrent use.
type Board struct {
	geo    Geometry
	blank  uint8
	shards [ShardsMax][]byte // stride ShardSide, nil where the canvas has no such shard
}

// NewBoard returns a board of geometry g with every pixel at colour blank.
// It panics when g is not valid: check g where it comes in.
func NewBoard(g Geometry, blank uint8) *Board {
	if err := g.Validate(); err != nil {
		panic(err)
	}
	b := &Board{geo: g, blank: blank}
	b.allocate()
	return b
}

func (b *Board) allocate() {
	fill := b.blank
	if b.geo.Bits == 4 {
		fill = b.blank<<4 | b.blank
	}
	for _, s := range b.geo.Shards() {
		if b.shards[s] == nil {
			b.shards[s] = bytes.Repeat([]byte{fill}, ShardPixels*int(b.geo.Bits)/8)
		}
	}
}

// Geometry returns the board's present size.
func (b *Board) Geometry() Geometry { return b.geo }

// Grow enlarges the board to width × height; new pixels are blank.
// It refuses to shrink, because a placement may be on its way to what would go.
func (b *Board) Grow(width, height int) error {
	g := Geometry{Width: width, Height: height, Bits: b.geo.Bits}
	if err := g.Validate(); err != nil {
		return err
	}
	if width < b.geo.Width || height < b.geo.Height {
		return NewError(CodeInvalid, fmt.Sprintf("canvas cannot shrink from %dx%d to %dx%d", b.geo.Width, b.geo.Height, width, height))
	}
	b.geo = g
	b.allocate()
	return nil
}

// Pixels returns the packed colours of shard s at stride ShardSide, nil when
// there is none: with 4 bits the pixel at an even offset is the high nibble, as
// Redis' BITFIELD u4 has it; with 8 bits it is the byte.
//
// Ownership: the slice is the board's own memory; callers only read it, and only
// where nobody applies events meanwhile.
func (b *Board) Pixels(s ShardID) []byte { return b.shards[s] }

// At returns the colour of offset off of shard s, which must exist.
func (b *Board) At(s ShardID, off uint32) uint8 {
	byteAt, shift, mask := b.locate(off)
	return b.shards[s][byteAt] >> shift & mask
}

// Set gives offset off of shard s the colour c and returns the colour it had.
func (b *Board) Set(s ShardID, off uint32, c uint8) (old uint8) {
	byteAt, shift, mask := b.locate(off)
	p := &b.shards[s][byteAt]
	old = *p >> shift & mask
	*p = *p&^(mask<<shift) | c&mask<<shift
	return old
}

// locate is the one place that knows how wide a pixel is.
func (b *Board) locate(off uint32) (byteAt, shift uint32, mask uint8) {
	if b.geo.Bits == 8 {
		return off, 0, 0xff
	}
	return off >> 1, ^off & 1 << 2, 0x0f
}

// AppendPacked appends the valid area of shard s: pixel i is row i/w, column i%w
// of the w columns that the canvas fills, packed without padding between rows,
// the first pixel in the high bits; an odd last nibble is followed by a zero one.
//
// Ownership: like append; the result shares no memory with the board.
func (b *Board) AppendPacked(dst []byte, s ShardID) []byte {
	w, h := b.geo.Area(s)
	if b.geo.Bits == 8 || w%2 == 0 {
		stride, n := ShardSide*int(b.geo.Bits)/8, w*int(b.geo.Bits)/8
		for y := range h {
			dst = append(dst, b.shards[s][y*stride:y*stride+n]...)
		}
		return dst
	}
	half, pending := false, byte(0)
	for y := range h {
		for x := range w {
			c := b.At(s, uint32(y*ShardSide+x))
			if half {
				dst = append(dst, pending|c)
			}
			half, pending = !half, c<<4
		}
	}
	if half {
		dst = append(dst, pending)
	}
	return dst
}

// LoadPacked sets shard s from what AppendPacked gave for the same geometry.
// src is only read. A wrong length or padding is CodeMalformed and changes nothing.
func (b *Board) LoadPacked(s ShardID, src []byte) error {
	if err := b.geo.packed(s, src); err != nil {
		return err
	}
	w, h := b.geo.Area(s)
	i := 0
	for y := range h {
		for x := range w {
			c := src[i/2] >> (^i & 1 << 2) & 0x0f
			if b.geo.Bits == 8 {
				c = src[i]
			}
			b.Set(s, uint32(y*ShardSide+x), c)
			i++
		}
	}
	return nil
}

// packed reports why src is not shard s as Board.AppendPacked gives it.
func (g Geometry) packed(s ShardID, src []byte) error {
	if !g.Has(s) {
		return NewError(CodeUnknownShard, fmt.Sprintf("shard %d: the canvas of %dx%d has none", s, g.Width, g.Height))
	}
	if want := g.PackedBytes(s); len(src) != want {
		return NewError(CodeMalformed, fmt.Sprintf("shard %d: %d bytes, want %d", s, len(src), want))
	}
	w, h := g.Area(s)
	if g.Bits == 4 && w*h%2 == 1 && src[len(src)-1]&0x0f != 0 {
		return NewError(CodeMalformed, fmt.Sprintf("shard %d: the last nibble belongs to no pixel and is not zero", s))
	}
	return nil
}

// Checksum returns the CRC-32C of shard s as AppendPacked gives it. scratch may
// be nil; the grown buffer is returned for the next call.
func (b *Board) Checksum(s ShardID, scratch []byte) (uint32, []byte) {
	scratch = b.AppendPacked(scratch[:0], s)
	return crc32.Checksum(scratch, Castagnoli), scratch
}

// Clone returns an independent copy of b.
func (b *Board) Clone() *Board {
	c := &Board{geo: b.geo, blank: b.blank}
	for s, pix := range b.shards {
		c.shards[s] = append([]byte(nil), pix...)
	}
	return c
}

// Fits reports why Apply would refuse r, nil when it would not.
func (b *Board) Fits(r *Record) error {
	switch {
	case r.Kind == KindPlacements:
		w, h := b.geo.Area(r.Shard)
		for i := range r.Events {
			e := &r.Events[i]
			if e.Offset%ShardSide >= uint32(w) || e.Offset/ShardSide >= uint32(h) {
				return NewError(CodeMalformed, fmt.Sprintf("shard %d offset %d: not on the canvas", r.Shard, e.Offset))
			}
			if e.Color>>b.geo.Bits != 0 {
				return NewError(CodeMalformed, fmt.Sprintf("shard %d offset %d: colour %d does not fit %d bits", r.Shard, e.Offset, e.Color, b.geo.Bits))
			}
		}
	case r.Kind == KindStart && r.Pixels != nil:
		g := b.startOf(r)
		if err := g.Validate(); err != nil {
			return err
		}
		if g.Bits != b.geo.Bits || g.Width > b.geo.Width || g.Height > b.geo.Height {
			return NewError(CodeMalformed, fmt.Sprintf("shard %d begins on a canvas of %dx%d, this one has %dx%d", r.Shard, g.Width, g.Height, b.geo.Width, b.geo.Height))
		}
		return g.packed(r.Shard, r.Pixels)
	case r.Kind == KindConfig:
		g := Geometry{Width: r.Config.Width, Height: r.Config.Height, Bits: b.geo.Bits}
		return g.Validate()
	}
	return nil
}

// startOf returns the geometry that r begins with. The canvas may have grown since,
// as another shard told.
func (b *Board) startOf(r *Record) Geometry {
	if r.Config == nil {
		return b.geo
	}
	return r.Config.Geometry()
}

// Apply is the only way by which a record changes a board. It applies r whole
// or, on an error, not at all.
func (b *Board) Apply(r *Record) error {
	if err := b.Fits(r); err != nil {
		return err
	}
	switch {
	case r.Kind == KindPlacements:
		for i := range r.Events {
			b.Set(r.Shard, r.Events[i].Offset, r.Events[i].Color)
		}
	case r.Kind == KindStart && r.Pixels != nil:
		if g := b.startOf(r); g != b.geo {
			small := NewBoard(g, b.blank)
			err := small.LoadPacked(r.Shard, r.Pixels)
			copy(b.shards[r.Shard], small.shards[r.Shard])
			return err
		}
		return b.LoadPacked(r.Shard, r.Pixels)
	case r.Kind == KindConfig:
		return b.Grow(max(r.Config.Width, b.geo.Width), max(r.Config.Height, b.geo.Height))
	}
	return nil
}
