package core

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestParsePaletteReads(t *testing.T) {
	text := "// ours\n\nwhite #ffffff\r\n  hot pink\t#FF69B4  \nno. #1 #000001\n"
	p, err := ParsePalette(text)
	if err != nil {
		t.Fatal(err)
	}
	want := Palette{{"white", 0xffffff}, {"hot pink", 0xff69b4}, {"no. #1", 1}}
	if !slices.Equal(p, want) {
		t.Errorf("%v, want %v", p, want)
	}
}

func TestParsePaletteRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string // reads on from "ParsePalette refuses ..."
		text string
		says string
	}{
		{"an empty text", "", "palette of 0 colours"},
		{"a single colour", "white #ffffff", "palette of 1 colours"},
		{"a value without a name", "a #ffffff\n#000000", "line 2"},
		{"a name without a value", "a #ffffff\nblack", "line 2"},
		{"a short value", "a #ffffff\n// note\nblack #fff", "line 3"},
		{"a value that is not hex", "a #ffffff\nblack #00000g", "line 2"},
		{"a value with a sign", "a #ffffff\nblack #-00001", "line 2"},
		{"a name of 41 bytes", "a #ffffff\n" + strings.Repeat("x", 41) + " #000000", "colour 1"},
		{"a name that is not UTF-8", "a #ffffff\n\xff\xfe #000000", "colour 1"},
		{"257 colours", strings.Repeat("a #ffffff\n", 257), "palette of 257 colours"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := ParsePalette(tt.text)
			if err == nil || CodeOf(err) != CodeInvalid || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("ParsePalette = %v, want %v that says %q", err, CodeInvalid, tt.says)
			}
			if err != nil && p != nil {
				t.Errorf("a refusal came with %d colours", len(p))
			}
		})
	}
}

// The official numbers and values of both events, in the order of the number.
func TestNamedPalettesAreRedditsOwn(t *testing.T) {
	for name, want := range map[string]string{
		"place2017": "FFFFFF E4E4E4 888888 222222 FFA7D1 E50000 E59500 A06A42 E5D900 94E044 02BE01 00D3DD 0083C7 0000EA CF6EE4 820080",
		"place2022": "6D001A BE0039 FF4500 FFA800 FFD635 FFF8B8 00A368 00CC78 7EED56 00756F 009EAA 00CCC0 2450A4 3690EA 51E9F4 493AC1 " +
			"6A5CFF 94B3FF 811E9F B44AC0 E4ABFF DE107F FF3881 FF99AA 6D482F 9C6926 FFB470 000000 515252 898D90 D4D7D9 FFFFFF",
	} {
		p, ok := NamedPalette(name)
		if !ok {
			t.Fatalf("no palette %s", name)
		}
		if err := p.Validate(); err != nil {
			t.Error(err)
		}
		var got []string
		names := map[string]bool{}
		for _, c := range p {
			got = append(got, fmt.Sprintf("%06X", c.RGB))
			names[c.Name] = true
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s:\nhave %s\nwant %s", name, s, want)
		}
		if len(names) != len(p) {
			t.Errorf("%s: two colours share a name", name)
		}
		if c := p[BlankOf(p)]; c.Hex() != "#ffffff" {
			t.Errorf("%s: blank is %s", name, c.Hex())
		}
	}
	if _, ok := NamedPalette("place1066"); ok {
		t.Error("an unknown palette has colours")
	}
}

func TestNamedPaletteGivesACopy(t *testing.T) {
	p, _ := NamedPalette("place2017")
	p[0].Name = "changed"
	if q, _ := NamedPalette("place2017"); q[0].Name != "white" {
		t.Error("a caller changed the palette of everybody")
	}
}

func TestBlankOfAPaletteWithoutWhiteIsZero(t *testing.T) {
	if got := BlankOf(Palette{{"a", 1}, {"b", 2}}); got != 0 {
		t.Errorf("BlankOf = %d", got)
	}
}

// An accepted palette is valid, and written one colour a line it reads back.
func FuzzParsePalette(f *testing.F) {
	f.Add("white #ffffff\nblack #000000\n")
	f.Add("// x\n\na # #123456\r\nb#ABCDEF")
	f.Add("\x85a #ffffff\n//\u2028b #000000\nc\u00a0#00000f\nd #000000")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePalette(text)
		if err != nil {
			return
		}
		if err := p.Validate(); err != nil {
			t.Fatalf("accepted, but %v", err)
		}
		var b strings.Builder
		for _, c := range p {
			b.WriteString(c.Name + " " + c.Hex() + "\n")
		}
		again, err := ParsePalette(b.String())
		if err != nil || !slices.Equal(again, p) {
			t.Fatalf("%v does not read back from %q: %v, %v", p, b.String(), again, err)
		}
	})
}
