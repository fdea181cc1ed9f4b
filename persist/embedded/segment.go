package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"pixelwall/core"
)

// A segment file is a header and frames. A frame is one record; a group is what
// one write and one fdatasync made durable, all of it or nothing.
//
//	header                                  frame
//	offset  size  field                     offset  size  field
//	0       8     magic "PWLOG\x00\x00\x01"  0       4     length of the record, not 0
//	8       8     canvas id                 4       4     CRC-32C of all that follows
//	16      8     number of the segment     8       4     group: the place in the file where this
//	24      8     latest time before it                   frame's group begins; the highest bit
//	32      512   heads before it                         is set in the last frame of a group
//	544     4     CRC-32C of 0..543         12            record, see wire.Record
//
// All numbers are little endian. Behind the last frame of the last segment lie
// zeros, which are reserved space. The group's place tells a torn write from
// damage: nothing of a group is in the file before the group ahead of it is durable.
const (
	segmentMagic       = "PWLOG\x00\x00\x01"
	segmentHeaderBytes = 548
	frameHeaderBytes   = 12
	frameBytesMax      = 2 << 20 // a record of wire.RecordEventsMax placements fits
	lastOfGroup        = 1 << 31
)

// A segmentHeader is what the log was when the segment began.
type segmentHeader struct {
	canvas, number uint64
	timeMS         int64
	heads          core.Heads
}

func (h *segmentHeader) append(dst []byte) []byte {
	dst = append(dst, segmentMagic...)
	dst = binary.LittleEndian.AppendUint64(dst, h.canvas)
	dst = binary.LittleEndian.AppendUint64(dst, h.number)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.timeMS))
	for _, seq := range h.heads {
		dst = binary.LittleEndian.AppendUint64(dst, seq)
	}
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst, core.Castagnoli))
}

func readSegmentHeader(f io.ReaderAt) (h segmentHeader, err error) {
	b := make([]byte, segmentHeaderBytes)
	if _, err := f.ReadAt(b, 0); err != nil {
		return h, fmt.Errorf("header: %w", err)
	}
	if string(b[:8]) != segmentMagic {
		if string(b[:7]) == segmentMagic[:7] {
			return h, core.NewError(core.CodeMismatch, fmt.Sprintf("segment format %d: written by a newer program", b[7]))
		}
		return h, errors.New("not a segment file")
	}
	if crc32.Checksum(b[:544], core.Castagnoli) != binary.LittleEndian.Uint32(b[544:]) {
		return h, errors.New("header: checksum does not match")
	}
	h.canvas = binary.LittleEndian.Uint64(b[8:])
	h.number = binary.LittleEndian.Uint64(b[16:])
	h.timeMS = int64(binary.LittleEndian.Uint64(b[24:]))
	for i := range h.heads {
		h.heads[i] = binary.LittleEndian.Uint64(b[32+8*i:])
	}
	return h, nil
}

// A groupWriter lays the frames of one group one behind the other.
type groupWriter struct {
	buf   []byte
	base  int64 // place in the file where buf will lie
	frame int   // where the open frame begins in buf, -1 without one
}

func (g *groupWriter) begin(base int64) { g.buf, g.base, g.frame = g.buf[:0], base, -1 }

// open begins a frame: the caller appends the record to g.buf.
func (g *groupWriter) open() {
	g.close(0)
	g.frame = len(g.buf)
	g.buf = append(g.buf, make([]byte, frameHeaderBytes)...)
}

// close ends the open frame, if there is one.
func (g *groupWriter) close(flag uint32) {
	if g.frame < 0 {
		return
	}
	b := g.buf[g.frame:]
	binary.LittleEndian.PutUint32(b, uint32(len(b)-frameHeaderBytes))
	binary.LittleEndian.PutUint32(b[8:], uint32(g.base)|flag)
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[8:], core.Castagnoli))
	g.frame = -1
}

// finish ends the group and returns its bytes, which are the writer's until begin.
func (g *groupWriter) finish() []byte {
	g.close(lastOfGroup)
	return g.buf
}

// A badFrame is the place where a segment stops making sense.
type badFrame struct {
	at     int64
	reason string
}

func (e *badFrame) Error() string { return fmt.Sprintf("at byte %d: %s", e.at, e.reason) }

// A frameReader reads the frames of a file from at up to limit.
type frameReader struct {
	file  io.ReaderAt
	at    int64 // where the next frame begins
	limit int64

	group int64 // where the group of the last frame begins
	last  bool  // that frame ended its group

	buf  []byte
	from int64 // place in the file of buf[0]
}

const readChunkBytes = 256 << 10

// window returns n bytes of the file at place at, or what there is of them
// before the limit.
func (r *frameReader) window(at int64, n int) ([]byte, error) {
	if lo := at - r.from; lo >= 0 && lo+int64(n) <= int64(len(r.buf)) {
		return r.buf[lo : lo+int64(n)], nil
	}
	want := int(min(int64(max(n, readChunkBytes)), r.limit-at))
	if cap(r.buf) < want {
		r.buf = make([]byte, want)
	}
	r.buf, r.from = r.buf[:want], at
	if k, err := r.file.ReadAt(r.buf, at); k < want {
		r.buf = r.buf[:max(k, 0)]
		if err != io.EOF {
			return nil, err
		}
	}
	return r.buf[:min(n, len(r.buf))], nil
}

// next returns the next record; io.EOF at the limit, a *badFrame where there is
// none although the limit is further away.
//
// Ownership: the record is the reader's memory and valid until the next call.
func (r *frameReader) next() ([]byte, error) {
	if r.at >= r.limit {
		return nil, io.EOF
	}
	head, err := r.window(r.at, frameHeaderBytes)
	if err != nil {
		return nil, err
	}
	if len(head) < frameHeaderBytes {
		return nil, &badFrame{r.at, "the file ends inside a frame's header"}
	}
	n := int(binary.LittleEndian.Uint32(head))
	sum := binary.LittleEndian.Uint32(head[4:])
	group := binary.LittleEndian.Uint32(head[8:])
	if n == 0 || n > frameBytesMax {
		return nil, &badFrame{r.at, fmt.Sprintf("a record of %d bytes", n)}
	}
	b, err := r.window(r.at, frameHeaderBytes+n)
	if err != nil {
		return nil, err
	}
	if len(b) < frameHeaderBytes+n {
		return nil, &badFrame{r.at, "the file ends inside a record"}
	}
	if crc32.Checksum(b[8:], core.Castagnoli) != sum {
		return nil, &badFrame{r.at, "checksum does not match"}
	}
	begin := int64(group &^ lastOfGroup)
	if begin > r.at || begin < segmentHeaderBytes {
		return nil, &badFrame{r.at, "the record was written for another place"}
	}
	r.group, r.last = begin, group&lastOfGroup != 0
	r.at += int64(len(b))
	return b[frameHeaderBytes:], nil
}

// laterGroup looks for a frame behind a bad one whose group began behind it
// too. There is one when the bad frame was durable once: then it is damage, and
// not a write that a crash cut short.
func laterGroup(file io.ReaderAt, bad, limit int64) (at int64, found bool, err error) {
	r := frameReader{file: file, limit: limit}
	for at = bad + 1; at+frameHeaderBytes < limit; at++ {
		b, err := r.window(at, frameHeaderBytes)
		if err != nil {
			return 0, false, err
		}
		if len(b) < frameHeaderBytes {
			break
		}
		n := int64(binary.LittleEndian.Uint32(b))
		group := int64(binary.LittleEndian.Uint32(b[8:]) &^ lastOfGroup)
		if n == 0 || n > frameBytesMax || at+frameHeaderBytes+n > limit || group <= bad || group > at {
			continue
		}
		probe := frameReader{file: file, at: at, limit: limit}
		if _, err := probe.next(); err == nil {
			return at, true, nil
		}
	}
	return 0, false, nil
}
