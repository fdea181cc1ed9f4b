package deploy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"pixelwall/wire"
)

// A visitor reaches the proxy from an address of its own.
type visitor struct {
	t      *testing.T
	p      *proxy
	dialer net.Dialer
	client *http.Client
}

// visitor returns one that comes from ip, an address of 127.0.0.0/8.
func (p *proxy) visitor(ip string) *visitor {
	v := &visitor{t: p.t, p: p, dialer: net.Dialer{Timeout: deadline, LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}}
	transport := &http.Transport{
		DialContext: v.dial, TLSClientConfig: p.tls(), ForceAttemptHTTP2: true,
		DisableCompression: true, // what is asked for is up to the test
	}
	p.t.Cleanup(transport.CloseIdleConnections)
	v.client = &http.Client{
		Transport: transport, Timeout: deadline,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return v
}

// dial connects to the proxy, whatever name addr has.
func (v *visitor) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	return v.dialer.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
}

// An answer is one that was read to its end.
type answer struct {
	*http.Response
	body []byte
}

// do makes a request to url; headers are name, value, name, value …
func (v *visitor) do(method, url string, headers ...string) answer {
	v.t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := v.client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return answer{res, body}
}

func (v *visitor) get(path string, headers ...string) answer {
	v.t.Helper()
	return v.do(http.MethodGet, v.p.url(path), headers...)
}

// newest returns the path of the newest version of the canvas. Where the redirect
// to it names the public address, the test reaches that at another port.
func (v *visitor) newest() string {
	v.t.Helper()
	a := v.get("/api/v1/canvas")
	path := strings.TrimPrefix(a.Header.Get("Location"), "https://"+name)
	if a.StatusCode != http.StatusFound || !strings.HasPrefix(path, "/api/v1/canvas/") {
		v.t.Fatalf("the newest version: %s at %q", a.Status, a.Header.Get("Location"))
	}
	return path
}

// decoded returns the body without its coding.
func (a answer) decoded(t *testing.T) []byte {
	t.Helper()
	var body []byte
	var err error
	switch coding := a.Header.Get("Content-Encoding"); coding {
	case "":
		return a.body
	case "br":
		body, err = io.ReadAll(brotli.NewReader(bytes.NewReader(a.body)))
	case "gzip":
		var r *gzip.Reader
		if r, err = gzip.NewReader(bytes.NewReader(a.body)); err == nil {
			body, err = io.ReadAll(r)
		}
	case "zstd":
		var r *zstd.Decoder
		if r, err = zstd.NewReader(nil); err == nil {
			defer r.Close()
			body, err = r.DecodeAll(a.body, nil)
		}
	default:
		t.Fatalf("content coding %q", coding)
	}
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// token makes a guest.
func (v *visitor) token() string {
	v.t.Helper()
	a := v.do(http.MethodPost, v.p.url("/api/v1/session"), "Origin", v.p.origin())
	var session struct{ Token string }
	if err := json.Unmarshal(a.body, &session); err != nil || a.StatusCode != http.StatusCreated || session.Token == "" {
		v.t.Fatalf("session: %s %s", a.Status, a.body)
	}
	return session.Token
}

// connect opens TCP and TLS to the proxy, for one of the protocols, or HTTP/1.1.
func (v *visitor) connect(protocols ...string) *tls.Conn {
	v.t.Helper()
	tcp, err := v.dial(context.Background(), "tcp", net.JoinHostPort(name, v.p.secure))
	if err != nil {
		v.t.Fatal(err)
	}
	config := v.p.tls()
	config.NextProtos = protocols
	c := tls.Client(tcp, config)
	v.t.Cleanup(func() { tcp.Close() })
	_ = c.SetDeadline(time.Now().Add(deadline))
	if err := c.Handshake(); err != nil {
		v.t.Fatal(err)
	}
	return c
}

// first makes a request on c, which can be used again after it.
func (v *visitor) first(c net.Conn, path string) {
	v.t.Helper()
	req, err := http.NewRequest(http.MethodGet, v.p.url(path), nil)
	if err != nil {
		v.t.Fatal(err)
	}
	if err := req.Write(c); err != nil {
		v.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), req)
	if err != nil {
		v.t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != 200 {
		v.t.Fatalf("%s: %s, %v", path, res.Status, err)
	}
}

// upgrade asks for the WebSocket over c and returns the status of the answer.
func (v *visitor) upgrade(c net.Conn, origin string) (*socket, int) {
	v.t.Helper()
	u, key := v.p.url("/ws"), "dGhlIHNhbXBsZSBub25jZQ=="
	req, err := http.NewRequest(http.MethodGet, u, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header = http.Header{
		"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {key},
		"Sec-Websocket-Protocol": {wire.Subprotocol}, "X-Forwarded-For": {"192.0.2.1"},
	}
	if origin != "" {
		req.Header.Set("Origin", origin)
	}
	if err := req.Write(c); err != nil {
		v.t.Fatal(err)
	}
	br := bufio.NewReader(c)
	res, err := http.ReadResponse(br, req)
	if err != nil {
		v.t.Fatal(err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return nil, res.StatusCode
	}
	const accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" // to that key, from RFC 6455
	if got := res.Header.Get("Sec-WebSocket-Accept"); got != accept {
		v.t.Fatalf("Sec-WebSocket-Accept is %q", got)
	}
	if got := res.Header.Get("Sec-WebSocket-Protocol"); got != wire.Subprotocol {
		v.t.Fatalf("Sec-WebSocket-Protocol is %q", got)
	}
	return &socket{t: v.t, r: br, w: c}, res.StatusCode
}

// socket opens a WebSocket on a connection of its own.
func (v *visitor) socket() *socket {
	v.t.Helper()
	s, status := v.upgrade(v.connect(), v.p.origin())
	if s == nil {
		v.t.Fatalf("the upgrade was answered with %d", status)
	}
	return s
}
