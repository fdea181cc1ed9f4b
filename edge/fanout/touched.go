package fanout

import (
	"math/bits"

	"pixelwall/core"
	"pixelwall/wire"
)

// A touched set marks offsets of one shard, one bit each: 32 KiB. Walking it
// gives the offsets in raster order, which is the order that a batch needs, so
// that nothing is ever sorted.
type touched struct {
	words [core.ShardPixels / 64]uint64
	rows  [core.ShardSide]bool // rows with a mark, so that a quiet shard is walked quickly
	any   bool
}

func (t *touched) mark(off uint32) {
	t.words[off/64] |= 1 << (off % 64)
	t.rows[off/core.ShardSide] = true
	t.any = true
}

// drain calls fn with every marked offset, rising, and unmarks it.
func (t *touched) drain(fn func(off uint32)) {
	if !t.any {
		return
	}
	t.any = false
	const rowWords = core.ShardSide / 64
	for y := range t.rows {
		if !t.rows[y] {
			continue
		}
		t.rows[y] = false
		for w := y * rowWords; w < (y+1)*rowWords; w++ {
			for set := t.words[w]; set != 0; set &= set - 1 {
				fn(uint32(w*64 + bits.TrailingZeros64(set)))
			}
			t.words[w] = 0
		}
	}
}

// index returns the place of offset off in the raster of a valid area of width w.
func index(off uint32, w int) uint32 {
	return off/core.ShardSide*uint32(w) + off%core.ShardSide
}

// view returns the coder's view of shard s of b.
func view(b *core.Board, s core.ShardID) wire.Canvas {
	w, h := b.Geometry().Area(s)
	return wire.Canvas{Pix: b.Pixels(s), Width: w, Height: h, Stride: core.ShardSide, Bits: b.Geometry().Bits}
}
