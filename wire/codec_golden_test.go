package wire

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A codecVector is one line of testdata/codec: a payload that must decode to
// its pixels and back, or must be refused with its error. CODEC.md describes
// the fields for implementations in other languages.
type codecVector struct {
	Name    string      `json:"name"`
	Bits    uint8       `json:"bits"`
	Width   int         `json:"width"`
	Height  int         `json:"height"`
	Stride  int         `json:"stride"`
	Canvas  string      `json:"canvas"`
	Coding  Coding      `json:"coding"`
	Param   uint8       `json:"param"`
	Payload string      `json:"payload"`
	Pixels  [][2]uint32 `json:"pixels"`
	Error   string      `json:"error,omitempty"`
}

func (v *codecVector) canvas(t *testing.T) Canvas {
	t.Helper()
	return Canvas{Pix: unhex(t, v.Canvas), Width: v.Width, Height: v.Height, Stride: v.Stride, Bits: v.Bits}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Every implementation must agree with these files, the browser's as well.
func TestCodecGoldenVectors(t *testing.T) {
	for file, vectors := range map[string][]codecVector{
		"rice.json": validVectors(CodingRice), "range.json": validVectors(CodingRange), "malformed.json": malformedVectors(t),
	} {
		path := filepath.Join("testdata", "codec", file)
		if *update {
			writeVectors(t, path, vectors)
		}
		var stored []codecVector
		readJSON(t, path, &stored)
		if len(stored) != len(vectors) {
			t.Errorf("%s has %d vectors, this test makes %d: run with -update", file, len(stored), len(vectors))
		}
		for _, v := range stored {
			t.Run(file+"/"+v.Name, func(t *testing.T) { checkVector(t, v) })
		}
	}
}

func checkVector(t *testing.T, v codecVector) {
	c, payload := v.canvas(t), unhex(t, v.Payload)
	var e Encoder
	var d Decoder
	got, err := d.Decode(nil, v.Coding, v.Param, payload, c)
	if v.Error != "" {
		if e, ok := err.(*Error); !ok || e.Code.String() != v.Error || got != nil {
			t.Errorf("decoded %v, error %v, want %s", got, err, v.Error)
		}
		return
	}
	var want []Pixel
	for _, p := range v.Pixels {
		want = append(want, Pixel{Index: p[0], Color: uint8(p[1])})
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("decoded %v, error %v, want %v", got, err, want)
	}
	again, param := appendAs(&e, v.Coding, nil, c, want)
	if hex.EncodeToString(again) != v.Payload || param != v.Param {
		t.Errorf("encoded %x with %d, want %s with %d", again, param, v.Payload, v.Param)
	}
}

func vectorOf(name string, c Canvas, coding Coding, param uint8, payload []byte, px []Pixel) codecVector {
	v := codecVector{
		Name: name, Bits: c.Bits, Width: c.Width, Height: c.Height, Stride: c.Stride, Canvas: hex.EncodeToString(c.Pix),
		Coding: coding, Param: param, Payload: hex.EncodeToString(payload), Pixels: [][2]uint32{},
	}
	for _, p := range px {
		v.Pixels = append(v.Pixels, [2]uint32{p.Index, uint32(p.Color)})
	}
	return v
}

func validVectors(coding Coding) (list []codecVector) {
	var e Encoder
	add := func(name string, c Canvas, px []Pixel) {
		if coding == CodingRange && len(px) == 0 {
			return // Rice alone has an empty batch
		}
		payload, param := appendAs(&e, coding, nil, c, px)
		list = append(list, vectorOf(name, c, coding, param, payload, px))
	}
	for _, wide := range []bool{false, true} {
		bits := map[bool]string{false: "4 bits, ", true: "8 bits, "}[wide]
		odd := testCanvas(13, 7, 0, wide, 11)
		inset := testCanvas(12, 9, 4, wide, 12)
		large := testCanvas(60, 40, 4, wide, 13)
		top := uint8(15)
		if wide {
			top = 255
		}
		add(bits+"no pixels", odd, nil)
		add(bits+"one pixel in a canvas of one", testCanvas(1, 1, 0, wide, 14), []Pixel{{0, 9}})
		add(bits+"the first pixel", odd, []Pixel{{0, 3}})
		add(bits+"the last pixel, the highest colour", odd, []Pixel{{90, top}})
		add(bits+"colours 0 and 1 alone", odd, []Pixel{{5, 0}, {6, 1}, {20, 1}})
		add(bits+"a pixel that keeps its colour", odd, []Pixel{{30, odd.At(30)}})
		add(bits+"some pixels, odd width", odd, testPixels(odd, 0.2, 1))
		add(bits+"every pixel changed, odd width", odd, testPixels(odd, 2, 2))
		add(bits+"some pixels, stride beyond the width", inset, testPixels(inset, 0.2, 3))
		add(bits+"every pixel changed, stride beyond the width", inset, testPixels(inset, 2, 4))
		add(bits+"few pixels far apart", large, testPixels(large, 0.002, 5))
		add(bits+"many pixels", large, testPixels(large, 0.1, 6))
	}
	return list
}

func malformedVectors(t *testing.T) (list []codecVector) {
	four, eight := testCanvas(13, 7, 0, false, 11), testCanvas(13, 7, 0, true, 11)
	add := func(name, code string, c Canvas, coding Coding, param uint8, payload []byte) {
		v := vectorOf(name, c, coding, param, payload, nil)
		v.Error = code
		list = append(list, v)
	}
	add("unknown coding", "range", four, 2, 0, nil)
	add("rice, empty with a parameter", "range", four, CodingRice, 1, nil)
	add("rice, parameter 23", "range", four, CodingRice, 23, []byte{0})
	add("rice, padding alone", "padding", four, CodingRice, 0, []byte{0xff})
	add("rice, a byte of padding too many", "padding", four, CodingRice, 0, []byte{0b0_0101_111, 0xff})
	add("rice, a zero in the padding", "truncated", four, CodingRice, 0, []byte{0b0_0101_110})
	add("rice, a colour cut short", "truncated", four, CodingRice, 3, []byte{0b0_011_0001, 0b10_111_011})
	add("rice, a pixel behind the last", "range", four, CodingRice, 6, []byte{0b10_011011, 0b0001_1111})
	add("rice, 8 bits, a width that no colour needs", "range", eight, CodingRice, 0, []byte{0b010_0_001_1})
	add("rice, 8 bits, a width and no pixel", "padding", eight, CodingRice, 0, []byte{0b000_11111})

	var e Encoder
	px := []Pixel{{3, 5}, {40, 6}, {41, 7}}
	good, param := e.AppendRange(nil, four, px)
	e.rc.encode(nil, &eight, px, 4)
	wide := slices.Clone(e.rc.coder.finish())
	many, manyParam := e.AppendRange(nil, four, testPixels(four, 0.7, 1))
	add("range, parameter of six bits", "range", four, CodingRange, 32, good)
	add("range, more pixels than the area has", "range", four, CodingRange, countParam(96), good)
	add("range, the code that no interval holds", "truncated", four, CodingRange, param, []byte{255, 255, 255, 255})
	add("range, a number between two intervals", "truncated", four, CodingRange, countParam(16), []byte{255, 255, 255, 250})
	add("range, a gap of 31 bits", "range", four, CodingRange, 0, nil)
	add("range, a literal when both colours of one bit were offered", "truncated", stuckCanvas, CodingRange, 0, stuckPayload())
	add("range, a zero behind the end", "padding", four, CodingRange, param, append(slices.Clone(good), 0))
	add("range, 8 bits, a width that no colour needs", "range", eight, CodingRange, param, wide)
	add("range, half of the payload", "truncated", four, CodingRange, manyParam, many[:len(many)/2])
	c, params, payload := otherEnd(t)
	add("range, another fraction of the last interval", "padding", c, CodingRange, params, payload)
	return list
}

// otherEnd finds a payload whose last byte could be one more and mean the same.
func otherEnd(t *testing.T) (Canvas, uint8, []byte) {
	var e Encoder
	for seed := range uint64(100) {
		c := testCanvas(13, 7, 0, false, 11)
		px := testPixels(c, 0.1, seed)
		good, param := e.AppendRange(nil, c, px)
		if len(px) == 0 {
			continue
		}
		e.rc.encode(nil, &c, px, 4)
		open := e.rc.coder
		last := uint64(open.low+rangeMin-1) >> 24
		if len(good) > len(open.out) && last < 255 && (last+1)<<24 < uint64(open.low)+uint64(open.rng) {
			return c, param, append(slices.Clone(open.out), byte(last+1))
		}
	}
	t.Fatal("no interval was wide enough")
	panic("not reached")
}

func writeVectors(t *testing.T, path string, vectors []codecVector) {
	t.Helper()
	out := []byte("[\n")
	for i, v := range vectors {
		line, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, line...)
		if i+1 < len(vectors) {
			out = append(out, ',')
		}
		out = append(out, '\n')
	}
	if err := os.WriteFile(path, append(out, "]\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// The file is for implementations in other languages; the trainer writes both.
func TestTablesFileHoldsTheTablesOfThisPackage(t *testing.T) {
	var stored RangeTables
	readJSON(t, filepath.Join("testdata", "tables.json"), &stored) // its keys differ in case alone
	if stored != primed {
		t.Error("testdata/tables.json differs from tables.go: run tools/train")
	}
	for _, p := range stored.Gap {
		if slices.Min(p[:]) < 64 || slices.Max(p[:]) > 65535-64 {
			t.Errorf("probabilities %v reach too far", p)
		}
	}
}
