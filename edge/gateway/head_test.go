package gateway

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// smuggling is what two parsers may read in two ways, or what no client sends.
var smuggling = []struct {
	name string // reads on from "the parser refuses ..."
	head string
	want int
}{
	{"both Content-Length and Transfer-Encoding", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	{"the two the other way round", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400},
	{"two lengths that differ", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400},
	{"two lengths that agree", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", 400},
	{"a list of lengths", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 5\r\n\r\n", 400},
	{"a length with a sign", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\n", 400},
	{"a negative length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -5\r\n\r\n", 400},
	{"a length in hex", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x5\r\n\r\n", 400},
	{"a length with a blank inside", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5 5\r\n\r\n", 400},
	{"a length beyond 64 bits", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
	{"an empty length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \r\n\r\n", 400},
	{"identity as a coding", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\n\r\n", 400},
	{"gzip before chunked", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400},
	{"chunked twice in a list", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", 400},
	{"chunked in two lines", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	{"xchunked", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n", 400},
	{"chunked behind a vertical tab", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", 400},
	{"an empty coding", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n\r\n", 400},
	{"chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	{"a blank before the colon", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n", 400},
	{"a tab before the colon", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length\t: 5\r\n\r\n", 400},
	{"a folded header", "GET / HTTP/1.1\r\nHost: h\r\nX: a\r\n b\r\n\r\n", 400},
	{"a folded first header", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400},
	{"a tab-folded length", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:\r\n\t5\r\n\r\n", 400},
	{"a bare LF after the request line", "GET / HTTP/1.1\nHost: h\r\n\r\n", 505},
	{"a bare LF between headers", "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 400},
	{"a bare CR between headers", "GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n", 400},
	{"a CR before the CRLF", "GET / HTTP/1.1\r\nHost: h\r\r\n\r\n", 400},
	{"a NUL in a value", "GET / HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n", 400},
	{"a DEL in a value", "GET / HTTP/1.1\r\nHost: h\r\nX: a\x7fb\r\n\r\n", 400},
	{"a NUL in a name", "GET / HTTP/1.1\r\nHost: h\r\nX\x00: b\r\n\r\n", 400},
	{"a name with a blank", "GET / HTTP/1.1\r\nHost: h\r\nX Y: b\r\n\r\n", 400},
	{"a name with a letter beyond ASCII", "GET / HTTP/1.1\r\nHost: h\r\nX\xe4: b\r\n\r\n", 400},
	{"an empty name", "GET / HTTP/1.1\r\nHost: h\r\n: b\r\n\r\n", 400},
	{"a line without a colon", "GET / HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n", 400},
	{"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
	{"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
	{"two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400},
	{"HTTP/0.9", "GET /\r\n\r\n", 400},
	{"HTTP/2.0", "PRI * HTTP/2.0\r\n\r\n", 505},
	{"HTTP/1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505},
	{"HTTP/1.10", "GET / HTTP/1.10\r\nHost: h\r\n\r\n", 505},
	{"http/1.1 in small letters", "GET / http/1.1\r\nHost: h\r\n\r\n", 505},
	{"a version behind a tab", "GET /\tHTTP/1.1\r\nHost: h\r\n\r\n", 400},
	{"two blanks after the method", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
	{"two blanks before the version", "GET /  HTTP/1.1\r\nHost: h\r\n\r\n", 505},
	{"a blank after the version", "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", 505},
	{"a blank in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 505},
	{"a letter beyond ASCII in the target", "GET /\xe4 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
	{"a NUL in the target", "GET /\x00 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
	{"a bracket in the method", "G(T / HTTP/1.1\r\nHost: h\r\n\r\n", 400},
	{"a hundred and one headers", "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("X: y\r\n", 100) + "\r\n", 431},
}

func TestTheParserRefuses(t *testing.T) {
	for _, tt := range smuggling {
		t.Run(tt.name, func(t *testing.T) {
			var r Request
			if n := headEnd([]byte(tt.head), 0); n != len(tt.head) {
				t.Fatalf("the head ends at %d, want %d", n, len(tt.head))
			}
			if bad := r.parse([]byte(tt.head)); bad == nil || bad.status != tt.want {
				t.Errorf("got %v, want status %d", bad, tt.want)
			}
		})
	}
}

// What our parser lets through, both HTTP servers must read as we do: as one
// request, with the same host, and with a body exactly when we see one. Being
// stricter than they are is fine; the other way round is how smuggling works.
func TestWhatPassesIsReadAlikeByOthers(t *testing.T) {
	heads := []string{
		"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /a?b=c HTTP/1.1\r\nhOsT: h:1\r\nX-Empty:\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: \t5 \r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: CHUNKED\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nX: \xe4\r\n\r\n",
	}
	for _, tt := range smuggling {
		heads = append(heads, tt.head)
	}
	passed := 0
	for _, head := range heads {
		var r Request
		if bad := r.parse([]byte(head)); bad != nil {
			continue
		}
		passed++
		body := "5\r\nhello\r\n0\r\n\r\n"
		if r.count("Content-Length") > 0 {
			body = "hello"
		}
		std, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + body)))
		if err != nil {
			t.Errorf("net/http refuses %q: %v", head, err)
			continue
		}
		if got := std.ContentLength != 0; got != r.hasBody() || std.Host != string(r.Header("Host")) || std.RequestURI != string(r.Target) {
			t.Errorf("net/http reads %q with body %v, host %q, target %q", head, got, std.Host, std.RequestURI)
		}
		var fast fasthttp.Request
		if err := fast.Read(bufio.NewReader(strings.NewReader(head + body))); err != nil {
			t.Errorf("fasthttp refuses %q: %v", head, err)
			continue
		}
		if got := len(fast.Body()) > 0; got != r.hasBody() || string(fast.Host()) != string(r.Header("Host")) {
			t.Errorf("fasthttp reads %q with body %v, host %q", head, got, fast.Host())
		}
	}
	if passed != 9 {
		t.Errorf("%d heads passed, want the 9 good ones", passed)
	}
}

// Whatever parses, its parts put together again parse to the same parts, and
// net/http agrees on method, target and number of headers.
func FuzzRequestHead(f *testing.F) {
	f.Add([]byte(upgradeHead + "\r\n"))
	for _, tt := range smuggling {
		f.Add([]byte(tt.head))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		n := headEnd(p, 0)
		if n == 0 || !plausible(p) {
			return
		}
		var r Request
		if r.parse(p[:n]) != nil {
			return
		}
		again := fmt.Appendf(nil, "%s %s HTTP/1.%d\r\n", r.Method, r.Target, r.Minor)
		for _, h := range r.headers[:r.n] {
			again = fmt.Appendf(again, "%s: %s\r\n", h.name, h.value)
		}
		again = append(again, "\r\n"...)
		var r2 Request
		if bad := r2.parse(again); bad != nil {
			t.Fatalf("%q parses, but put together again as %q: %v", p[:n], again, bad)
		}
		if r2.n != r.n || !bytes.Equal(r2.Target, r.Target) || !bytes.Equal(r2.Method, r.Method) || r2.hasBody() != r.hasBody() {
			t.Fatalf("%q reads differently the second time", p[:n])
		}
		std, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(p[:n])))
		if err != nil {
			return // stricter than we are, for instance about the target
		}
		if std.Method != string(r.Method) || std.RequestURI != string(r.Target) || (std.ContentLength != 0) != r.hasBody() {
			t.Fatalf("net/http reads %q as %s %s with a body of %d", p[:n], std.Method, std.RequestURI, std.ContentLength)
		}
	})
}

func TestUpgradesAreAnsweredWith(t *testing.T) {
	g := start(t, Config{Subprotocol: "pixelwall.v1", Origins: []string{"https://other.example"}, HTTP: nil, ConnsPerAddress: -1}, &echo{})
	with := func(extra string) string { return upgradeHead + extra + "\r\n" }
	without := func(line string) string {
		return strings.Replace(with(""), line, "", 1)
	}
	for _, tt := range []struct {
		name string // reads on from "Upgrades are answered with ..."
		head string
		want int
	}{
		{"101 when all is right", with(""), 101},
		{"101 for names and tokens in any case", strings.NewReplacer("Upgrade: websocket", "uPGRADE: foo, WebSocket", "Connection: Upgrade", "connection: keep-alive, UPGRADE").Replace(with("")), 101},
		{"101 with a query", strings.Replace(with(""), "/ws", "/ws?x=1", 1), 101},
		{"404 on another path", strings.Replace(with(""), "/ws", "/wss", 1), 404},
		{"404 on a longer path", strings.Replace(with(""), "/ws", "/ws/", 1), 404},
		{"404 on a path that only decodes to ours", strings.Replace(with(""), "/ws", "/%77s", 1), 404},
		{"404 for POST", strings.Replace(with(""), "GET", "POST", 1), 404},
		{"404 without an Upgrade header", without("Upgrade: websocket\r\n"), 404},
		{"400 without a Connection header", without("Connection: Upgrade\r\n"), 400},
		{"400 in HTTP/1.0", strings.Replace(with(""), "HTTP/1.1", "HTTP/1.0", 1), 400},
		{"400 with a body", with("Content-Length: 3\r\n"), 400},
		{"400 with a chunked body", with("Transfer-Encoding: chunked\r\n"), 400},
		{"101 with an empty body", with("Content-Length: 0\r\n"), 101},
		{"400 without a key", without("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400},
		{"400 with two keys", with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400},
		{"400 with a short key", strings.Replace(with(""), "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j", 1), 400},
		{"400 with a key that is no base64", strings.Replace(with(""), "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZ!==", 1), 400},
		{"426 for version 8", strings.Replace(with(""), "Version: 13", "Version: 8", 1), 426},
		{"426 without a version", without("Sec-WebSocket-Version: 13\r\n"), 426},
		{"400 for TLS", "\x16\x03\x01\x02\x00\x01\x00", 400},
		{"431 for a head over 8 KiB", with("X: " + strings.Repeat("x", 8192) + "\r\n"), 431},
		{"431 for a head over 8 KiB that does not end", "GET /ws HTTP/1.1\r\nX: " + strings.Repeat("x", 8192), 431},

		{"101 from its own page", with("Origin: http://h\r\n"), 101},
		{"101 from its own page by https", with("Origin: https://H\r\n"), 101},
		{"101 from an allowed origin", with("Origin: https://other.example\r\n"), 101},
		{"101 from an allowed origin in capitals", with("Origin: HTTPS://OTHER.example\r\n"), 101},
		{"403 from an allowed host with another scheme", with("Origin: http://other.example\r\n"), 403},
		{"403 from an allowed host with another port", with("Origin: https://other.example:444\r\n"), 403},
		{"403 from another host", with("Origin: http://evil.example\r\n"), 403},
		{"403 from a host that ends like ours", with("Origin: http://evilh\r\n"), 403},
		{"403 from a host that begins like ours", with("Origin: http://h.evil.example\r\n"), 403},
		{"403 from our host on another port", with("Origin: http://h:81\r\n"), 403},
		{"403 from an origin with our host as user", with("Origin: http://h@evil.example\r\n"), 403},
		{"403 from an origin with our host as path", with("Origin: http://evil.example/h\r\n"), 403},
		{"403 from our host with a path", with("Origin: http://h/\r\n"), 403},
		{"403 from the null origin", with("Origin: null\r\n"), 403},
		{"403 from an empty origin", with("Origin:\r\n"), 403},
		{"403 from a bare host", with("Origin: h\r\n"), 403},
		{"403 from a file", with("Origin: file://\r\n"), 403},
		{"403 from an extension that is named like our host", with("Origin: chrome-extension://h\r\n"), 403},
		{"403 from two origins in one header", with("Origin: http://h, http://evil.example\r\n"), 403},
		{"403 from two Origin headers", with("Origin: http://h\r\nOrigin: http://h\r\n"), 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := connect(t, g)
			c.send(tt.head)
			res := c.response()
			if res.StatusCode != tt.want {
				t.Fatalf("got %s, want %d", res.Status, tt.want)
			}
			if tt.want == 426 && res.Header.Get("Sec-WebSocket-Version") != "13" {
				t.Errorf("426 without the version that would do: %v", res.Header)
			}
			if tt.want != 101 && (res.Header.Get("Content-Type") != "application/problem+json" || !res.Close) {
				t.Errorf("refused with %v", res.Header)
			}
			if tt.want != 101 {
				var problem struct{ Code string }
				if err := json.NewDecoder(res.Body).Decode(&problem); err != nil || problem.Code != cmp.Or(refusalCodes[tt.want], "malformed") {
					t.Errorf("refused with code %q, %v", problem.Code, err)
				}
			}
		})
	}
}

func TestTheSubprotocolIsChosenOnlyWhenOffered(t *testing.T) {
	for _, tt := range []struct{ offer, want string }{
		{"", ""}, {"other", ""}, {"pixelwall.v1", "pixelwall.v1"}, {"other, pixelwall.v1", "pixelwall.v1"}, {"PIXELWALL.V1", ""},
	} {
		var r Request
		head := upgradeHead + "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: " + tt.offer + "\r\n\r\n"
		if bad := r.parse([]byte(head)); bad != nil {
			t.Fatal(bad)
		}
		res, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(r.appendSwitching(nil, "pixelwall.v1"))), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := res.Header.Get("Sec-WebSocket-Protocol"); got != tt.want {
			t.Errorf("offered %q, got %q, want %q", tt.offer, got, tt.want)
		}
		if got := res.Header.Get("Sec-WebSocket-Extensions"); got != "" {
			t.Errorf("compression was agreed to: %q", got)
		}
	}
}

func TestTheClientAddressIs(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, tt := range []struct {
		name, peer, headers, want string
		forwarded                 bool
	}{
		{"the peer's without a header", "192.0.2.1", "", "192.0.2.1", false},
		{"the peer's if it is not trusted", "192.0.2.1", "X-Forwarded-For: 198.51.100.7\r\n", "192.0.2.1", true},
		{"the forwarded one behind a trusted proxy", "10.1.2.3", "X-Forwarded-For: 198.51.100.7\r\n", "198.51.100.7", true},
		{"the rightmost that is no proxy", "10.1.2.3", "X-Forwarded-For: 6.6.6.6, 198.51.100.7, 10.9.9.9\r\n", "198.51.100.7", true},
		{"read over several lines", "10.1.2.3", "X-Forwarded-For: 6.6.6.6, 198.51.100.7\r\nX-Forwarded-For: 10.9.9.9\r\n", "198.51.100.7", true},
		{"the last good one before garbage", "10.1.2.3", "X-Forwarded-For: 198.51.100.7, garbage, 10.9.9.9\r\n", "10.9.9.9", true},
		{"the proxy's if the header is garbage", "10.1.2.3", "X-Forwarded-For: <script>\r\n", "10.1.2.3", true},
		{"the leftmost when all are proxies", "10.1.2.3", "X-Forwarded-For: 10.0.0.1, 10.0.0.2\r\n", "10.0.0.1", true},
		{"without its port", "10.1.2.3", "X-Forwarded-For: 198.51.100.7:4711\r\n", "198.51.100.7", true},
		{"IPv6 in brackets", "fd00::1", "X-Forwarded-For: [2001:db8::1]:4711\r\n", "2001:db8::1", true},
		{"IPv4 written as IPv6", "10.1.2.3", "X-Forwarded-For: ::ffff:198.51.100.7\r\n", "198.51.100.7", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var r Request
			if bad := r.parse([]byte("GET / HTTP/1.1\r\nHost: h\r\n" + tt.headers + "\r\n")); bad != nil {
				t.Fatal(bad)
			}
			got, forwarded := r.clientAddr(netip.MustParseAddr(tt.peer), trusted)
			if got.String() != tt.want || forwarded != tt.forwarded {
				t.Errorf("got %v forwarded %v, want %v %v", got, forwarded, tt.want, tt.forwarded)
			}
		})
	}
}
