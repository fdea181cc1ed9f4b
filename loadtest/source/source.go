// Package source reads recorded r/place events, whatever they are written in.
//
//	.pxt.gz | .csv | .csv.gz, of 2022 or 2023 -> Open -> Trace -> Translate(palette) -> colours of a server
//	                                                             Pack -> .pxt.gz
//
// What comes out is in the order of time, with positions on one canvas whose
// first pixel is 0,0. A file that cannot be read whole is an error that names
// the line; nothing is skipped silently. Nothing here talks to a server.
package source

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"pixelwall/tools/trace"
)

// A Trace is what was painted on a canvas of Width × Height.
type Trace struct {
	Width, Height int
	StartMS       int64         // unix, when events have the time 0
	Base          []byte        // a byte a pixel before the first event, nil when the file does not say
	RGB           []uint32      // the colours that events name, nil when they are numbers of the server's palette
	Colors        int           // every colour of an event is below it
	Events        []trace.Event // times never fall; Pos is y*Width + x
}

// Open reads the file at path by its ending.
func Open(path string) (*Trace, error) {
	if strings.HasSuffix(path, ".pxt.gz") {
		p, err := trace.Open(path)
		if err != nil {
			return nil, err
		}
		p.Spread(1)
		return &Trace{Width: p.Width, Height: p.Height, StartMS: int64(p.StartUnix) * 1000, Base: p.Base, Colors: p.Colors, Events: p.Events}, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	in := io.Reader(bufio.NewReaderSize(f, 1<<16))
	if strings.HasSuffix(path, ".gz") || strings.HasSuffix(path, ".gzip") {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		in = z
	}
	t, err := ReadCSV(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// Cut keeps the events from fromMS on, for durationMS (0: to the end), counted
// from the first event. A Base is brought to the state at fromMS.
func (t *Trace) Cut(fromMS, durationMS uint32) {
	if len(t.Events) == 0 {
		return
	}
	first := t.Events[0].TimeMs
	at := func(ms uint32) int {
		i, _ := slices.BinarySearchFunc(t.Events, uint64(first)+uint64(ms), func(e trace.Event, ms uint64) int {
			return int(int64(e.TimeMs) - int64(ms))
		})
		return i
	}
	from, to := at(fromMS), len(t.Events)
	if durationMS > 0 {
		to = at(fromMS + durationMS)
	}
	if t.Base != nil {
		for _, e := range t.Events[:from] {
			t.Base[e.Pos] = e.Color
		}
	}
	t.Events = t.Events[from:max(from, to)]
}

// Translate turns the events' colours into numbers of palette (0xRRGGBB each).
// A colour that the palette lacks is an error.
func (t *Trace) Translate(palette []uint32) error {
	if t.RGB == nil {
		if t.Colors > len(palette) {
			return fmt.Errorf("the trace has %d colours, the server's palette %d", t.Colors, len(palette))
		}
		return nil
	}
	number := make([]uint8, len(t.RGB))
	for i, rgb := range t.RGB {
		n := slices.Index(palette, rgb)
		if n < 0 {
			return fmt.Errorf("the trace paints in #%06x, which the server's palette of %d colours lacks", rgb, len(palette))
		}
		number[i] = uint8(n)
	}
	for i := range t.Events {
		t.Events[i].Color = number[t.Events[i].Color]
	}
	t.RGB, t.Colors = nil, len(palette)
	return nil
}
