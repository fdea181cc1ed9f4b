package wire

import "math/bits"

// A rangeCoder is the scratch memory of the range coder's encoding side.
type rangeCoder struct {
	model rangeModel
	near  neighbours
	coder rangeEncoder

	// counts has what was coded with each probability of the model; it is nil
	// but in training.
	counts map[*uint16]*BitCount
}

// AppendRange appends the range-coded payload of px to dst; param tells the
// magnitude of their number. No pixels at all are an empty payload with
// parameter 0, which only Rice has: a caller sends that as Rice. The
// conditions on c and px and the ownership are those of Append.
func (e *Encoder) AppendRange(dst []byte, c Canvas, px []Pixel) (out []byte, param uint8) {
	if len(px) == 0 {
		return dst, 0
	}
	e.rc.encode(dst, &c, px, riceWidth(&c, px))
	out = e.rc.coder.finish()
	e.rc.coder.out, e.rc.near.c = nil, Canvas{} // they are the caller's
	return out, countParam(len(px))
}

// encode codes px with literals of the given width, but does not end the payload.
func (r *rangeCoder) encode(dst []byte, c *Canvas, px []Pixel, width uint) {
	r.coder = newRangeEncoder(dst)
	r.near.start(c)
	r.model.reset(&primed, c.Area(), len(px), width)
	base, extra := countOf(countParam(len(px)))
	r.coder.direct(uint32(len(px)-base), extra)
	if c.Bits == 8 {
		r.coder.direct(uint32(width-1), 3)
	}
	next := uint32(0)
	for i, p := range px {
		r.gap(p.Index - next)
		r.near.rank(px[:i], int(p.Index))
		r.color(p.Color)
		next = p.Index + 1
	}
}

func (r *rangeCoder) gap(gap uint32) {
	m := &r.model
	v := gap + 1
	e := uint(bits.Len32(v)) - 1
	node := uint(1)
	for b := 4; b >= 0; b-- {
		bit := e >> b & 1
		r.bit(&m.gap[node], bit)
		node = node<<1 | bit
	}
	mant := m.mantOf(int(e))
	node = 1
	for ; e > 0 && node < mantNodes; e-- {
		bit := uint(v>>(e-1)) & 1
		r.bit(&mant[node], bit)
		node = node<<1 | bit
	}
	r.coder.direct(v&(1<<e-1), e)
}

func (r *rangeCoder) color(color uint8) {
	m := &r.model
	for i := range min(r.near.n, ranks) {
		p := m.rankOf(i, &r.near)
		if r.near.colors[i] == color {
			r.bit(p, 1)
			return
		}
		r.bit(p, 0)
	}
	m.triedN = copy(m.tried[:], r.near.colors[:r.near.n])
	node := uint(1)
	for shift := m.width; shift > 0; {
		shift--
		bit := uint(color) >> shift & 1
		prefix := uint(color) >> (shift + 1) << 1
		if m.free(prefix, shift) && m.free(prefix|1, shift) {
			r.coder.bit(&m.literal[node], literalShift, bit)
		}
		node = node<<1 | bit
	}
}

// bit codes bit with a primed probability.
func (r *rangeCoder) bit(p *uint16, bit uint) {
	if r.counts != nil {
		r.counts[p][bit]++
	}
	r.coder.bit(p, primedShift, bit)
}
