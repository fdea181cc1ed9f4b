package wire

// A Hello opens a conversation: who the client is and what it understands.
//
//	size  field
//	1     type, 0x01
//	v     protocol version
//	8     instance: random, made when the page (or bot) starts, kept over reconnects
//	v     capabilities, a set of bits
//	v+n   token: length, bytes; the length may be 0 for a client that only watches
type Hello struct {
	Version      uint32
	Instance     uint64
	Capabilities Capabilities
	Token        string
}

// Capabilities is what a client understands beyond the least.
type Capabilities uint64

// CanRange says that the client decodes the range coder's batches.
const CanRange Capabilities = 1 << 0

// TokenBytesMax bounds a token.
const TokenBytesMax = 512

// AppendTo appends h to dst.
func (h Hello) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(TypeHello))
	dst = appendVarint(dst, uint64(h.Version))
	dst = appendUint64(dst, h.Instance)
	if h.Version != Version {
		return dst
	}
	dst = appendVarint(dst, uint64(h.Capabilities))
	return appendText(dst, h.Token)
}

// ParseHello parses a hello. It copies the token. Of another protocol version it
// reads the version and the instance only, which are first in all of them.
func ParseHello(msg []byte) (h Hello, err error) {
	f := open(msg, TypeHello)
	h.Version = uint32(f.varint(1<<32-1, "version"))
	h.Instance = f.uint64("instance")
	if f.err == nil && h.Version != Version {
		return h, nil
	}
	h.Capabilities = Capabilities(f.varint(VarintMax, "capabilities"))
	h.Token = f.text(TokenBytesMax, "token")
	return h, f.err
}
