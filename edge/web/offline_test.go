package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/png"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/valyala/fasthttp"
)

func TestTheManifestNamesPicturesOfTheSizesThatItSays(t *testing.T) {
	handle := Handler(Options{})
	res, took := ask(handle, "GET", "/manifest.webmanifest")
	if !took || string(res.Header.ContentType()) != "application/manifest+json" || string(res.Header.Peek("Cache-Control")) != "no-cache" {
		t.Fatalf("taken %v, %s", took, &res.Header)
	}
	var manifest struct {
		Name, Start_URL, Scope, Display string
		Icons                           []struct{ Src, Sizes, Type, Purpose string }
	}
	if err := json.Unmarshal([]byte(plain(t, res)), &manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.Name != "Pixelwall" || manifest.Start_URL != "/" || manifest.Scope != "/" || manifest.Display != "standalone" {
		t.Errorf("%+v", manifest)
	}
	has := map[string]bool{}
	for _, icon := range manifest.Icons {
		res, took := ask(handle, "GET", icon.Src)
		if !took || string(res.Header.ContentType()) != icon.Type {
			t.Fatalf("%s: taken %v, %s", icon.Src, took, res.Header.ContentType())
		}
		has[icon.Sizes+icon.Purpose] = true
		if icon.Type != "image/png" {
			continue
		}
		img, err := png.Decode(bytes.NewReader(res.Body()))
		if err != nil {
			t.Fatal(err)
		}
		side := img.Bounds().Dx()
		if fmt.Sprintf("%dx%d", side, img.Bounds().Dy()) != icon.Sizes {
			t.Errorf("%s is %v, the manifest says %s", icon.Src, img.Bounds(), icon.Sizes)
		}
		// A system cuts a maskable icon to its shape; it has no corners of its own.
		_, _, _, alpha := img.At(0, 0).RGBA()
		if opaque := alpha == 0xffff; opaque != (icon.Purpose == "maskable") {
			t.Errorf("%s: its corner is opaque %v", icon.Src, opaque)
		}
		if r, g, b, a := img.At(side*9/32, side*8/32).RGBA(); r>>8 != 0xff || g>>8 != 0x45 || b != 0 || a>>8 != 0xff {
			t.Errorf("%s: the first square is #%02x%02x%02x", icon.Src, r>>8, g>>8, b>>8)
		}
	}
	for _, want := range []string{"192x192", "512x512", "192x192maskable", "512x512maskable"} {
		if !has[want] {
			t.Errorf("there is no icon %s", want)
		}
	}
}

func TestTheServiceWorkerIsNeverCached(t *testing.T) {
	res, took := ask(Handler(Options{}), "GET", "/sw.js")
	if !took || res.StatusCode() != 200 || string(res.Header.Peek("Cache-Control")) != "no-cache" {
		t.Errorf("taken %v, status %d, %s", took, res.StatusCode(), res.Header.Peek("Cache-Control"))
	}
}

const (
	cached = `caches.keys().then((names) => names.filter((n) => n.startsWith("pixelwall-page-")).sort())`
	// An installed worker that answers for the page, with all that it needs to.
	untilInstalled = `navigator.serviceWorker.getRegistration().then((r) => r && r.active?.state === "activated" && !r.installing && !r.waiting)`
	untilKept      = `caches.open("pixelwall-canvas").then((c) => c.keys()).then((k) => k.length === 2)`
	untilShown     = "globalThis.pixelwall?.state().size"
)

func TestWithoutAServerTheLastCanvasIsShown(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	p := openPage(t, s.url+"/?debug#60,60,20", desktop)
	p.untilLive()
	p.until(untilInstalled)
	p.until(untilKept)
	p.key("6")
	p.click(p.cell(61, 60)) // after the canvas was fetched, and after it was first kept
	p.until("pixelwall.state().hopes === 0")
	p.untilDrawn(61, 60, red)

	const keptAt = `caches.open("pixelwall-canvas").then((c) => c.match("/api/v1/canvas/info")).then((r) => r.headers.get("Pixelwall-Kept"))`
	before := eval[string](p, keptAt)
	s.kill()
	p.until("!document.getElementById('banner').hidden")
	p.until(keptAt + ".then((now) => now !== '" + before + "')")
	p.do(chromedp.Reload())
	p.until(untilShown)
	p.untilDrawn(61, 60, red)
	p.untilDrawn(62, 60, white)
	p.until("document.getElementById('banner').textContent.includes('You are offline')")
	p.until("document.getElementById('news').textContent.includes('You are offline')")
	if colors := eval[int](p, "document.querySelectorAll('.swatch').length"); colors != 16 {
		t.Errorf("%d colours are shown, want 16", colors)
	}
	p.click(p.cell(62, 60)) // nothing can be painted, and the page says so
	p.until("document.querySelectorAll('#toasts .bad').length === 1")
	if got := p.drawn(62, 60); got != white {
		t.Errorf("the cell is %s, want %s", got, white)
	}

	// The kept copy goes on as if the page had never been away.
	s.restart()
	p.untilLive()
	p.until("document.getElementById('banner').hidden")
	p.click(p.cell(62, 60))
	p.until("pixelwall.report().then((r) => r.unanswered === 0)")
	p.untilDrawn(62, 60, red)
	if got := s.metric("pixelwall_session_diverged_total"); got != "0" {
		t.Errorf("%s copies differed from the server's", got)
	}
}

// A signal without data: nothing fails, and nothing comes.
func TestWhereTheNetworkStallsTheLastCanvasIsShown(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	var stalled atomic.Bool
	at, _ := patientProxy(t, s.url, func(string) bool { return stalled.Load() })
	p := openPage(t, at+"/?debug#60,60,20", desktop)
	p.untilLive()
	p.until(untilInstalled)
	p.until(untilKept)
	stalled.Store(true)
	p.do(chromedp.Reload())
	p.until(untilShown)
	p.untilDrawn(62, 60, white)
	p.until("document.getElementById('banner').textContent.includes('You are offline')")
}

func TestTheWholeBuildIsKeptAndNothingElse(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	p := openPage(t, s.url+"/?debug", desktop)
	p.untilLive()
	p.until(untilInstalled)
	kept := eval[[]string](p, `caches.keys().then((names) => Promise.all(names.filter((n) => n.startsWith("pixelwall-page-")).map((n) => caches.open(n).then((c) => c.keys())))).then((all) => all.flat().map((r) => new URL(r.url).pathname))`)
	bundle, err := fs.Sub(dist, "dist")
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for path := range load(bundle) {
		if path == "/" || strings.HasPrefix(path, "/assets/") && filepath.Ext(path) != ".png" {
			want++
		}
	}
	if len(kept) != want {
		t.Errorf("%d files are kept, want the %d of the build: %v", len(kept), want, kept)
	}
	for _, path := range kept {
		if strings.HasPrefix(path, "/api/") {
			t.Errorf("%s is kept as a part of the page", path)
		}
	}
}

// A newer build that is served from the same address is what a reload shows, and
// what is kept for offline; nothing of the old one is left.
func TestANewBuildLeavesNothingOfTheOldOne(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	front, serve := switchable(t, s.url)
	serve(builtFrom(t, nil))
	p := openPage(t, front.URL+"/?debug#60,60,20", desktop)
	p.untilLive()
	p.until(untilInstalled)
	p.until(untilKept)
	p.do(chromedp.Reload()) // from here on the worker answers for the page
	p.untilLive()
	p.until("navigator.serviceWorker.controller")
	before := eval[[]string](p, cached)
	const script = "document.querySelector('script[type=module]').src"
	old := eval[string](p, script)

	serve(builtFrom(t, func(text string) string { return strings.Replace(text, `"Show the whole canvas"`, `"All of it"`, 1) }))
	p.do(chromedp.Reload())
	p.untilLive()
	const label = "document.getElementById('zoom-fit').getAttribute('aria-label')"
	if got := eval[string](p, label); got != "All of it" {
		t.Errorf("after the first reload the page is of another build: %q", got)
	}
	if now := eval[string](p, script); now == old {
		t.Errorf("the script is still %s", now)
	}
	p.until(cached + ".then((names) => names.length === 1 && names[0] !== '" + before[0] + "')")
	p.until(untilInstalled)

	front.CloseClientConnections()
	front.Close()
	p.do(chromedp.Reload())
	p.until(untilShown)
	p.untilDrawn(60, 60, white)
	p.until("document.getElementById('banner').textContent.includes('You are offline')")
	if got := eval[string](p, label); got != "All of it" {
		t.Errorf("without a server the page is of another build: %q", got)
	}
}

// builtFrom bundles the page anew with its English texts edited.
func builtFrom(t *testing.T, edit func(string) string) fs.FS {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "src"), os.DirFS("src")); err != nil {
		t.Fatal(err)
	}
	if edit != nil {
		path := filepath.Join(dir, "src", "i18n", "en.json")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		edited := edit(string(text))
		if edited == string(text) {
			t.Fatal("the edit changes nothing")
		}
		if err := os.WriteFile(path, []byte(edited), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("go", "run", "./build", "-dir", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return os.DirFS(filepath.Join(dir, "dist"))
}

// switchable is a front of the edge at target that serves the page of whichever
// build it was told last.
func switchable(t *testing.T, target string) (*httptest.Server, func(fs.FS)) {
	t.Helper()
	var page atomic.Pointer[func(*fasthttp.RequestCtx) bool]
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pages := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) {
		if !(*page.Load())(ctx) {
			ctx.SetStatusCode(fasthttp.StatusNotFound)
		}
	}}
	go func() { _ = pages.Serve(l) }()
	t.Cleanup(func() { _ = pages.Shutdown() })
	to := func(address string) *httputil.ReverseProxy {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(u)
			r.Out.Host = r.In.Host
		}}
	}
	edge, own := to(target), to("http://"+l.Addr().String())
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") || r.URL.Path == "/ws" {
			edge.ServeHTTP(w, r)
			return
		}
		own.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s, func(bundle fs.FS) { page.Store(new(handler(bundle, Options{}))) }
}
