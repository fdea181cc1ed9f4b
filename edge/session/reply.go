package session

import "pixelwall/core"

// Close codes of pixelwall.v1, beside those of RFC 6455 and those that the
// gateway sends by itself. They travel on the wire: never renumber.
const (
	closeRestart    uint16 = 1012
	closeTryLater   uint16 = 1013
	closeText       uint16 = 1003
	closeVersion    uint16 = 4002
	closeToken      uint16 = 4003
	closeMalformed  uint16 = 4004
	closeStaysOpen  uint16 = 0
	closeServerFail uint16 = 1011
)

// Replies is the one table of what an error code means outside: the HTTP status
// of a REST answer, and the close code of a WebSocket, 0 where it stays open.
var Replies = [...]struct {
	HTTP  int
	Close uint16
}{
	core.CodeInternal:       {500, closeStaysOpen},
	core.CodeMalformed:      {400, closeMalformed},
	core.CodeInvalid:        {400, closeStaysOpen},
	core.CodeOutOfCanvas:    {400, closeStaysOpen},
	core.CodeUnknownColor:   {400, closeStaysOpen},
	core.CodeCooldown:       {429, closeStaysOpen},
	core.CodeUnauthorized:   {401, closeStaysOpen},
	core.CodeTokenExpired:   {401, closeToken},
	core.CodeHelloRequired:  {400, closeStaysOpen},
	core.CodeUnknownMessage: {400, closeStaysOpen},
	core.CodeUnknownShard:   {404, closeStaysOpen},
	core.CodeExpired:        {409, closeStaysOpen},
	core.CodeReadOnly:       {503, closeStaysOpen},
	core.CodeUnavailable:    {503, closeStaysOpen},
	core.CodeTooMany:        {429, closeStaysOpen},
	core.CodeNotFound:       {404, closeStaysOpen},
	core.CodeMismatch:       {409, closeStaysOpen},
	core.CodeDraining:       {503, closeStaysOpen},
}
