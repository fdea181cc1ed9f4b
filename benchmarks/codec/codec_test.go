package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
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

// made returns a folder with a synthetic trace, which no target is about.
func made(t *testing.T, colors int) (folder string) {
	t.Helper()
	folder = t.TempDir()
	var file bytes.Buffer
	if err := synthetic(colors).Write(&file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "made.pxt.gz"), file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestEveryCodecGivesARowForEachBatchSize(t *testing.T) {
	for _, tt := range []struct {
		colors int
		codecs string
	}{
		{16, "rice range frames json json+deflate fixed4 fixed3 varint varint+deflate"},
		{40, "rice range frames json json+deflate fixed4 varint varint+deflate"},
	} {
		folder := made(t, tt.colors)
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

// met returns rows that meet every target.
func met() (rows []row) {
	for _, t := range targets {
		rows = append(rows, row{Trace: t.trace + "_x", Batch: t.batch, Codec: t.codec, BytesPerPixel: t.bytes})
	}
	for codec, ns := range nsTargets {
		rows = append(rows, row{Trace: "other", Batch: "natural", Codec: codec, BytesPerPixel: 9, EncodeNsPerPixel: ns, DecodeNsPerPixel: ns})
	}
	return append(rows, row{Trace: "other", Batch: "natural", Codec: "json", BytesPerPixel: 99, DecodeNsPerPixel: 4000})
}

func TestMissedTargetsAreNamed(t *testing.T) {
	if missed := missedTargets(met()); len(missed) != 0 {
		t.Errorf("all targets are met, and yet %v", missed)
	}
	rows := met()
	for i := range targets {
		rows[i].BytesPerPixel += 0.01
	}
	missed := missedTargets(rows)
	for i, want := range targets {
		if len(missed) != len(targets) || !strings.Contains(missed[i].Error(), want.trace+"_x, "+want.batch+", "+want.codec) {
			t.Errorf("a hundredth too much: %v", missed)
		}
	}
	slow := append(met(), row{Codec: "rice", DecodeNsPerPixel: 41}, row{Codec: "range", EncodeNsPerPixel: 401})
	if missed := fmt.Sprint(missedTargets(slow)); strings.Count(missed, "ns a pixel") != 2 || !strings.Contains(missed, "41 ns") || !strings.Contains(missed, "401 ns") {
		t.Errorf("one nanosecond too much: %v", missed)
	}
}

func TestATargetWithoutARowIsMissed(t *testing.T) {
	if missed := missedTargets(nil); len(missed) != len(targets)+len(nsTargets) {
		t.Errorf("nothing was measured, and only %v", missed)
	}
	for i, target := range targets {
		missed := missedTargets(slices.Delete(met(), i, i+1))
		if len(missed) != 1 || !strings.Contains(missed[0].Error(), target.batch+", "+target.codec+": not measured") {
			t.Errorf("%+v was not measured: %v", target, missed)
		}
	}
}

func TestACheckOfOtherTracesFails(t *testing.T) {
	err := run(bufio.NewWriter(&bytes.Buffer{}), made(t, 16), true, true)
	if err == nil || strings.Count(err.Error(), "not measured") != len(targets) {
		t.Errorf("error %v", err)
	}
}

func TestAFolderWithoutTracesIsAnError(t *testing.T) {
	if err := run(bufio.NewWriter(&bytes.Buffer{}), t.TempDir(), false, false); err == nil {
		t.Error("no error")
	}
}
