package gateway

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

const frameHeaderBytesMax = 14 // two bytes, eight of length, four of mask

var (
	errLengthForm = &violation{codeProtocol, "frame length is not in its shortest form"}
	errTooBig     = &violation{codeTooBig, "message too big"}
	errFragments  = &violation{codeTooBig, "message in too many fragments"}
	errText       = &violation{codeBadUTF8, "text is not UTF-8"}
	errRate       = &violation{codePolicy, "too many messages"}
)

// parseHeader reads a client's frame header from the start of p. It returns
// the number of bytes it took, or 0 when p ends before the header does. What
// the first two bytes alone show to be wrong is refused at once, without
// waiting for the rest.
func parseHeader(p []byte, inMessage bool) (h ws.Header, n int, bad *violation) {
	if len(p) < 2 {
		return h, 0, nil
	}
	h = ws.Header{Fin: p[0]&0x80 != 0, Rsv: p[0] >> 4 & 7, OpCode: ws.OpCode(p[0] & 0x0f), Masked: p[1]&0x80 != 0, Length: int64(p[1] & 0x7f)}
	state := ws.StateServerSide
	if inMessage {
		state = state.Set(ws.StateFragmented)
	}
	// A length of 126 or 127 stands for a longer one: for a control frame that
	// alone is too long, which is what CheckHeader makes of it.
	if err := ws.CheckHeader(h, state); err != nil {
		return h, 0, &violation{codeProtocol, err.Error()}
	}
	n = 2
	switch h.Length {
	case 126:
		if len(p) < 4 {
			return h, 0, nil
		}
		h.Length, n = int64(binary.BigEndian.Uint16(p[2:])), 4
		if h.Length < 126 {
			return h, 0, errLengthForm
		}
	case 127:
		if len(p) < 10 {
			return h, 0, nil
		}
		long := binary.BigEndian.Uint64(p[2:])
		if long>>63 != 0 || long <= 0xffff {
			return h, 0, errLengthForm
		}
		h.Length, n = int64(long), 10
	}
	if len(p) < n+4 {
		return h, 0, nil
	}
	copy(h.Mask[:], p[n:])
	return h, n + 4, nil
}

// utf8Prefix reports how many bytes of p are whole runes, and whether they are
// valid. At most three trailing bytes, the start of a rune that may still be
// completed, are left out; a start that no byte can complete is invalid.
func utf8Prefix(p []byte) (n int, ok bool) {
	n = len(p)
	for back := 1; back <= utf8.UTFMax-1 && back <= n; back++ {
		if utf8.RuneStart(p[n-back]) {
			if !utf8.FullRune(p[n-back:]) {
				n -= back
			}
			break
		}
	}
	return n, utf8.Valid(p[:n])
}
