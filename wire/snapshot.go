package wire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

const (
	// ShardSnapshotVersion is the version of the shard snapshot that this package writes.
	ShardSnapshotVersion = 1
	// ShardSnapshotHeaderBytes is the length of what every shard snapshot begins with.
	ShardSnapshotHeaderBytes = 47
)

// A ShardSnapshot is one shard as it was before the event with seq Next: what a
// fold of the log can begin from. Numbers are little endian.
//
//	 0   1         9  10     14     22    30    38  39     41      43   47
//	┌───┬─────────┬──┬──────┬──────┬─────┬─────┬───┬──────┬───────┬────┬──────── … ┐
//	│ 1 │ canvas  │ s│ epoch│ relay│ next│ time│ b │ width│ height│ CRC│ pixels     │
//	└───┴─────────┴──┴──────┴──────┴─────┴─────┴───┴──────┴───────┴────┴──────── … ┘
//	              └ who wrote the log before next ┘└── area ─────┘
//
//	offset  size  field
//	0       1     version, 1
//	1       8     canvas id, not 0
//	9       1     shard, 0..63
//	10      4     epoch
//	14      8     relay
//	22      8     next seq, 1..2^53-1; every event below it is in the pixels
//	30      8     time of the shard's last event, unix ms, at most 2^53-1
//	38      1     bits a pixel, 4 or 8
//	39      2     width of the shard's valid area, 1..512
//	41      2     height of the shard's valid area, 1..512
//	43      4     CRC-32C of the pixels
//	47            pixels, (width*height*bits+7)/8 bytes
//
// The pixels are the valid area, as in a CanvasFile: row after row without
// padding between them, the first pixel in the high bits, an odd last nibble
// followed by a zero one. There is one CRC of a shard in Pixelwall:
//
//	what               over what                                      where
//	CRC-32C of a       the packed valid area, rows without padding:   this header, the check message,
//	shard              (width*height*bits+7)/8 bytes                  core's Board.Checksum, the auditor
type ShardSnapshot struct {
	Canvas        uint64
	Shard         uint8
	Epoch         uint32
	Relay         uint64
	Next          uint64
	TimeMS        int64
	Bits          uint8
	Width, Height uint16 // of the valid area
	CRC           uint32 // of Packed; AppendTo works it out
	Packed        []byte
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendTo appends s to dst, like append. It is the inverse of ParseShardSnapshot.
func (s *ShardSnapshot) AppendTo(dst []byte) []byte {
	le := binary.LittleEndian
	dst = append(appendUint64(append(dst, ShardSnapshotVersion), s.Canvas), s.Shard)
	dst = appendUint64(le.AppendUint32(dst, s.Epoch), s.Relay)
	dst = append(appendUint64(appendUint64(dst, s.Next), uint64(s.TimeMS)), s.Bits)
	dst = le.AppendUint16(le.AppendUint16(dst, s.Width), s.Height)
	return append(le.AppendUint32(dst, crc32.Checksum(s.Packed, castagnoli)), s.Packed...)
}

// ParseShardSnapshot parses the single shard snapshot b. One of a newer version
// is BadVersion, one whose pixels were damaged is BadChecksum.
//
// Ownership: s.Packed aliases b, which ParseShardSnapshot neither writes to nor
// copies. It allocates for an error only.
func ParseShardSnapshot(b []byte) (s ShardSnapshot, err error) {
	f := fields{rest: b}
	if v := f.uint8("version"); f.err == nil && v != ShardSnapshotVersion {
		return ShardSnapshot{}, &Error{Code: BadVersion, Msg: fmt.Sprintf("shard snapshot of version %d, written by a newer program; this one knows version %d", v, ShardSnapshotVersion)}
	}
	s.Canvas = f.uint64("canvas")
	s.Shard = f.shard()
	s.Epoch = f.uint32("epoch")
	s.Relay = f.uint64("relay")
	s.Next = f.uint64("next seq")
	s.TimeMS = int64(f.uint64("time"))
	s.Bits = f.uint8("bits")
	area := f.uint32("area")
	s.Width, s.Height = uint16(area), uint16(area>>16)
	s.CRC = f.uint32("crc")
	if f.err == nil {
		s.check(&f)
	}
	s.Packed = f.take((int(s.Width)*int(s.Height)*int(s.Bits)+7)/8, "pixels")
	if f.err == nil {
		s.checkPacked(&f)
	}
	if f.err != nil {
		return ShardSnapshot{}, f.err
	}
	return s, nil
}

func (s *ShardSnapshot) check(f *fields) {
	switch {
	case s.Canvas == 0:
		f.fail(OutOfRange, "canvas")
	case s.Next == 0 || s.Next > VarintMax:
		f.fail(OutOfRange, "next seq")
	case uint64(s.TimeMS) > VarintMax:
		f.fail(OutOfRange, "time")
	case s.Bits != 4 && s.Bits != 8:
		f.fail(OutOfRange, "bits")
	case s.Width < 1 || s.Width > 512 || s.Height < 1 || s.Height > 512:
		f.fail(OutOfRange, "area")
	}
}

func (s *ShardSnapshot) checkPacked(f *fields) {
	switch {
	case len(f.rest) > 0:
		f.fail(OutOfRange, "bytes after the pixels")
	case crc32.Checksum(s.Packed, castagnoli) != s.CRC:
		f.fail(BadChecksum, "pixels")
	case int(s.Width)*int(s.Height)*int(s.Bits)%8 != 0 && s.Packed[len(s.Packed)-1]&0x0f != 0:
		f.fail(BadPadding, "the last nibble belongs to no pixel and is not zero")
	}
}
