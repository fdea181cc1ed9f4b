package gateway

import (
	"bytes"
	"iter"
	"strings"
)

// headersMax bounds the header lines of one request head.
const headersMax = 100

// A Request is the head of an HTTP request, checked to the letter.
//
// Ownership: all byte slices alias the buffer that was parsed and are valid
// only until the callback that was given the Request returns.
type Request struct {
	Method  []byte
	Target  []byte // as sent: path and query
	Minor   byte   // minor HTTP version: 0 or 1
	headers [headersMax]header
	n       int
}

type header struct{ name, value []byte }

// Path returns the target up to its query.
func (r *Request) Path() []byte {
	path, _, _ := bytes.Cut(r.Target, []byte{'?'})
	return path
}

// Query returns what follows the first question mark of the target.
func (r *Request) Query() []byte {
	_, query, _ := bytes.Cut(r.Target, []byte{'?'})
	return query
}

// Header returns the first value of the header name, or nil. Case of name does not matter.
func (r *Request) Header(name string) []byte {
	for value := range r.all(name) {
		return value
	}
	return nil
}

// all yields the values of the header name in the order of its lines.
func (r *Request) all(name string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := range r.headers[:r.n] {
			if h := &r.headers[i]; equalFold(h.name, name) && !yield(h.value) {
				return
			}
		}
	}
}

// count returns how many lines carry the header name.
func (r *Request) count(name string) (n int) {
	for range r.all(name) {
		n++
	}
	return n
}

// hasToken reports whether a comma list in any line of the header name holds token.
func (r *Request) hasToken(name, token string) bool {
	for value := range r.all(name) {
		for item := range bytes.SplitSeq(value, []byte{','}) {
			if equalFold(trimSpace(item), token) {
				return true
			}
		}
	}
	return false
}

// A headError is why a request head is refused, as the status and the
// sentence of the answer.
type headError struct {
	status int
	detail string
}

func (e *headError) Error() string { return e.detail }

func badHead(detail string) *headError { return &headError{400, detail} }

// headEnd returns the length of the request head at the start of p including
// its empty line, or 0 when p ends before that. from bytes were searched before.
func headEnd(p []byte, from int) int {
	from = max(0, from-3)
	if i := bytes.Index(p[from:], []byte("\r\n\r\n")); i >= 0 {
		return from + i + 4
	}
	return 0
}

// plausible reports, from the first bytes alone, whether a request head may
// follow: TLS and other protocols are turned away without waiting for a line.
func plausible(p []byte) bool {
	return len(p) == 0 || 'A' <= p[0] && p[0] <= 'Z'
}

// parse reads the whole head p, as cut by headEnd. It is strict on purpose:
// whatever two HTTP parsers are known to read differently is refused, so that
// neither a proxy before us nor the HTTP server behind us can disagree about
// where a request ends. It allocates only for errors.
func (r *Request) parse(p []byte) *headError {
	r.n = 0
	line, rest, _ := bytes.Cut(p, []byte("\r\n"))
	if bad := r.parseLine(line); bad != nil {
		return bad
	}
	for len(rest) > 2 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		if bad := r.parseHeader(line); bad != nil {
			return bad
		}
	}
	return r.checkFraming()
}

func (r *Request) parseLine(line []byte) *headError {
	method, rest, ok1 := bytes.Cut(line, []byte{' '})
	target, version, ok2 := bytes.Cut(rest, []byte{' '})
	if !ok1 || !ok2 || len(method) == 0 || len(target) == 0 {
		return badHead("the request line is not METHOD TARGET VERSION")
	}
	for _, c := range method {
		if !isToken(c) {
			return badHead("the method is not a token")
		}
	}
	for _, c := range target {
		if c <= ' ' || c >= 0x7f {
			return badHead("the target holds a character that must be escaped")
		}
	}
	switch string(version) {
	case "HTTP/1.1":
		r.Minor = 1
	case "HTTP/1.0":
		r.Minor = 0
	default:
		return &headError{505, "only HTTP/1.0 and HTTP/1.1 are spoken here"}
	}
	r.Method, r.Target = method, target
	return nil
}

func (r *Request) parseHeader(line []byte) *headError {
	if line[0] == ' ' || line[0] == '\t' {
		return badHead("a header line is folded")
	}
	name, value, ok := bytes.Cut(line, []byte{':'})
	if !ok || len(name) == 0 {
		return badHead("a header line is not NAME: VALUE")
	}
	for _, c := range name {
		if !isToken(c) {
			return badHead("a header name is not a token")
		}
	}
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7f {
			return badHead("a header value holds a control character")
		}
	}
	if r.n == len(r.headers) {
		return &headError{431, "too many headers"}
	}
	r.headers[r.n] = header{name, trimSpace(value)}
	r.n++
	return nil
}

// checkFraming refuses heads whose body length can be read in two ways.
func (r *Request) checkFraming() *headError {
	lengths, codings := r.count("Content-Length"), r.count("Transfer-Encoding")
	switch {
	case r.Minor == 1 && r.count("Host") != 1:
		return badHead("exactly one Host header is needed")
	case r.count("Host") > 1:
		return badHead("more than one Host header")
	case lengths > 1:
		return badHead("more than one Content-Length header")
	case lengths > 0 && codings > 0:
		return badHead("both Content-Length and Transfer-Encoding")
	case codings > 1, codings == 1 && !equalFold(r.Header("Transfer-Encoding"), "chunked"):
		return badHead("the only Transfer-Encoding is chunked")
	case codings == 1 && r.Minor == 0:
		return badHead("Transfer-Encoding in HTTP/1.0")
	}
	if lengths == 1 {
		digits := r.Header("Content-Length")
		if len(digits) == 0 || len(digits) > 18 || len(bytes.Trim(digits, "0123456789")) > 0 {
			return badHead("Content-Length is not a number")
		}
	}
	return nil
}

// hasBody reports whether bytes of a body follow the head.
func (r *Request) hasBody() bool {
	return r.count("Transfer-Encoding") > 0 || len(bytes.Trim(r.Header("Content-Length"), "0")) > 0
}

func isToken(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func trimSpace(b []byte) []byte { return bytes.Trim(b, " \t") }

// equalFold is strings.EqualFold for ASCII, without its Unicode folding, by
// which a Kelvin sign would pass for a k.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if lower(c) != lower(s[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
