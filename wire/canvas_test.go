package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

// canvasFiles are good ones: odd areas, both depths, parts of a canvas.
var canvasFiles = []struct {
	Name string
	File CanvasFile
}{
	{"one shard of an odd area with 4 bits", CanvasFile{Canvas: 0xfedcba9876543210, Width: 3, Height: 1, Bits: 4,
		Shards: []CanvasShard{{Shard: 0, Seq: 1 << 33, TimeMS: 1795000000123, Packed: []byte{0x12, 0x30}}}}},
	{"one shard of an even area with 4 bits, at seq 0", CanvasFile{Canvas: 1, Width: 2, Height: 2, Bits: 4,
		Shards: []CanvasShard{{Shard: 0, TimeMS: 1795000000000, Packed: []byte{0xf0, 0x0f}}}}},
	{"one shard with 8 bits", CanvasFile{Canvas: 1, Width: 1, Height: 3, Bits: 8,
		Shards: []CanvasShard{{Shard: 0, Seq: 9, TimeMS: 1795000000000, Packed: []byte{0, 127, 255}}}}},
	{"three shards below each other, the last one odd", CanvasFile{Canvas: 1, Width: 1, Height: 1025, Bits: 4, Shards: []CanvasShard{
		{Shard: 0, Seq: 4, TimeMS: 1795000000000, Packed: bytes.Repeat([]byte{0x12}, 256)},
		{Shard: 2, Seq: 5, TimeMS: 1795000000001, Packed: bytes.Repeat([]byte{0x34}, 256)},
		{Shard: 8, Seq: 6, TimeMS: 1795000000002, Packed: []byte{0x50}},
	}}},
	{"the second shard alone of two beside each other", CanvasFile{Canvas: 1, Width: 513, Height: 3, Bits: 4,
		Shards: []CanvasShard{{Shard: 1, Seq: 4, TimeMS: 1795000000000, Packed: []byte{0x12, 0x30}}}}},
}

const (
	fileOf3x1 = "50574331" + "0100000000000000" + "0300" + "0100" + "04" + "01" + headOf0
	headOf0   = "00" + "0400000000000000" + "0500000000000000"
	headOf1   = "01" + "0400000000000000" + "0500000000000000"
	fileOf513 = "50574331" + "0100000000000000" + "0102" + "0100" + "04"
	pixelsOf1 = "10"
)

var pixelsOf0 = strings.Repeat("00", 256)

// malformedCanvasFiles are what every implementation must refuse, with the reason.
var malformedCanvasFiles = []struct{ Name, Hex, Code string }{
	{"an empty file", "", "truncated"},
	{"another magic", strings.Replace(fileOf3x1, "50574331", "50574332", 1) + "1230", "type"},
	{"a file that ends in its head", fileOf3x1[:30], "truncated"},
	{"a width of 0", strings.Replace(fileOf3x1, "03000100", "00000100", 1), "range"},
	{"a height of 4097", strings.Replace(fileOf3x1, "03000100", "03000110", 1), "range"},
	{"5 bits a pixel", strings.Replace(fileOf3x1, "0401", "0501", 1) + "1230", "range"},
	{"no shard", strings.Replace(fileOf3x1, "0401"+headOf0, "0400", 1), "range"},
	{"65 shards", strings.Replace(fileOf3x1, "0401"+headOf0, "0441", 1), "range"},
	{"shard 64", strings.Replace(fileOf3x1, headOf0, "40"+headOf0[2:], 1) + "1230", "range"},
	{"a shard outside the canvas", strings.Replace(fileOf3x1, headOf0, headOf1, 1) + "1230", "range"},
	{"shards that fall", fileOf513 + "02" + headOf1 + headOf0 + pixelsOf1 + pixelsOf0, "order"},
	{"the same shard twice", fileOf513 + "02" + headOf1 + headOf1 + pixelsOf1 + pixelsOf1, "order"},
	{"the second of two shards is missing", fileOf513 + "02" + headOf0 + headOf1 + pixelsOf0, "truncated"},
	{"a cut shard", fileOf3x1 + "12", "truncated"},
	{"a low half of the last byte that is not 0", fileOf3x1 + "1234", "padding"},
	{"a byte behind the last shard", fileOf3x1 + "1230" + "00", "range"},
}

func TestCanvasFilesAreTheGoldenOnes(t *testing.T) {
	type file struct {
		vector
		File *CanvasFile `json:"file,omitempty"`
	}
	var now struct {
		Good      []file `json:"good"`
		Malformed []file `json:"malformed"`
	}
	for _, c := range canvasFiles {
		now.Good = append(now.Good, file{vector{Name: c.Name, Hex: hex.EncodeToString(c.File.AppendTo(nil))}, &c.File})
	}
	for _, m := range malformedCanvasFiles {
		now.Malformed = append(now.Malformed, file{vector{Name: m.Name, Hex: m.Hex, Code: m.Code}, nil})
	}
	sameAsGolden(t, "testdata/canvas.json", now, " ")
}

func TestCanvasFilesAreParsedAsTheyWereWritten(t *testing.T) {
	for _, c := range canvasFiles {
		data := c.File.AppendTo(nil)
		got, err := ParseCanvasFile(data)
		if err != nil || !bytes.Equal(got.AppendTo(nil), data) || len(got.Shards) != len(c.File.Shards) {
			t.Errorf("%s: %+v, %v", c.Name, got, err)
		}
		for n := range data {
			if _, err := ParseCanvasFile(data[:n]); err == nil {
				t.Errorf("%s: its first %d bytes pass", c.Name, n)
			}
		}
	}
}

func TestMalformedCanvasFilesAreRefused(t *testing.T) {
	for _, m := range malformedCanvasFiles {
		data, err := hex.DecodeString(m.Hex)
		if err != nil {
			t.Fatal(err)
		}
		_, err = ParseCanvasFile(data)
		if e, ok := errors.AsType[*Error](err); !ok || e.Code.String() != m.Code {
			t.Errorf("%s: got %v, want code %s", m.Name, err, m.Code)
		}
	}
}

func FuzzCanvasFile(f *testing.F) {
	for _, c := range canvasFiles {
		f.Add(c.File.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseCanvasFile(data)
		if err != nil {
			return
		}
		if again := c.AppendTo(nil); !bytes.Equal(again, data) {
			t.Fatalf("round trip\n in %x\nout %x", data, again)
		}
	})
}
