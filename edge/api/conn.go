package api

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"pixelwall/core"
)

const (
	headBytesMax = 8 << 10
	bodyBytesMax = 64 << 10
	writeChunk   = 64 << 10
)

// newServer returns a server for handler with the limits of this package.
func (a *API) newServer(handler fasthttp.RequestHandler) *fasthttp.Server {
	return &fasthttp.Server{
		Handler:                      handler,
		ErrorHandler:                 a.badRequest,
		ReadBufferSize:               headBytesMax, // a head has to fit
		MaxRequestBodySize:           bodyBytesMax,
		ReadTimeout:                  a.o.ReadTimeout,
		IdleTimeout:                  a.o.IdleTimeout,
		KeepHijackedConns:            true,
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true,
		Logger:                       quiet{a.o.Log},
		ConnState:                    a.conns.state,
	}
}

// quiet hands what fasthttp would print to our log.
type quiet struct{ log *slog.Logger }

func (q quiet) Printf(format string, _ ...any) { q.log.Debug("fasthttp", "message", format) }

// AdminServer returns a server of AdminHandler, for a listener of its own. The
// caller shuts it down.
func (a *API) AdminServer() *fasthttp.Server { return a.newServer(a.AdminHandler) }

// ServeConn answers the requests that come over nc and closes it, unless
// Options.Upgrade has taken it over by then. It returns when that is done.
func (a *API) ServeConn(nc net.Conn) {
	c := &conn{Conn: nc, writeTimeout: a.o.WriteTimeout}
	if !a.conns.add(c) {
		nc.Close()
		return
	}
	defer a.conns.remove(c)
	_ = a.server.ServeConn(c) // a client that went away is nobody's error
}

// Shutdown ends the connections: those that wait for a request at once, the others
// after their answer, and whatever is left when ctx ends.
func (a *API) Shutdown(ctx context.Context) error {
	idle := a.conns.close()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		a.conns.cut()
		return ctx.Err()
	}
}

// badRequest answers what fasthttp could not read.
func (a *API) badRequest(ctx *fasthttp.RequestCtx, err error) {
	var small *fasthttp.ErrSmallBuffer
	switch {
	case errors.As(err, &small):
		err = withStatus(http.StatusRequestHeaderFieldsTooLarge, core.NewError(core.CodeMalformed, "the request's head is longer than 8 KiB"))
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		err = withStatus(http.StatusRequestEntityTooLarge, core.NewError(core.CodeMalformed, "the request's body is longer than 64 KiB"))
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = withStatus(http.StatusRequestTimeout, core.NewError(core.CodeMalformed, "the request did not come in time"))
	default:
		err = core.NewError(core.CodeMalformed, "the request is not HTTP/1.1 as we read it")
	}
	ctx.Response.Header.Set("X-Content-Type-Options", "nosniff")
	ctx.SetConnectionClose()
	a.problem(ctx, err)
}

// A conn is one connection as fasthttp sees it.
type conn struct {
	net.Conn
	writeTimeout time.Duration
	detached     atomic.Bool // reads end, because somebody else reads the socket
	idle         bool        // waits for a request; guarded by conns.mu
}

func (c *conn) Read(p []byte) (int, error) {
	if c.detached.Load() {
		return 0, io.EOF
	}
	return c.Conn.Read(p)
}

// Write gives each chunk its own time, so that a slow client gets a large canvas
// and one that reads nothing is cut soon.
func (c *conn) Write(p []byte) (n int, err error) {
	for err == nil && n < len(p) {
		if err = c.Conn.SetWriteDeadline(time.Now().Add(c.writeTimeout)); err != nil {
			break
		}
		var wrote int
		wrote, err = c.Conn.Write(p[n:min(len(p), n+writeChunk)])
		n += wrote
	}
	return n, err
}

// conns are the connections that ServeConn has. The gateway bounds their number.
type conns struct {
	mu      sync.Mutex
	all     map[*conn]struct{}
	closing bool
	empty   chan struct{} // closed when closing and all is empty
}

func (cs *conns) add(c *conn) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.closing {
		return false
	}
	if cs.all == nil {
		cs.all = make(map[*conn]struct{})
	}
	cs.all[c] = struct{}{}
	return true
}

func (cs *conns) remove(c *conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.all, c)
	if cs.closing && len(cs.all) == 0 {
		close(cs.empty)
	}
}

// state follows what fasthttp says of a connection.
func (cs *conns) state(nc net.Conn, state fasthttp.ConnState) {
	c, ok := nc.(*conn)
	if !ok || state != fasthttp.StateIdle && state != fasthttp.StateActive {
		return
	}
	cs.mu.Lock()
	defer cs.mu.Unlock()
	c.idle = state == fasthttp.StateIdle
	if c.idle && cs.closing {
		c.Conn.Close()
	}
}

func (cs *conns) isClosing() bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.closing
}

// close begins the end and returns what is closed when all are gone.
func (cs *conns) close() <-chan struct{} {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.closing {
		return cs.empty
	}
	cs.closing, cs.empty = true, make(chan struct{})
	if len(cs.all) == 0 {
		close(cs.empty)
	}
	for c := range cs.all {
		if c.idle {
			c.Conn.Close()
		}
	}
	return cs.empty
}

// cut closes what is left.
func (cs *conns) cut() {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for c := range cs.all {
		c.Conn.Close()
	}
}
