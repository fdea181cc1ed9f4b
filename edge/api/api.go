package api

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/valyala/fasthttp"

	"pixelwall/core"
	"pixelwall/edge/seldom"
)

// An API answers HTTP requests. Its methods may be called concurrently.
type API struct {
	o        Options
	public   table
	admin    table
	versions *versions
	spec     *blob
	work     *gate // encoding
	drawing  *gate // pictures, which nobody needs to join
	past     *gate // questions to the history
	metrics  *metrics
	csp      string
	server   *fasthttp.Server
	conns    conns

	failures  map[core.Code]*seldom.Log // one for each code; never changed
	intruders seldom.Log                // on the admin listener
}

// New returns an API that answers from o.
func New(o Options) (*API, error) {
	o.ensureDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(o.Metrics)
	if err != nil {
		return nil, err
	}
	a := &API{
		o:        o,
		work:     newGate(encodersMax(), 64),
		drawing:  newGate(max(1, encodersMax()/2), 64),
		past:     newGate(32, 256),
		metrics:  m,
		csp:      contentSecurityPolicy(&o),
		failures: make(map[core.Code]*seldom.Log, len(statuses)),
	}
	for code := range statuses {
		a.failures[code] = &seldom.Log{}
	}
	a.versions = &versions{canvas: o.Canvas, bytesMax: o.CanvasBytesMax, now: o.Now}
	a.spec = newBlob("openapi", openAPI, nil)
	a.public, a.admin = a.publicRoutes(), a.adminRoutes()
	a.server = a.newServer(a.Handler)
	return a, nil
}

const canvasPath = "/api/v1/canvas"

// CanvasURL returns where clients get the canvas, for init and canvas/info: from
// here, by whatever name they found this server, or behind a CDN by its public one.
func (a *API) CanvasURL() string {
	if a.o.CanvasURL == "" {
		return canvasPath
	}
	return strings.TrimSuffix(a.o.PublicURL, "/") + canvasPath // it redirects to the CDN, version by version
}

// Handler answers one request of the public listener.
func (a *API) Handler(ctx *fasthttp.RequestCtx) { a.serve(ctx, a.public) }

// AdminHandler answers one request of the admin listener.
func (a *API) AdminHandler(ctx *fasthttp.RequestCtx) { a.serve(ctx, a.admin) }

// A request is what a handler sees. It is valid until the handler returns.
type request struct {
	*fasthttp.RequestCtx
	vars  [2]string // what stood for the {…} of the route's path
	query query
}

func (a *API) serve(ctx *fasthttp.RequestCtx, t table) {
	name, began := "none", a.o.Now()
	defer func() {
		if cause := recover(); cause != nil {
			a.o.Log.Error("a handler panicked", "route", name, "cause", cause, "stack", string(debug.Stack()))
			a.problem(ctx, core.NewError(core.CodeInternal, "the server failed"))
			ctx.SetConnectionClose()
		}
		a.metrics.seconds.WithLabelValues(name).Observe(a.o.Now().Sub(began).Seconds())
		a.metrics.requests.WithLabelValues(name, statusClass(ctx.Response.StatusCode())).Inc()
	}()
	ctx.Response.Header.Set("X-Content-Type-Options", "nosniff")
	ctx.Response.Header.Set("Referrer-Policy", "no-referrer")
	if a.conns.isClosing() {
		ctx.SetConnectionClose()
	}
	if err := checkHead(&ctx.Request.Header); err != nil {
		ctx.SetConnectionClose()
		a.problem(ctx, err)
		return
	}
	path := ctx.URI().PathOriginal()
	route, vars, allowed := t.find(ctx.Method(), path)
	switch {
	case route != nil:
		name = route.path
		a.answer(ctx, route, vars)
	case allowed == nil:
		if !a.page(ctx, t) {
			a.problem(ctx, core.NewError(core.CodeNotFound, "there is nothing at this path; the API is described at /api/v1/openapi.json"))
		}
	case string(ctx.Method()) == http.MethodOptions:
		a.preflight(ctx, allowed)
	default:
		ctx.Response.Header.Set("Allow", allow(allowed))
		a.problem(ctx, withStatus(http.StatusMethodNotAllowed, core.NewError(core.CodeInvalid, fmt.Sprintf("the method is not one of %s", allow(allowed)))))
	}
}

// answer runs the handler of route.
func (a *API) answer(ctx *fasthttp.RequestCtx, route *route, vars [2]string) {
	if route.readable {
		ctx.Response.Header.Set("Access-Control-Allow-Origin", "*")
		ctx.Response.Header.Set("Cross-Origin-Resource-Policy", "cross-origin")
	}
	r := request{RequestCtx: ctx, vars: vars}
	var err error
	if !route.anyQuery {
		r.query, err = parseQuery(ctx.URI().QueryString(), route.query)
	}
	if err == nil {
		err = route.handle(&r)
	}
	if err != nil {
		a.problem(ctx, err)
	}
}

// page lets Options.Page answer. The headers that bind a page are set last: only
// here is known which CDN it fetches from and who may embed it.
func (a *API) page(ctx *fasthttp.RequestCtx, t table) bool {
	if !t.hasPage || a.o.Page == nil || !ctx.IsGet() && !ctx.IsHead() || strings.HasPrefix(string(ctx.Path()), "/api/") {
		return false
	}
	if !a.o.Page(ctx) {
		return false
	}
	h := &ctx.Response.Header
	h.Set("Content-Security-Policy", a.csp)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	return true
}

func statusClass(status int) string {
	return [...]string{"1xx", "2xx", "3xx", "4xx", "5xx"}[min(max(status/100, 1), 5)-1]
}
