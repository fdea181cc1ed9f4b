package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"pixelwall/core"
)

const (
	// immutable is for what never changes under its name.
	immutable = "public, max-age=31536000, immutable"
	// brief is for what changes at most once a second. A CDN that keeps it takes
	// a crowd's requests off the origin.
	brief   = "public, max-age=1"
	noStore = "no-store"
)

func itoa(n int) string { return strconv.Itoa(n) }

// getCanvas leads to the newest version.
func (a *API) getCanvas(r *request) error {
	v, err := a.versions.newest()
	if err != nil {
		return err
	}
	base := strings.TrimSuffix(a.o.CanvasURL, "/")
	if base == "" {
		base = canvasPath // by whatever name the client found this server
	}
	r.Response.Header.Set("Location", base+"/"+v.name)
	r.Response.Header.Set("Cache-Control", brief)
	r.SetStatusCode(http.StatusFound)
	return nil
}

func (a *API) getVersion(r *request) error {
	v, err := a.version(r.vars[0])
	if err != nil {
		return err
	}
	return a.blob(r, v.file, "application/octet-stream", "canvas")
}

func (a *API) getShard(r *request) error {
	v, err := a.version(r.vars[0])
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(r.vars[1], 10, 8)
	if err != nil || itoa(int(n)) != r.vars[1] {
		return core.NewError(core.CodeInvalid, fmt.Sprintf("shard %q is not a whole number of 0 to %d", clip(r.vars[1]), core.ShardsMax-1))
	}
	if n < core.ShardsMax {
		if b := v.shard(core.ShardID(n)); b != nil {
			return a.blob(r, b, "application/octet-stream", "shard")
		}
	}
	return core.NewError(core.CodeUnknownShard, fmt.Sprintf("the canvas of %dx%d has no shard %d", v.config.Width, v.config.Height, n))
}

// version returns the version called name. One that is not kept any more is not
// an error of the client: it asks for the newest name and goes on.
func (a *API) version(name string) (*version, error) {
	if v := a.versions.find(name); v != nil {
		return v, nil
	}
	return nil, core.NewError(core.CodeNotFound, "no such version, or it is not kept any more: ask /api/v1/canvas for the newest")
}

// blob answers with b in the coding that the client likes best.
func (a *API) blob(r *request, b *blob, contentType, kind string) error {
	accept := ""
	for _, line := range r.Request.Header.PeekAll("Accept-Encoding") {
		accept += "," + string(line)
	}
	c := negotiate(strings.TrimPrefix(accept, ","))
	h := &r.Response.Header
	h.Set("ETag", b.etag(c))
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", immutable)
	if matches(string(r.Request.Header.Peek("If-None-Match")), b.etag(c)) {
		r.SetStatusCode(http.StatusNotModified)
		a.metrics.count(kind, 0)
		return nil
	}
	body, err := b.in(c, a.work)
	if err != nil {
		return err
	}
	if c != identity {
		h.Set("Content-Encoding", c.String())
	}
	r.SetContentType(contentType)
	r.Response.SetBodyRaw(body)
	if r.IsHead() {
		a.metrics.count(kind, 0)
	} else {
		a.metrics.count(kind, len(body))
	}
	return nil
}
