package gateway

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/gobwas/ws"
	"github.com/valyala/fasthttp"

	"pixelwall/core/coretest"
)

// startWithHTTP runs a gateway with fasthttp behind it, which sends upgrades back.
func startWithHTTP(t testing.TB, cfg Config, h Handler) *Gateway {
	var g atomic.Pointer[Gateway]
	server := &fasthttp.Server{
		KeepHijackedConns: true,
		ReadBufferSize:    8192,
		Handler: func(ctx *fasthttp.RequestCtx) {
			if string(ctx.Path()) == "/ws" {
				upgrade(g.Load(), ctx)
				return
			}
			fmt.Fprintf(ctx, "%s %s", ctx.Method(), ctx.RequestURI())
		},
	}
	cfg.HTTP = func(c net.Conn) { _ = server.ServeConn(c) }
	g.Store(start(t, cfg, h))
	return g.Load()
}

// upgrade hands a request for the WebSocket endpoint back to the gateway.
func upgrade(g *Gateway, ctx *fasthttp.RequestCtx) {
	head := fmt.Appendf(nil, "%s %s HTTP/1.1\r\n%s", ctx.Method(), ctx.RequestURI(), ctx.Request.Header.RawHeaders())
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(c net.Conn) { _ = g.Adopt(c.(interface{ UnsafeConn() net.Conn }).UnsafeConn(), head) })
}

func TestAnUpgradeOnAKeptAliveConnectionWorks(t *testing.T) {
	var joined atomic.Int32
	g := startWithHTTP(t, Config{}, &echo{onMessage: func(c *Conn, op ws.OpCode, p []byte) {
		c.Follow(1)
		joined.Add(1)
		c.Send(AppendFrame(nil, op, p))
	}})
	c := connect(t, g)
	for i := range 3 {
		c.send(fmt.Sprintf("GET /page?%d HTTP/1.1\r\nHost: h\r\n\r\n", i))
		if res := c.response(); res.StatusCode != 200 {
			t.Fatalf("page: %s", res.Status)
		}
	}
	if s := g.Stats(); s.HTTP != 1 || s.Sockets != 1 || s.Conns != 0 {
		t.Errorf("as HTTP it counts as %+v", s)
	}
	c.send(upgradeHead + "\r\n")
	if res := c.response(); res.StatusCode != 101 {
		t.Fatalf("upgrade: %s", res.Status)
	}
	c.write(ws.OpBinary, "hello")
	c.expect(ws.OpBinary, "hello")
	coretest.Eventually(t, "joining", func() bool { return joined.Load() == 1 })
	g.Broadcast(numbered(1, 8))
	c.frame()
	if s := g.Stats(); s.HTTP != 0 || s.Sockets != 1 || s.Conns != 1 {
		t.Errorf("as WebSocket it counts as %+v", s)
	}
	c.write(ws.OpClose, "\x03\xe8")
	if got := c.closed(); got != 1000 {
		t.Errorf("closed with %d", got)
	}
	c.Close()
	coretest.Eventually(t, "counting down", func() bool { return g.Stats().Sockets == 0 })
}

func TestABadUpgradeOnAKeptAliveConnectionIsRefusedByTheSameRules(t *testing.T) {
	g := startWithHTTP(t, Config{}, &echo{})
	for _, tt := range []struct {
		name, head string
		want       int
	}{
		{"a foreign origin", upgradeHead + "Origin: http://evil.example\r\n\r\n", 403},
		{"version 8", strings.Replace(upgradeHead, "13", "8", 1) + "\r\n", 426},
		{"no upgrade at all", "GET /ws HTTP/1.1\r\nHost: h\r\n\r\n", 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := connect(t, g)
			c.send("GET /page HTTP/1.1\r\nHost: h\r\n\r\n")
			c.response()
			c.send(tt.head)
			if res := c.response(); res.StatusCode != tt.want {
				t.Errorf("%s, want %d", res.Status, tt.want)
			}
		})
	}
}

func TestAFrameSentWithTheUpgradeIsNotLost(t *testing.T) {
	g := startWithHTTP(t, Config{}, &echo{})
	c := connect(t, g)
	c.send(upgradeHead + "\r\n" + masked(0x82, "early"))
	if res := c.response(); res.StatusCode != 101 {
		t.Fatal(res.Status)
	}
	c.expect(ws.OpBinary, "early")
}

func TestAPortInUseIsAnError(t *testing.T) {
	first := start(t, Config{}, &echo{})
	_, err := Start(Config{Addr: first.Addr().String()}, &echo{})
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("a second gateway on the same port: %v, want address in use", err)
	}
	c := dial(t, first)
	c.write(ws.OpBinary, "the first is not disturbed")
	c.expect(ws.OpBinary, "the first is not disturbed")
}

func TestAllMistakesOfAConfigAreReportedAtOnce(t *testing.T) {
	_, err := Start(Config{Path: "ws", Loops: -1, Sender: "pigeon", Origins: []string{"example.com"}}, &echo{})
	for _, want := range []string{"slash", "loops", "pigeon", "example.com"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not mention %s", err, want)
		}
	}
}

func TestConnectionsOfOneAddressAreLimited(t *testing.T) {
	g := startWithHTTP(t, Config{ConnsPerAddress: 2}, &echo{})
	upgrade := func(extra string) *client {
		c := connect(t, g)
		c.send(upgradeHead + extra + "\r\n")
		return c
	}
	for range 5 { // loopback itself is local use
		if res := upgrade("").response(); res.StatusCode != 101 {
			t.Fatal(res.Status)
		}
	}
	forwarded := "X-Forwarded-For: 198.51.100.7\r\n"
	first := upgrade(forwarded)
	for i, want := range []int{101, 101, 429} {
		c := first
		if i > 0 {
			c = upgrade(forwarded)
		}
		res := c.response()
		if res.StatusCode != want {
			t.Fatalf("connection %d of an untrusted proxy: %s, want %d", i, res.Status, want)
		}
		if want == 429 && res.Header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
	}
	first.Close()
	coretest.Eventually(t, "room for another", func() bool { return upgrade(forwarded).response().StatusCode == 101 })
}

func TestStopClosesWith1012AndRefusesBefore(t *testing.T) {
	g := startWithHTTP(t, Config{}, &echo{})
	c := dial(t, g)
	g.Drain()
	late := connect(t, g)
	late.send(upgradeHead + "\r\n")
	if res := late.response(); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("an upgrade while draining: %s %v", res.Status, res.Header)
	}
	page := connect(t, g)
	page.send("GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n")
	if res := page.response(); res.StatusCode != 200 {
		t.Errorf("a page while draining: %s", res.Status)
	}
	c.write(ws.OpBinary, "still served")
	c.expect(ws.OpBinary, "still served")
	stopped := make(chan error)
	go func() { stopped <- g.Stop(t.Context()) }()
	if got := c.closed(); got != 1012 {
		t.Errorf("closed with %d, want 1012", got)
	}
	c.Close()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	<-g.Done()
	if g.Err() != nil {
		t.Error(g.Err())
	}
}
