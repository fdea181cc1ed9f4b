package wire

import "encoding/binary"

// A CanvasFile is what GET /api/v1/canvas answers: some shards of a canvas as
// they were at their seq. All integers are little-endian.
//
//	offset  size  field
//	0       4     "PWC1"
//	4       8     canvas: random id
//	12      2 2   width, height of the whole canvas in pixels
//	16      1     bits a pixel, 4 or 8
//	17      1     n, 1..64 shards
//	18      n ×   shard (1), seq (8), time of its last event in unix ms (8); shards rise
//	...           n packed shards in the same order
//
// A packed shard is its valid area: the w columns and h rows that the canvas
// fills, row after row without padding; with 4 bits two pixels a byte, the first
// in the high nibble, an odd last one followed by a zero nibble. Its length is
// (w*h*bits+7)/8.
type CanvasFile struct {
	Canvas        uint64
	Width, Height uint16
	Bits          uint8
	Shards        []CanvasShard
}

// A CanvasShard is one shard of a CanvasFile.
type CanvasShard struct {
	Shard  uint8
	Seq    uint64
	TimeMS uint64
	Packed []byte
}

const canvasMagic = "PWC1"

// ShardArea returns how many columns and rows of shard s a canvas of width ×
// height pixels fills. s is the Morton code of the shard's column and row.
func ShardArea(width, height int, s uint8) (w, h int) {
	col, row := int(s&1|s>>1&2|s>>2&4), int(s>>1&1|s>>2&2|s>>3&4)
	w, h = min(512, width-col*512), min(512, height-row*512)
	if w <= 0 || h <= 0 {
		return 0, 0
	}
	return w, h
}

// AppendTo appends c to dst.
func (c *CanvasFile) AppendTo(dst []byte) []byte {
	dst = appendUint64(append(dst, canvasMagic...), c.Canvas)
	dst = binary.LittleEndian.AppendUint16(dst, c.Width)
	dst = binary.LittleEndian.AppendUint16(dst, c.Height)
	dst = append(dst, c.Bits, byte(len(c.Shards)))
	for _, s := range c.Shards {
		dst = appendUint64(appendUint64(append(dst, s.Shard), s.Seq), s.TimeMS)
	}
	for _, s := range c.Shards {
		dst = append(dst, s.Packed...)
	}
	return dst
}

// ParseCanvasFile parses a whole canvas file; nothing may follow it. The packed
// shards alias data.
func ParseCanvasFile(data []byte) (c CanvasFile, err error) {
	f := fields{rest: data}
	if magic := f.take(4, "magic"); f.err == nil && string(magic) != canvasMagic {
		f.fail(BadType, "canvas file")
	}
	c.Canvas = f.uint64("canvas")
	size := f.uint32("size")
	c.Width, c.Height = uint16(size), uint16(size>>16)
	c.Bits = f.uint8("bits")
	n := int(f.uint8("shards"))
	if f.err == nil && (c.Width < 1 || c.Width > 4096 || c.Height < 1 || c.Height > 4096 || c.Bits != 4 && c.Bits != 8 || n < 1 || n > ShardsMax) {
		f.fail(OutOfRange, "size, bits or shards")
	}
	for range n {
		s := CanvasShard{Shard: f.shard(), Seq: f.uint64("seq"), TimeMS: f.uint64("time")}
		if f.err != nil {
			break
		}
		if len(c.Shards) > 0 && s.Shard <= c.Shards[len(c.Shards)-1].Shard {
			f.fail(BadOrder, "shards")
		}
		c.Shards = append(c.Shards, s)
	}
	for i := range c.Shards {
		w, h := ShardArea(int(c.Width), int(c.Height), c.Shards[i].Shard)
		if w == 0 && f.err == nil {
			f.fail(OutOfRange, "shard")
		}
		packed := f.take((w*h*int(c.Bits)+7)/8, "packed shard")
		if f.err == nil && w*h*int(c.Bits)%8 != 0 && packed[len(packed)-1]&0x0f != 0 {
			f.fail(BadPadding, "packed shard")
		}
		c.Shards[i].Packed = packed
	}
	if f.err == nil && len(f.rest) > 0 {
		f.fail(OutOfRange, "bytes after the last shard")
	}
	return c, f.err
}
