// Package web is the browser client.
//
//	Handler: GET / and /assets/... in, the committed bundle out
//
// What is served is what dist holds, embedded when the program is built; the
// bundle is made from src by go generate. Nothing here knows the protocol, reads
// the disk or writes HTML.
package web

//go:generate go run ./build

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"path"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/valyala/fasthttp"
)

//go:embed dist
var dist embed.FS

// Options is what the operator decides about the page.
type Options struct {
	// FrameAncestors are the sites that may show the page in a frame, as CSP
	// writes them. None: no other site.
	FrameAncestors []string
	// CanvasOrigin is the origin of the canvas's CDN, "" for this server's own.
	CanvasOrigin string
}

// A file is one file of the bundle with its encodings, made once at start.
type file struct {
	contentType  string
	cacheControl string
	plain        variant
	br, gzip     variant // no body: not worth it
}

type variant struct {
	body []byte
	etag string
}

const (
	immutable  = "public, max-age=31536000, immutable"
	revalidate = "no-cache"
)

// Handler returns a function that answers requests for the page and its assets
// and reports whether the request was one. The bodies that it sets are shared by
// all requests and never written to.
func Handler(opts Options) func(ctx *fasthttp.RequestCtx) bool {
	files := load()
	policy := contentSecurityPolicy(opts)
	return func(ctx *fasthttp.RequestCtx) bool {
		f := files[string(ctx.Path())]
		if f == nil {
			return false
		}
		if !ctx.IsGet() && !ctx.IsHead() {
			ctx.Response.Header.Set("Allow", "GET, HEAD")
			ctx.SetStatusCode(fasthttp.StatusMethodNotAllowed)
			return true
		}
		serve(ctx, f, policy)
		return true
	}
}

func serve(ctx *fasthttp.RequestCtx, f *file, policy string) {
	v, encoding := f.plain, ""
	switch accepts := &ctx.Request.Header; {
	case f.br.body != nil && accepts.HasAcceptEncoding("br"):
		v, encoding = f.br, "br"
	case f.gzip.body != nil && accepts.HasAcceptEncoding("gzip"):
		v, encoding = f.gzip, "gzip"
	}
	h := &ctx.Response.Header
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", f.cacheControl)
	h.Set("Vary", "Accept-Encoding")
	h.Set("ETag", v.etag)
	if bytes.Contains(ctx.Request.Header.Peek("If-None-Match"), []byte(v.etag)) {
		ctx.SetStatusCode(fasthttp.StatusNotModified)
		return
	}
	h.SetContentType(f.contentType)
	if encoding != "" {
		h.Set("Content-Encoding", encoding)
	}
	ctx.Response.SetBodyRaw(v.body)
}

// load reads the embedded bundle. It panics on a bundle that cannot be: that is
// a mistake of the build, found by every test and every start.
func load() map[string]*file {
	files := map[string]*file{}
	entries, err := dist.ReadDir("dist")
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		body, err := dist.ReadFile(path.Join("dist", e.Name()))
		if err != nil {
			panic(err)
		}
		f := &file{contentType: contentType(e.Name()), cacheControl: immutable, plain: newVariant(body)}
		f.br = smaller(body, compressBrotli(body))
		f.gzip = smaller(body, compressGzip(body))
		if e.Name() == "index.html" {
			f.cacheControl = revalidate
			files["/"] = f
			continue
		}
		files["/assets/"+e.Name()] = f
		if strings.HasPrefix(e.Name(), "mark-") {
			icon := *f
			icon.cacheControl = revalidate // this name has no hash in it
			files["/favicon.ico"], files["/favicon.svg"] = &icon, &icon
		}
	}
	return files
}

func newVariant(body []byte) variant {
	sum := sha256.Sum256(body)
	return variant{body, `"` + hex.EncodeToString(sum[:8]) + `"`}
}

// smaller returns a variant only where compressing saved something.
func smaller(plain, compressed []byte) variant {
	if len(compressed) >= len(plain) {
		return variant{}
	}
	return newVariant(compressed)
}

// brotliLevel is short of the best: that would be felt at every start.
const brotliLevel = 9

func compressBrotli(body []byte) []byte {
	var out bytes.Buffer
	w := brotli.NewWriterLevel(&out, brotliLevel)
	if _, err := w.Write(body); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func compressGzip(body []byte) []byte {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		panic(err)
	}
	if _, err := w.Write(body); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".json":
		return "application/json"
	case ".svg":
		return "image/svg+xml"
	}
	panic(fmt.Sprintf("web: no content type for %s", name))
}

// contentSecurityPolicy lets the page use what is its own, plus https: for
// pictures and data that a person may name by URL; nothing inline, nothing
// evaluated.
func contentSecurityPolicy(opts Options) string {
	connect := "'self' https:"
	if opts.CanvasOrigin != "" {
		connect += " " + opts.CanvasOrigin
	}
	ancestors := "'self'"
	if len(opts.FrameAncestors) > 0 {
		ancestors += " " + strings.Join(opts.FrameAncestors, " ")
	}
	return strings.Join([]string{
		"default-src 'none'", "script-src 'self'", "worker-src 'self'", "style-src 'self'", "img-src 'self' blob: data: https:",
		"connect-src " + connect, "base-uri 'none'", "form-action 'none'", "frame-ancestors " + ancestors,
	}, "; ")
}
