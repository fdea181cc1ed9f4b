package api

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
)

// A route is one thing that can be asked. openapi.json has the same routes, which
// a test holds against this list.
type route struct {
	method   string   // GET answers HEAD too
	path     string   // a segment "{…}" stands for any one segment
	query    []string // the parameters that it knows; others are refused
	anyQuery bool     // parameters are not looked at
	readable bool     // pages of every origin may read the answer
	handle   func(*request) error
}

// A table is the routes of one listener.
type table struct {
	routes  []route
	hasPage bool // other paths belong to the page
}

func (a *API) publicRoutes() table {
	const v1 = "/api/v1"
	get := func(path string, handle func(*request) error, query ...string) route {
		return route{method: http.MethodGet, path: path, query: query, readable: true, handle: handle}
	}
	t := table{hasPage: true, routes: []route{
		get(v1+"/canvas", a.getCanvas),
		get(v1+"/canvas/info", a.getInfo),
		get(v1+"/canvas/{version}", a.getVersion),
		get(v1+"/canvas/{version}/{shard}", a.getShard),
		get(v1+"/canvas.png", a.getPNG, "x", "y", "w", "h", "scale"),
		get(v1+"/pixel", a.getPixel, "x", "y", "limit", "before"),
		get(v1+"/health", a.getHealth),
		get(v1+"/openapi.json", a.getOpenAPI),
		get("/livez", a.getLive),
		get("/readyz", a.getReady),
		{method: http.MethodPost, path: v1 + "/session", handle: a.postSession},
		{method: http.MethodGet, path: a.o.SocketPath, anyQuery: true, handle: a.getSocket},
	}}
	if !a.o.HasAdmin {
		t.routes = append(t.routes, route{method: http.MethodGet, path: "/metrics", handle: a.getMetrics})
	}
	return t
}

// find returns the route of method and path with what stands for its {…}. When
// only the method does not fit, allowed is the routes of the path. Paths are
// compared as sent: no route has a character that needs an escape.
func (t *table) find(method, path []byte) (found *route, vars [2]string, allowed []*route) {
	for i := range t.routes {
		r := &t.routes[i]
		v, ok := match(r.path, path)
		if !ok {
			continue
		}
		if string(method) == r.method || string(method) == http.MethodHead && r.method == http.MethodGet {
			return r, v, nil
		}
		allowed = append(allowed, r)
	}
	return nil, vars, allowed
}

func match(pattern string, path []byte) (vars [2]string, ok bool) {
	n := 0
	for pattern != "" || len(path) > 0 {
		var want string
		var have []byte
		var more, longer bool
		want, pattern, more = strings.Cut(pattern, "/")
		have, path, longer = bytes.Cut(path, []byte{'/'})
		if more != longer {
			return vars, false
		}
		if strings.HasPrefix(want, "{") && len(have) > 0 {
			vars[n] = string(have)
			n++
		} else if want != string(have) {
			return vars, false
		}
	}
	return vars, true
}

// allow lists the methods of routes as the Allow header has them.
func allow(routes []*route) string {
	var methods []string
	for _, r := range routes {
		methods = append(methods, r.method)
		if r.method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	methods = append(methods, http.MethodOptions)
	return strings.Join(slices.Compact(methods), ", ")
}
