package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
)

// Systems that install the page want its mark as PNG. It is drawn from mark.svg,
// which is rectangles and nothing else.

// markSide is the side of mark.svg's viewBox.
const markSide = 32

// safe is how much of an icon is left when a system cuts it to its own shape.
const safe = 0.8

type rect struct {
	X      float64 `xml:"x,attr"`
	Y      float64 `xml:"y,attr"`
	Width  float64 `xml:"width,attr"`
	Height float64 `xml:"height,attr"`
	RX     float64 `xml:"rx,attr"`
	Fill   string  `xml:"fill,attr"`
}

type mark struct {
	Ground rect   `xml:"rect"`
	Cells  []rect `xml:"g>rect"`
}

func readMark(path string) (*mark, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m := &mark{}
	if err := xml.Unmarshal(body, m); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(m.Cells) == 0 {
		return nil, errors.New(path + " has no <rect> in a <g>")
	}
	return m, nil
}

// draw returns the mark as a PNG. A maskable one fills the whole square and keeps
// what is on it within the middle.
func (m *mark) draw(side int, maskable bool) ([]byte, error) {
	img := image.NewNRGBA(image.Rect(0, 0, side, side))
	scale, shift := float64(side)/markSide, 0.0
	ground := m.Ground
	if maskable {
		ground.RX = 0
	}
	if err := fill(img, ground, scale, 0); err != nil {
		return nil, err
	}
	if maskable {
		shift = float64(side) * (1 - safe) / 2
		scale *= safe
	}
	for _, cell := range m.Cells {
		if err := fill(img, cell, scale, shift); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, img)
	return out.Bytes(), err
}

// fill draws r over img. Cells keep sharp edges, as the pixels that they stand for.
func fill(img *image.NRGBA, r rect, scale, shift float64) error {
	var rgb uint32
	if n, err := fmt.Sscanf(r.Fill, "#%06x", &rgb); n != 1 || err != nil {
		return fmt.Errorf("fill %q of the mark is not #rrggbb", r.Fill)
	}
	at := func(v float64) int { return int(math.Round(v*scale + shift)) }
	left, top, right, bottom := at(r.X), at(r.Y), at(r.X+r.Width), at(r.Y+r.Height)
	radius := r.RX * scale
	for y := top; y < bottom; y++ {
		for x := left; x < right; x++ {
			// How far the pixel's middle is outside of the square of the corners' centres.
			dx := max(float64(left)+radius-float64(x)-0.5, float64(x)+0.5-float64(right)+radius, 0)
			dy := max(float64(top)+radius-float64(y)-0.5, float64(y)+0.5-float64(bottom)+radius, 0)
			cover := 1.0
			if radius > 0 {
				cover = min(1, max(0, radius-math.Hypot(dx, dy)+0.5))
			}
			img.SetNRGBA(x, y, color.NRGBA{uint8(rgb >> 16), uint8(rgb >> 8), uint8(rgb), uint8(math.Round(cover * 255))})
		}
	}
	return nil
}
