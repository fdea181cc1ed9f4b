package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"pixelwall/core"
)

// statuses is the one table from code to HTTP status.
var statuses = map[core.Code]int{
	core.CodeInternal:       http.StatusInternalServerError,
	core.CodeMalformed:      http.StatusBadRequest,
	core.CodeInvalid:        http.StatusBadRequest,
	core.CodeOutOfCanvas:    http.StatusBadRequest,
	core.CodeUnknownColor:   http.StatusBadRequest,
	core.CodeCooldown:       http.StatusTooManyRequests,
	core.CodeUnauthorized:   http.StatusUnauthorized,
	core.CodeTokenExpired:   http.StatusUnauthorized,
	core.CodeHelloRequired:  http.StatusBadRequest,
	core.CodeUnknownMessage: http.StatusBadRequest,
	core.CodeUnknownShard:   http.StatusNotFound,
	core.CodeExpired:        http.StatusConflict,
	core.CodeReadOnly:       http.StatusServiceUnavailable,
	core.CodeUnavailable:    http.StatusServiceUnavailable,
	core.CodeTooMany:        http.StatusTooManyRequests,
	core.CodeNotFound:       http.StatusNotFound,
	core.CodeMismatch:       http.StatusConflict,
	core.CodeDraining:       http.StatusServiceUnavailable,
}

// HTTPStatus returns the status of an answer whose code is c.
func HTTPStatus(c core.Code) int { return statuses[c] }

// A problem is the body of every answer that is an error, as RFC 9457 has it.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
}

// A statusError is an error whose HTTP status is finer than that of its code.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

func withStatus(status int, err error) error { return &statusError{status, err} }

// problem turns what was prepared as the answer into that of err. Errors without
// a code are told to our log only.
func (a *API) problem(ctx *fasthttp.RequestCtx, err error) {
	e, ok := errors.AsType[*core.Error](err)
	if !ok {
		e = core.NewError(core.CodeInternal, "the server failed; its log says why")
	}
	status := HTTPStatus(e.Code)
	if s, ok := errors.AsType[*statusError](err); ok {
		status = s.status
	}
	if status >= 500 && e.Code != core.CodeReadOnly && e.Code != core.CodeDraining {
		a.failures[e.Code].Warn(a.o.Log, a.o.Now(), "an HTTP request failed", "path", string(ctx.Path()), "code", e.Code.String(), "err", err)
	}
	h := &ctx.Response.Header
	for _, name := range []string{"ETag", "Vary", "Content-Encoding", "Location"} {
		h.Del(name)
	}
	h.Set("Cache-Control", "no-store")
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((e.RetryAfter+time.Second-1)/time.Second), 10))
	}
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	body, err := json.Marshal(problem{"about:blank", http.StatusText(status), status, e.Msg, e.Code.String()})
	if err != nil {
		panic(err) // strings and a number always marshal
	}
	ctx.SetStatusCode(status)
	ctx.SetContentType("application/problem+json")
	ctx.Response.SetBodyRaw(body)
}

// json answers with v, which may be kept for maxAge by whoever likes.
func (r *request) json(v any, cacheControl string) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	r.Response.Header.Set("Cache-Control", cacheControl)
	r.SetContentType("application/json")
	r.Response.SetBodyRaw(body)
	return nil
}

// A stamp is a time as all answers write it.
type stamp time.Time

// MarshalText returns s in RFC 3339 with milliseconds, in UTC.
func (s stamp) MarshalText() ([]byte, error) {
	return time.Time(s).UTC().AppendFormat(nil, "2006-01-02T15:04:05.000Z"), nil
}
