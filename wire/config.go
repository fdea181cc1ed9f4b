package wire

// A Config is what can change about a canvas while clients are connected. It is
// part of an Init, and a message of its own when it changes.
//
//	size  field
//	1     type, 0x46 (not within an init)
//	v     version of the configuration, rises by one
//	v v   width, height in pixels
//	1     bits a pixel of a packed canvas, 4 or 8
//	1     blank: the colour of a pixel that nobody painted
//	v     cooldown in ms, 0 = none
//	v     max: placements that a rested user may make at once
//	v     tick in ms: how often batches come
//	1     flags: bit 0 = read-only, nothing can be placed just now; others are for later versions
//	v     n, 2..256 colours
//	n ×   red (1), green (1), blue (1), name (v+n)
type Config struct {
	Version       uint32
	Width, Height uint16
	Bits, Blank   uint8
	CooldownMS    uint64
	BurstMax      uint32
	TickMS        uint32
	ReadOnly      bool
	later         uint8 // flags of later versions, kept as they came
	Colors        []Color
}

// A Color is one entry of the palette.
type Color struct {
	RGB  uint32 // 0xRRGGBB
	Name string
}

func (c *Config) appendFields(dst []byte) []byte {
	dst = appendVarint(dst, uint64(c.Version))
	dst = appendVarint(dst, uint64(c.Width))
	dst = appendVarint(dst, uint64(c.Height))
	dst = append(dst, c.Bits, c.Blank)
	dst = appendVarint(dst, c.CooldownMS)
	dst = appendVarint(dst, uint64(c.BurstMax))
	dst = appendVarint(dst, uint64(c.TickMS))
	flags := c.later
	if c.ReadOnly {
		flags |= 1
	}
	dst = appendVarint(append(dst, flags), uint64(len(c.Colors)))
	for _, k := range c.Colors {
		dst = appendText(append(dst, byte(k.RGB>>16), byte(k.RGB>>8), byte(k.RGB)), k.Name)
	}
	return dst
}

func (f *fields) config() (c Config) {
	c.Version = uint32(f.varint(1<<32-1, "config version"))
	c.Width = uint16(f.varint(4096, "width"))
	c.Height = uint16(f.varint(4096, "height"))
	c.Bits = f.uint8("bits")
	c.Blank = f.uint8("blank")
	c.CooldownMS = f.varint(VarintMax, "cooldown")
	c.BurstMax = uint32(f.varint(1<<32-1, "max"))
	c.TickMS = uint32(f.varint(1<<32-1, "tick"))
	flags := f.uint8("flags")
	c.ReadOnly, c.later = flags&1 == 1, flags&^1
	if f.err == nil && (c.Bits != 4 && c.Bits != 8 || c.Width == 0 || c.Height == 0) {
		f.fail(OutOfRange, "size or bits")
	}
	n := f.count(256, 4, "colors")
	if f.err == nil && n < 2 {
		f.fail(OutOfRange, "colors")
		n = 0
	}
	c.Colors = make([]Color, n)
	for i := range c.Colors {
		rgb := f.take(3, "color")
		if rgb == nil {
			break
		}
		c.Colors[i] = Color{RGB: uint32(rgb[0])<<16 | uint32(rgb[1])<<8 | uint32(rgb[2]), Name: f.text(TextBytesMax, "color name")}
	}
	return c
}

// AppendTo appends c to dst as a message of its own.
func (c Config) AppendTo(dst []byte) []byte { return c.appendFields(append(dst, byte(TypeConfig))) }

// ParseConfig parses a config message.
func ParseConfig(msg []byte) (Config, error) {
	f := open(msg, TypeConfig)
	c := f.config()
	return c, f.err
}
