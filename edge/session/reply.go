package session

import "pixelwall/core"

// Close codes of pixelwall.v1, beside those of RFC 6455 and those that the
// gateway sends by itself. They travel on the wire: never renumber.
const (
	closeRestart   uint16 = 1012
	closeTryLater  uint16 = 1013
	closeText      uint16 = 1003
	closeVersion   uint16 = 4002
	closeToken     uint16 = 4003
	closeMalformed uint16 = 4004
)

// closes are the error codes after which a connection ends, and how. After all
// others it stays open, but for a hello that cannot be taken, see hello.go. What a
// code is over HTTP is in edge/api.
var closes = map[core.Code]uint16{
	core.CodeMalformed:    closeMalformed,
	core.CodeTokenExpired: closeToken,
}
