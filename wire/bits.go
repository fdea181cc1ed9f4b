package wire

import (
	"encoding/binary"
	"math/bits"
)

// A bitWriter appends bits to out, the most significant first.
type bitWriter struct {
	out []byte
	acc uint64 // the last n bits not yet in out, right-aligned
	n   uint   // fewer than 8 between calls
}

// put appends the low n bits of v, n ≤ 56; the bits above them must be zero.
func (w *bitWriter) put(v uint64, n uint) {
	w.acc = w.acc<<n | v
	w.n += n
	for w.n >= 8 {
		w.n -= 8
		w.out = append(w.out, byte(w.acc>>w.n))
	}
}

// putUnary appends q ones and a zero.
func (w *bitWriter) putUnary(q uint32) {
	for q >= 32 {
		w.put(1<<32-1, 32)
		q -= 32
	}
	w.put(1<<(q+1)-2, uint(q+1))
}

// finish fills the last byte with ones and returns the whole output.
func (w *bitWriter) finish() []byte {
	if pad := -w.n & 7; pad > 0 {
		w.put(1<<pad-1, pad)
	}
	return w.out
}

// A bitReader takes bits from in, the most significant first.
type bitReader struct {
	in  []byte // not yet in acc
	acc uint64 // the next n bits, left-aligned, zeros below them
	n   uint
}

// fill makes at least 56 bits available unless the input ends before.
func (r *bitReader) fill() {
	if len(r.in) >= 8 {
		take := (64 - r.n) >> 3
		next := binary.BigEndian.Uint64(r.in) &^ (1<<(64-8*take) - 1)
		r.acc |= next >> r.n
		r.n += 8 * take
		r.in = r.in[take:]
		return
	}
	for r.n <= 56 && len(r.in) > 0 {
		r.acc |= uint64(r.in[0]) << (56 - r.n)
		r.n += 8
		r.in = r.in[1:]
	}
}

// get takes n ≥ 1 bits and reports false when the input has fewer; it needs a
// fill before, and gives at most the 56 bits that fill promises.
func (r *bitReader) get(n uint) (v uint32, ok bool) {
	if n > r.n {
		return 0, false
	}
	v = uint32(r.acc >> (64 - n))
	r.acc <<= n
	r.n -= n
	return v, true
}

// unary counts ones up to the next zero and takes both. ok is false when the
// input ends first; q is then the number of ones that were left.
func (r *bitReader) unary() (q uint32, ok bool) {
	for {
		r.fill()
		ones := uint(bits.LeadingZeros64(^r.acc))
		if ones < r.n {
			r.acc <<= ones + 1
			r.n -= ones + 1
			return q + uint32(ones), true
		}
		q += uint32(r.n)
		if r.acc, r.n = 0, 0; len(r.in) == 0 {
			return q, false
		}
	}
}
