package web

import (
	"bytes"
	"fmt"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"pixelwall/wire"
)

const (
	white  = "#ffffff"
	red    = "#e50000" // colour 6 of place2017, key 6
	yellow = "#e5d900" // colour 9
)

func TestTwoPagesPaintAndSeeEachOther(t *testing.T) {
	for _, tt := range []struct{ name, query, renderer string }{
		{"drawn with WebGL2", "", "webgl2"},
		{"drawn with Canvas 2D", "&renderer=2d", "2d"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startEdge(t) // default cooldown, default tick
			a := openPage(t, s.url+"/?debug"+tt.query+"#120,80,20", desktop)
			b := openPage(t, s.url+"/?debug"+tt.query+"#120,80,20", desktop)
			a.untilLive()
			b.untilLive()
			if got := eval[string](a, "pixelwall.state().renderer"); got != tt.renderer {
				t.Fatalf("drawn with %s, want %s", got, tt.renderer)
			}

			a.key("6")
			a.click(a.cell(118, 79))
			if got := a.drawn(118, 79); got != red {
				t.Errorf("right after the click the painter sees %s, want %s", got, red)
			}
			b.untilDrawn(118, 79, red)

			b.key("9")
			b.do(chromedp.Focus(chromedp.ID("board")))
			b.key(kb.ArrowRight + kb.ArrowDown + kb.Enter) // from the middle, which is 120, 80
			a.untilDrawn(121, 81, yellow)
			a.until("pixelwall.state().hopes === 0")
			b.until("pixelwall.state().hopes === 0")
			s.sameCanvas(a, b)
			// The server's checks came with each catch-up, and nobody differed.
			if got := s.metric("pixelwall_session_diverged_total"); got != "0" {
				t.Errorf("%s copies differed from the server's", got)
			}

			// The screen itself, not what the page says about it.
			at := a.cell(121, 81)
			if got := a.screen(at); got != yellow {
				t.Errorf("the screen shows %s, want %s", got, yellow)
			}
		})
	}
}

// screen returns the colour of a picture of the window at a point.
func (p *page) screen(at point) string {
	p.t.Helper()
	shot, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		p.t.Fatal(err)
	}
	r, g, b, _ := img.At(int(at.X), int(at.Y)).RGBA()
	return fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8)
}

func TestCountdownLastsThroughAReloadAndInASecondTab(t *testing.T) {
	s := startEdge(t, "--cooldown", "1h") // long enough that a slow machine is no reason to fail
	a := openPage(t, s.url+"/?debug#50,50,20", desktop)
	a.untilLive()
	early := a.openTab(s.url+"/?debug#50,50,20", desktop)
	early.untilLive()
	name := eval[string](a, "document.getElementById('name').textContent")
	if got := eval[string](early, "document.getElementById('name').textContent"); got != name || name == "" {
		t.Errorf("the second tab is %q, the first %q", got, name)
	}

	a.key("6")
	a.click(a.cell(50, 50))
	const cooling = "pixelwall.state().available === 0 && pixelwall.state().remainingMS > 3500000 && pixelwall.state().remainingMS <= 3600000"
	a.until(cooling)
	early.until(cooling)
	early.until("document.title.startsWith('(')")

	a.do(chromedp.Reload())
	a.untilLive()
	a.until(cooling)
	a.untilDrawn(50, 50, red)
	if got := eval[string](a, "document.getElementById('name').textContent"); got != name {
		t.Errorf("after the reload the user is %q, was %q", got, name)
	}
	late := a.openTab(s.url+"/?debug#50,50,20", desktop)
	late.untilLive()
	late.until(cooling)

	// A click in the cooldown sends nothing and paints nothing.
	late.key("9")
	late.click(late.cell(52, 50))
	late.until("document.getElementById('paint').classList.contains('nudged')")
	if got := late.drawn(52, 50); got != white {
		t.Errorf("the cell is %s, want %s", got, white)
	}
}

func TestAKilledServerCostsNobodyAPixel(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	a := openPage(t, s.url+"/?debug#40,40,20", desktop)
	b := openPage(t, s.url+"/?debug#40,40,20", desktop)
	a.untilLive()
	b.untilLive()
	a.key("6")
	a.click(a.cell(40, 40))
	b.untilDrawn(40, 40, red)

	s.kill()
	a.until("['waiting', 'connecting'].includes(document.documentElement.dataset.link)")
	a.until("!document.getElementById('banner').hidden")
	a.click(a.cell(42, 40)) // while nobody is there to hear it
	if got := a.drawn(42, 40); got != red {
		t.Errorf("the painter sees %s, want %s", got, red)
	}
	s.restart()
	a.untilLive()
	b.untilLive()
	b.untilDrawn(42, 40, red)
	a.until("pixelwall.state().hopes === 0")
	if got := s.metric("pixelwall_canvas_bytes_total"); got != "0" {
		t.Errorf("%s bytes of canvas were fetched after the restart, want 0", got)
	}
	s.sameCanvas(a, b)
}

// metric returns a counter, or the sum of all with that name, as text; it fails
// when there is none.
func (s *server) metric(name string) string {
	s.t.Helper()
	answer, err := http.Get(s.url + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	sum, found := 0.0, false
	for _, m := range regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(name)+`(?:\{[^}]*\})? (\S+)$`).FindAllStringSubmatch(string(text), -1) {
		var v float64
		if _, err := fmt.Sscan(m[1], &v); err != nil {
			s.t.Fatal(err)
		}
		sum, found = sum+v, true
	}
	if !found {
		s.t.Fatalf("there is no metric %s", name)
	}
	return fmt.Sprint(sum)
}

func TestARefusedPixelIsTakenBackWithTheReason(t *testing.T) {
	s := startEdge(t, "--cooldown", "1h")
	g := newGate(t, s.url)
	a := openPage(t, g.url+"/?debug#60,60,20", desktop)
	a.untilLive()
	g.hold() // a no longer hears, and will believe that it may place
	b := a.openTab(g.url+"/?debug#60,60,20", desktop)
	b.untilLive()
	b.key("6")
	b.click(b.cell(60, 60))
	b.until("pixelwall.report().then((r) => r.unanswered === 0)")

	a.key("9")
	a.click(a.cell(62, 60))
	if got := a.drawn(62, 60); got != yellow {
		t.Fatalf("before the answer the painter sees %s, want %s", got, yellow)
	}
	g.release()
	a.untilDrawn(62, 60, white)
	a.until("document.getElementById('toasts').textContent.includes('too early')")
	a.untilDrawn(60, 60, red)
	a.until("pixelwall.state().available === 0 && pixelwall.state().hopes === 0")
	s.sameCanvas(a, b)
}

func TestAReloadSendsAgainWhatWasNotAnswered(t *testing.T) {
	s := startEdge(t, "--cooldown", "1h")
	g := newGate(t, s.url)
	p := openPage(t, g.url+"/?debug#60,60,20", desktop)
	p.untilLive()
	g.hold()
	p.key("6")
	p.click(p.cell(61, 60))
	waitFor(t, "the placement at the server", func() bool {
		return s.metric(`pixelwall_session_placements_total{result="placed"}`) == "1"
	})
	p.do(chromedp.Reload())
	p.untilLive()
	p.until("pixelwall.report().then((r) => r.unanswered === 0)")
	p.until("pixelwall.state().hopes === 0")
	p.untilDrawn(61, 60, red)
	for result, want := range map[string]string{"placed": "1", "repeated": "1", "cooldown": "0"} {
		if got := s.metric(`pixelwall_session_placements_total{result="` + result + `"}`); got != want {
			t.Errorf("%s placements were %s, want %s", got, result, want)
		}
	}
}

// Pages that watch the real trace being painted, fast, end with the canvas that
// a page has which comes afterwards.
func TestPagesStayEqualDuringAReplay(t *testing.T) {
	path := placeTrace(t)
	s := startEdge(t, "--cooldown", "0", "--start-canvas", path, "--tick", "50ms")
	gl := openPage(t, s.url+"/?debug", desktop)
	flat := openPage(t, s.url+"/?debug&renderer=2d", desktop)
	gl.untilLive()
	flat.untilLive()
	if err := <-s.replay(path, "--for", "300s", "--speed", "100"); err != nil {
		t.Fatal(err)
	}
	late := openPage(t, s.url+"/?debug", desktop)
	late.untilLive()
	s.sameCanvas(gl, late)
	s.sameCanvas(flat, late)
	if got := s.metric("pixelwall_session_diverged_total"); got != "0" {
		t.Errorf("%s copies differed from the server's", got)
	}
	for _, at := range [][2]int{{100, 100}, {500, 500}, {700, 300}} {
		for _, p := range []*page{gl, flat, late} {
			p.look(at[0], at[1], 24)
		}
		want := late.drawn(at[0], at[1])
		gl.untilDrawn(at[0], at[1], want)
		flat.untilDrawn(at[0], at[1], want)
	}
}

func TestATokenThatIsRefusedMakesANewGuest(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	p := openPage(t, s.url+"/?debug#60,60,20", desktop)
	p.untilLive()
	name := eval[string](p, "document.getElementById('name').textContent")
	eval[bool](p, "(localStorage.setItem('pixelwall-session', JSON.stringify({token: 'forged', name: 'x', expires: Date.now() + 1e9})), true)")
	p.do(chromedp.Reload())
	p.untilLive()
	p.until("!document.getElementById('name').hidden")
	if got := eval[string](p, "document.getElementById('name').textContent"); got == name || got == "" {
		t.Errorf("the new guest is %q, the one before was %q", got, name)
	}
	p.key("6")
	p.click(p.cell(60, 61))
	p.until("pixelwall.report().then((r) => r.unanswered === 0)")
	p.until("pixelwall.state().hopes === 0")
	p.untilDrawn(60, 61, red)
}

// Many behind one address may have used up its guests.
func TestWithoutANewGuestARefusedTokenWatches(t *testing.T) {
	s := startEdge(t, "--cooldown", "0", "--guests-per-hour", "1", "--trusted-proxies", "127.0.0.0/8")
	to, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	// Our own machine has no budget, so both come through a proxy.
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
		r.Out.Header.Set("X-Forwarded-For", "203.0.113.9")
	}})
	t.Cleanup(func() {
		proxy.CloseClientConnections()
		proxy.Close()
	})
	painter := openPage(t, proxy.URL+"/?debug#60,60,20", desktop)
	painter.untilLive()
	p := openPage(t, proxy.URL+"/?debug#60,60,20", desktop)
	p.until("document.getElementById('banner').textContent.includes('You are watching')")
	eval[bool](p, "(localStorage.setItem('pixelwall-session', JSON.stringify({token: 'forged', name: 'x', expires: Date.now() + 1e9})), true)")
	p.do(chromedp.Reload())
	p.until("globalThis.pixelwall && document.documentElement.dataset.link === 'live' && document.getElementById('banner').textContent.includes('You are watching')")
	painter.key("6")
	painter.click(painter.cell(60, 61))
	p.untilDrawn(60, 61, red)
}

func TestANewBuildOffersAReloadAndForcesNone(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	p := openPage(t, s.url+"/?debug#60,60,20", desktop)
	p.untilLive()
	s.kill()
	s.exe = filepath.Join(t.TempDir(), "edge-next")
	if out, err := exec.Command("go", "build", "-ldflags", "-X main.build=next", "-o", s.exe, "pixelwall/edge").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.restart()
	p.until("document.getElementById('banner').textContent.includes('new version') && !document.getElementById('banner').hidden")
	p.key("6")
	p.click(p.cell(60, 61)) // the old page goes on
	p.until("pixelwall.report().then((r) => r.unanswered === 0)")
	p.untilDrawn(60, 61, red)

	eval[bool](p, "(globalThis.old = true)")
	p.click(p.at("#banner button"))
	p.until("globalThis.old === undefined && globalThis.pixelwall")
	p.untilLive()
	p.until("document.getElementById('banner').hidden")
	p.untilDrawn(60, 61, red)
}

func TestAShardThatWasAwayTooLongIsFetchedAnew(t *testing.T) {
	s := startEdge(t, "--cooldown", "0", "--ring-age", "1ms", "--messages-per-sec", "10000", "--message-burst", "100000")
	p := openPage(t, s.url+"/?debug#256,256,32", desktop)
	painter := openPage(t, s.url+"/?debug#800,800,20", desktop)
	p.untilLive()
	painter.untilLive()
	p.until("pixelwall.report().then((r) => r.shards.length === 4)")
	// The server keeps blocks of 4096 events whatever it is told.
	const many = 2*4096 + 3*window
	conn := dialPainter(t, s.url, 9)
	defer conn.Close()
	for number := uint32(0); number < many; number += window {
		placed, err := paintWindow(conn, number, func(n uint32) wire.Place {
			return wire.Place{X: uint16(520 + n%400), Y: uint16(520 + n/400), Color: 5}
		})
		if placed != window || err != nil {
			t.Fatalf("%d of %d pixels were placed, %v", placed, window, err)
		}
	}
	painter.until(fmt.Sprintf("pixelwall.report().then((r) => r.shards.find((s) => s.shard === 3).seq === %d)", many))

	p.look(540, 530, 32)
	p.until("pixelwall.report().then((r) => r.shards.find((s) => s.shard === 3)?.watched)")
	p.untilDrawn(530, 530, red)
	if got := s.metric(`pixelwall_canvas_requests_total{kind="shard"}`); got == "0" {
		t.Error("no shard was fetched")
	}
	painter.key("9")
	painter.click(painter.cell(805, 801))
	painter.until("pixelwall.state().hopes === 0")
	const third = "pixelwall.report().then((r) => JSON.stringify(r.shards.find((s) => s.shard === 3)))"
	p.until(fmt.Sprintf("%s.then((own) => own === %q)", third, eval[string](painter, third)))
}
