package gateway

import (
	"fmt"
	"net"

	"github.com/valyala/fasthttp"
)

// Upgrade takes over a request that asks fasthttp for the WebSocket endpoint:
// proxies such as nginx and HAProxy send one on a connection that served HTTP
// before. The gateway judges the head again and answers it itself. The server
// must run with KeepHijackedConns, else it closes the connection under us.
func (g *Gateway) Upgrade(ctx *fasthttp.RequestCtx) {
	head := fmt.Appendf(nil, "%s %s HTTP/1.1\r\n", ctx.Method(), ctx.RequestURI())
	head = append(head, ctx.Request.Header.RawHeaders()...)
	if n := len(head); n < 4 || string(head[n-4:]) != "\r\n\r\n" {
		head = append(head, "\r\n"...)
	}
	ctx.HijackSetNoResponse(true)
	ctx.Hijack(func(c net.Conn) {
		if err := g.Adopt(c, head); err != nil {
			g.cfg.Logger.Warn("connection not adopted", "err", err)
		}
	})
}
