package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp/fasthttpadaptor"

	"pixelwall/core"
)

func (a *API) adminRoutes() table {
	routes := []route{
		{method: http.MethodGet, path: "/metrics", handle: a.getMetrics},
		{method: http.MethodGet, path: "/livez", handle: a.getLive},
		{method: http.MethodGet, path: "/readyz", handle: a.getReady},
		{method: http.MethodGet, path: "/admin/v1/config", handle: a.getConfig},
		{method: http.MethodPatch, path: "/admin/v1/config", handle: a.patchConfig},
		{method: http.MethodGet, path: "/admin/v1/pixel", query: []string{"x", "y", "limit", "before"}, handle: a.getPixelUsers},
		{method: http.MethodGet, path: "/admin/v1/user", query: []string{"uid", "limit", "before"}, handle: a.getUser},
		{method: http.MethodGet, path: "/debug/pprof/", handle: getProfile},
		{method: http.MethodGet, path: "/debug/pprof/{profile}", query: []string{"seconds", "debug", "gc"}, handle: getProfile},
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

func (a *API) authorize(r *request) error {
	err := AuthorizeAdmin(a.o.AdminToken, string(r.Host()), r.Request.Header.Peek("Authorization"))
	switch {
	case err == nil:
		return nil
	case a.o.AdminToken == "":
		a.intruders.Warn(a.o.Log, a.o.Now(), "a request for the admin API was refused", "host", clip(string(r.Host())), "by", peerOf(r.RequestCtx))
		return withStatus(http.StatusForbidden, err)
	}
	a.intruders.Warn(a.o.Log, a.o.Now(), "a request for the admin API had no good token", "by", peerOf(r.RequestCtx))
	return err
}

// AuthorizeAdmin lets a request of an operator through: one with the token, or,
// where there is none, one that names the listener by its address. The latter
// keeps out a page whose host was made to resolve to our loopback. The error is
// core.CodeUnauthorized.
func AuthorizeAdmin(token, host string, authorization []byte) error {
	if token == "" {
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil || host == "localhost" {
			return nil
		}
		return core.NewError(core.CodeUnauthorized, "ask by address or as localhost, or start the server with an admin token")
	}
	text, ok := bearer(authorization)
	have, want := sha256.Sum256([]byte(text)), sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(have[:], want[:]) != 1 || !ok {
		return core.NewError(core.CodeUnauthorized, "the admin token is needed")
	}
	return nil
}

// profiles are those that are no runtime/pprof.Profile. The command line is not
// among them: it may hold secrets.
var profiles = map[string]http.HandlerFunc{
	"profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
}

func getProfile(r *request) error {
	handle, ok := profiles[r.vars[0]]
	if !ok {
		handle = pprof.Index // which knows all others
	}
	r.Response.Header.Del("X-Content-Type-Options") // it sets its own
	fasthttpadaptor.NewFastHTTPHandlerFunc(handle)(r.RequestCtx)
	return nil
}
