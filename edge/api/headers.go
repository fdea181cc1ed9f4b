package api

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/valyala/fasthttp"
)

// contentSecurityPolicy returns what the page may load: itself, pictures and
// data over https (templates that a person names by URL), and the CDN.
func contentSecurityPolicy(o *Options) string {
	connect := []string{"'self'", "https:"}
	if u, err := url.Parse(o.PublicURL); err == nil && u.Host != "" {
		// Some browsers do not count a WebSocket of the same host as 'self'.
		connect = append(connect, strings.Replace(u.Scheme, "http", "ws", 1)+"://"+u.Host)
	}
	if u, err := url.Parse(o.CanvasURL); err == nil && u.Host != "" {
		connect = append(connect, u.Scheme+"://"+u.Host)
	}
	return strings.Join([]string{
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self'",
		"worker-src 'self'",
		"font-src 'self'",
		"manifest-src 'self'",
		"img-src 'self' blob: data: https:",
		"connect-src " + strings.Join(connect, " "),
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors " + o.FrameAncestors,
	}, "; ")
}

// ValidSource reports whether s, one of FrameAncestors or all of them, cannot end
// the directive that it stands in.
func ValidSource(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == ';' || r == ',' }) < 0
}

// preflight answers a browser that asks what a page of another origin may do.
func (a *API) preflight(ctx *fasthttp.RequestCtx, routes []*route) {
	h := &ctx.Response.Header
	h.Set("Allow", allow(routes))
	if routes[0].readable {
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Allow-Methods", "GET, HEAD")
		h.Set("Access-Control-Allow-Headers", "If-None-Match")
		h.Set("Access-Control-Max-Age", "86400")
	} else if routes[0].method == fasthttp.MethodPost {
		if origin, ok := a.allowedOrigin(ctx); ok && origin != "" {
			allowReading(ctx, origin)
			h.Set("Access-Control-Allow-Methods", "POST")
			h.Set("Access-Control-Allow-Headers", "Authorization")
			h.Set("Access-Control-Max-Age", "600")
		}
	}
	ctx.SetStatusCode(fasthttp.StatusNoContent)
}

// allowedOrigin returns the Origin of a request, empty for what is no page, and
// whether it may make sessions here.
func (a *API) allowedOrigin(ctx *fasthttp.RequestCtx) (origin string, ok bool) {
	origin = string(ctx.Request.Header.Peek("Origin"))
	return origin, origin == "" || a.o.AllowOrigin(string(ctx.Host()), origin)
}

// allowReading lets the page of one origin read the answer.
func allowReading(ctx *fasthttp.RequestCtx, origin string) {
	ctx.Response.Header.Set("Access-Control-Allow-Origin", origin)
	ctx.Response.Header.Add("Vary", "Origin")
}

// sameHost is the default of Options.AllowOrigin.
func sameHost(host, origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, host)
}

// peerAddr is the default of Options.ClientAddr.
func peerAddr(peer netip.Addr, headers []byte) (addr netip.Addr, exempt bool) {
	peer = peer.Unmap()
	return peer, peer.IsLoopback() && !forwarded(headers)
}

// forwarded reports whether a proxy says that it forwards for somebody.
func forwarded(headers []byte) bool {
	for line := range strings.SplitSeq(string(headers), "\n") {
		name, _, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "X-Forwarded-For") || strings.EqualFold(name, "Forwarded") || strings.EqualFold(name, "X-Real-IP") {
			return true
		}
	}
	return false
}
