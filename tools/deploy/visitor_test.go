package deploy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/klauspost/compress/zstd"

	"pixelwall/core"
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

// newest returns the path of the newest version of the canvas. The redirect to
// it names the public address, of which the test has another port.
func (v *visitor) newest() string {
	v.t.Helper()
	a := v.get("/api/v1/canvas")
	path, ok := strings.CutPrefix(a.Header.Get("Location"), "https://"+name)
	if a.StatusCode != http.StatusFound || !ok || !strings.HasPrefix(path, "/api/v1/canvas/") {
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

// A socket is the client's end of a WebSocket, and a copy of the canvas, which
// has one shard.
type socket struct {
	t     *testing.T
	r     io.Reader
	w     io.Writer
	board *core.Board
	id    uint64 // of the canvas
	seq   uint64
	dec   wire.Decoder

	init    *wire.Init
	joined  bool
	placed  *wire.Placed
	bye     bool
	batches int
	pings   int
	code    ws.StatusCode // how the server closed; 0 while it has not
	err     error         // how the connection ended without a close
}

func (s *socket) send(m interface{ AppendTo([]byte) []byte }) {
	s.t.Helper()
	if err := wsutil.WriteClientBinary(s.w, m.AppendTo(nil)); err != nil {
		s.t.Fatal(err)
	}
}

// join says hello and follows the canvas from the copy in file.
func (s *socket) join(token string, file []byte) {
	s.t.Helper()
	c, err := wire.ParseCanvasFile(file)
	if err != nil || len(c.Shards) != 1 {
		s.t.Fatalf("%d shards, %v", len(c.Shards), err)
	}
	s.id, s.seq = c.Canvas, c.Shards[0].Seq
	s.board = core.NewBoard(core.Geometry{Width: int(c.Width), Height: int(c.Height), Bits: c.Bits}, 0)
	if err := s.board.LoadPacked(0, c.Shards[0].Packed); err != nil {
		s.t.Fatal(err)
	}
	s.hello(token)
	s.watch()
}

// watch follows the canvas from the copy that s has.
func (s *socket) watch() {
	s.t.Helper()
	s.send(wire.Watch{Canvas: s.id, Shards: []wire.WatchShard{{Shard: 0, Resume: true, Held: s.seq}}})
	s.until("catchup", func() bool { return s.joined })
}

func (s *socket) hello(token string) {
	s.t.Helper()
	s.send(wire.Hello{Version: wire.Version, Instance: 1, Capabilities: wire.CanRange, Token: token})
	s.until("init", func() bool { return s.init != nil })
}

// until reads frames until cond holds.
func (s *socket) until(what string, cond func() bool) {
	s.t.Helper()
	for !cond() {
		if s.ended() {
			s.t.Fatalf("waiting for %s: the connection ended with %d, %v", what, s.code, s.err)
		}
		if err := s.read(); err != nil {
			s.t.Fatalf("waiting for %s: %v", what, err)
		}
	}
}

func (s *socket) ended() bool { return s.code != 0 || s.err != nil }

// read takes one frame. It fails for what the server may not send.
func (s *socket) read() error {
	h, err := ws.ReadHeader(s.r)
	if err != nil {
		s.err = err
		return nil
	}
	if h.Length > wire.ServerMessageBytesMax {
		return fmt.Errorf("a frame of %d bytes", h.Length)
	}
	msg := make([]byte, h.Length)
	if _, s.err = io.ReadFull(s.r, msg); s.err != nil {
		return nil
	}
	switch h.OpCode {
	case ws.OpClose:
		s.code, _ = ws.ParseCloseFrameData(msg)
	case ws.OpPing:
		s.pings++
		return wsutil.WriteClientMessage(s.w, ws.OpPong, msg)
	case ws.OpBinary:
		return s.message(msg)
	}
	return nil
}

func (s *socket) message(msg []byte) error {
	switch wire.TypeOf(msg) {
	case wire.TypeInit:
		m, err := wire.ParseInit(msg)
		s.init = &m
		return err
	case wire.TypeCatchUp:
		m, err := wire.ParseCatchUp(msg)
		if err != nil || s.seq < m.From || s.seq > m.To {
			return fmt.Errorf("a catch-up from %d to %d for a copy at %d, %w", m.From, m.To, s.seq, err)
		}
		s.seq, s.joined = m.To, true
		return s.paint(wire.CodingRice, m.Param, m.Payload)
	case wire.TypeBatch:
		m, err := wire.ParseBatch(msg)
		if err != nil {
			return err
		}
		s.seq += m.Advance
		s.batches++
		return s.paint(m.Coding, m.Param, m.Payload)
	case wire.TypePlaced:
		m, err := wire.ParsePlaced(msg)
		s.placed = &m
		return err
	case wire.TypeBye:
		_, err := wire.ParseBye(msg)
		s.bye = true
		return err
	case wire.TypeResync:
		return fmt.Errorf("the server does not know seq %d", s.seq)
	case wire.TypeError:
		m, err := wire.ParseRefusal(msg)
		return fmt.Errorf("the server refuses: %d %s %w", m.Code, m.Message, err)
	}
	return nil
}

func (s *socket) paint(coding wire.Coding, param uint8, payload []byte) error {
	g := s.board.Geometry()
	c := wire.Canvas{Pix: s.board.Pixels(0), Width: g.Width, Height: g.Height, Stride: core.ShardSide, Bits: g.Bits}
	px, err := s.dec.Decode(nil, coding, param, payload, c)
	if err == nil {
		c.Apply(px)
	}
	return err
}

// color returns what the copy shows at (x, y).
func (s *socket) color(x, y int) uint8 {
	_, off := core.Locate(x, y)
	return s.board.At(0, off)
}
