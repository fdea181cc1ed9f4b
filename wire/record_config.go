package wire

import (
	"encoding/binary"
	"unicode/utf8"
)

// A RecordConfig is a canvas' configuration as a record keeps it. Unlike the
// Config of a message it holds nothing that belongs to one server.
//
//	offset  size  field
//	0       4     version
//	4       2     width
//	6       2     height
//	8       1     bits a pixel
//	9       1     blank colour
//	10      8     cooldown in ms, at most 2^53-1
//	18      2     burst
//	20      2     n, at most 256
//	22            n × red (1), green (1), blue (1), length of the name (1), name
type RecordConfig struct {
	Version       uint32
	Width, Height uint16
	Bits, Blank   uint8
	CooldownMS    int64
	BurstMax      uint16
	Colors        []Color
}

// AppendTo appends c to dst, like append. A name is at most 255 bytes of UTF-8.
func (c *RecordConfig) AppendTo(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, c.Version)
	dst = binary.LittleEndian.AppendUint16(dst, c.Width)
	dst = binary.LittleEndian.AppendUint16(dst, c.Height)
	dst = append(dst, c.Bits, c.Blank)
	dst = appendUint64(dst, uint64(c.CooldownMS))
	dst = binary.LittleEndian.AppendUint16(dst, c.BurstMax)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(c.Colors)))
	for _, k := range c.Colors {
		dst = append(dst, byte(k.RGB>>16), byte(k.RGB>>8), byte(k.RGB), byte(len(k.Name)))
		dst = append(dst, k.Name...)
	}
	return dst
}

// ParseRecordConfig parses the configuration b of a record.
//
// Ownership: the result shares no memory with b.
func ParseRecordConfig(b []byte) (c RecordConfig, err error) {
	f := fields{rest: b}
	c, n := f.recordConfig()
	if f.err == nil {
		c.Colors = make([]Color, n)
	}
	for i := range c.Colors {
		rgb, name := f.recordColor()
		if f.err != nil {
			break
		}
		c.Colors[i] = Color{RGB: uint32(rgb[0])<<16 | uint32(rgb[1])<<8 | uint32(rgb[2]), Name: string(name)}
	}
	if f.err == nil && len(f.rest) > 0 {
		f.fail(OutOfRange, "bytes after the configuration")
	}
	if f.err != nil {
		return RecordConfig{}, f.err
	}
	return c, nil
}

// checkRecordConfig tells outer what ParseRecordConfig would say of b, without
// building it.
func checkRecordConfig(outer *fields, b []byte) {
	f := fields{rest: b}
	_, n := f.recordConfig()
	for range n {
		f.recordColor()
	}
	if f.err == nil && len(f.rest) > 0 {
		f.fail(OutOfRange, "bytes after the configuration")
	}
	if outer.err == nil && f.err != nil {
		outer.err, outer.rest = f.err, nil
	}
}

// recordConfig reads all but the colours and returns their number, of which as
// many as it says can be in what is left.
func (f *fields) recordConfig() (c RecordConfig, n int) {
	b := f.take(22, "configuration")
	if b == nil {
		return c, 0
	}
	c.Version = binary.LittleEndian.Uint32(b)
	c.Width = binary.LittleEndian.Uint16(b[4:])
	c.Height = binary.LittleEndian.Uint16(b[6:])
	c.Bits, c.Blank = b[8], b[9]
	c.CooldownMS = int64(binary.LittleEndian.Uint64(b[10:]))
	c.BurstMax = binary.LittleEndian.Uint16(b[18:])
	n = int(binary.LittleEndian.Uint16(b[20:]))
	switch {
	case n > 256:
		f.fail(OutOfRange, "number of colours")
	case uint64(c.CooldownMS) > VarintMax:
		f.fail(OutOfRange, "cooldown")
	case n*4 > len(f.rest):
		f.fail(Truncated, "colours")
	}
	if f.err != nil {
		return c, 0
	}
	return c, n
}

func (f *fields) recordColor() (rgb, name []byte) {
	rgb = f.take(3, "colour")
	name = f.take(int(f.uint8("length of a colour's name")), "name of a colour")
	if !utf8.Valid(name) {
		f.fail(BadUTF8, "name of a colour")
	}
	return rgb, name
}
