package gateway

import (
	"bytes"
	"cmp"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
)

// acceptKeyGUID is the constant of RFC 6455, section 1.3.
const acceptKeyGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// isUpgrade reports whether r asks for our WebSocket endpoint. Everything else
// belongs to the HTTP server, which also answers for other paths and methods.
func (r *Request) isUpgrade(path string) bool {
	return string(r.Method) == "GET" && string(r.Path()) == path && r.hasToken("Upgrade", "websocket")
}

// checkUpgrade reports why r, an upgrade by isUpgrade, must be refused, or nil.
func (r *Request) checkUpgrade(origins []string) *headError {
	switch {
	case r.Minor != 1:
		return badHead("an upgrade needs HTTP/1.1")
	case !r.hasToken("Connection", "upgrade"):
		return badHead("the Connection header does not hold upgrade")
	case r.hasBody():
		return badHead("an upgrade must not carry a body")
	case r.count("Sec-WebSocket-Version") != 1, string(r.Header("Sec-WebSocket-Version")) != "13":
		return &headError{426, "only WebSocket version 13 is spoken here"}
	case r.count("Sec-WebSocket-Key") != 1, !isKey(r.Header("Sec-WebSocket-Key")):
		return badHead("Sec-WebSocket-Key is not 16 bytes in base64")
	case !r.originAllowed(origins):
		return &headError{403, "this Origin may not connect"}
	}
	return nil
}

func isKey(key []byte) bool {
	var nonce [18]byte
	if len(key) != 24 {
		return false
	}
	n, err := base64.StdEncoding.Strict().Decode(nonce[:], key)
	return err == nil && n == 16
}

// originAllowed keeps pages of other sites from using a visitor's browser. A
// request without an Origin comes from no browser and may pass: it has to
// bring a token of its own.
func (r *Request) originAllowed(origins []string) bool {
	switch r.count("Origin") {
	case 0:
		return true
	case 1:
	default:
		return false
	}
	return OriginAllowed(string(r.Header("Host")), string(r.Header("Origin")), origins)
}

// OriginAllowed reports whether a page of origin may speak for its user to host:
// a page of that host may, and those that origins names.
func OriginAllowed(host, origin string, origins []string) bool {
	got, ok := parseOrigin(origin)
	if ok && (got.scheme == "http" || got.scheme == "https") && strings.EqualFold(host, got.host) {
		return true
	}
	for _, o := range origins {
		if o == "*" {
			return true
		}
		if want, _ := parseOrigin(o); ok && want == got {
			return true
		}
	}
	return false
}

// appendSwitching appends the 101 answer to r.
func (r *Request) appendSwitching(dst []byte, subprotocol string) []byte {
	hash := sha1.Sum(append(bytes.Clone(r.Header("Sec-WebSocket-Key")), acceptKeyGUID...))
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = base64.StdEncoding.AppendEncode(dst, hash[:])
	if subprotocol != "" && r.offers(subprotocol) {
		dst = append(append(dst, "\r\nSec-WebSocket-Protocol: "...), subprotocol...)
	}
	return append(dst, "\r\n\r\n"...)
}

// offers reports whether the client lists subprotocol; names are case-sensitive.
func (r *Request) offers(subprotocol string) bool {
	for value := range r.all("Sec-WebSocket-Protocol") {
		for item := range bytes.SplitSeq(value, []byte{','}) {
			if string(trimSpace(item)) == subprotocol {
				return true
			}
		}
	}
	return false
}

// refusalCodes are the stable codes of refusals, of those that core has; all other
// statuses are malformed.
var refusalCodes = map[int]string{
	http.StatusForbidden: "unauthorized", http.StatusNotFound: "not_found", http.StatusUpgradeRequired: "invalid",
	http.StatusTooManyRequests: "too_many", http.StatusServiceUnavailable: "unavailable",
}

// appendRefusal appends a whole answer that says why and closes.
func appendRefusal(dst []byte, e *headError) []byte {
	title := http.StatusText(e.status)
	code := cmp.Or(refusalCodes[e.status], "malformed")
	body := fmt.Sprintf(`{"type":"about:blank","title":%q,"status":%d,"code":%q,"detail":%q}`+"\n", title, e.status, code, e.detail)
	dst = fmt.Appendf(dst, "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\nConnection: close\r\n", e.status, title, len(body))
	switch e.status {
	case http.StatusUpgradeRequired:
		dst = append(dst, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"...)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		dst = append(dst, "Retry-After: 5\r\n"...)
	}
	return append(append(dst, "\r\n"...), body...)
}
