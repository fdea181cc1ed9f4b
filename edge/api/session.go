package api

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/valyala/fasthttp"

	"pixelwall/core"
	"pixelwall/edge/token"
)

// A session is a guest as the answer tells it.
type session struct {
	Token   string `json:"token"`
	User    user   `json:"user"`
	Expires stamp  `json:"expires"`
}

// A user is somebody as others know them.
type user struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// postSession makes a new guest, or gives the holder of a token a new one.
func (a *API) postSession(r *request) error {
	origin, ok := a.allowedOrigin(r.RequestCtx)
	if !ok {
		return withStatus(http.StatusForbidden, core.NewError(core.CodeUnauthorized, "pages of this origin make no sessions here"))
	}
	if origin != "" && !sameHost(string(r.Host()), origin) {
		allowReading(r.RequestCtx, origin)
	}
	if len(r.PostBody()) > 0 || !harmless(r.Request.Header.ContentType()) {
		return withStatus(http.StatusUnsupportedMediaType, core.NewError(core.CodeInvalid, "this request has no body"))
	}
	guest, err := a.guest(r)
	if err != nil {
		return err
	}
	r.SetStatusCode(http.StatusCreated)
	return r.json(session{guest.Token, user{token.FormatID(guest.ID), guest.Name}, stamp(guest.Expires)}, noStore)
}

func (a *API) guest(r *request) (token.Guest, error) {
	if value := r.Request.Header.Peek("Authorization"); len(value) > 0 {
		text, ok := bearer(value)
		if !ok {
			return token.Guest{}, core.NewError(core.CodeUnauthorized, "Authorization must be Bearer and a token")
		}
		return a.o.Sessions.Renew(text, a.o.Now())
	}
	addr, exempt := a.o.ClientAddr(peerOf(r.RequestCtx), r.Request.Header.RawHeaders())
	return a.o.Sessions.Issue(addr, exempt, a.o.Now())
}

// harmless reports whether a request without a body may name this content type. A
// form of another site cannot send these; some HTTP libraries add one unasked.
func harmless(contentType []byte) bool {
	kind, _, _ := strings.Cut(string(contentType), ";")
	switch strings.ToLower(strings.Trim(kind, " \t")) {
	case "", "application/octet-stream", "application/json":
		return true
	}
	return false
}

// bearer returns the token of an Authorization header.
func bearer(value []byte) (string, bool) {
	scheme, text, _ := strings.Cut(string(value), " ")
	text = strings.Trim(text, " ")
	return text, strings.EqualFold(scheme, "Bearer") && text != ""
}

// peerOf returns the address at the other end of the connection.
func peerOf(ctx *fasthttp.RequestCtx) netip.Addr {
	if tcp, ok := ctx.RemoteAddr().(*net.TCPAddr); ok {
		addr, _ := netip.AddrFromSlice(tcp.IP)
		return addr.Unmap()
	}
	ap, _ := netip.ParseAddrPort(ctx.RemoteAddr().String())
	return ap.Addr().Unmap()
}
