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
