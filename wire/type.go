package wire

import "fmt"

// Version is the protocol version that this package speaks, and Subprotocol the
// WebSocket subprotocol that names it.
const (
	Version     = 1
	Subprotocol = "pixelwall.v1"
)

// A Type is the first byte of a message. Client messages are below 0x40. From
// 0x80 on the byte is a Batch: 0x80, two bits of Coding, five bits of parameter.
type Type uint8

const (
	TypeHello Type = 0x01
	TypeWatch Type = 0x02
	TypePlace Type = 0x03
	TypePing  Type = 0x04

	TypeInit      Type = 0x41
	TypePlaced    Type = 0x42
	TypeError     Type = 0x43
	TypeResync    Type = 0x44
	TypeCheck     Type = 0x45
	TypeConfig    Type = 0x46
	TypePresence  Type = 0x47
	TypeBye       Type = 0x48
	TypePong      Type = 0x49
	TypeCatchUp   Type = 0x4a
	TypeAllowance Type = 0x4b

	TypeBatch Type = 0x80
)

var typeNames = map[Type]string{
	TypeHello: "hello", TypeWatch: "watch", TypePlace: "place", TypePing: "ping",
	TypeInit: "init", TypePlaced: "placed", TypeError: "error", TypeResync: "resync", TypeCheck: "check",
	TypeConfig: "config", TypePresence: "presence", TypeBye: "bye", TypePong: "pong", TypeCatchUp: "catchup",
	TypeAllowance: "allowance", TypeBatch: "batch",
}

// String returns the name of t in PROTOCOL.md.
func (t Type) String() string {
	if s, ok := typeNames[t]; ok {
		return s
	}
	return fmt.Sprintf("type 0x%02x", uint8(t))
}

// TypeOf returns the type of msg, TypeBatch for every kind of batch, and 0 for an
// empty message.
func TypeOf(msg []byte) Type {
	if len(msg) == 0 {
		return 0
	}
	if t := Type(msg[0]); t < TypeBatch {
		return t
	}
	return TypeBatch
}

const (
	// ShardsMax is the largest number of shards of a canvas; shard ids lie below it.
	ShardsMax = 64
	// TextBytesMax bounds every text in a server message but the token.
	TextBytesMax = 512
	// ClientMessageBytesMax is the longest message that a server accepts.
	ClientMessageBytesMax = 1024
	// ServerMessageBytesMax is the longest message that a client must accept.
	ServerMessageBytesMax = 1 << 20
)

// AppendFrameHeader appends the WebSocket header (RFC 6455, section 5.2) of an
// unmasked binary message of n bytes: 2 bytes up to 125, 4 up to 65 535, 10 above.
func AppendFrameHeader(dst []byte, n int) []byte {
	switch {
	case n <= 125:
		return append(dst, 0x82, byte(n))
	case n <= 0xffff:
		return append(dst, 0x82, 126, byte(n>>8), byte(n))
	default:
		return append(dst, 0x82, 127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
}

// A message can append itself.
type message interface{ AppendTo(dst []byte) []byte }

// AppendFrame appends m as one WebSocket binary message, header included.
func AppendFrame(dst []byte, m message) []byte {
	const room = 10
	at := len(dst)
	dst = append(dst, make([]byte, room)...)
	dst = m.AppendTo(dst)
	n := len(dst) - at - room
	head := AppendFrameHeader(dst[:at], n)
	copy(dst[len(head):], dst[at+room:])
	return dst[:len(head)+n]
}
