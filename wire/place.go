package wire

// A Place asks for one pixel.
//
//	size  field
//	1     type, 0x03
//	v     number: rises by one from 1 within an instance, 32 bits
//	v v   x, y
//	1     colour
type Place struct {
	Number uint32
	X, Y   uint16
	Color  uint8
}

// AppendTo appends p to dst.
func (p Place) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(TypePlace))
	dst = appendVarint(dst, uint64(p.Number))
	dst = appendVarint(dst, uint64(p.X))
	dst = appendVarint(dst, uint64(p.Y))
	return append(dst, p.Color)
}

// ParsePlace parses a place. The number is never 0.
func ParsePlace(msg []byte) (p Place, err error) {
	f := open(msg, TypePlace)
	p.Number = uint32(f.varint(1<<32-1, "number"))
	if p.Number == 0 {
		f.fail(OutOfRange, "number")
	}
	p.X = uint16(f.varint(0xffff, "x"))
	p.Y = uint16(f.varint(0xffff, "y"))
	p.Color = f.uint8("color")
	return p, f.err
}

// A Ping asks for a Pong with the same nonce.
//
//	size  field
//	1     type, 0x04
//	v     nonce
type Ping struct{ Nonce uint64 }

// AppendTo appends p to dst.
func (p Ping) AppendTo(dst []byte) []byte { return appendVarint(append(dst, byte(TypePing)), p.Nonce) }

// ParsePing parses a ping.
func ParsePing(msg []byte) (p Ping, err error) {
	f := open(msg, TypePing)
	p.Nonce = f.varint(VarintMax, "nonce")
	return p, f.err
}

// A Pong answers a Ping and tells the server's clock.
//
//	size  field
//	1     type, 0x49
//	v     nonce
//	v     server time, unix ms
type Pong struct {
	Nonce  uint64
	TimeMS uint64
}

// AppendTo appends p to dst.
func (p Pong) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(TypePong))
	return appendVarint(appendVarint(dst, p.Nonce), p.TimeMS)
}

// ParsePong parses a pong.
func ParsePong(msg []byte) (p Pong, err error) {
	f := open(msg, TypePong)
	p.Nonce = f.varint(VarintMax, "nonce")
	p.TimeMS = f.varint(VarintMax, "time")
	return p, f.err
}
