package wire

// A Canvas is the coder's view of one shard's packed colours. Bits is 4 or 8.
// The pixel (x, y) of the valid area Width × Height lies at position
// p = y*Stride + x. With 4 bits it is the high half of Pix[p/2] where p is
// even and the low half where p is odd (as Redis BITFIELD u4 #p has it), with
// 8 bits it is Pix[p]. Pix must hold every position of the valid area.
//
// Ownership: the coder only reads Pix, and only during a call.
type Canvas struct {
	Pix                   []byte
	Width, Height, Stride int
	Bits                  uint8
}

// Area is the number of pixels of the valid area.
func (c *Canvas) Area() int { return c.Width * c.Height }

// At returns the colour at position p = y*Stride + x.
func (c *Canvas) At(p int) uint8 {
	if c.Bits == 8 {
		return c.Pix[p]
	}
	return c.Pix[p>>1] >> (4 &^ (p << 2)) & 15
}

// Set writes the colour at position p = y*Stride + x. The coder never does:
// this is for those who apply a batch.
func (c *Canvas) Set(p int, color uint8) {
	if c.Bits == 8 {
		c.Pix[p] = color
		return
	}
	shift := 4 &^ (p << 2)
	c.Pix[p>>1] = c.Pix[p>>1]&^(15<<shift) | color&15<<shift
}

// Apply writes px to the canvas, as a client does after it decoded a batch.
func (c *Canvas) Apply(px []Pixel) {
	for _, p := range px {
		y := int(p.Index) / c.Width
		c.Set(y*c.Stride+int(p.Index)-y*c.Width, p.Color)
	}
}
