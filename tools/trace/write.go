package trace

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
)

// Write writes t as a PXT1 file, gzip included. It refuses a trace that Read
// would refuse because of its size or number of colours; that positions and
// colours are in range is the caller's promise.
func (t *Trace) Write(w io.Writer) error {
	if t.Width*t.Height != len(t.Base) || len(t.Base) > pixelsMax || t.Colors < 1 || t.Colors > 255 || len(t.Events) > eventsMax {
		return fmt.Errorf("a trace of %dx%d, %d pixels, %d colours, %d events does not fit PXT1, which has room for %d pixels, 255 colours and %d events",
			t.Width, t.Height, len(t.Base), t.Colors, len(t.Events), pixelsMax, eventsMax)
	}
	z := gzip.NewWriter(w)
	out := bufio.NewWriter(z)
	le := binary.LittleEndian
	head := append(make([]byte, 0, headBytes), magic...)
	head = le.AppendUint16(head, uint16(t.Width))
	head = le.AppendUint16(head, uint16(t.Height))
	flags := byte(0)
	if t.Frames {
		flags = flagFrames
	}
	head = append(head, byte(t.Colors), flags, 0, 0)
	head = le.AppendUint32(head, t.StartUnix)
	head = le.AppendUint32(head, uint32(len(t.Events)))
	out.Write(head) // a bufio.Writer keeps the first error for Flush
	if t.Colors > 16 {
		out.Write(t.Base)
	} else {
		packed := make([]byte, (len(t.Base)+1)/2)
		for i, c := range t.Base {
			packed[i/2] |= c << (4 - i%2*4)
		}
		out.Write(packed)
	}
	var b [eventBytes]byte
	for _, e := range t.Events {
		le.PutUint32(b[:], e.TimeMs)
		le.PutUint32(b[4:], e.Pos|uint32(e.Color)<<posBits)
		out.Write(b[:])
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return z.Close()
}
