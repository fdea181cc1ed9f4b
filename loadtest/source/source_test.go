package source

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pixelwall/tools/trace"
)

const csv2022 = `timestamp,user_id,pixel_color,coordinate
2022-04-04 00:53:51.577 UTC,abc==,#00CCC0,"2,1"
2022-04-04 00:53:50 UTC,def==,#000000,"0,0"
2022-04-04 00:53:51.577 UTC,ghi==,#00CCC0,"0,1,1,2"
`

const csv2023 = `timestamp,user,coordinate,pixel_color
2023-07-20 13:00:26.088 UTC,abc,"-2,-1",#FFFFFF
2023-07-20 13:00:27.5 UTC,def,"{X: 0, Y: 0, R: 1}",#FF4500
`

func TestReadCSVReadsWhatRedditPublished(t *testing.T) {
	for _, tt := range []struct {
		name, text    string
		width, height int
		want          []trace.Event
		rgb           []uint32
	}{
		{"2022, out of order, with a rectangle", csv2022, 3, 3, []trace.Event{
			{TimeMs: 0, Pos: 0, Color: 1},
			{TimeMs: 1577, Pos: 5, Color: 0},
			{TimeMs: 1577, Pos: 3, Color: 0}, {TimeMs: 1577, Pos: 4, Color: 0},
			{TimeMs: 1577, Pos: 6, Color: 0}, {TimeMs: 1577, Pos: 7, Color: 0},
		}, []uint32{0x00ccc0, 0}},
		{"2023, left of 0, with a circle", csv2023, 4, 3, []trace.Event{
			{TimeMs: 0, Pos: 0, Color: 0},
			{TimeMs: 1412, Pos: 2, Color: 1},
			{TimeMs: 1412, Pos: 5, Color: 1}, {TimeMs: 1412, Pos: 6, Color: 1}, {TimeMs: 1412, Pos: 7, Color: 1},
			{TimeMs: 1412, Pos: 10, Color: 1},
		}, []uint32{0xffffff, 0xff4500}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ReadCSV(strings.NewReader(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			if got.Width != tt.width || got.Height != tt.height || !slices.Equal(got.Events, tt.want) || !slices.Equal(got.RGB, tt.rgb) {
				t.Errorf("%dx%d %x %v, want %dx%d %x %v", got.Width, got.Height, got.RGB, got.Events, tt.width, tt.height, tt.rgb, tt.want)
			}
		})
	}
}

func TestReadCSVRejects(t *testing.T) {
	const head = "timestamp,user,coordinate,pixel_color\n"
	row := func(time, at, color string) string { return head + time + `,u,"` + at + `",` + color + "\n" }
	const now = "2023-07-20 13:00:26.088 UTC"
	for _, tt := range []struct{ name, text, says string }{
		{"an empty file", "", "head"},
		{"a file of something else", "x,y\n1,2\n", "columns"},
		{"a file without events", head, "no events"},
		{"a bad time", row("yesterday", "1,2", "#000000"), "line 2: time"},
		{"a bad colour", row(now, "1,2", "red"), "line 2: colour"},
		{"a short colour", row(now, "1,2", "#fff"), "line 2: colour"},
		{"one coordinate", row(now, "1", "#000000"), "line 2: coordinate"},
		{"three coordinates", row(now, "1,2,3", "#000000"), "line 2: coordinate"},
		{"a coordinate that is no number", row(now, "1,b", "#000000"), "line 2: coordinate"},
		{"a circle that is none", row(now, "{X: 1, Y: 2}", "#000000"), "line 2: circle"},
		{"a circle without end", row(now, "{X: 1, Y: 2, R: 100000}", "#000000"), "line 2: circle"},
		{"a coordinate beyond every canvas", row(now, "5000,2", "#000000"), "line 2: coordinates"},
		{"an area that no canvas has", row(now, "0,0,4000,4000", "#000000"), "line 2: an area"},
		{"a row that is too short", row(now, "1,2", "#000000") + "x\n", "line 3"},
		{"a quote in the middle of a field", head + "a\"b\n", "line 2"},
		{"a canvas that is too wide", row(now, "-3000,2", "#000000") + now + `,u,"3000,2",#000000` + "\n", "at most 4096"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReadCSV(strings.NewReader(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("ReadCSV = %v, want one that says %q", err, tt.says)
			}
		})
	}
}

// What is accepted lies on its canvas, in the order of time.
func FuzzReadCSV(f *testing.F) {
	f.Add(csv2022)
	f.Add(csv2023)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ReadCSV(strings.NewReader(text))
		if err != nil {
			return
		}
		last := uint32(0)
		for _, e := range got.Events {
			if e.TimeMs < last || int(e.Pos) >= got.Width*got.Height || int(e.Color) >= len(got.RGB) {
				t.Fatalf("%+v after %d ms on %dx%d with %d colours", e, last, got.Width, got.Height, len(got.RGB))
			}
			last = e.TimeMs
		}
	})
}

func TestOpenReadsByTheFilesEnding(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, text string, zip bool) string {
		path := filepath.Join(dir, name)
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if !zip {
			_, err = f.WriteString(text)
		} else {
			z := gzip.NewWriter(f)
			if _, err = z.Write([]byte(text)); err == nil {
				err = z.Close()
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	pxt := filepath.Join(dir, "a.pxt.gz")
	f, err := os.Create(pxt)
	if err != nil {
		t.Fatal(err)
	}
	small := &trace.Trace{Width: 2, Height: 2, Colors: 4, Base: make([]byte, 4), Events: []trace.Event{{TimeMs: 0, Pos: 3, Color: 2}}}
	if err := small.Write(f); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for path, events := range map[string]int{write("a.csv", csv2022, false): 6, write("b.csv.gz", csv2023, true): 6, pxt: 1} {
		got, err := Open(path)
		if err != nil || len(got.Events) != events {
			t.Errorf("%s: %v", filepath.Base(path), err)
		}
	}
	for _, path := range []string{filepath.Join(dir, "none.csv"), write("c.csv.gz", csv2022, false), write("d.csv", "x", false)} {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), filepath.Base(path)) {
			t.Errorf("%s: %v, want an error that names the file", filepath.Base(path), err)
		}
	}
}

func TestCutKeepsThePartAndBringsTheCanvasThere(t *testing.T) {
	make5 := func() *Trace {
		tr := &Trace{Width: 5, Height: 1, Base: make([]byte, 5)}
		for i := range 5 {
			tr.Events = append(tr.Events, trace.Event{TimeMs: uint32(100 + 10*i), Pos: uint32(i), Color: 7})
		}
		return tr
	}
	for _, tt := range []struct {
		name           string
		from, duration uint32
		positions      []uint32
		base           []byte
	}{
		{"everything", 0, 0, []uint32{0, 1, 2, 3, 4}, []byte{0, 0, 0, 0, 0}},
		{"the end", 20, 0, []uint32{2, 3, 4}, []byte{7, 7, 0, 0, 0}},
		{"the middle", 11, 20, []uint32{2, 3}, []byte{7, 7, 0, 0, 0}},
		{"nothing, after the end", 1000, 5, nil, []byte{7, 7, 7, 7, 7}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := make5()
			tr.Cut(tt.from, tt.duration)
			var got []uint32
			for _, e := range tr.Events {
				got = append(got, e.Pos)
			}
			if !slices.Equal(got, tt.positions) || !slices.Equal(tr.Base, tt.base) {
				t.Errorf("%v on %v, want %v on %v", got, tr.Base, tt.positions, tt.base)
			}
		})
	}
}

func TestTranslateSpeaksTheServersPalette(t *testing.T) {
	tr, err := ReadCSV(strings.NewReader(csv2022))
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Translate([]uint32{0, 0x00ccc0}); err != nil || tr.Events[0].Color != 0 || tr.Events[1].Color != 1 {
		t.Errorf("%v: %v", err, tr.Events)
	}
	again, _ := ReadCSV(strings.NewReader(csv2022))
	if err := again.Translate([]uint32{0, 1, 2}); err == nil || !strings.Contains(err.Error(), "#00ccc0") {
		t.Errorf("a palette without the colour: %v", err)
	}
	numbers := &Trace{Colors: 16}
	if err := numbers.Translate(make([]uint32, 15)); err == nil {
		t.Error("a palette that is too small is accepted")
	}
	if err := numbers.Translate(make([]uint32, 32)); err != nil {
		t.Error(err)
	}
}
