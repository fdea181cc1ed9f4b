package gateway

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Close codes that the gateway sends by itself, besides those of RFC 6455
// section 7.4.1. They travel on the wire: never renumber.
const (
	CodeNoHello uint16 = 4001 // not introduced within Config.HelloTimeout
	CodeSlow    uint16 = 4008 // too little was drained within Config.StuckAfter, or too much is unread by all
)

const (
	codeProtocol = uint16(ws.StatusProtocolError)
	codeNoStatus = uint16(ws.StatusNoStatusRcvd)
	codeAbnormal = uint16(ws.StatusAbnormalClosure)
	codeBadUTF8  = uint16(ws.StatusInvalidFramePayloadData)
	codePolicy   = uint16(ws.StatusPolicyViolation)
	codeTooBig   = uint16(ws.StatusMessageTooBig)
	codeInternal = uint16(ws.StatusInternalServerError)
	codeRestart  = uint16(1012) // IANA: service restart
	codeTryAgain = uint16(1013) // IANA: try again later
)

// A violation is why the gateway ends a connection: the close code on the wire
// and the reason beside it.
type violation struct {
	code   uint16
	reason string
}

func (v *violation) Error() string { return v.reason }

// AppendFrame appends one whole unmasked frame to dst and returns the extended
// slice, like append. It copies payload.
func AppendFrame(dst []byte, op ws.OpCode, payload []byte) []byte {
	return append(AppendHeader(dst, op, len(payload)), payload...)
}

// AppendHeader appends the header of an unmasked, final frame with n bytes of
// payload to dst and returns the extended slice, like append.
func AppendHeader(dst []byte, op ws.OpCode, n int) []byte {
	dst = append(dst, 0x80|byte(op))
	switch {
	case n <= 125:
		return append(dst, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
}

// appendClose appends a close frame. A reason that does not fit a control
// frame is cut at a rune boundary, because a cut rune is a violation itself.
func appendClose(dst []byte, code uint16, reason string) []byte {
	if code == codeNoStatus {
		return AppendHeader(dst, ws.OpClose, 0)
	}
	if max := ws.MaxControlFramePayloadSize - 2; len(reason) > max {
		cut := max
		for cut > 0 && !utf8.RuneStart(reason[cut]) {
			cut--
		}
		reason = reason[:cut]
	}
	dst = AppendHeader(dst, ws.OpClose, 2+len(reason))
	return append(binary.BigEndian.AppendUint16(dst, code), reason...)
}

// parseClose reads the payload of a close frame and returns the code to echo.
func parseClose(payload []byte) (uint16, *violation) {
	switch len(payload) {
	case 0:
		return codeNoStatus, nil
	case 1:
		return 0, &violation{codeProtocol, "close frame with half a code"}
	}
	code, reason := binary.BigEndian.Uint16(payload), payload[2:]
	if code >= 5000 {
		return 0, &violation{codeProtocol, "close code out of range"}
	}
	if !utf8.Valid(reason) {
		return 0, &violation{codeBadUTF8, "close reason is not UTF-8"}
	}
	if err := ws.CheckCloseFrameData(ws.StatusCode(code), ""); err != nil {
		return 0, &violation{codeProtocol, err.Error()}
	}
	return code, nil
}
