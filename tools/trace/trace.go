// Package trace reads and writes PXT1 files, extracts of real r/place events.
//
//	file.pxt.gz -> Open -> Trace -> Spread -> Cut -> batches of placements
//
// A PXT1 file is gzip around, all little endian:
//
//	offset  size  field
//	0       4     "PXT1"
//	4       2     width
//	6       2     height, width*height ≤ 2^22
//	8       1     number of colours, 1..255
//	9       1     flags: 1 = a trace of frames
//	10      2     0
//	12      4     start, unix seconds
//	16      4     n, number of events
//	20      …     start canvas: up to 16 colours two pixels a byte, the first
//	              one in the high half; else a byte a pixel
//	        8*n   events: ms since the start (4), position | colour<<22 (4),
//	              position = y*width + x, times never falling
//
// A file is untrusted: whatever is in it, reading ends in a Trace that keeps
// these promises or in an error that says which one was broken. Memory grows
// with what the file really holds, never with what its head claims.
package trace

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	magic      = "PXT1"
	headBytes  = 20
	eventBytes = 8
	posBits    = 22 // of an event's second word
	flagFrames = 1

	// pixelsMax is what a position can say.
	pixelsMax = 1 << posBits
	// eventsMax bounds the memory for a file from a stranger: 3 GiB of events.
	eventsMax = 1 << 28
)

// An Event is one placement, or in a trace of frames one net change.
type Event struct {
	TimeMs uint32 // since the trace's start
	Pos    uint32 // y*Width + x
	Color  uint8
}

// A Trace is a start canvas and what was painted on it.
type Trace struct {
	Width, Height int
	Colors        int // every colour is below it
	Frames        bool
	StartUnix     uint32
	Base          []byte // a byte a pixel, row by row
	Events        []Event
}

// Open reads the PXT1 file at path.
func Open(path string) (*Trace, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t, err := Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// Read reads one PXT1 file, gzip included, to its end.
func Read(r io.Reader) (*Trace, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("not a gzip file: %w", err)
	}
	in := bufio.NewReaderSize(z, 1<<16)
	t, events, err := readHead(in)
	if err != nil {
		return nil, err
	}
	if err := t.readBase(in); err != nil {
		return nil, err
	}
	if err := t.readEvents(in, events); err != nil {
		return nil, err
	}
	switch _, err := in.ReadByte(); {
	case err == nil:
		return nil, fmt.Errorf("bytes follow the %d events that the head announces", events)
	case !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("after the last event: %w", err)
	}
	return t, nil
}

func readHead(in io.Reader) (t *Trace, events int, err error) {
	var h [headBytes]byte
	if err := readFull(in, h[:]); err != nil {
		return nil, 0, fmt.Errorf("head: %w", err)
	}
	le := binary.LittleEndian
	t = &Trace{
		Width:     int(le.Uint16(h[4:])),
		Height:    int(le.Uint16(h[6:])),
		Colors:    int(h[8]),
		Frames:    h[9] == flagFrames,
		StartUnix: le.Uint32(h[12:]),
	}
	n := le.Uint32(h[16:])
	switch {
	case string(h[:4]) != magic:
		return nil, 0, fmt.Errorf("head: magic is %q, not %q", h[:4], magic)
	case t.Width == 0 || t.Height == 0 || t.Width*t.Height > pixelsMax:
		return nil, 0, fmt.Errorf("head: size %dx%d is not 1 to %d pixels", t.Width, t.Height, pixelsMax)
	case t.Colors == 0:
		return nil, 0, errors.New("head: no colours")
	case h[9]&^flagFrames != 0 || h[10]|h[11] != 0:
		return nil, 0, fmt.Errorf("head: unknown flags %02x %02x%02x", h[9], h[10], h[11])
	case n > eventsMax:
		return nil, 0, fmt.Errorf("head: %d events are more than %d", n, eventsMax)
	}
	return t, int(n), nil
}

func (t *Trace) readBase(in io.Reader) error {
	t.Base = make([]byte, t.Width*t.Height)
	if t.Colors > 16 {
		if err := readFull(in, t.Base); err != nil {
			return fmt.Errorf("start canvas: %w", err)
		}
	} else {
		packed := make([]byte, (len(t.Base)+1)/2)
		if err := readFull(in, packed); err != nil {
			return fmt.Errorf("start canvas: %w", err)
		}
		for i := range t.Base {
			t.Base[i] = packed[i/2] >> (4 - i%2*4) & 15
		}
	}
	for i, c := range t.Base {
		if int(c) >= t.Colors {
			return fmt.Errorf("start canvas: colour %d at position %d, only %d colours", c, i, t.Colors)
		}
	}
	return nil
}

func (t *Trace) readEvents(in io.Reader, n int) error {
	var b [eventBytes]byte
	lastMs := uint32(0)
	for i := range n {
		if err := readFull(in, b[:]); err != nil {
			return fmt.Errorf("event %d of %d: %w", i, n, err)
		}
		word := binary.LittleEndian.Uint32(b[4:])
		timeMs, pos, color := binary.LittleEndian.Uint32(b[:]), word%pixelsMax, word>>posBits
		switch {
		case int(pos) >= len(t.Base):
			return fmt.Errorf("event %d: position %d, only %d pixels", i, pos, len(t.Base))
		case int(color) >= t.Colors:
			return fmt.Errorf("event %d: colour %d, only %d colours", i, color, t.Colors)
		case timeMs < lastMs:
			return fmt.Errorf("event %d: time falls from %d to %d ms", i, lastMs, timeMs)
		}
		lastMs = timeMs
		t.Events = append(t.Events, Event{TimeMs: timeMs, Pos: pos, Color: uint8(color)})
	}
	return nil
}

// readFull is io.ReadFull, for which a file that ends is always a mistake.
func readFull(in io.Reader, b []byte) error {
	_, err := io.ReadFull(in, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the file ends too early")
	}
	return err
}
