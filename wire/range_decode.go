package wire

import "math/bits"

// A rangeReader is the scratch memory of the range coder's decoding side.
type rangeReader struct {
	model rangeModel
	near  neighbours
	coder rangeDecoder
}

func (r *rangeReader) decode(dst []Pixel, param uint8, payload []byte, c *Canvas) ([]Pixel, error) {
	if param > MaxParam || c.Area() == 0 {
		return nil, errParam
	}
	r.coder = newRangeDecoder(payload)
	defer func() { r.coder.in, r.near.c = nil, Canvas{} }() // they are the caller's
	base, extra := countOf(param)
	n := base + int(r.coder.direct(extra))
	width := uint(4)
	if c.Bits == 8 {
		width = uint(r.coder.direct(3)) + 1
	}
	switch {
	case r.coder.bad:
		return nil, errShort
	case n > c.Area():
		return nil, errCount
	}
	r.near.start(c)
	r.model.reset(&primed, c.Area(), n, width)
	first, next, all := len(dst), 0, uint8(1)
	for range n {
		index := next + r.gap()
		switch {
		case r.coder.bad:
			return nil, errShort
		case index >= c.Area():
			return nil, errPixel
		}
		r.near.rank(dst[first:], index)
		color := r.color()
		// Checked for each pixel, so that a count without pixels behind it
		// costs no more than its bytes are worth.
		if r.coder.bad || r.coder.short() {
			return nil, errShort
		}
		all |= color
		dst = append(dst, Pixel{Index: uint32(index), Color: color})
		next = index + 1
	}
	if c.Bits == 8 && uint(bits.Len8(all)) != width {
		return nil, errWidth
	}
	if !r.coder.ended() {
		return nil, errPadding
	}
	return dst, nil
}

func (r *rangeReader) gap() int {
	m := &r.model
	node := uint(1)
	for range 5 {
		node = node<<1 | r.coder.bit(&m.gap[node], primedShift)
	}
	e := node - gapNodes
	if e > gapBitsMax {
		return 1 << gapBitsMax // outside of every canvas
	}
	mant := m.mantOf(int(e))
	v := uint(1)
	for ; e > 0 && v < mantNodes; e-- {
		v = v<<1 | r.coder.bit(&mant[v], primedShift)
	}
	return int(v<<e|uint(r.coder.direct(e))) - 1
}

func (r *rangeReader) color() uint8 {
	m := &r.model
	for i := range min(r.near.n, ranks) {
		if r.coder.bit(m.rankOf(i, &r.near), primedShift) == 1 {
			return r.near.colors[i]
		}
	}
	m.triedN = copy(m.tried[:], r.near.colors[:r.near.n])
	node, color := uint(1), uint(0)
	for shift := m.width; shift > 0; {
		shift--
		color <<= 1
		zero, one := m.free(color, shift), m.free(color|1, shift)
		bit := uint(0)
		switch {
		case zero && one:
			bit = r.coder.bit(&m.literal[node], literalShift)
		case one:
			bit = 1
		case !zero:
			r.coder.bad = true // every colour of this width has been tried
			return 0
		}
		node, color = node<<1|bit, color|bit
	}
	return uint8(color)
}
