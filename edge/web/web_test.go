package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/valyala/fasthttp"
)

func TestDistIsWhatTheSourceGives(t *testing.T) {
	if out, err := exec.Command("go", "run", "./build", "-check").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// ask sends one request to a handler and reports whether it took it.
func ask(handle func(*fasthttp.RequestCtx) bool, method, path string, headers ...string) (*fasthttp.Response, bool) {
	var ctx fasthttp.RequestCtx
	ctx.Request.Header.SetMethod(method)
	ctx.Request.SetRequestURI(path)
	for i := 0; i < len(headers); i += 2 {
		ctx.Request.Header.Set(headers[i], headers[i+1])
	}
	took := handle(&ctx)
	var res fasthttp.Response
	ctx.Response.CopyTo(&res)
	return &res, took
}

var assetName = regexp.MustCompile(`/assets/[a-z]+-[a-z2-7]{8}\.(?:js|css|svg)\b`)

func TestThePageAndAllItNamesAreServed(t *testing.T) {
	handle := Handler(Options{})
	page, took := ask(handle, "GET", "/")
	if !took || page.StatusCode() != 200 {
		t.Fatalf("/ is taken %v, status %d", took, page.StatusCode())
	}
	if got := string(page.Header.Peek("Cache-Control")); got != "no-cache" {
		t.Errorf("the page may be cached: %q", got)
	}
	main := ""
	names := assetName.FindAllString(string(page.Body()), -1)
	for _, name := range names {
		asset, took := ask(handle, "GET", name)
		if !took || asset.StatusCode() != 200 || len(asset.Body()) == 0 {
			t.Errorf("%s: taken %v, status %d", name, took, asset.StatusCode())
		}
		if got := string(asset.Header.Peek("Cache-Control")); !strings.Contains(got, "immutable") {
			t.Errorf("%s may change: %q", name, got)
		}
		if strings.HasPrefix(name, "/assets/main-") {
			main = string(asset.Body())
		}
	}
	worker := assetName.FindString(main)
	if !strings.HasPrefix(worker, "/assets/worker-") {
		t.Fatalf("the page names %v and its script %q as worker", names, worker)
	}
	if asset, took := ask(handle, "GET", worker); !took || asset.StatusCode() != 200 {
		t.Errorf("%s: taken %v, status %d", worker, took, asset.StatusCode())
	}
}

func TestHandler(t *testing.T) {
	handle := Handler(Options{})
	page, _ := ask(handle, "GET", "/")
	tag := string(page.Header.Peek("ETag"))
	for _, tt := range []struct {
		name           string
		method, path   string
		headers        []string
		took           bool
		status         int
		encoding, body string // body: what it has to begin with, decoded
	}{
		{"leaves the API alone", "GET", "/api/v1/canvas", nil, false, 200, "", ""},
		{"leaves an unknown asset alone", "GET", "/assets/main-nothing.js", nil, false, 200, "", ""},
		{"does not leave its folder", "GET", "/assets/../web.go", nil, false, 200, "", ""},
		{"sends brotli to whom it likes", "GET", "/", []string{"Accept-Encoding", "gzip, br"}, true, 200, "br", "<!doctype html>"},
		{"sends gzip otherwise", "GET", "/", []string{"Accept-Encoding", "gzip"}, true, 200, "gzip", "<!doctype html>"},
		{"sends plain bytes to the rest", "GET", "/", nil, true, 200, "", "<!doctype html>"},
		{"answers a tag that still holds with 304", "GET", "/", []string{"If-None-Match", tag}, true, 304, "", ""},
		{"answers an old tag with the page", "GET", "/", []string{"If-None-Match", `"old"`}, true, 200, "", "<!doctype html>"},
		{"has an icon", "GET", "/favicon.ico", nil, true, 200, "", "<svg"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res, took := ask(handle, tt.method, tt.path, tt.headers...)
			if took != tt.took || res.StatusCode() != tt.status {
				t.Fatalf("taken %v, status %d, want %v, %d", took, res.StatusCode(), tt.took, tt.status)
			}
			if got := string(res.Header.Peek("Content-Encoding")); got != tt.encoding {
				t.Errorf("encoding %q, want %q", got, tt.encoding)
			}
			if body := plain(t, res); !strings.HasPrefix(body, tt.body) || tt.status == 304 && body != "" {
				t.Errorf("body begins %.20q, want %q", body, tt.body)
			}
		})
	}
}

func plain(t *testing.T, res *fasthttp.Response) string {
	t.Helper()
	var r io.Reader = bytes.NewReader(res.Body())
	switch string(res.Header.Peek("Content-Encoding")) {
	case "br":
		r = brotli.NewReader(r)
	case "gzip":
		var err error
		if r, err = gzip.NewReader(r); err != nil {
			t.Fatal(err)
		}
	}
	body, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
