package wire

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Any accepted payload must encode back to the very same bytes, which is what
// makes the payload of some pixels the only one.
func FuzzRange(f *testing.F) {
	var e Encoder
	for _, wide := range []bool{false, true} {
		for _, share := range []float64{0.01, 0.2, 1} {
			c := testCanvas(20, 14, 1, wide, 1)
			out, param := e.AppendRange(nil, c, testPixels(c, share, 1))
			f.Add(param, uint8(19), uint8(13), wide, out)
		}
	}
	f.Fuzz(func(t *testing.T, param, width, height uint8, wide bool, payload []byte) {
		c := testCanvas(int(width%64)+1, int(height%64)+1, 1, wide, 1)
		fuzzLaw(t, CodingRange, param, payload, c, func(px []Pixel) []byte {
			var e Encoder
			out, got := e.AppendRange(nil, c, px)
			if got != param {
				t.Fatalf("%d pixels came with parameter %d and leave with %d", len(px), param, got)
			}
			return out
		})
	})
}

// Most payloads that differ from a good one in a bit or two mean other pixels;
// those that are accepted must obey the law.
func TestADamagedRangePayloadIsRefusedOrMeansItself(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 4))
	var e Encoder
	accepted, refused := 0, 0
	for range 20_000 {
		c := testCanvas(1+rnd.IntN(24), 1+rnd.IntN(24), rnd.IntN(3), rnd.IntN(2) == 1, rnd.Uint64())
		payload, param := e.AppendRange(nil, c, testPixels(c, rnd.Float64(), rnd.Uint64()))
		switch rnd.IntN(4) {
		case 0:
			payload = append(payload, byte(rnd.Uint32()))
		case 1:
			payload = payload[:rnd.IntN(len(payload)+1)]
		default:
			// The end is where an encoder has a choice.
			if n := len(payload); n > 0 {
				payload[n-1-rnd.IntN(min(n, 3))] ^= 1 << rnd.IntN(8)
			}
		}
		var d Decoder
		if _, err := d.Decode(nil, CodingRange, param, payload, c); err != nil {
			refused++
			continue
		}
		accepted++
		fuzzLaw(t, CodingRange, param, payload, c, func(px []Pixel) []byte {
			out, _ := e.AppendRange(nil, c, px)
			return out
		})
	}
	// A test that never got to the law would prove nothing.
	if accepted < 100 || refused < 100 {
		t.Errorf("seed %d: %d accepted, %d refused", seed, accepted, refused)
	}
}

func TestDecodeRangeRejects(t *testing.T) {
	four := testCanvas(9, 9, 0, false, 1)
	eight := testCanvas(9, 9, 0, true, 1)
	px := []Pixel{{3, 5}, {40, 6}, {41, 7}}
	var e Encoder
	good, param := e.AppendRange(nil, four, px)
	e.rc.encode(nil, &eight, px, 4) // colours below 8 need three bits
	wide := e.rc.coder.finish()
	for _, tt := range []struct {
		name    string // reads on from "Decode rejects ..."
		c       Canvas
		param   uint8
		payload []byte
		want    error
	}{
		{"a parameter of six bits", four, MaxParam + 1, good, errParam},
		{"a canvas without pixels", Canvas{Bits: 4}, param, good, errParam},
		{"more pixels than the area has", four, countParam(96), good, errCount},
		{"a code that no interval reaches", four, param, []byte{255, 255, 255, 255}, errShort},
		{"a number between two intervals", four, countParam(16), []byte{255, 255, 255, 250}, errShort},
		{"a gap of 31 bits", four, 0, nil, errPixel},
		{"a literal when both colours of one bit were offered", stuckCanvas, 0, stuckPayload(), errShort},
		{"a zero behind the end", four, param, append(slices.Clone(good), 0), errPadding},
		{"a colour width that no colour needs", eight, param, wide, errWidth},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d Decoder
			got, err := d.Decode([]Pixel{{7, 7}}, CodingRange, tt.param, tt.payload, tt.c)
			if err != tt.want {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if len(got) != 1 {
				t.Errorf("%d pixels were added in spite of the error", len(got)-1)
			}
		})
	}
}

// stuckCanvas shows colours 0 and 1 beside a pixel of colour 2.
var stuckCanvas = Canvas{Pix: []byte{0, 2, 1}, Width: 3, Height: 1, Stride: 3, Bits: 8}

// stuckPayload changes that pixel to a colour of one bit that is neither 0
// nor 1, as no encoder would.
func stuckPayload() []byte {
	var r rangeCoder
	r.coder = newRangeEncoder(nil)
	r.near.start(&stuckCanvas)
	r.model.reset(&primed, stuckCanvas.Area(), 1, 1)
	r.coder.direct(0, 3)
	r.gap(1)
	r.near.rank(nil, 1)
	for i := range 2 {
		r.bit(r.model.rankOf(i, &r.near), 0)
	}
	return r.coder.finish()
}

// Only ones leave low at zero, where a payload needs no byte of an end.
func TestAFractionOfZeroHasNoEnd(t *testing.T) {
	for n := range 40 {
		e := newRangeEncoder(nil)
		p := uint16(1 << 15)
		for range n {
			e.bit(&p, primedShift, 1)
		}
		for zeros, want := range []bool{true, false} {
			d := newRangeDecoder(append(e.finish(), make([]byte, zeros)...))
			p := uint16(1 << 15)
			for i := range n {
				if d.bit(&p, primedShift) != 1 {
					t.Fatalf("bit %d of %d is a zero", i, n)
				}
			}
			if d.ended() != want {
				t.Errorf("%d ones and %d zero bytes: ended is %v", n, zeros, !want)
			}
		}
	}
}

// Many fractions lie in the last interval and mean the same pixels; only the
// shortest is accepted, and of two equally short ones the smaller.
func TestDecodeRangeRejectsEveryOtherEndInTheInterval(t *testing.T) {
	var e Encoder
	var d Decoder
	ends := 0
	for seed := range uint64(200) {
		c := testCanvas(30, 30, 0, seed%2 == 1, seed)
		px := testPixels(c, 0.1, seed)
		good, param := e.AppendRange(nil, c, px)
		e.rc.encode(nil, &c, px, riceWidth(&c, px))
		open := e.rc.coder // before its end
		low, high := uint64(open.low), uint64(open.low)+uint64(open.rng)
		for keep := range 4 {
			unit := uint64(1) << (8 * (3 - keep))
			for v := (low + unit - 1) / unit * unit; v < min(high, low+3*unit); v += unit {
				end := open
				end.out = slices.Clone(open.out)
				if v >= 1<<32 {
					end.carry()
				}
				for i := range keep + 1 {
					end.out = append(end.out, byte(v>>(24-8*i)))
				}
				if slices.Equal(end.out, good) {
					continue
				}
				ends++
				if _, err := d.Decode(nil, CodingRange, param, end.out, c); err != error(errPadding) {
					t.Fatalf("seed %d: error %v for %x, the encoder writes %x", seed, err, end.out, good)
				}
			}
		}
	}
	if ends < 200 {
		t.Errorf("only %d other ends were tried", ends)
	}
}

func TestACutRangePayloadIsRefusedSoonAfterItsEnd(t *testing.T) {
	var e Encoder
	var d Decoder
	short := 0
	for seed := range uint64(100) {
		c := testCanvas(64, 64, 0, seed%2 == 1, seed)
		payload, param := e.AppendRange(nil, c, testPixels(c, 0.5, seed))
		got, err := d.Decode(nil, CodingRange, param, payload[:len(payload)/2], c)
		if err == nil || got != nil {
			t.Fatalf("seed %d: half of %d bytes is %d pixels, %v", seed, len(payload), len(got), err)
		}
		if err == error(errShort) {
			short++
		}
	}
	if short == 0 {
		t.Error("no payload ran out of bytes")
	}
}

func TestCountsSplitIntoParameterAndRest(t *testing.T) {
	for n := 1; n < 1<<18; n++ {
		param := countParam(n)
		base, extra := countOf(param)
		if param > MaxParam || n < base || n-base >= 1<<extra {
			t.Fatalf("%d pixels: parameter %d means %d and %d bits more", n, param, base, extra)
		}
	}
}

func TestARangePayloadKnowsItsNeighboursAlsoThoseOfThisBatch(t *testing.T) {
	// A 3 × 3 canvas in colours 1 to 9, its first five pixels are changed.
	c := Canvas{Pix: make([]byte, 9), Width: 3, Height: 3, Stride: 3, Bits: 8}
	for p := range 9 {
		c.Set(p, uint8(p+1))
	}
	coded := []Pixel{{0, 20}, {1, 21}, {2, 22}, {3, 20}}
	for _, tt := range []struct {
		name    string
		index   int
		coded   []Pixel
		colors  []uint8
		weights []uint8
	}{
		{"the corner has three", 0, nil, []uint8{2, 4, 5}, []uint8{3, 3, 1}},
		{"the middle has four it knows anew", 4, coded, []uint8{20, 21, 6, 8, 22, 7, 9}, []uint8{8, 5, 3, 3, 3, 1, 1}},
		{"the end of a row does not see the next row's begin", 2, coded[:2], []uint8{21, 6, 5}, []uint8{5, 3, 1}},
		{"the begin of a row does not see the last row's end", 3, coded[:3], []uint8{20, 5, 7, 21, 8}, []uint8{5, 3, 3, 3, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var nb neighbours
			nb.start(&c)
			nb.rank(tt.coded, tt.index)
			if !slices.Equal(nb.colors[:nb.n], tt.colors) || !slices.Equal(nb.weights[:nb.n], tt.weights) {
				t.Errorf("colours %v weights %v, want %v %v", nb.colors[:nb.n], nb.weights[:nb.n], tt.colors, tt.weights)
			}
		})
	}
}
