package gateway

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// echo is a Handler that sends every message back, unless a test replaces a
// callback.
type echo struct {
	onOpen    func(c *Conn, req *Request)
	onMessage func(c *Conn, op ws.OpCode, p []byte)
	strangers bool // nobody is introduced by what it says
	onSkipped func(c *Conn, b *Broadcast)
	onDrained func(c *Conn)
	onClose   func(c *Conn, code uint16, err error)
}

func (e *echo) Open(c *Conn, req *Request) {
	if e.onOpen != nil {
		e.onOpen(c, req)
	}
}

func (e *echo) Message(c *Conn, op ws.OpCode, p []byte) {
	if !e.strangers {
		c.Introduced()
	}
	if e.onMessage != nil {
		e.onMessage(c, op, p)
		return
	}
	c.Send(AppendFrame(nil, op, p))
}

func (e *echo) Skipped(c *Conn, b *Broadcast) {
	if e.onSkipped != nil {
		e.onSkipped(c, b)
	}
}

func (e *echo) Drained(c *Conn) {
	if e.onDrained != nil {
		e.onDrained(c)
	}
}

func (e *echo) Close(c *Conn, code uint16, err error) {
	if e.onClose != nil {
		e.onClose(c, code, err)
	}
}

// start runs a gateway on a free loopback port until the test ends.
func start(t testing.TB, cfg Config, h Handler) *Gateway {
	t.Helper()
	cfg.Addr = "127.0.0.1:0"
	g, err := Start(cfg, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := g.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return g
}

// patience is how long tests wait for what must come.
const patience = 10 * time.Second

// client is a WebSocket client that can also misbehave: it writes raw bytes.
type client struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

const upgradeHead = "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

func connect(t testing.TB, g *Gateway) *client {
	t.Helper()
	nc, err := net.Dial("tcp", g.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(3 * patience))
	return &client{t, nc, bufio.NewReader(nc)}
}

// dial connects and upgrades; extra header lines end in CRLF each.
func dial(t testing.TB, g *Gateway, extra ...string) *client {
	t.Helper()
	c := connect(t, g)
	c.send(upgradeHead + strings.Join(extra, "") + "\r\n")
	res := c.response()
	if res.StatusCode != 101 {
		body, _ := io.ReadAll(res.Body)
		t.Fatalf("upgrade answered %s: %s", res.Status, body)
	}
	if got, want := res.Header.Get("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="; got != want {
		t.Fatalf("Sec-WebSocket-Accept %q, want %q", got, want)
	}
	return c
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c, s); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) response() *http.Response {
	c.t.Helper()
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body) // what follows is the next response
	if err != nil {
		c.t.Fatal(err)
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res
}

var testMask = [4]byte{0xa1, 0xb2, 0xc3, 0xd4}

// masked returns a client's frame; first is its first byte: FIN, RSV and opcode.
func masked(first byte, payload string) string {
	p := []byte(payload)
	ws.Cipher(p, testMask, 0)
	head := AppendHeader(nil, 0, len(p))
	head[0] = first
	head[1] |= 0x80
	return string(head) + string(testMask[:]) + string(p)
}

func (c *client) write(op ws.OpCode, payload string) {
	c.t.Helper()
	c.send(masked(0x80|byte(op), payload))
}

// frame reads one frame.
func (c *client) frame() (ws.OpCode, []byte) {
	c.t.Helper()
	op, p, err := c.tryFrame()
	if err != nil {
		c.t.Fatal(err)
	}
	return op, p
}

func (c *client) tryFrame() (ws.OpCode, []byte, error) {
	h, err := ws.ReadHeader(c.r)
	if err != nil {
		return 0, nil, err
	}
	if h.Masked || h.Length > 64<<20 {
		return 0, nil, fmt.Errorf("server sent %+v", h)
	}
	p := make([]byte, h.Length)
	_, err = io.ReadFull(c.r, p)
	return h.OpCode, p, err
}

// expect reads one frame and compares it.
func (c *client) expect(op ws.OpCode, payload string) {
	c.t.Helper()
	gotOp, got := c.frame()
	if gotOp != op || string(got) != payload {
		c.t.Fatalf("got frame %x %.80q, want %x %.80q", gotOp, got, op, payload)
	}
}

// closed reads until the close frame and the end of the stream and returns the code.
func (c *client) closed() uint16 {
	c.t.Helper()
	for {
		op, p, err := c.tryFrame()
		if err != nil {
			c.t.Fatalf("connection ended without a close frame: %v", err)
		}
		if op != ws.OpClose {
			continue
		}
		if _, err := c.r.ReadByte(); err != io.EOF {
			c.t.Fatalf("after the close frame: %v, want EOF", err)
		}
		if len(p) == 0 {
			return codeNoStatus
		}
		return binary.BigEndian.Uint16(p)
	}
}

// recorder notes how connections ended.
type recorder struct {
	mu    sync.Mutex
	codes []uint16
	errs  []error
}

func (r *recorder) close(_ *Conn, code uint16, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.codes, r.errs = append(r.codes, code), append(r.errs, err)
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprint(r.codes, r.errs)
}

// end returns how connection i ended.
func (r *recorder) end(i int) (uint16, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.codes[i], r.errs[i]
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.codes)
}
