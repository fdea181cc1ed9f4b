package wire

import "math/bits"

// maxRiceParam bounds k: a gap's low bits. 2^22 pixels are more than any
// shard has.
const maxRiceParam = 22

// AppendRice appends the Rice payload of px to dst; param is the number k of
// low bits of a gap.
//
//	8-bit canvases only: 3 bits, width-1 of a colour
//	per pixel: gap>>k ones and a zero, k low bits of the gap, the colour
//	at the end: ones up to the next full byte
//
// A gap is the number of unchanged pixels since the last changed one. The
// conditions on c and px and the ownership are those of Append.
func (e *Encoder) AppendRice(dst []byte, c Canvas, px []Pixel) (out []byte, param uint8) {
	k := riceParam(px)
	return appendRice(dst, c, px, k), k
}

// riceParam returns the k with which px is smallest, among the three that
// come into question for the mean gap.
func riceParam(px []Pixel) uint8 {
	if len(px) == 0 {
		return 0
	}
	gaps := uint64(px[len(px)-1].Index) + 1 - uint64(len(px))
	// The best k for a geometric distribution is near log2(0.69 * mean).
	mid := bits.Len64(gaps * 11 / 16 / uint64(len(px)))
	low := uint8(min(max(mid-1, 0), maxRiceParam-2))
	var ones [3]uint64
	next := uint32(0)
	for _, p := range px {
		gap := p.Index - next
		next = p.Index + 1
		ones[0] += uint64(gap >> low)
		ones[1] += uint64(gap >> (low + 1))
		ones[2] += uint64(gap >> (low + 2))
	}
	best := uint8(0)
	for i := uint8(1); i < 3; i++ {
		if ones[i]+uint64(i)*uint64(len(px)) < ones[best]+uint64(best)*uint64(len(px)) {
			best = i
		}
	}
	return low + best
}

// riceWidth returns the number of bits of a colour: fixed for a canvas of four
// bits, what the largest colour of the batch needs for one of eight.
func riceWidth(c *Canvas, px []Pixel) uint {
	if c.Bits != 8 {
		return 4
	}
	all := uint8(1)
	for _, p := range px {
		all |= p.Color
	}
	return uint(bits.Len8(all))
}

func appendRice(dst []byte, c Canvas, px []Pixel, k uint8) []byte {
	if len(px) == 0 {
		return dst
	}
	w := bitWriter{out: dst}
	width := riceWidth(&c, px)
	if c.Bits == 8 {
		w.put(uint64(width-1), 3)
	}
	next := uint32(0)
	low := uint32(1)<<k - 1
	for _, p := range px {
		gap := p.Index - next
		next = p.Index + 1
		tail := uint64(gap&low)<<width | uint64(p.Color)
		if q := gap >> k; q < 16 {
			w.put((1<<(q+1)-2)<<(uint(k)+width)|tail, uint(q)+1+uint(k)+width)
		} else {
			w.putUnary(q)
			w.put(tail, uint(k)+width)
		}
	}
	return w.finish()
}

func decodeRice(dst []Pixel, param uint8, payload []byte, c Canvas) ([]Pixel, error) {
	if param > maxRiceParam || len(payload) == 0 && param != 0 {
		return nil, errParam
	}
	if len(payload) == 0 {
		return dst, nil
	}
	r := bitReader{in: payload}
	width, first, all := uint(4), len(dst), uint8(1)
	if c.Bits == 8 {
		r.fill()
		v, _ := r.get(3)
		width = uint(v) + 1
	}
	next, area := uint64(0), uint64(c.Area())
	k := uint(param)
	for {
		q, ok := r.unary()
		if !ok {
			if q >= 8 || len(dst) == first {
				return nil, errPadding
			}
			break
		}
		r.fill()
		tail, ok := r.get(k + width)
		if !ok {
			return nil, errShort
		}
		index := next + uint64(q)<<k + uint64(tail>>width)
		if index >= area {
			return nil, errPixel
		}
		color := uint8(tail & (1<<width - 1))
		all |= color
		dst = append(dst, Pixel{Index: uint32(index), Color: color})
		next = index + 1
	}
	if c.Bits == 8 && uint(bits.Len8(all)) != width {
		return nil, errWidth
	}
	return dst, nil
}
