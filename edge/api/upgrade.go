package api

import (
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"pixelwall/core"
)

// getSocket gives a connection on which a WebSocket handshake arrived to
// Options.Upgrade. Reverse proxies send one on a connection that served HTTP
// before. The answer is for whoever takes the connection.
func (a *API) getSocket(r *request) error {
	h := &r.Request.Header
	c, ours := r.Conn().(*conn)
	if a.o.Upgrade == nil || !ours || !r.IsGet() || !h.IsHTTP11() || len(r.PostBody()) > 0 ||
		!listed(h.PeekAll("Upgrade"), "websocket") || !listed(h.PeekAll("Connection"), "upgrade") {
		r.Response.Header.Set("Upgrade", "websocket")
		r.Response.Header.Set("Connection", "Upgrade")
		return withStatus(http.StatusUpgradeRequired, core.NewError(core.CodeInvalid, "this path speaks WebSocket only; the protocol is pixelwall.v1"))
	}
	head := requestHead(h)
	r.HijackSetNoResponse(true)
	r.Hijack(func(buffered net.Conn) {
		// With reads from the socket off, what can still be read is what fasthttp
		// had read behind the head.
		c.detached.Store(true)
		behind, err := io.ReadAll(buffered)
		if err == nil {
			err = c.Conn.SetDeadline(time.Time{})
		}
		if err != nil {
			c.Conn.Close()
			return
		}
		a.o.Upgrade(c.Conn, append(head, behind...))
	})
	return nil
}

// requestHead returns the head of a request as it was received.
func requestHead(h *fasthttp.RequestHeader) []byte {
	head := append([]byte(nil), h.Method()...)
	head = append(append(head, ' '), h.RequestURI()...)
	head = append(append(head, ' '), h.Protocol()...)
	return append(append(head, "\r\n"...), h.RawHeaders()...)
}

// listed reports whether one of the comma lists has item.
func listed(lists [][]byte, item string) bool {
	for _, list := range lists {
		for have := range strings.SplitSeq(string(list), ",") {
			if strings.EqualFold(strings.TrimSpace(have), item) {
				return true
			}
		}
	}
	return false
}
