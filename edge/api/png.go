package api

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"sync"

	"pixelwall/core"
)

const (
	scaleMax = 64
	// pngPixelsMax bounds the pixels of a picture, and with it the work on one. Only
	// the whole canvas at scale 1 may be larger: it is drawn once a version.
	pngPixelsMax = 4 << 20
	// picturesMax bounds the pictures that a version keeps; others are drawn anew.
	picturesMax = 8
)

// A crop is a part of the canvas, drawn scale × scale for each pixel.
type crop struct{ x, y, w, h, scale int }

// A picture is a crop of a version, drawn once.
type picture struct {
	once sync.Once
	data []byte
	err  error
}

func (a *API) getPNG(r *request) error {
	v, err := a.versions.newest()
	if err != nil {
		return err
	}
	c, err := cropOf(&r.query, v.config.Geometry())
	if err != nil {
		return err
	}
	etag := fmt.Sprintf(`"%s-%d-%d-%d-%d-%d"`, v.name, c.x, c.y, c.w, c.h, c.scale)
	h := &r.Response.Header
	h.Set("ETag", etag)
	h.Set("Cache-Control", brief)
	if matches(string(r.Request.Header.Peek("If-None-Match")), etag) {
		r.SetStatusCode(http.StatusNotModified)
		a.metrics.count("png", 0)
		return nil
	}
	if err := a.lookup(r); err != nil {
		return err
	}
	data, err := v.picture(c, a.drawing)
	if err != nil {
		return err
	}
	r.SetContentType("image/png")
	r.Response.SetBodyRaw(data)
	if r.IsHead() {
		a.metrics.count("png", 0)
	} else {
		a.metrics.count("png", len(data))
	}
	return nil
}

// cropOf reads what part of a canvas of geometry g is asked for.
func cropOf(q *query, g core.Geometry) (crop, error) {
	c := crop{
		x:     int(q.number("x", 0, 0, core.SideMax-1)),
		y:     int(q.number("y", 0, 0, core.SideMax-1)),
		scale: int(q.number("scale", 1, 1, scaleMax)),
	}
	c.w = int(q.number("w", int64(g.Width-c.x), 1, core.SideMax))
	c.h = int(q.number("h", int64(g.Height-c.y), 1, core.SideMax))
	if err := q.err(); err != nil {
		return c, err
	}
	if !g.Contains(c.x, c.y) {
		return c, outOfCanvas(c.x, c.y, g)
	}
	if c.x+c.w > g.Width || c.y+c.h > g.Height {
		return c, core.NewError(core.CodeOutOfCanvas, fmt.Sprintf("%dx%d pixels from %d,%d are not all on the canvas of %dx%d", c.w, c.h, c.x, c.y, g.Width, g.Height))
	}
	if c.w*c.h*c.scale*c.scale > pngPixelsMax && !c.isWhole(g) {
		return c, core.NewError(core.CodeInvalid, fmt.Sprintf("a picture of %dx%d pixels is too large: at most %d in all", c.w*c.scale, c.h*c.scale, pngPixelsMax))
	}
	return c, nil
}

// isWhole reports whether c is the canvas of geometry g as it is.
func (c crop) isWhole(g core.Geometry) bool { return c == crop{0, 0, g.Width, g.Height, 1} }

// picture returns c of v as a PNG. The whole canvas and the first few crops are
// kept; a crop beyond that is drawn for its request alone.
func (v *version) picture(c crop, drawing *gate) ([]byte, error) {
	v.mu.Lock()
	p, kept := v.pictures[c]
	if !kept {
		p = &picture{}
		if kept = c.isWhole(v.config.Geometry()) || len(v.pictures) < picturesMax; kept {
			v.pictures[c] = p
		}
	}
	v.mu.Unlock()
	p.once.Do(func() {
		p.err = errors.New("the picture could not be drawn") // until it is
		p.err = drawing.run(func() (err error) {
			p.data, err = v.draw(c)
			return err
		})
		if p.err != nil {
			v.forget(c, p) // the next one tries again
			return
		}
		if kept {
			v.bytes.Add(int64(len(p.data)))
		}
	})
	return p.data, p.err
}

func (v *version) forget(c crop, p *picture) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.pictures[c] == p {
		delete(v.pictures, c)
	}
}

// draw encodes c as a PNG with the palette of v.
func (v *version) draw(c crop) ([]byte, error) {
	palette := make(color.Palette, len(v.config.Palette))
	for i, p := range v.config.Palette {
		palette[i] = color.RGBA{uint8(p.RGB >> 16), uint8(p.RGB >> 8), uint8(p.RGB), 0xff}
	}
	img := image.NewPaletted(image.Rect(0, 0, c.w*c.scale, c.h*c.scale), palette)
	geo := v.config.Geometry()
	for i := range v.canvas.Shards {
		v.paint(img, c, geo, core.ShardID(v.canvas.Shards[i].Shard), v.canvas.Shards[i].Packed)
	}
	var out bytes.Buffer
	err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&out, img)
	return out.Bytes(), err
}

// paint draws what c shows of one shard.
func (v *version) paint(img *image.Paletted, c crop, geo core.Geometry, id core.ShardID, packed []byte) {
	left, top := core.Coordinates(id, 0)
	w, h := geo.Area(id)
	for y := max(c.y, top); y < min(c.y+c.h, top+h); y++ {
		row := img.Pix[(y-c.y)*c.scale*img.Stride:]
		for x := max(c.x, left); x < min(c.x+c.w, left+w); x++ {
			i := (y-top)*w + x - left
			colour := packed[i*int(geo.Bits)/8]
			if geo.Bits == 4 {
				colour = colour >> (4 &^ (i << 2)) & 15
			}
			for n := range c.scale {
				row[(x-c.x)*c.scale+n] = colour
			}
		}
		// The row is drawn once and copied for the rest of its height.
		for n := 1; n < c.scale; n++ {
			from, to := max(c.x, left)-c.x, min(c.x+c.w, left+w)-c.x
			if from < to {
				copy(row[n*img.Stride+from*c.scale:n*img.Stride+to*c.scale], row[from*c.scale:to*c.scale])
			}
		}
	}
}
