package wire

// The batch codec: the pixels of one shard and tick, as bytes.
//
//	Pixels, strictly rising by index, and the canvas before them
//	  -> Encoder.Append -> coding, parameter, payload
//	  -> Decoder.Decode -> the same pixels
//
// Two codings share one shape. Rice is stateless and fast; the range coder
// reads the canvas and is smaller. CODEC.md specifies both down to the bit.
// For a given canvas, coding and parameter there is exactly one payload that
// means a list of pixels: the decoder refuses every other one.
//
// Nothing here knows palettes, shards or sequence numbers, and nothing here
// writes to a canvas.

// A Pixel is one changed pixel: its index y*Width+x in the raster of the
// canvas' valid area, and the colour it ends as.
type Pixel struct {
	Index uint32
	Color uint8
}

// A Coding names the way a payload is written. Values travel on the wire: add
// at the end, never reorder.
type Coding uint8

const (
	CodingRice  Coding = iota // Golomb-Rice gaps and literal colours
	CodingRange               // adaptive range coder, the canvas as context
)

// Codings is a set of codings, one bit each.
type Codings uint8

// AllCodings holds every coding that this package speaks.
const AllCodings = Codings(1<<CodingRice | 1<<CodingRange)

// Has reports whether c is in the set. Rice is in every set: each client
// must speak it.
func (s Codings) Has(c Coding) bool {
	return c == CodingRice || c < 8 && s>>c&1 == 1
}

// MaxParam is the largest coding parameter: it has five bits in a batch's head.
const MaxParam = 31

// An Encoder turns pixels into payloads. It owns scratch memory, so that a
// warm one does not allocate; it is not safe for concurrent use. The zero
// value is ready.
type Encoder struct {
	rc rangeCoder
}

// Append appends the payload of px to dst in the smallest of the allowed
// codings and reports which one that was, and its parameter. A tie goes to
// Rice, which is cheaper to decode. c is the canvas before the batch; px must
// rise strictly by Index and lie inside the valid area. No pixels at all are
// an empty payload in Rice with parameter 0.
//
// Ownership: Append reads px and c.Pix and keeps neither; it allocates only
// when dst lacks room.
func (e *Encoder) Append(dst []byte, c Canvas, px []Pixel, allowed Codings) (out []byte, coding Coding, param uint8) {
	start := len(dst)
	out, param = e.AppendRice(dst, c, px)
	if len(px) == 0 || !allowed.Has(CodingRange) {
		return out, CodingRice, param
	}
	rice := len(out) - start
	out, rangeParam := e.AppendRange(out, c, px)
	if n := len(out) - start - rice; n < rice {
		copy(out[start:], out[start+rice:])
		return out[:start+n], CodingRange, rangeParam
	}
	return out[:start+rice], CodingRice, param
}

// A Decoder turns payloads into pixels. It owns scratch memory, so that a
// warm one does not allocate; it is not safe for concurrent use. The zero
// value is ready.
type Decoder struct {
	rr rangeReader
}

// Decode appends the pixels of payload to dst. c is the canvas before the
// batch. The pixels rise strictly by Index, lie inside the valid area and have
// colours of c.Bits bits; whether the palette has such a colour is for the
// caller to know. On an error dst is returned as it came in.
//
// Ownership: Decode reads payload and c.Pix and keeps neither. What it appends
// is bounded by the valid area, and by what the payload really holds.
func (d *Decoder) Decode(dst []Pixel, coding Coding, param uint8, payload []byte, c Canvas) ([]Pixel, error) {
	out, err := dst, error(errCoding)
	switch coding {
	case CodingRice:
		out, err = decodeRice(dst, param, payload, c)
	case CodingRange:
		out, err = d.rr.decode(dst, param, payload, &c)
	}
	if err != nil {
		return dst, err
	}
	return out, nil
}
