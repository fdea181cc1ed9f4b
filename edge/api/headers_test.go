package api

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

func TestPagesOfEveryOriginMayReadEveryGet(t *testing.T) {
	w := newWorld(t, 8, 8, "place2017", nil)
	where := w.location()
	for _, path := range []string{
		"/api/v1/canvas", where, where + "/0", "/api/v1/canvas/info", "/api/v1/canvas.png", "/api/v1/pixel?x=1&y=1",
		"/api/v1/health", "/api/v1/openapi.json", "/livez", "/readyz", "/api/v1/pixel", where + "/9",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions} {
			a := w.do(method, path, "Origin", "https://other.example", "Access-Control-Request-Method", "GET")
			if a.Header.Get("Access-Control-Allow-Origin") != "*" || a.Header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s %s: %v", method, path, a.Header)
			}
			if method == http.MethodOptions && (a.StatusCode != http.StatusNoContent || a.Header.Get("Access-Control-Allow-Methods") != "GET, HEAD") {
				t.Errorf("preflight of %s: %v", path, a)
			}
		}
	}
	for _, path := range []string{"/metrics", "/ws", "/"} {
		if a := w.get(path, "Origin", "https://other.example"); a.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v", path, a.Header)
		}
	}
}

func TestOtherMethodsAndPaths(t *testing.T) {
	w := newWorld(t, 8, 8, "place2017", nil)
	for _, tt := range []struct {
		method, path string
		want         int
		allow        string
	}{
		{"POST", "/api/v1/canvas", 405, "GET, HEAD, OPTIONS"},
		{"DELETE", "/api/v1/pixel?x=1&y=1", 405, "GET, HEAD, OPTIONS"},
		{"GET", "/api/v1/session", 405, "POST, OPTIONS"},
		{"HEAD", "/api/v1/session", 405, "POST, OPTIONS"},
		{"PATCH", "/livez", 405, "GET, HEAD, OPTIONS"},
		{"OPTIONS", "/livez", 204, "GET, HEAD, OPTIONS"},
		{"TRACE", "/livez", 405, "GET, HEAD, OPTIONS"},
		{"GET", "/api/v1", 404, ""},
		{"GET", "/api/v1/", 404, ""},
		{"GET", "/api/v1/canvas/", 404, ""},
		{"GET", "/api//v1/canvas", 404, ""},
		{"GET", "/api/v1/./canvas", 404, ""},
		{"GET", "/api/v1/canvas/info/../info", 404, ""},
		{"GET", "/API/v1/canvas", 404, ""},
		{"GET", "/api/v1/c%61nvas", 404, ""},
		{"GET", "/admin/v1/config", 404, ""},
		{"PATCH", "/admin/v1/config", 404, ""},
		{"GET", "/debug/pprof/", 404, ""},
		{"GET", "/", 404, ""},
	} {
		a := w.do(tt.method, tt.path)
		if a.StatusCode != tt.want || a.Header.Get("Allow") != tt.allow {
			t.Errorf("%s %s: %v", tt.method, tt.path, a)
		}
		if tt.want >= 400 && tt.method != "HEAD" {
			w.checkAgainstSpec(tt.method, tt.path, a)
		}
	}
}

func TestThePageIsBoundByItsHeaders(t *testing.T) {
	w := newWorld(t, 8, 8, "place2017", func(o *Options) {
		o.CanvasURL, o.PublicURL, o.FrameAncestors = "https://cdn.example/wall", "https://wall.example", "https://stream.example"
		o.Page = func(ctx *fasthttp.RequestCtx) bool {
			if string(ctx.Path()) != "/" && string(ctx.Path()) != "/main.js" {
				return false
			}
			ctx.SetContentType("text/html; charset=utf-8")
			ctx.Response.Header.Set("Content-Security-Policy", "script-src 'unsafe-inline'")
			ctx.Response.Header.Set("Referrer-Policy", "unsafe-url")
			ctx.SetBodyString("<!doctype html>")
			return true
		}
	})
	a := w.get("/?utm_source=x")
	if a.StatusCode != http.StatusOK || string(a.body) != "<!doctype html>" {
		t.Fatal(a)
	}
	policy := map[string][]string{}
	for directive := range strings.SplitSeq(a.Header.Get("Content-Security-Policy"), "; ") {
		words := strings.Fields(directive)
		policy[words[0]] = words[1:]
	}
	for directive, want := range map[string][]string{
		"default-src": {"'none'"}, "script-src": {"'self'"}, "style-src": {"'self'"}, "worker-src": {"'self'"},
		"img-src":     {"'self'", "blob:", "data:", "https:"},
		"connect-src": {"'self'", "https:", "wss://wall.example", "https://cdn.example"},
		"base-uri":    {"'none'"}, "form-action": {"'none'"}, "frame-ancestors": {"https://stream.example"},
	} {
		if !slices.Equal(policy[directive], want) {
			t.Errorf("%s %v, want %v", directive, policy[directive], want)
		}
	}
	if strings.Contains(a.Header.Get("Content-Security-Policy"), "unsafe") {
		t.Error("unsafe")
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Server": "",
	} {
		if a.Header.Get(name) != want {
			t.Errorf("%s %q, want %q", name, a.Header.Get(name), want)
		}
	}
	for path, want := range map[string]int{"/main.js": 200, "/other.js": 404, "/api/v1/nothing": 404} {
		if a := w.get(path); a.StatusCode != want {
			t.Errorf("%s: %v", path, a)
		}
	}
	if a := w.do(http.MethodPost, "/"); a.StatusCode != http.StatusNotFound {
		t.Errorf("POST /: %v", a)
	}
}

func TestOptionsAreRefused(t *testing.T) {
	w := newWorld(t, 8, 8, "place2017", nil)
	for name, tt := range map[string]struct {
		change func(*Options)
		says   string
	}{
		"without a canvas":          {func(o *Options) { o.Canvas = nil }, "Canvas"},
		"a CDN without a scheme":    {func(o *Options) { o.CanvasURL = "cdn.example" }, "canvas URL"},
		"a CDN with a query":        {func(o *Options) { o.CanvasURL = "https://cdn.example/?a" }, "canvas URL"},
		"a public URL without host": {func(o *Options) { o.PublicURL = "https://" }, "public URL"},
		"a second directive":        {func(o *Options) { o.FrameAncestors = "x; script-src *" }, "frame ancestors"},
		"a line end":                {func(o *Options) { o.FrameAncestors = "x\r\nSet-Cookie: a" }, "frame ancestors"},
	} {
		o := w.api.o
		o.Metrics = nil
		tt.change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
