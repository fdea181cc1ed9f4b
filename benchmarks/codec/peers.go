package main

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"pixelwall/tools/trace"
	"pixelwall/wire"
)

var errFormat = errors.New("not what was encoded")

// peerCodecs are the ways that other servers send a batch, as yardsticks.
func peerCodecs() []codec {
	small := func(t *trace.Trace) bool { return t.Width*t.Height <= 1<<20 && t.Colors <= 16 }
	json := codec{"json", whole, false, everyTrace, encodeJSON, decodeJSON}
	delta := codec{"varint", whole, false, everyTrace, encodeVarint, decodeVarint}
	return []codec{
		json,
		deflated("json+deflate", json),
		{"fixed4", whole, false, everyTrace, encodeFixed4, decodeFixed4},
		{"fixed3", whole, false, small, encodeFixed3, decodeFixed3},
		delta,
		deflated("varint+deflate", delta),
	}
}

func encodeJSON(dst []byte, b batch) []byte {
	dst = append(dst, '[')
	for i, p := range b.px {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(append(dst, `{"x":`...), int64(int(p.Index)%b.canvas.Width), 10)
		dst = strconv.AppendInt(append(dst, `,"y":`...), int64(int(p.Index)/b.canvas.Width), 10)
		dst = append(strconv.AppendInt(append(dst, `,"color":`...), int64(p.Color), 10), '}')
	}
	return append(dst, ']')
}

func decodeJSON(dst []wire.Pixel, message []byte, b batch) ([]wire.Pixel, error) {
	var list []struct {
		X, Y  int
		Color uint8
	}
	if err := json.Unmarshal(message, &list); err != nil {
		return dst, err
	}
	for _, p := range list {
		dst = append(dst, wire.Pixel{Index: uint32(p.Y*b.canvas.Width + p.X), Color: p.Color})
	}
	return dst, nil
}

// Four bytes: 24 bits of position, 8 of colour.
func encodeFixed4(dst []byte, b batch) []byte {
	for _, p := range b.px {
		dst = binary.BigEndian.AppendUint32(dst, p.Index<<8|uint32(p.Color))
	}
	return dst
}

func decodeFixed4(dst []wire.Pixel, message []byte, _ batch) ([]wire.Pixel, error) {
	for ; len(message) >= 4; message = message[4:] {
		v := binary.BigEndian.Uint32(message)
		dst = append(dst, wire.Pixel{Index: v >> 8, Color: uint8(v)})
	}
	return dst, nil
}

// Three bytes: 20 bits of position, 4 of colour.
func encodeFixed3(dst []byte, b batch) []byte {
	for _, p := range b.px {
		v := p.Index<<4 | uint32(p.Color)
		dst = append(dst, byte(v>>16), byte(v>>8), byte(v))
	}
	return dst
}

func decodeFixed3(dst []wire.Pixel, message []byte, _ batch) ([]wire.Pixel, error) {
	for ; len(message) >= 3; message = message[3:] {
		v := uint32(message[0])<<16 | uint32(message[1])<<8 | uint32(message[2])
		dst = append(dst, wire.Pixel{Index: v >> 4, Color: uint8(v & 15)})
	}
	return dst, nil
}

// The count, the gaps between the positions as varints, then the colours,
// packed like the canvas.
func encodeVarint(dst []byte, b batch) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b.px)))
	next := uint32(0)
	for _, p := range b.px {
		dst = binary.AppendUvarint(dst, uint64(p.Index-next))
		next = p.Index + 1
	}
	if b.canvas.Bits == 8 {
		for _, p := range b.px {
			dst = append(dst, p.Color)
		}
		return dst
	}
	for i, p := range b.px {
		if i%2 == 0 {
			dst = append(dst, p.Color<<4)
		} else {
			dst[len(dst)-1] |= p.Color
		}
	}
	return dst
}

func decodeVarint(dst []wire.Pixel, message []byte, b batch) ([]wire.Pixel, error) {
	n, size := binary.Uvarint(message)
	if size <= 0 || n > uint64(b.canvas.Area()) {
		return dst, errFormat
	}
	first, next := len(dst), uint32(0)
	for range n {
		message = message[size:]
		var gap uint64
		if gap, size = binary.Uvarint(message); size <= 0 {
			return dst, errFormat
		}
		dst = append(dst, wire.Pixel{Index: next + uint32(gap)})
		next += uint32(gap) + 1
	}
	message = message[size:]
	for i := range dst[first:] {
		at, shift := i, 0
		if b.canvas.Bits == 4 {
			at, shift = i/2, 4-i%2*4
		}
		if at >= len(message) {
			return dst, errFormat
		}
		dst[first+i].Color = message[at] >> shift & (1<<b.canvas.Bits - 1)
	}
	return dst, nil
}

// deflated is inner with every message deflated on its own, at level 6.
func deflated(name string, inner codec) codec {
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, 6)
	if err != nil {
		panic(err) // the level is one that flate has
	}
	r := flate.NewReader(nil)
	var plain []byte
	c := inner
	c.name = name
	c.encode = func(dst []byte, b batch) []byte {
		plain = inner.encode(plain[:0], b)
		packed.Reset()
		w.Reset(&packed)
		w.Write(plain) // a bytes.Buffer takes everything
		w.Close()
		return append(dst, packed.Bytes()...)
	}
	c.decode = func(dst []wire.Pixel, message []byte, b batch) ([]wire.Pixel, error) {
		if err := r.(flate.Resetter).Reset(bytes.NewReader(message), nil); err != nil {
			return dst, err
		}
		message, err := io.ReadAll(r)
		if err != nil {
			return dst, err
		}
		return inner.decode(dst, message, b)
	}
	return c
}
