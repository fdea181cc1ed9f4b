package trace

import "pixelwall/wire"

// Shards is a canvas cut into squares, packed as a server and its clients hold
// them: what the codec is measured and trained on.
type Shards struct {
	Canvases []wire.Canvas

	width, side, columns int
	px                   [][]wire.Pixel
}

// Shards returns the trace's start canvas in squares of the given side; those
// at the right and lower edge may be smaller. Up to 16 colours are packed into
// four bits, more into eight.
func (t *Trace) Shards(side int) *Shards {
	columns, rows := (t.Width+side-1)/side, (t.Height+side-1)/side
	s := &Shards{width: t.Width, side: side, columns: columns, px: make([][]wire.Pixel, columns*rows)}
	for i := range columns * rows {
		width := min(side, t.Width-i%columns*side)
		height := min(side, t.Height-i/columns*side)
		c := wire.Canvas{Width: width, Height: height, Stride: width, Bits: 4, Pix: make([]byte, (width*height+1)/2)}
		if t.Colors > 16 {
			c.Bits, c.Pix = 8, make([]byte, width*height)
		}
		s.Canvases = append(s.Canvases, c)
	}
	for pos, color := range t.Base {
		i, index := s.place(uint32(pos))
		s.Canvases[i].Set(int(index), color)
	}
	return s
}

// Split gives each shard its pixels of events, in their order: rising, as the
// codec wants them, when the events rise by position.
//
// Ownership: the lists are valid until the next Split.
func (s *Shards) Split(events []Event) [][]wire.Pixel {
	for i := range s.px {
		s.px[i] = s.px[i][:0]
	}
	for _, e := range events {
		i, index := s.place(e.Pos)
		s.px[i] = append(s.px[i], wire.Pixel{Index: index, Color: e.Color})
	}
	return s.px
}

func (s *Shards) place(pos uint32) (shard int, index uint32) {
	x, y := int(pos)%s.width, int(pos)/s.width
	shard = y/s.side*s.columns + x/s.side
	return shard, uint32(y%s.side*s.Canvases[shard].Width + x%s.side)
}
