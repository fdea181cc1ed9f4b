package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pixelwall/tools/trace"
	"pixelwall/wire"
)

// synthetic paints 40 000 pixels in blobs on an odd canvas, over five minutes.
func synthetic(colors int) *trace.Trace {
	rnd := rand.New(rand.NewPCG(1, uint64(colors)))
	t := &trace.Trace{Width: 601, Height: 517, Colors: colors, Base: make([]byte, 601*517)}
	for i := range 40_000 {
		x, y := rnd.IntN(40)*15+rnd.IntN(10), rnd.IntN(34)*15+rnd.IntN(10)
		t.Events = append(t.Events, trace.Event{
			TimeMs: uint32(i/133) * 1000,
			Pos:    uint32(y*t.Width + x),
			Color:  uint8((x/15*7 + y/15*3 + rnd.IntN(2)) % colors),
		})
	}
	return t
}

func TestEveryCodecGivesARowForEachBatchSize(t *testing.T) {
	for _, tt := range []struct {
		colors int
		codecs string
	}{
		{16, "rice range frames json json+deflate fixed4 fixed3 varint varint+deflate"},
		{40, "rice range frames json json+deflate fixed4 varint varint+deflate"},
	} {
		folder := t.TempDir()
		var file bytes.Buffer
		if err := synthetic(tt.colors).Write(&file); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "made.pxt.gz"), file.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		if err := run(w, folder, true, false); err != nil {
			t.Fatal(err)
		}
		w.Flush()
		var codecs []string
		bytesPerPixel := map[string]float64{}
		for line := range strings.Lines(out.String()) {
			var r row
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if want := batchNames[len(bytesPerPixel)%4]; r.Trace != "made" || r.Batch != want || r.BytesPerPixel <= 0 || r.EncodeNsPerPixel <= 0 || r.DecodeNsPerPixel <= 0 {
				t.Errorf("row %+v, want one for batches %s", r, want)
			}
			if r.Batch == "natural" {
				codecs = append(codecs, r.Codec)
			}
			bytesPerPixel[r.Codec+" "+r.Batch] = r.BytesPerPixel
		}
		if got := strings.Join(codecs, " "); got != tt.codecs {
			t.Errorf("%d colours: codecs %s, want %s", tt.colors, got, tt.codecs)
		}
		if got := bytesPerPixel["fixed4 1000"]; got != 4 {
			t.Errorf("fixed4 costs %v bytes a pixel", got)
		}
		// Headers of a frame are bytes too, and the smaller coding is chosen.
		if f, r := bytesPerPixel["frames 10000"], bytesPerPixel["range 10000"]; f > r*1.05 || f < r*0.95 {
			t.Errorf("%d colours: frames cost %v bytes a pixel, range %v", tt.colors, f, r)
		}
	}
}

func TestACodecThatGivesOtherPixelsBackFailsTheRun(t *testing.T) {
	tr := synthetic(16)
	bad := codecs()[0]
	decode := bad.decode
	bad.decode = func(dst []wire.Pixel, message []byte, b batch) ([]wire.Pixel, error) {
		px, err := decode(dst, message, b)
		if len(px) > 30 {
			px[30].Color ^= 1
		}
		return px, err
	}
	_, err := measure(bad, tr, tr.CutNatural())
	if err == nil || !strings.Contains(err.Error(), "other pixels came back") {
		t.Errorf("error %v", err)
	}
}

func TestMissedTargetsAreNamed(t *testing.T) {
	rows := []row{
		{Trace: "place2017_x", Batch: "1000", Codec: "range", BytesPerPixel: 1.75, EncodeNsPerPixel: 400},
		{Trace: "place2017_x", Batch: "1000", Codec: "frames", BytesPerPixel: 1.86},
		{Trace: "other", Batch: "natural", Codec: "rice", BytesPerPixel: 9, DecodeNsPerPixel: 41},
		{Trace: "other", Batch: "natural", Codec: "json", BytesPerPixel: 99, DecodeNsPerPixel: 4000},
	}
	missed := missedTargets(rows)
	if len(missed) != 2 || !strings.Contains(missed[0].Error(), "frames: 1.860") || !strings.Contains(missed[1].Error(), "41 ns") {
		t.Errorf("missed %v", missed)
	}
}

func TestAFolderWithoutTracesIsAnError(t *testing.T) {
	if err := run(bufio.NewWriter(&bytes.Buffer{}), t.TempDir(), false, false); err == nil {
		t.Error("no error")
	}
}
