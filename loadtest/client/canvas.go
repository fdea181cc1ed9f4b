package client

import (
	"bytes"
	"fmt"
	"hash/crc32"

	"pixelwall/wire"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A Canvas is a client's copy of the canvas, each shard at a seq of its own. It
// is not safe for concurrent use.
type Canvas struct {
	ID            uint64
	Width, Height int
	Bits          uint8
	Shards        [wire.ShardsMax]*Shard // nil where the canvas has none
}

// A Shard is the copy of one shard.
type Shard struct {
	Seq        uint64
	TimeTenths uint64
	View       wire.Canvas // its memory is packed as a canvas file has it
}

// newCanvas copies f.
func newCanvas(f *wire.CanvasFile) *Canvas {
	c := &Canvas{ID: f.Canvas, Width: int(f.Width), Height: int(f.Height), Bits: f.Bits}
	for _, s := range f.Shards {
		w, h := wire.ShardArea(c.Width, c.Height, s.Shard)
		c.Shards[s.Shard] = &Shard{
			Seq: s.Seq, TimeTenths: s.TimeMS / 100,
			View: wire.Canvas{Pix: bytes.Clone(s.Packed), Width: w, Height: h, Stride: w, Bits: f.Bits},
		}
	}
	return c
}

// Clone returns an independent copy.
func (c *Canvas) Clone() *Canvas {
	d := *c
	for i, s := range c.Shards {
		if s != nil {
			t := *s
			t.View.Pix = bytes.Clone(s.View.Pix)
			d.Shards[i] = &t
		}
	}
	return &d
}

// Locate returns the shard of pixel (x, y), and its position in the shard's
// memory.
func (c *Canvas) Locate(x, y int) (shard uint8, at int) {
	col, row := x/512, y/512
	for i := range 3 {
		shard |= uint8(col>>i&1<<(2*i) | row>>i&1<<(2*i+1))
	}
	return shard, y%512*c.Shards[shard].View.Stride + x%512
}

// Grown returns a copy of c in the size of to; new pixels are blank.
func (c *Canvas) Grown(to *Canvas, blank uint8) *Canvas {
	d := to.Clone()
	for i, s := range d.Shards {
		if s == nil {
			continue
		}
		for at := range s.View.Width * s.View.Height {
			color, x, y := blank, at%s.View.Width, at/s.View.Width
			if old := c.Shards[i]; old != nil && x < old.View.Width && y < old.View.Height {
				color = old.View.At(y*old.View.Stride + x)
			}
			s.View.Set(at, color)
		}
	}
	return d
}

// Differs describes the first difference between the pixels of c and d, and is
// empty when there is none.
func (c *Canvas) Differs(d *Canvas) string {
	if c.ID != d.ID || c.Width != d.Width || c.Height != d.Height || c.Bits != d.Bits {
		return fmt.Sprintf("canvas %016x of %dx%d against %016x of %dx%d", c.ID, c.Width, c.Height, d.ID, d.Width, d.Height)
	}
	for i, s := range c.Shards {
		o := d.Shards[i]
		if s == nil && o == nil {
			continue
		}
		if s == nil || o == nil {
			return fmt.Sprintf("shard %d is missing", i)
		}
		if !bytes.Equal(s.View.Pix, o.View.Pix) {
			return fmt.Sprintf("shard %d: %d bytes differ, at seq %d and %d", i, differing(s.View.Pix, o.View.Pix), s.Seq, o.Seq)
		}
	}
	return ""
}

func differing(a, b []byte) (n int) {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

func (s *Shard) checksum() uint32 { return crc32.Checksum(s.View.Pix, castagnoli) }
