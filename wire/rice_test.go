package wire

import (
	"bytes"
	"errors"
	"testing"
)

func TestRiceWritesTheBitsOfTheDrawing(t *testing.T) {
	four := Canvas{Pix: make([]byte, 32), Width: 8, Height: 8, Stride: 8, Bits: 4}
	eight := Canvas{Pix: make([]byte, 64), Width: 8, Height: 8, Stride: 8, Bits: 8}
	for _, tt := range []struct {
		name string
		c    Canvas
		k    uint8
		px   []Pixel
		want []byte
	}{
		{"nothing for no pixels", four, 0, nil, nil},
		{"the first pixel with k 0 as a zero, its colour, padding", four, 0, []Pixel{{0, 5}}, []byte{0b0_0101_111}},
		{"a gap of five with k 1 as two ones", four, 1, []Pixel{{5, 9}}, []byte{0b110_1_1001}},
		{"neighbours as a gap of zero", four, 0, []Pixel{{0, 1}, {1, 2}}, []byte{0b0_0001_0_00, 0b10_111111}},
		{"the width of the largest colour on eight bits", eight, 2, []Pixel{{2, 3}}, []byte{0b001_0_10_11}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := appendRice(nil, tt.c, tt.px, tt.k); !bytes.Equal(got, tt.want) {
				t.Errorf("got %08b, want %08b", got, tt.want)
			}
		})
	}
}

func TestDecodeRiceRejects(t *testing.T) {
	four := Canvas{Pix: make([]byte, 8), Width: 4, Height: 4, Stride: 4, Bits: 4}
	eight := Canvas{Pix: make([]byte, 16), Width: 4, Height: 4, Stride: 4, Bits: 8}
	for _, tt := range []struct {
		name    string // reads on from "Decode rejects ..."
		c       Canvas
		param   uint8
		payload []byte
		want    error
	}{
		{"an empty batch with a parameter", four, 1, nil, errParam},
		{"a parameter no gap needs", four, maxRiceParam + 1, []byte{0}, errParam},
		{"padding and nothing else", four, 0, []byte{0xff}, errPadding},
		{"a whole byte of padding", four, 0, []byte{0b0_0101_111, 0xff}, errPadding},
		{"a colour cut short", four, 3, []byte{0b0_011_0001, 0b10_111_011}, errShort},
		{"padding with a zero in it", four, 0, []byte{0b0_0101_110}, errShort},
		{"a pixel behind the last one", four, 4, []byte{0b10_0000_00, 0b01_111111}, errPixel},
		{"a gap of a million ones", four, 0, append(bytes.Repeat([]byte{0xff}, 125_000), 0), errPixel},
		{"a width no colour needs", eight, 0, []byte{0b010_0_001_1}, errWidth},
		{"a width and no pixel", eight, 0, []byte{0b000_11111}, errPadding},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d Decoder
			kept := []Pixel{{7, 7}}
			got, err := d.Decode(kept, CodingRice, tt.param, tt.payload, tt.c)
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if len(got) != 1 {
				t.Errorf("%d pixels were added in spite of the error", len(got)-1)
			}
		})
	}
}

// Any accepted payload must encode back to the very same bytes.
func FuzzRice(f *testing.F) {
	f.Add(uint8(0), uint8(3), uint8(5), false, []byte{0b0_0101_111})
	f.Add(uint8(2), uint8(9), uint8(9), true, []byte{0b001_0_10_11})
	f.Fuzz(func(t *testing.T, param, width, height uint8, wide bool, payload []byte) {
		c := testCanvas(int(width%64)+1, int(height%64)+1, 1, wide, 1)
		fuzzLaw(t, CodingRice, param, payload, c, func(px []Pixel) []byte {
			return appendRice(nil, c, px, param)
		})
	})
}
