package scylla

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gocql/gocql"

	"pixelwall/core"
)

// retryAfter is what a caller is told to wait when the database does not answer.
const retryAfter = time.Second

func unavailable(msg string, cause error) *core.Error {
	return &core.Error{Code: core.CodeUnavailable, Msg: msg, RetryAfter: retryAfter, Err: cause}
}

// codeOf returns the protocol's code of what a node answered. The fork's errors
// do not implement its own RequestError.
func codeOf(err error) (code int, ok bool) {
	if r, ok := errors.AsType[interface {
		error
		GetCode() int
	}](err); ok {
		return r.GetCode(), true
	}
	if r, ok := errors.AsType[gocql.RequestError](err); ok {
		return r.Code(), true
	}
	return 0, false
}

// refused reports whether the database understood a statement and will never
// carry it out, so that asking again cannot help.
func refused(err error) bool {
	switch code, _ := codeOf(err); code {
	case gocql.ErrCodeProtocol, gocql.ErrCodeSyntax, gocql.ErrCodeUnauthorized, gocql.ErrCodeInvalid, gocql.ErrCodeConfig, gocql.ErrCodeAlreadyExists:
		return true
	}
	_, marshal := errors.AsType[gocql.MarshalError](err)
	_, unmarshal := errors.AsType[gocql.UnmarshalError](err)
	return marshal || unmarshal
}

// missing reports whether the keyspace or a table is not there.
func missing(err error) bool {
	code, _ := codeOf(err)
	return code == gocql.ErrCodeInvalid
}

// answered reports whether a node sent err: it lives, whatever it says.
func answered(err error) bool {
	_, ok := codeOf(err)
	return ok
}

// failure turns what the driver says into what a port promises. ctx is the
// caller's: when it has ended, its cause is the reason.
func failure(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if e, ok := errors.AsType[*core.Error](err); ok {
		return e
	}
	if refused(err) {
		return &core.Error{Code: core.CodeInternal, Msg: "the history refused a statement", Err: err}
	}
	return unavailable("the history does not answer", err)
}

var errHole = errors.New("a record is missing")

// hole describes a log that is not whole, which is never passed over.
func hole(s core.ShardID, after int64, found string) error {
	return &core.Error{Code: core.CodeInternal, Msg: fmt.Sprintf("event_log: shard %d, behind seq %d comes %s", s, max(after, 0), found), Err: errHole}
}

// patience retries what may succeed on another node or a moment later. The time
// of one answer is not waited for twice.
type patience struct{}

// Attempt implements gocql.RetryPolicy.
func (patience) Attempt(q gocql.RetryableQuery) bool {
	if q.Attempts() > 3 {
		return false
	}
	timer := time.NewTimer(time.Duration(q.Attempts()) * 25 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-q.Context().Done():
		return false
	}
}

// GetRetryType implements gocql.RetryPolicy.
func (patience) GetRetryType(err error) gocql.RetryType {
	switch {
	case refused(err), errors.Is(err, gocql.ErrTimeoutNoResponse):
		return gocql.Rethrow
	case answered(err):
		return gocql.Retry // the coordinator learns which replica is gone
	default:
		return gocql.RetryNextHost
	}
}
