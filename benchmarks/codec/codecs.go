package main

import (
	"errors"
	"math"

	"pixelwall/tools/trace"
	"pixelwall/wire"
)

// A codec is a way to send a batch.
type codec struct {
	name       string
	side       int  // of the squares that the canvas is cut into
	sendsEmpty bool // also a batch of no-ops is a message

	fits   func(*trace.Trace) bool
	encode func(dst []byte, b batch) []byte
	decode func(dst []wire.Pixel, message []byte, b batch) ([]wire.Pixel, error)
}

const (
	whole     = math.MaxUint16 + 1 // one square for every canvas that a trace can have
	shardSide = 512
)

func everyTrace(*trace.Trace) bool { return true }

// codecs are ours first, then what others send.
func codecs() []codec {
	var e wire.Encoder
	var d wire.Decoder
	appendRice := func(dst []byte, b batch) ([]byte, uint8) { return e.AppendRice(dst, b.canvas, b.px) }
	appendRange := func(dst []byte, b batch) ([]byte, uint8) { return e.AppendRange(dst, b.canvas, b.px) }
	list := []codec{
		batchCodec("rice", wire.CodingRice, appendRice, &d),
		batchCodec("range", wire.CodingRange, appendRange, &d),
		{"frames", shardSide, true, everyTrace, framesEncoder(&e), framesDecoder(&d)},
	}
	return append(list, peerCodecs()...)
}

// batchCodec is one coding for the whole canvas: a byte with coding and
// parameter, and the payload.
func batchCodec(name string, coding wire.Coding, appendTo func([]byte, batch) ([]byte, uint8), d *wire.Decoder) codec {
	return codec{name, whole, false, everyTrace,
		func(dst []byte, b batch) []byte {
			start := len(dst)
			dst, param := appendTo(append(dst, 0), b)
			dst[start] = wire.AppendBatchHeader(nil, wire.Batch{Coding: coding, Param: param})[0]
			return dst
		},
		func(dst []wire.Pixel, message []byte, b batch) ([]wire.Pixel, error) {
			return d.Decode(dst, coding, message[0]&wire.MaxParam, message[1:], b.canvas)
		},
	}
}

// framesEncoder writes what goes out: the smaller coding, the batch's header
// and that of the WebSocket.
func framesEncoder(e *wire.Encoder) func(dst []byte, b batch) []byte {
	var payload, head []byte
	return func(dst []byte, b batch) []byte {
		m := wire.Batch{Shard: b.shard, Advance: b.advance, TimeAdv: b.tenths}
		payload, m.Coding, m.Param = e.Append(payload[:0], b.canvas, b.px, wire.AllCodings)
		head = wire.AppendBatchHeader(head[:0], m)
		dst = appendWebSocketHeader(dst, len(head)+len(payload))
		return append(append(dst, head...), payload...)
	}
}

func framesDecoder(d *wire.Decoder) func(dst []wire.Pixel, message []byte, b batch) ([]wire.Pixel, error) {
	return func(dst []wire.Pixel, message []byte, b batch) ([]wire.Pixel, error) {
		m, err := wire.ParseBatch(message[webSocketHeaderBytes(message):])
		if err != nil {
			return dst, err
		}
		if m.Shard != b.shard || m.Advance != b.advance || m.TimeAdv != b.tenths {
			return dst, errors.New("another header came back")
		}
		return d.Decode(dst, m.Coding, m.Param, m.Payload, b.canvas)
	}
}

// appendWebSocketHeader appends the header of an unmasked binary message of n
// bytes (RFC 6455, section 5.2).
func appendWebSocketHeader(dst []byte, n int) []byte {
	switch {
	case n <= 125:
		return append(dst, 0x82, byte(n))
	case n <= math.MaxUint16:
		return append(dst, 0x82, 126, byte(n>>8), byte(n))
	}
	return append(dst, 0x82, 127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

func webSocketHeaderBytes(frame []byte) int {
	switch frame[1] {
	case 126:
		return 4
	case 127:
		return 10
	}
	return 2
}
