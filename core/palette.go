package core

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A Color is one entry of a palette; its number is its place in it.
type Color struct {
	Name string
	RGB  uint32 // 0xRRGGBB
}

// Hex returns the colour as "#rrggbb".
func (c Color) Hex() string { return fmt.Sprintf("#%06x", c.RGB) }

// A Palette is the colours of a canvas. It may grow at its end, never change
// what a number means.
type Palette []Color

// PaletteMax is the largest number of colours of any palette.
const PaletteMax = 256

// Validate reports the first thing that is wrong with p.
func (p Palette) Validate() error {
	if len(p) < 2 || len(p) > PaletteMax {
		return NewError(CodeInvalid, fmt.Sprintf("palette of %d colours: must be 2 to %d", len(p), PaletteMax))
	}
	for i, c := range p {
		if c.Name == "" || len(c.Name) > 40 || !utf8.ValidString(c.Name) || c.RGB > 0xffffff {
			return NewError(CodeInvalid, fmt.Sprintf("palette colour %d: needs a name of 1 to 40 bytes of UTF-8 and a value #rrggbb", i))
		}
	}
	return nil
}

// Extends reports whether p begins with all of old, in order.
func (p Palette) Extends(old Palette) bool {
	if len(p) < len(old) {
		return false
	}
	for i := range old {
		if p[i] != old[i] {
			return false
		}
	}
	return true
}

// ParsePalette reads one colour a line: "name #rrggbb". Empty lines and lines
// that begin with "//" are skipped. The error names the line.
func ParsePalette(text string) (Palette, error) {
	var p Palette
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "//") {
			continue
		}
		at := strings.LastIndexByte(line, '#')
		var rgb uint32
		if at < 1 || len(line)-at != 7 || !scanHex(line[at+1:], &rgb) {
			return nil, NewError(CodeInvalid, fmt.Sprintf("palette line %d: want \"name #rrggbb\", have %q", n+1, line))
		}
		p = append(p, Color{Name: strings.TrimSpace(line[:at]), RGB: rgb})
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	return p, nil
}

func scanHex(s string, v *uint32) bool {
	for _, r := range strings.ToLower(s) {
		d := strings.IndexRune("0123456789abcdef", r)
		if d < 0 {
			return false
		}
		*v = *v<<4 | uint32(d)
	}
	return true
}

// NamedPalette returns a palette that ships with the program.
func NamedPalette(name string) (Palette, bool) {
	p, ok := palettes[name]
	return append(Palette(nil), p...), ok
}

// The colours and their numbers are those of Reddit's two events, as published
// with the data of 2017 and 2022.
var palettes = map[string]Palette{
	"place2017": {
		{"white", 0xFFFFFF}, {"light grey", 0xE4E4E4}, {"grey", 0x888888}, {"black", 0x222222},
		{"pink", 0xFFA7D1}, {"red", 0xE50000}, {"orange", 0xE59500}, {"brown", 0xA06A42},
		{"yellow", 0xE5D900}, {"light green", 0x94E044}, {"green", 0x02BE01}, {"cyan", 0x00D3DD},
		{"blue", 0x0083C7}, {"dark blue", 0x0000EA}, {"light purple", 0xCF6EE4}, {"purple", 0x820080},
	},
	"place2022": {
		{"burgundy", 0x6D001A}, {"dark red", 0xBE0039}, {"red", 0xFF4500}, {"orange", 0xFFA800},
		{"yellow", 0xFFD635}, {"pale yellow", 0xFFF8B8}, {"dark green", 0x00A368}, {"green", 0x00CC78},
		{"light green", 0x7EED56}, {"dark teal", 0x00756F}, {"teal", 0x009EAA}, {"light teal", 0x00CCC0},
		{"dark blue", 0x2450A4}, {"blue", 0x3690EA}, {"light blue", 0x51E9F4}, {"indigo", 0x493AC1},
		{"periwinkle", 0x6A5CFF}, {"lavender", 0x94B3FF}, {"dark purple", 0x811E9F}, {"purple", 0xB44AC0},
		{"pale purple", 0xE4ABFF}, {"magenta", 0xDE107F}, {"pink", 0xFF3881}, {"light pink", 0xFF99AA},
		{"dark brown", 0x6D482F}, {"brown", 0x9C6926}, {"beige", 0xFFB470}, {"black", 0x000000},
		{"dark grey", 0x515252}, {"grey", 0x898D90}, {"light grey", 0xD4D7D9}, {"white", 0xFFFFFF},
	},
}
