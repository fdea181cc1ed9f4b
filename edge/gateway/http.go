package gateway

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"

	"github.com/panjf2000/gnet/v2"
)

// An httpConn is a connection that left the loops for the HTTP server. It
// reads the bytes first that the loop had read already, each exactly once, and
// keeps counting for the limits until it is closed.
type httpConn struct {
	net.Conn
	g    *Gateway
	key  netip.Prefix
	head []byte // read by one goroutine, the server's

	once sync.Once
	err  error // of Close
}

func (h *httpConn) Read(p []byte) (int, error) {
	if len(h.head) > 0 {
		n := copy(p, h.head)
		if h.head = h.head[n:]; len(h.head) == 0 {
			h.head = nil
		}
		return n, nil
	}
	return h.Conn.Read(p)
}

func (h *httpConn) Close() error {
	h.once.Do(func() {
		h.err = h.Conn.Close()
		h.g.forget(h)
		h.g.adm.conns.Add(-1)
		h.g.adm.leave(h.key)
	})
	return h.err
}

func (g *Gateway) remember(h *httpConn) {
	g.stats.http.Add(1)
	g.httpMu.Lock()
	defer g.httpMu.Unlock()
	g.https[h] = struct{}{}
}

func (g *Gateway) forget(h *httpConn) {
	g.stats.http.Add(-1)
	g.httpMu.Lock()
	defer g.httpMu.Unlock()
	delete(g.https, h)
}

// closeHTTP closes all connections that the HTTP server still has.
func (g *Gateway) closeHTTP() {
	g.httpMu.Lock()
	var all []*httpConn
	for h := range g.https {
		all = append(all, h)
	}
	g.httpMu.Unlock()
	for _, h := range all {
		_ = h.Close()
	}
}

// handOver gives c, of which all was read, to the HTTP server. The descriptor
// is duplicated, so gnet closing its own does not end the connection.
func (c *Conn) handOver(all []byte) {
	g := c.loop.g
	fd, err := c.gc.Dup()
	if err != nil {
		c.refuseWith(errFull)
		return
	}
	file := os.NewFile(uintptr(fd), "http")
	nc, err := net.FileConn(file)
	_ = file.Close()
	if err != nil {
		c.refuseWith(errFull)
		return
	}
	h := &httpConn{Conn: nc, g: g, key: c.key(), head: bytes.Clone(all)}
	c.handed, c.counted = true, false
	g.remember(h)
	go g.cfg.HTTP(h)
}

// ErrClosed is returned by a Gateway that is stopped.
var ErrClosed = errors.New("gateway: closed")

// ErrNotAdopted is returned by Adopt for a connection that is not plain TCP.
var ErrNotAdopted = errors.New("gateway: only a plain TCP connection can be adopted")

// Adopt takes a connection back from the HTTP server, on which an upgrade was
// asked for after other requests. head is the request head and whatever was
// read behind it; the gateway judges and answers it like any first request.
// nc must not be used afterwards, whatever Adopt returns.
//
// Ownership: Adopt keeps head.
func (g *Gateway) Adopt(nc net.Conn, head []byte) error {
	tcp, h := unwrap(nc)
	if tcp == nil {
		_ = nc.Close()
		return ErrNotAdopted
	}
	c := &Conn{adopted: true, in: &inbox{head: head}}
	var key netip.Prefix
	if h != nil {
		key = h.key
		c.counted = key.IsValid()
		h.once.Do(func() { g.forget(h) }) // it goes on counting as c
	} else {
		g.adm.conns.Add(1)
	}
	err := g.enroll(c, tcp)
	if err != nil {
		_ = tcp.Close()
		g.adm.conns.Add(-1)
		g.adm.leave(key)
	}
	return err
}

func (g *Gateway) enroll(c *Conn, tcp *net.TCPConn) error {
	loops := *g.loops.Load()
	if len(loops) == 0 {
		return ErrClosed
	}
	l := loops[int(g.nextLoop.Add(1))%len(loops)]
	result, err := l.el.Enroll(gnet.NewContext(context.Background(), c), tcp)
	if err != nil {
		return errors.Join(ErrClosed, err)
	}
	select {
	case r := <-result:
		return r.Err
	case <-g.done:
		return ErrClosed
	}
}

// unwrap finds the TCP connection under nc, and our own wrapper on the way.
func unwrap(nc net.Conn) (*net.TCPConn, *httpConn) {
	var own *httpConn
	for {
		switch v := nc.(type) {
		case *net.TCPConn:
			return v, own
		case *httpConn:
			own, nc = v, v.Conn
		default:
			return nil, own
		}
	}
}
