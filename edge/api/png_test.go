package api

import (
	"bytes"
	"fmt"
	"image/color"
	"image/png"
	"math/rand/v2"
	"net/http"
	"testing"

	"pixelwall/core"
)

func TestThePictureIsTheBoard(t *testing.T) {
	for _, palette := range []string{"place2017", "place2022"} {
		w := newWorld(t, 517, 515, palette, nil)
		cfg := w.board.Config()
		random := rand.New(rand.NewPCG(5, 6))
		for range 300 {
			w.place(1, [3]int{500 + random.IntN(17), 500 + random.IntN(15), random.IntN(len(cfg.Palette))})
		}
		for _, tt := range []struct {
			query             string
			x, y, w, h, scale int
		}{
			{"", 0, 0, 517, 515, 1},
			{"?x=505&y=506", 505, 506, 12, 9, 1},
			{"?x=505&y=506&w=10&h=8&scale=3", 505, 506, 10, 8, 3},
			{"?x=511&y=511&w=2&h=2&scale=64", 511, 511, 2, 2, 64},
			{"?x=516&y=514&scale=2", 516, 514, 1, 1, 2},
		} {
			a := w.get("/api/v1/canvas.png" + tt.query)
			img, err := png.Decode(bytes.NewReader(a.body))
			if err != nil {
				t.Fatalf("%s: %v: %v", tt.query, err, a)
			}
			if b := img.Bounds(); b.Dx() != tt.w*tt.scale || b.Dy() != tt.h*tt.scale {
				t.Fatalf("%s: %v", tt.query, b)
			}
			for y := range tt.h * tt.scale {
				for x := range tt.w * tt.scale {
					s, off := core.Locate(tt.x+x/tt.scale, tt.y+y/tt.scale)
					c := cfg.Palette[w.board.board.At(s, off)].RGB
					want := color.RGBA{uint8(c >> 16), uint8(c >> 8), uint8(c), 255}
					if got := color.RGBAModel.Convert(img.At(x, y)); got != want {
						t.Fatalf("%s%s: pixel %d,%d is %v, want %v", palette, tt.query, x, y, got, want)
					}
				}
			}
		}
	}
}

func TestOnlyTheWholeCanvasMayBeALargePicture(t *testing.T) {
	w := newWorld(t, 2049, 2049, "place2017", nil) // more than 4 M pixels
	for query, want := range map[string]int{
		"":                       http.StatusOK,
		"?w=2049":                http.StatusOK,
		"?w=2048&h=2048":         http.StatusOK,
		"?x=1":                   http.StatusBadRequest,
		"?scale=2":               http.StatusBadRequest,
		"?h=512&scale=2":         http.StatusBadRequest,
		"?w=1024&h=1024&scale=2": http.StatusOK,
	} {
		if a := w.get("/api/v1/canvas.png" + query); a.StatusCode != want {
			t.Errorf("%q: %v", query, a)
		}
	}
}

// Whoever asks for pictures without end delays other pictures, not the canvas.
func TestTheCanvasDoesNotWaitForPictures(t *testing.T) {
	w := newWorld(t, 64, 64, "place2017", nil)
	for range cap(w.api.drawing.slots) {
		w.api.drawing.slots <- struct{}{} // drawn without end
	}
	for _, coding := range []string{"zstd", "br", "gzip"} {
		if a := w.get(w.location(), "Accept-Encoding", coding); a.StatusCode != http.StatusOK || a.Header.Get("Content-Encoding") != coding {
			t.Errorf("%s: %v", coding, a)
		}
	}
}

func TestPicturesThatAreNotKeptTakeNoneOfAVersionsBytes(t *testing.T) {
	w := newWorld(t, 64, 64, "place2017", nil)
	kept := 0
	for i := range 40 {
		a := w.get(fmt.Sprintf("/api/v1/canvas.png?x=%d", i+1))
		if i < picturesMax {
			kept += len(a.body)
		}
	}
	v, err := w.api.versions.newest()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := v.bytes.Load(), int64(len(v.file.raw)+kept); got != want {
		t.Errorf("%d bytes are counted, %d are kept", got, want)
	}
}

func TestPicturesAreDrawnOnceAndBounded(t *testing.T) {
	w := newWorld(t, 64, 64, "place2017", nil)
	for i := range 40 {
		if a := w.get(fmt.Sprintf("/api/v1/canvas.png?x=%d", i)); a.StatusCode != http.StatusOK {
			t.Fatal(a)
		}
	}
	whole := w.get("/api/v1/canvas.png")
	v, err := w.api.versions.newest()
	if err != nil {
		t.Fatal(err)
	}
	if len(v.pictures) > picturesMax+1 {
		t.Errorf("%d pictures are kept", len(v.pictures))
	}
	before := v.bytes.Load()
	if again := w.get("/api/v1/canvas.png"); !bytes.Equal(again.body, whole.body) || v.bytes.Load() != before {
		t.Errorf("the whole canvas was drawn again: %d bytes were kept, now %d", before, v.bytes.Load())
	}
	if w.get("/api/v1/canvas.png", "If-None-Match", whole.Header.Get("ETag")).StatusCode != http.StatusNotModified {
		t.Error("no 304 for the same picture")
	}
	if w.get("/api/v1/canvas.png?x=1", "If-None-Match", whole.Header.Get("ETag")).StatusCode != http.StatusOK {
		t.Error("a crop has the tag of the whole")
	}
}
