package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"

	"pixelwall/core"
)

// The floors file is what requests knows beyond its window, so that a Request
// from long before a restart is still expired and not stored twice. What lies in
// the window, and what has left it since, is in the log. Numbers are little endian.
//
//	size  field
//	8     magic "PWREQS\x00\x01"
//	8     canvas id
//	8     unix ms: what was stored a window before that has left it
//	20 n  instance (8), floor (4), time of the page's last placement (8)
//	4     CRC-32C of all before
const (
	floorsMagic = "PWREQS\x00\x01"
	floorsName  = "requests"
	floorBytes  = 20
	// floorsEveryMS is how often the file is written at most.
	floorsEveryMS = 60 * 1000
)

// appendFloors appends the whole file.
func (q *requests) appendFloors(dst []byte, canvas uint64) []byte {
	start, le := len(dst), binary.LittleEndian
	dst = le.AppendUint64(append(dst, floorsMagic...), canvas)
	dst = le.AppendUint64(dst, uint64(q.expiredMS))
	for i := range q.pages {
		if p := &q.pages[i]; p.used && p.hasFloor {
			dst = le.AppendUint32(le.AppendUint64(dst, p.instance), p.floor)
			dst = le.AppendUint64(dst, uint64(p.lastMS))
		}
	}
	return le.AppendUint32(dst, crc32.Checksum(dst[start:], core.Castagnoli))
}

// restoreFloors takes in what appendFloors wrote.
func (q *requests) restoreFloors(b []byte, canvas uint64) error {
	le := binary.LittleEndian
	const head = len(floorsMagic) + 16
	if len(b) < head+4 || (len(b)-head-4)%floorBytes != 0 || string(b[:8]) != floorsMagic || le.Uint64(b[8:]) != canvas {
		return errors.New("not the floors of this canvas")
	}
	b, sum := b[:len(b)-4], le.Uint32(b[len(b)-4:])
	if crc32.Checksum(b, core.Castagnoli) != sum {
		return errors.New("checksum does not match")
	}
	q.expiredMS = int64(le.Uint64(b[16:]))
	for rest := b[head:]; len(rest) > 0; rest = rest[floorBytes:] {
		p := &q.pages[q.slot(le.Uint64(rest))]
		p.floor, p.hasFloor, p.highest, p.lastMS = le.Uint32(rest[8:]), true, le.Uint32(rest[8:]), int64(le.Uint64(rest[12:]))
	}
	return nil
}

// loadFloors restores the file in dir. Without one, or with a bad one, only what
// the log is read for is known.
func (q *requests) loadFloors(fsys FS, dir string, canvas uint64) error {
	name := filepath.Join(dir, floorsName)
	b, err := readFile(fsys, name, 1<<30)
	if err == nil && b != nil {
		err = q.restoreFloors(b, canvas)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
