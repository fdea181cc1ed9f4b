package wire

import (
	"encoding/binary"
	"unicode/utf8"
)

// VarintMax is the largest value of a varint, 2^53-1: what a JavaScript number
// holds exactly. Seqs and times stay below it.
const VarintMax = 1<<53 - 1

// appendVarint appends v in groups of seven bits, lowest first, the high bit set
// on all but the last: unsigned LEB128.
func appendVarint(dst []byte, v uint64) []byte { return binary.AppendUvarint(dst, v) }

func appendUint64(dst []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(dst, v) }

func appendText(dst []byte, s string) []byte { return append(appendVarint(dst, uint64(len(s))), s...) }

// fields reads one message from its front. The first fault sticks, and every
// later read gives zero.
type fields struct {
	rest []byte
	err  error
}

// open begins to read msg, whose first byte must be want.
func open(msg []byte, want Type) fields {
	f := fields{rest: msg}
	if t := Type(f.uint8("type")); f.err == nil && t != want {
		f.fail(BadType, want.String())
	}
	return f
}

func (f *fields) fail(c ErrorCode, field string) {
	if f.err == nil {
		f.err = &Error{Code: c, Msg: field}
		f.rest = nil
	}
}

// take returns the next n bytes, which alias the message.
func (f *fields) take(n int, field string) []byte {
	if n > len(f.rest) {
		f.fail(Truncated, field)
		return nil
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}

func (f *fields) uint8(field string) uint8 {
	if b := f.take(1, field); b != nil {
		return b[0]
	}
	return 0
}

func (f *fields) uint32(field string) uint32 {
	if b := f.take(4, field); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (f *fields) uint64(field string) uint64 {
	if b := f.take(8, field); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// varint reads a varint of at most limit in its shortest form.
func (f *fields) varint(limit uint64, field string) uint64 {
	v, n := uint64(0), 0
	for {
		if n == len(f.rest) {
			f.fail(Truncated, field)
			return 0
		}
		b := f.rest[n]
		v |= uint64(b&0x7f) << (7 * n)
		n++
		if b < 0x80 {
			if b == 0 && n > 1 || v > VarintMax {
				f.fail(BadVarint, field)
				return 0
			}
			break
		}
		if n == 8 {
			f.fail(BadVarint, field)
			return 0
		}
	}
	if v > limit {
		f.fail(OutOfRange, field)
		return 0
	}
	f.rest = f.rest[n:]
	return v
}

// count reads the length of a list whose items take at least itemBytes each, so
// that nothing is allocated for items that are not there.
func (f *fields) count(limit, itemBytes int, field string) int {
	n := int(f.varint(uint64(limit), field))
	if n*itemBytes > len(f.rest) {
		f.fail(Truncated, field)
		return 0
	}
	return n
}

func (f *fields) text(limit int, field string) string {
	b := f.take(int(f.varint(uint64(limit), field)), field)
	if !utf8.Valid(b) {
		f.fail(BadUTF8, field)
		return ""
	}
	return string(b)
}

func (f *fields) shard() uint8 {
	s := f.uint8("shard")
	if s >= ShardsMax {
		f.fail(OutOfRange, "shard")
		return 0
	}
	return s
}
