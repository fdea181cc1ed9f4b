package wire

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// testCanvas makes a canvas of random blocks of colour, as people paint them;
// extra is what its stride has beyond the width.
func testCanvas(width, height, extra int, wide bool, seed uint64) Canvas {
	rnd := rand.New(rand.NewPCG(seed, 1))
	c := Canvas{Width: width, Height: height, Stride: width + extra, Bits: 4}
	size, colors := (c.Stride*height+1)/2, 16
	if wide {
		c.Bits, size, colors = 8, c.Stride*height, 40
	}
	c.Pix = make([]byte, size)
	for y := range height {
		for x := range width {
			color := uint8((x/5*7 + y/3*11) % colors)
			if rnd.IntN(4) == 0 {
				color = uint8(rnd.IntN(colors))
			}
			c.Set(y*c.Stride+x, color)
		}
	}
	return c
}

// testPixels changes about share of the canvas, half of it to a colour nearby.
func testPixels(c Canvas, share float64, seed uint64) []Pixel {
	rnd := rand.New(rand.NewPCG(seed, 2))
	var px []Pixel
	for i := range c.Area() {
		if rnd.Float64() >= share {
			continue
		}
		color := uint8(rnd.IntN(16))
		if c.Bits == 8 {
			color = uint8(rnd.IntN(40))
		}
		if y, x := i/c.Width, i%c.Width; x > 0 && rnd.IntN(2) == 0 {
			color = c.At(y*c.Stride + x - 1)
		}
		px = append(px, Pixel{Index: uint32(i), Color: color})
	}
	return px
}

// fuzzLaw checks what holds for each payload: refused, or in order, inside the
// area and encoded again to the same bytes.
func fuzzLaw(t *testing.T, coding Coding, param uint8, payload []byte, c Canvas, again func([]Pixel) []byte) {
	t.Helper()
	var d Decoder
	px, err := d.Decode(nil, coding, param, payload, c)
	if err != nil {
		return
	}
	for i, p := range px {
		if int(p.Index) >= c.Area() || i > 0 && p.Index <= px[i-1].Index || c.Bits == 4 && p.Color > 15 {
			t.Fatalf("pixel %d is %+v in an area of %d", i, p, c.Area())
		}
	}
	if got := again(px); !bytes.Equal(got, payload) {
		t.Fatalf("round trip of %v\n in %x\nout %x", px, payload, got)
	}
}

func TestPixelsComeBackFromEveryCoding(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 3))
	var e Encoder
	var d Decoder
	for round := range 300 {
		c := testCanvas(1+rnd.IntN(90), 1+rnd.IntN(90), rnd.IntN(9), rnd.IntN(2) == 1, rnd.Uint64())
		share := []float64{0, 0.001, 0.02, 0.3, 1}[rnd.IntN(5)]
		px := testPixels(c, share, rnd.Uint64())
		before := bytes.Clone(c.Pix)
		for allowed := Codings(0); allowed <= AllCodings; allowed++ {
			out, coding, param := e.Append([]byte("kept"), c, px, allowed)
			if !allowed.Has(coding) || param > MaxParam || string(out[:4]) != "kept" {
				t.Fatalf("seed %d round %d: coding %d, param %d, head %q", seed, round, coding, param, out[:4])
			}
			got, err := d.Decode([]Pixel{{1, 2}}, coding, param, out[4:], c)
			if err != nil || !slices.Equal(got[1:], px) {
				t.Fatalf("seed %d round %d: %d of %d pixels, %v", seed, round, len(got)-1, len(px), err)
			}
		}
		if !bytes.Equal(before, c.Pix) {
			t.Fatalf("seed %d round %d: the codec wrote to the canvas", seed, round)
		}
	}
}

func TestATieGoesToRice(t *testing.T) {
	var e Encoder
	ties := 0
	for seed := range uint64(200) {
		c := testCanvas(20, 20, 0, false, seed)
		px := testPixels(c, 0.005, seed)
		rice, _ := e.AppendRice(nil, c, px)
		ranged, _ := e.AppendRange(nil, c, px)
		out, coding, _ := e.Append(nil, c, px, AllCodings)
		if len(px) > 0 && (len(out) != min(len(rice), len(ranged)) || coding == CodingRice != (len(rice) <= len(ranged))) {
			t.Errorf("seed %d: coding %d with %d bytes, Rice has %d, range %d", seed, coding, len(out), len(rice), len(ranged))
		}
		if len(px) > 0 && len(rice) == len(ranged) {
			ties++
		}
	}
	if ties == 0 {
		t.Error("no batch was a tie")
	}
}

func TestAWarmCodecDoesNotAllocate(t *testing.T) {
	for _, wide := range []bool{false, true} {
		c := testCanvas(200, 200, 3, wide, 5)
		px := testPixels(c, 0.01, 6)
		var e Encoder
		var d Decoder
		for _, allowed := range []Codings{1 << CodingRice, AllCodings} {
			var out []byte
			var coding Coding
			var param uint8
			encode := func() { out, coding, param = e.Append(out[:0], c, px, allowed) }
			encode()
			if n := testing.AllocsPerRun(100, encode); n != 0 {
				t.Errorf("bits %d, codings %b: encoding allocates %v times", c.Bits, allowed, n)
			}
			got := make([]Pixel, 0, len(px))
			decode := func() { got, _ = d.Decode(got[:0], coding, param, out, c) }
			if n := testing.AllocsPerRun(100, decode); n != 0 || len(got) != len(px) {
				t.Errorf("bits %d, codings %b: decoding allocates %v times, %d pixels", c.Bits, allowed, n, len(got))
			}
		}
	}
}

func BenchmarkCodec(b *testing.B) {
	c := testCanvas(512, 512, 0, false, 1)
	for _, share := range []float64{0.00006, 0.0006, 0.01} {
		px := testPixels(c, share, 1)
		for _, coding := range []Coding{CodingRice, CodingRange} {
			var e Encoder
			var d Decoder
			name := fmt.Sprintf("%s/%d", [...]string{"rice", "range"}[coding], len(px))
			out, param := appendAs(&e, coding, nil, c, px)
			b.Run("encode/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					out, param = appendAs(&e, coding, out[:0], c, px)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(px)), "ns/px")
			})
			got := make([]Pixel, 0, len(px))
			b.Run("decode/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					got, _ = d.Decode(got[:0], coding, param, out, c)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(px)), "ns/px")
				if !slices.Equal(got, px) {
					b.Fatal("other pixels came back")
				}
			})
		}
	}
}

func appendAs(e *Encoder, coding Coding, dst []byte, c Canvas, px []Pixel) ([]byte, uint8) {
	if coding == CodingRange {
		return e.AppendRange(dst, c, px)
	}
	return e.AppendRice(dst, c, px)
}
