// Package web is the browser client.
//
//	Handler: GET /, /assets/... and what an installed page needs in, the committed bundle out
//
// What is served is what dist holds, embedded when the program is built; the
// bundle is made from src by go generate. Only the head of a share link is written
// here. Nothing knows the protocol or reads the disk.
package web

//go:generate go run ./build

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/valyala/fasthttp"
)

//go:embed dist
var dist embed.FS

// Options is what the operator decides about the page.
type Options struct {
	// PublicURL is scheme and host of links, "" where nobody said.
	PublicURL string
	// Size returns the size of the canvas; without it share links have no picture.
	Size func() (width, height int)
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

// Handler returns a function that answers requests for the page and its assets, each
// a GET or HEAD, and reports whether the request was one. What the page may load is said by the
// API, which knows its addresses. The bodies that it sets are shared by
// all requests and never written to.
func Handler(opts Options) func(ctx *fasthttp.RequestCtx) bool {
	bundle, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err)
	}
	return handler(bundle, opts)
}

func handler(bundle fs.FS, opts Options) func(ctx *fasthttp.RequestCtx) bool {
	files := load(bundle)
	sharer := newSharer(files["/"].plain.body, opts)
	files["/"] = newFile("index.html", sharer.front(), revalidate)
	return func(ctx *fasthttp.RequestCtx) bool {
		f := files[string(ctx.Path())]
		if f == nil {
			return false
		}
		if f == files["/"] {
			if v, ok := viewOf(ctx.QueryArgs()); ok {
				if body, ok := sharer.shared(v); ok {
					f = &file{contentType: f.contentType, cacheControl: f.cacheControl, plain: newVariant(body)}
				}
			}
		}
		serve(ctx, f)
		return true
	}
}

func serve(ctx *fasthttp.RequestCtx, f *file) {
	v, encoding := f.plain, ""
	switch accepts := &ctx.Request.Header; {
	case f.br.body != nil && accepts.HasAcceptEncoding("br"):
		v, encoding = f.br, "br"
	case f.gzip.body != nil && accepts.HasAcceptEncoding("gzip"):
		v, encoding = f.gzip, "gzip"
	}
	h := &ctx.Response.Header
	h.Set("X-Content-Type-Options", "nosniff")
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

// unhashed are the files that keep their name: their users know no other.
var unhashed = map[string]bool{"sw.js": true, "manifest.webmanifest": true}

// load reads a bundle. It panics on one that cannot be: that is a mistake of the
// build, found by every test and every start.
func load(bundle fs.FS) map[string]*file {
	files := map[string]*file{}
	entries, err := fs.ReadDir(bundle, ".")
	if err != nil {
		panic(err)
	}
	for _, e := range entries {
		name := e.Name()
		body, err := fs.ReadFile(bundle, name)
		switch {
		case err != nil:
			panic(err)
		case name == "index.html":
			files["/"] = newFile(name, body, revalidate)
		case unhashed[name]:
			files["/"+name] = newFile(name, body, revalidate)
		default:
			files["/assets/"+name] = newFile(name, body, immutable)
		}
		if strings.HasPrefix(name, "mark-") {
			icon := newFile(name, body, revalidate)
			files["/favicon.ico"], files["/favicon.svg"] = icon, icon
		}
	}
	return files
}

func newFile(name string, body []byte, cacheControl string) *file {
	return &file{
		contentType: contentType(name), cacheControl: cacheControl, plain: newVariant(body),
		br: smaller(body, compressBrotli(body)), gzip: smaller(body, compressGzip(body)),
	}
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
	case ".webmanifest":
		return "application/manifest+json"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	}
	panic(fmt.Sprintf("web: no content type for %s", name))
}
