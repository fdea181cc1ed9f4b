package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp/pprofhandler"

	"pixelwall/core"
)

func (a *API) adminRoutes() table {
	profile := func(r *request) error {
		pprofhandler.PprofHandler(r.RequestCtx)
		return nil
	}
	routes := []route{
		{method: http.MethodGet, path: "/metrics", handle: a.getMetrics},
		{method: http.MethodGet, path: "/livez", handle: a.getLive},
		{method: http.MethodGet, path: "/readyz", handle: a.getReady},
		{method: http.MethodGet, path: "/admin/v1/config", handle: a.getConfig},
		{method: http.MethodPatch, path: "/admin/v1/config", handle: a.patchConfig},
		{method: http.MethodGet, path: "/debug/pprof/", handle: profile},
		{method: http.MethodGet, path: "/debug/pprof/{profile}", query: []string{"seconds", "debug", "gc"}, handle: profile},
	}
	for i := range routes {
		handle := routes[i].handle
		routes[i].handle = func(r *request) error {
			if err := a.authorize(r); err != nil {
				return err
			}
			return handle(r)
		}
	}
	return table{routes: routes}
}

// authorize lets a request of an operator through: one with the token, or,
// where there is none, one that names the listener by its address. The latter
// keeps out a page whose host was made to resolve to our loopback.
func (a *API) authorize(r *request) error {
	if a.o.AdminToken == "" {
		host := string(r.Host())
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil || host == "localhost" {
			return nil
		}
		return withStatus(http.StatusForbidden, core.NewError(core.CodeUnauthorized, "ask by address or as localhost, or start the server with an admin token"))
	}
	text, _ := bearer(r.Request.Header.Peek("Authorization"))
	have, want := sha256.Sum256([]byte(text)), sha256.Sum256([]byte(a.o.AdminToken))
	if subtle.ConstantTimeCompare(have[:], want[:]) != 1 {
		return core.NewError(core.CodeUnauthorized, "the admin token is needed")
	}
	return nil
}
