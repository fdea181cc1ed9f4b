package wire

// The arithmetic of the range coder: a carrying 32-bit coder of the LZMA
// family. A payload is a fraction V in [0, 1), big endian; bytes behind its
// end count as zero. Coding narrows an interval of width rng·256^-k; a byte
// leaves whenever rng has fallen below 2^24.

const (
	rangeMin = 1 << 24 // rng is at least this between two symbols

	// A probability has 16 bits in the model and probBits in the arithmetic.
	modelBits = 16
	probBits  = 12

	// directBits bounds a run of equiprobable bits that is coded at once.
	directBits = 12
)

// The model's probabilities move by 1/2^shift of what is left. The primed ones
// are near their mark and move slowly; literals start without knowledge.
const (
	primedShift  = 6
	literalShift = 5
)

// A rangeEncoder appends to out; the zero value is not ready, see newRange.
type rangeEncoder struct {
	out []byte
	low uint32
	rng uint32
}

func newRangeEncoder(dst []byte) rangeEncoder { return rangeEncoder{out: dst, rng: 1<<32 - 1} }

// bit codes bit with the probability *p of a one, and lets *p learn from it.
func (e *rangeEncoder) bit(p *uint16, shift, bit uint) {
	bound := e.rng >> probBits * uint32(*p>>(modelBits-probBits))
	if bit != 0 {
		e.rng = bound
		*p += (1<<modelBits - 1 - *p) >> shift
	} else {
		e.add(bound)
		e.rng -= bound
		*p -= *p >> shift
	}
	e.shiftOut()
}

// direct codes the low n bits of v as equiprobable.
func (e *rangeEncoder) direct(v uint32, n uint) {
	for n > 0 {
		k := min(n, directBits)
		n -= k
		e.rng >>= k
		e.add(e.rng * (v >> n & (1<<k - 1)))
		e.shiftOut()
	}
}

// add raises low; a carry runs back through the bytes that have left.
func (e *rangeEncoder) add(n uint32) {
	e.low += n
	if e.low < n {
		e.carry()
	}
}

func (e *rangeEncoder) carry() {
	for i := len(e.out) - 1; ; i-- {
		e.out[i]++
		if e.out[i] != 0 {
			return
		}
	}
}

func (e *rangeEncoder) shiftOut() {
	for e.rng < rangeMin {
		e.out = append(e.out, byte(e.low>>24))
		e.low <<= 8
		e.rng <<= 8
	}
}

// finish ends the payload with the fewest bytes that stay inside the interval
// [low, low+rng): none when a multiple of 2^32 lies in it, else one, with
// which V is the smallest multiple of 2^24 in it.
func (e *rangeEncoder) finish() []byte {
	switch {
	case e.low == 0:
	case uint64(e.low)+uint64(e.rng) > 1<<32:
		e.carry()
	default:
		e.out = append(e.out, byte((e.low+rangeMin-1)>>24))
	}
	return e.out
}

// A rangeDecoder reads in. Once bad is set, what it returns means nothing.
type rangeDecoder struct {
	in   []byte
	pos  int    // bytes taken, those behind the end included
	code uint32 // V - low; below rng unless bad
	rng  uint32
	bad  bool
}

func newRangeDecoder(payload []byte) rangeDecoder {
	d := rangeDecoder{in: payload, rng: 1<<32 - 1}
	for range 4 {
		d.shiftIn()
	}
	d.bad = d.code == d.rng
	return d
}

// bit decodes a bit with the probability *p of a one, and lets *p learn.
func (d *rangeDecoder) bit(p *uint16, shift uint) (bit uint) {
	bound := d.rng >> probBits * uint32(*p>>(modelBits-probBits))
	if d.code < bound {
		d.rng = bound
		*p += (1<<modelBits - 1 - *p) >> shift
		bit = 1
	} else {
		d.code -= bound
		d.rng -= bound
		*p -= *p >> shift
	}
	for d.rng < rangeMin {
		d.rng <<= 8
		d.shiftIn()
	}
	return bit
}

// direct decodes n equiprobable bits.
func (d *rangeDecoder) direct(n uint) (v uint32) {
	for n > 0 {
		k := min(n, directBits)
		n -= k
		d.rng >>= k
		digit := d.code / d.rng
		if digit >= 1<<k {
			// The sliver of the interval that rounding left unused.
			d.bad = true
			return 0
		}
		d.code -= digit * d.rng
		v = v<<k | digit
		for d.rng < rangeMin {
			d.rng <<= 8
			d.shiftIn()
		}
	}
	return v
}

func (d *rangeDecoder) shiftIn() {
	d.code <<= 8
	if d.pos < len(d.in) {
		d.code |= uint32(d.in[d.pos])
	}
	d.pos++
}

// short reports whether more was read than any encoder leaves away.
func (d *rangeDecoder) short() bool { return d.pos > len(d.in)+4 }

// ended reports whether the payload ends as finish would have ended it. V is
// known from the payload and code is V - low, so low is known as well.
func (d *rangeDecoder) ended() bool {
	switch len(d.in) {
	case d.pos - 4:
		return true // V is a multiple of 2^32, and at most one is in reach
	case d.pos - 3:
		top := uint32(d.in[len(d.in)-1]) << 24
		return top != 0 && d.code < rangeMin && uint64(top-d.code)+uint64(d.rng) <= 1<<32
	}
	return false
}
