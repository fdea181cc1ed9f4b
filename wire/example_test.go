package wire

import (
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"testing"
)

// The worked example of PROTOCOL.md is what this package writes.
func TestWorkedExampleIsTrue(t *testing.T) {
	text, err := os.ReadFile("PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	var example strings.Builder // without the remarks beside the bytes
	for line := range strings.Lines(string(text)) {
		bytes, _, _ := strings.Cut(line, "      ")
		example.WriteString(bytes + " ")
	}
	hexes := strings.Join(strings.Fields(example.String()), " ")
	const canvasID = 0x0102030405060708
	file := CanvasFile{Canvas: canvasID, Width: 3, Height: 2, Bits: 4, Shards: []CanvasShard{{Seq: 7, TimeMS: 1795000000123, Packed: []byte{0x00, 0x05, 0x00}}}}
	canvas := Canvas{Pix: []byte{0, 0, 0x50, 0}, Width: 3, Height: 2, Stride: 4, Bits: 4}
	var e Encoder
	up := CatchUp{From: 7, To: 9, TimeTenths: 17950000012}
	up.Payload, up.Param = e.AppendRice(nil, canvas, []Pixel{{1, 3}})
	canvas.Apply([]Pixel{{1, 3}})
	batch := Batch{Advance: 3, TimeAdv: 10}
	batch.Payload, batch.Param = e.AppendRice(nil, canvas, []Pixel{{2, 15}, {5, 4}})
	packed := []byte{0x03, 0xf5, 0x04}
	for name, m := range map[string]message{
		"canvas":  &file,
		"hello":   Hello{Version: 1, Instance: 0x1122334455667788, Capabilities: CanRange},
		"watch":   Watch{Canvas: canvasID, Shards: []WatchShard{{Resume: true, Held: 7}}},
		"catchup": up,
		"batch":   batch,
		"check":   Check{Seq: 12, CRC: crc32.Checksum(packed, crc32.MakeTable(crc32.Castagnoli))},
		"place":   Place{Number: 1, X: 2, Y: 1, Color: 14},
		"placed":  Placed{Number: 1, Seq: 13, TimeMS: 1795000002500, Allowance: Allowance{0, 1, 1795000007500}},
	} {
		if hex := fmt.Sprintf("% x", m.AppendTo(nil)); !strings.Contains(hexes, hex) {
			t.Errorf("the example's %s should be\n%s", name, hex)
		}
	}
}
