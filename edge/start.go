package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	_ "image/png"
	"os"

	"pixelwall/core"
	"pixelwall/tools/trace"
)

// A start is the canvas that a new data folder begins with.
type start struct {
	board   *core.Board
	hash    string // of the file
	palette core.Palette
}

// readStart reads a trace or a PNG. A colour that the palette does not have is
// an error that names the pixel: a canvas that looks almost right is worse.
func readStart(path string, palette core.Palette) (*start, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--start-canvas: %w", err)
	}
	s := &start{palette: palette}
	sum := sha256.Sum256(data)
	s.hash = hex.EncodeToString(sum[:])
	if bytes.HasPrefix(data, []byte("\x89PNG")) {
		err = s.readPNG(data)
	} else {
		err = s.readTrace(path)
	}
	if err != nil {
		return nil, fmt.Errorf("--start-canvas %s: %w", path, err)
	}
	return s, nil
}

func (s *start) newBoard(width, height int) error {
	g := core.Geometry{Width: width, Height: height, Bits: core.BitsFor(len(s.palette))}
	if err := g.Validate(); err != nil {
		return err
	}
	s.board = core.NewBoard(g, core.BlankOf(s.palette))
	return nil
}

func (s *start) set(x, y int, color uint8) {
	shard, off := core.Locate(x, y)
	s.board.Set(shard, off, color)
}

func (s *start) readTrace(path string) error {
	t, err := trace.Open(path)
	if err != nil {
		return err
	}
	if t.Colors > len(s.palette) {
		return fmt.Errorf("its canvas has %d colours, the palette %d", t.Colors, len(s.palette))
	}
	if err := s.newBoard(t.Width, t.Height); err != nil {
		return err
	}
	for i, color := range t.Base {
		s.set(i%t.Width, i/t.Width, color)
	}
	return nil
}

func (s *start) readPNG(data []byte) error {
	head, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return err
	}
	if err := s.newBoard(head.Width, head.Height); err != nil { // before a huge picture is unpacked
		return err
	}
	img, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return err
	}
	numbers := make(map[uint32]uint8, len(s.palette))
	for i := len(s.palette) - 1; i >= 0; i-- {
		numbers[s.palette[i].RGB] = uint8(i)
	}
	b := img.Bounds()
	for y := range b.Dy() {
		for x := range b.Dx() {
			r, g, bl, a := img.At(b.Min.X+x, b.Min.Y+y).RGBA()
			rgb := r>>8<<16 | g>>8<<8 | bl>>8
			number, ok := numbers[rgb]
			if a != 0xffff {
				number, ok = core.BlankOf(s.palette), a == 0
			}
			if !ok {
				return fmt.Errorf("pixel %d,%d is #%06x, which the palette of %d colours does not have", x, y, rgb, len(s.palette))
			}
			s.set(x, y, number)
		}
	}
	return nil
}
