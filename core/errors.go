package core

import (
	"errors"
	"time"
)

// Code tells what went wrong, to a client, in a log and in a metric's label.
// Values travel on the wire: add at the end, never reorder, never reuse.
type Code uint8

const (
	CodeInternal       Code = iota // unforeseen; the details go to our own log only
	CodeMalformed                  // bytes that do not follow the protocol
	CodeInvalid                    // well-formed, but can never succeed
	CodeOutOfCanvas                // x or y lies outside the canvas
	CodeUnknownColor               // the palette has no such colour
	CodeCooldown                   // the user must wait RetryAfter
	CodeUnauthorized               // no token, or one that is bad or forged
	CodeTokenExpired               // the token was good once
	CodeHelloRequired              // a message came before hello
	CodeUnknownMessage             // a message type that this server does not know
	CodeUnknownShard               // the canvas has no such shard
	CodeExpired                    // sent again too late: its outcome is no longer kept
	CodeReadOnly                   // the store is full; reading and watching go on
	CodeUnavailable                // a dependency is down; retry later
	CodeTooMany                    // a rate or a number of connections is exceeded
	CodeNotFound                   // no such thing
	CodeMismatch                   // another canvas, size, palette or version than the caller thinks
	CodeDraining                   // this server is going away; reconnect
	codeCount
)

var codeNames = [codeCount]string{
	CodeInternal: "internal", CodeMalformed: "malformed", CodeInvalid: "invalid",
	CodeOutOfCanvas: "out_of_canvas", CodeUnknownColor: "unknown_color", CodeCooldown: "cooldown",
	CodeUnauthorized: "unauthorized", CodeTokenExpired: "token_expired", CodeHelloRequired: "hello_required",
	CodeUnknownMessage: "unknown_message", CodeUnknownShard: "unknown_shard", CodeExpired: "expired",
	CodeReadOnly: "read_only", CodeUnavailable: "unavailable", CodeTooMany: "too_many",
	CodeNotFound: "not_found", CodeMismatch: "mismatch", CodeDraining: "draining",
}

// String returns the stable name of c, in snake case.
func (c Code) String() string {
	if c < codeCount {
		return codeNames[c]
	}
	return codeNames[CodeInternal]
}

// Codes returns every code in the order of its number.
func Codes() []Code {
	all := make([]Code, codeCount)
	for i := range all {
		all[i] = Code(i)
	}
	return all
}

// An Error is an outcome that a user may see. Msg is a sentence for people and
// holds no secret; RetryAfter is zero when waiting does not help.
type Error struct {
	Code       Code
	Msg        string
	RetryAfter time.Duration
	Err        error // cause, for our log only
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Code.String() + ": " + e.Msg + ": " + e.Err.Error()
	}
	return e.Code.String() + ": " + e.Msg
}

func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, &Error{Code: c}) compare codes alone.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// NewError returns an *Error with the given code and sentence.
func NewError(c Code, msg string) *Error { return &Error{Code: c, Msg: msg} }

// CodeOf finds the Code in err's chain; foreign errors are CodeInternal.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}
