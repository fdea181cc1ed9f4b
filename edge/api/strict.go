package api

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/valyala/fasthttp"

	"pixelwall/core"
)

// checkHead refuses what two HTTP parsers are known to read differently, so that
// a proxy before us and fasthttp cannot disagree about where a request ends. The
// gateway checks the first head of a connection in the same way; this is for the
// ones after it. The connection must be closed on an error.
func checkHead(h *fasthttp.RequestHeader) error {
	bad := func(why string) error { return core.NewError(core.CodeMalformed, why) }
	if p := string(h.Protocol()); p != "HTTP/1.1" && p != "HTTP/1.0" {
		return withStatus(http.StatusHTTPVersionNotSupported, bad("only HTTP/1.0 and HTTP/1.1 are spoken here"))
	}
	lengths, codings, hosts := 0, 0, 0
	for line := range bytes.SplitSeq(bytes.TrimSuffix(h.RawHeaders(), []byte("\r\n\r\n")), []byte("\r\n")) {
		if len(line) == 0 {
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			return bad("a header line is folded")
		}
		if bytes.ContainsAny(line, "\r\n\x00") {
			return bad("a header line ends in a bare CR or LF")
		}
		name, value, _ := strings.Cut(string(line), ":")
		switch strings.ToLower(name) {
		case "content-length":
			lengths++
			if digits := strings.TrimSpace(value); digits == "" || strings.Trim(digits, "0123456789") != "" {
				return bad("Content-Length is not a number")
			}
		case "transfer-encoding":
			codings++
			if !strings.EqualFold(strings.TrimSpace(value), "chunked") {
				return bad("the only Transfer-Encoding is chunked")
			}
		case "host":
			hosts++
		}
	}
	switch {
	case hosts > 1 || hosts == 0 && h.IsHTTP11():
		return bad("exactly one Host header is needed")
	case lengths > 1:
		return bad("more than one Content-Length header")
	case codings > 1 || codings == 1 && lengths > 0:
		return bad("Transfer-Encoding with another one or with Content-Length")
	case codings == 1 && !h.IsHTTP11():
		return bad("Transfer-Encoding in HTTP/1.0")
	}
	return nil
}
