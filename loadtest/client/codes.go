package client

import (
	"errors"
	"fmt"

	"pixelwall/wire"
)

// Error codes of PROTOCOL.md that change what a client does.
const (
	codeOutOfCanvas  = 3
	codeUnknownColor = 4
	codeUnauthorized = 6
	codeTokenExpired = 7
	codeUnavailable  = 13
	codeTooMany      = 14
	codeDraining     = 17
)

// codeNames are the names that PROTOCOL.md gives to its error codes.
var codeNames = [...]string{
	"internal", "malformed", "invalid", "out_of_canvas", "unknown_color", "cooldown", "unauthorized", "token_expired", "hello_required",
	"unknown_message", "unknown_shard", "expired", "read_only", "unavailable", "too_many", "not_found", "mismatch", "draining",
}

// CodeName returns the name of an error code.
func CodeName(code uint8) string {
	if int(code) < len(codeNames) {
		return codeNames[code]
	}
	return fmt.Sprintf("code_%d", code)
}

// passes reports whether a refusal is of the kind that ends by itself: the same
// placement may be sent again under its number.
func passes(r wire.Refusal) bool {
	return r.Code == codeDraining || (r.Code == codeUnavailable || r.Code == codeTooMany) && r.RetryAfterMS > 0
}

// unasked reports whether the server refuses without looking the number up, so that
// it says nothing of an earlier sending.
func unasked(r wire.Refusal) bool {
	switch r.Code {
	case codeOutOfCanvas, codeUnknownColor, codeUnauthorized, codeUnavailable, codeTooMany, codeDraining:
		return true
	}
	return false
}

// A CloseError is how the server ended the conversation.
type CloseError struct {
	Code   int
	Reason string
}

func (e *CloseError) Error() string { return fmt.Sprintf("closed with %d %s", e.Code, e.Reason) }

// A RefusedError is an error message of the server.
type RefusedError struct{ wire.Refusal }

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the server refuses with code %d: %s", e.Code, e.Message)
}

// ErrOtherCanvas says that the server has another canvas than before.
var ErrOtherCanvas = errors.New("the server has another canvas now")

// permanent reports whether trying again cannot help.
func permanent(err error) bool {
	if c, ok := errors.AsType[*CloseError](err); ok {
		switch c.Code {
		case 1002, 1003, 1007, 1009, 4002, 4003, 4004:
			return true
		}
		return false
	}
	if r, ok := errors.AsType[*RefusedError](err); ok {
		return r.Code == codeTokenExpired
	}
	return errors.Is(err, ErrOtherCanvas)
}
