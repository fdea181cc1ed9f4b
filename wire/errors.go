package wire

import "fmt"

// An ErrorCode says which rule of the protocol some bytes break. Names are
// stable: golden vectors and clients in other languages use them.
type ErrorCode uint8

const (
	Truncated   ErrorCode = 1 + iota // the bytes end inside a field
	BadVarint                        // a varint that is longer than needed, or 2^53 or more
	OutOfRange                       // a field holds a value that it must not
	BadType                          // another message than the one asked for
	BadVersion                       // written by a newer program
	BadOrder                         // a list that must rise does not
	BadUTF8                          // a text that is not UTF-8
	BadPadding                       // the payload does not end as its coder would end it
	BadChecksum                      // stored bytes were damaged
)

var errorNames = map[ErrorCode]string{
	Truncated: "truncated", BadVarint: "varint", OutOfRange: "range", BadType: "type", BadVersion: "version",
	BadOrder: "order", BadUTF8: "utf8", BadPadding: "padding", BadChecksum: "checksum",
}

// String returns the stable name of c.
func (c ErrorCode) String() string {
	if s, ok := errorNames[c]; ok {
		return s
	}
	return fmt.Sprintf("code %d", uint8(c))
}

// An Error is why a parser rejects its input.
type Error struct {
	Code ErrorCode
	Msg  string // which field
}

func (e *Error) Error() string { return "wire: " + e.Code.String() + ": " + e.Msg }

// Is makes errors.Is(err, &Error{Code: c}) compare codes alone.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}
