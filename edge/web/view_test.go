package web

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func TestFingers(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	p := openPage(t, s.url+"/?debug&renderer=2d#300,300,16", phone)
	p.untilLive()
	p.tap(p.at("#palette .swatch:nth-child(6)"))
	p.until("pixelwall.state().color === 5")

	t.Run("a pinch zooms and paints nothing", func(t *testing.T) {
		p.touch([]point{{150, 200}, {220, 300}}, []point{{100, 130}, {270, 370}})
		p.until("pixelwall.state().scale > 24")
		p.untilRest()
		if got := eval[any](p, "pixelwall.state().cursor"); got != nil {
			t.Errorf("the pinch chose a cell: %v", got)
		}
	})
	t.Run("a drag pans and paints nothing", func(t *testing.T) {
		before := p.cell(300, 300)
		p.touch([]point{{180, 250}}, []point{{120, 200}})
		p.untilRest()
		if after := p.cell(300, 300); after.X > before.X-40 || after.Y > before.Y-30 {
			t.Errorf("cell 300, 300 went from %v to %v", before, after)
		}
		if got := eval[any](p, "pixelwall.state().cursor"); got != nil {
			t.Errorf("the drag chose a cell: %v", got)
		}
	})
	p.look(300, 300, 28) // however far it glided
	t.Run("a tap chooses and a second one paints", func(t *testing.T) {
		at := p.cell(301, 302)
		p.tap(at)
		p.until("pixelwall.state().cursor?.by === 'touch'")
		if got := p.drawn(301, 302); got != white {
			t.Errorf("after one tap the cell is %s, want %s", got, white)
		}
		p.until("!document.getElementById('confirm').hidden")
		p.tap(at)
		p.untilDrawn(301, 302, red)
		p.until("pixelwall.report().then((r) => r.unanswered === 0)")
	})
	t.Run("the button of the dock paints what a tap chose", func(t *testing.T) {
		p.tap(p.cell(303, 302))
		p.until("!document.getElementById('confirm').hidden")
		p.tap(p.at("#confirm"))
		p.untilDrawn(303, 302, red)
	})
	t.Run("a tap from far away comes closer and paints nothing", func(t *testing.T) {
		p.tap(p.at("#zoom-fit"))
		p.until("pixelwall.state().scale < 1 && !pixelwall.state().moving")
		p.tap(p.cell(500, 500))
		p.until("pixelwall.state().scale > 20 && !pixelwall.state().moving")
		if got := p.drawn(500, 500); got != white {
			t.Errorf("the cell is %s, want %s", got, white)
		}
	})
	if got := s.metric("pixelwall_session_placements_total"); got != "2" {
		t.Errorf("%s placements reached the server, want the 2 that were meant", got)
	}
}

func TestAMousePaintsOnlyWhereItClicks(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	p := openPage(t, s.url+"/?debug", desktop)
	p.untilLive()
	p.key("6")

	p.click(p.cell(200, 200)) // far away: comes closer first
	p.until("pixelwall.state().scale > 20 && !pixelwall.state().moving")

	from := p.cell(200, 200)
	p.do(chromedp.MouseEvent(chromedp.MousePressed, from.X, from.Y, chromedp.ButtonLeft),
		chromedp.MouseEvent(chromedp.MouseMoved, from.X+60, from.Y+40, chromedp.ButtonLeft),
		chromedp.MouseEvent(chromedp.MouseReleased, from.X+60, from.Y+40, chromedp.ButtonLeft))
	p.untilRest()
	if at := p.cell(200, 200); at.X < from.X+50 {
		t.Errorf("the drag moved the canvas from %v to %v", from, at)
	}

	scale := eval[float64](p, "pixelwall.state().scale")
	p.do(chromedp.MouseEvent(chromedp.MouseWheel, 400, 300, func(m *input.DispatchMouseEventParams) { m.DeltaX, m.DeltaY = 1, 120 }))
	p.until(fmt.Sprintf("pixelwall.state().scale < %f && !pixelwall.state().moving", scale*0.9))

	at := p.cell(202, 201)
	p.click(at)
	p.untilDrawn(202, 201, red)
	p.until("pixelwall.report().then((r) => r.unanswered === 0)")
	if got := s.metric("pixelwall_session_placements_total"); got != "1" {
		t.Errorf("%s placements reached the server, want 1", got)
	}

	// Who painted this: the name of this very user.
	p.key("i")
	name := eval[string](p, "document.getElementById('name').textContent")
	p.until(fmt.Sprintf("document.querySelector('#inspector .history .who')?.textContent === %q", name))
}

// From afar the first click of a double-click comes closer; the second one lands
// on a cell that nobody aimed at.
func TestADoubleClickFromAfarPaintsNothing(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	for _, still := range []bool{false, true} {
		l := desktop
		l.still = still
		p := openPage(t, s.url+"/?debug", l)
		p.untilLive()
		at := p.cell(200, 200)
		// As the person clicked, however long this machine takes for a frame.
		began := time.Now()
		click := func(after time.Duration) {
			when := input.TimeSinceEpoch(float64(began.Add(after).UnixMicro()) / 1e6)
			p.do(chromedp.MouseClickXY(at.X, at.Y, func(m *input.DispatchMouseEventParams) { m.Timestamp = when }))
		}
		click(0)
		p.until("pixelwall.state().scale > 6")
		click(150 * time.Millisecond)
		p.until("pixelwall.state().scale > 20 && !pixelwall.state().moving")
		click(400 * time.Millisecond)
		if hopes := eval[int](p, "pixelwall.state().hopes"); hopes != 0 {
			t.Errorf("less motion %v: the double-click painted", still)
		}
		click(600 * time.Millisecond)
		p.until("pixelwall.report().then((r) => r.unanswered === 0) && pixelwall.state().hopes === 0")
	}
	waitFor(t, "one pixel of each page", func() bool { return s.metric(`pixelwall_session_placements_total{result="placed"}`) == "2" })
}

func TestWhereWebSocketsAreBlockedTheCanvasIsShownByHTTP(t *testing.T) {
	admin := freeAddress(t)
	s := startEdge(t, "--cooldown", "0", "--admin-listen", admin)
	blocked := openPage(t, blockingProxy(t, s.url)+"/?debug#90,90,20", desktop)
	painter := openPage(t, s.url+"/?debug#90,90,20", desktop)
	painter.untilLive()
	painter.key("6")
	painter.click(painter.cell(91, 90))

	blocked.until("document.documentElement.dataset.link === 'polling'")
	if got := eval[string](blocked, "document.getElementById('banner').textContent"); !strings.Contains(got, "blocks live connections (WebSocket)") {
		t.Errorf("the banner says %q", got)
	}
	blocked.untilDrawn(91, 90, red)
	painter.click(painter.cell(92, 91))
	blocked.untilDrawn(92, 91, red)

	patch(t, admin, map[string]any{"width": 1100})
	blocked.until("pixelwall.state().size.width === 1100")
	blocked.click(blocked.cell(94, 94))
	blocked.until("document.getElementById('toasts').textContent.includes('live connection')")
	if got := blocked.drawn(94, 94); got != white {
		t.Errorf("the cell is %s, want %s", got, white)
	}
	blocked.audit(readAxe(t), "polling")
}

func TestTheCanvasMayComeBeforeItsFacts(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	painter := openPage(t, s.url+"/?debug#90,90,20", desktop)
	painter.untilLive()
	painter.key("6")
	painter.click(painter.cell(91, 90))
	painter.until("pixelwall.state().hopes === 0")

	at, release := patientProxy(t, s.url, func(path string) bool { return path == "/ws" || path == "/api/v1/canvas/info" })
	p := openPage(t, at+"/?debug#90,90,20", desktop)
	p.until("globalThis.pixelwall && pixelwall.report().then((r) => r && r.shards.length === 4)")
	if got := eval[int](p, "pixelwall.state().colors"); got != 0 {
		t.Fatalf("the page knows %d colours before it was told", got)
	}
	release()
	p.untilLive()
	p.untilDrawn(91, 90, red)
	p.untilDrawn(92, 90, white)
}

func TestAllOf32ColoursCanBeUsed(t *testing.T) {
	s := startEdge(t, "--palette", "place2022", "--cooldown", "0")
	a := openPage(t, s.url+"/?debug#70,70,20", desktop)
	b := openPage(t, s.url+"/?debug&renderer=2d#70,70,20", desktop)
	a.untilLive()
	b.untilLive()
	a.keysAtOnce("22") // the twenty-second: magenta
	a.until("pixelwall.state().color === 21 && pixelwall.state().colors === 32")
	a.click(a.cell(70, 71))
	b.untilDrawn(70, 71, "#de107f")
	b.click(b.at("#palette .swatch:nth-child(31)"))
	b.click(b.cell(72, 71))
	a.untilDrawn(72, 71, "#d4d7d9")
	a.until("pixelwall.state().hopes === 0")
	b.until("pixelwall.state().hopes === 0")
	s.sameCanvas(a, b)
}

func TestAPageInOneShardWatchesThatShardOnly(t *testing.T) {
	s := startEdge(t)
	p := openPage(t, s.url+"/?debug#256,256,32", desktop)
	watched := func(want string) string {
		return fmt.Sprintf("pixelwall.report().then((r) => r.shards.filter((s) => s.watched).map((s) => s.shard).join() === %q)", want)
	}
	p.untilLive()
	p.until(watched("0"))
	p.look(760, 256, 32)
	p.until(watched("1"))
	p.key("r")
	p.until(watched("0,1,2,3"))
}

func TestThePageNoticesThatItWasMovedHoweverMuchIsPainted(t *testing.T) {
	s := startEdge(t, "--cooldown", "0", "--tick", "50ms")
	p := openPage(t, s.url+"/?debug#100,100,2", desktop)
	p.untilLive()
	startFlood(t, s.url, 1000, 300)
	p.until("pixelwall.report().then((r) => r.shards.filter((s) => s.watched).map((s) => s.shard).join() === '0')")
	p.key("ddddd")
	p.until("Number(location.hash.slice(1).split(',')[0]) > 500")
	p.until("pixelwall.report().then((r) => r.shards.some((s) => s.watched && s.shard === 1))")
}

func TestTheLinkFollowsTheView(t *testing.T) {
	s := startEdge(t)
	p := openPage(t, s.url+"/?debug#700,300,16", desktop)
	p.untilLive()
	middle := p.cell(700, 300)
	if middle.X < 550 || middle.X > 650 || middle.Y < 250 || middle.Y > 500 {
		t.Errorf("cell 700, 300 is at %v, want the middle", middle)
	}
	p.key("d")
	p.until("/^#7\\d\\d,300,16$/.test(location.hash) && location.hash !== '#700,300,16'")

	// A link that is followed just when the page writes its view into the address is followed.
	eval[bool](p, "(location.hash = '#300,200,16', history.replaceState(null, '', '#700,300,16'), true)")
	p.until("location.hash === '#300,200,16'")
}

func TestAPhoneShowsEverything(t *testing.T) {
	s := startEdge(t, "--palette", "place2022")
	p := openPage(t, s.url+"/?debug", phone)
	p.untilLive()
	const outside = `[...document.querySelectorAll("#top .chip, #zoom, #dock, #paint, #name, .swatch")].filter((e) => {
		const r = e.getBoundingClientRect();
		return !e.hidden && (r.width < 24 || r.height < 24 && e.id !== "name" || r.left < 0 || r.top < 0 || r.right > innerWidth || r.bottom > innerHeight);
	}).filter((e) => !e.closest("[hidden]")).map((e) => e.id || e.className + " " + e.title)`
	if got := eval[[]string](p, outside); len(got) > 0 {
		t.Errorf("too small or outside of 375 x 667: %v", got)
	}
	if eval[bool](p, "document.documentElement.scrollWidth > innerWidth") {
		t.Error("the page is wider than the phone")
	}
	if got := eval[float64](p, "pixelwall.state().size.width * pixelwall.state().scale"); got > 375 {
		t.Errorf("the canvas is %v wide at the start", got)
	}
}

func TestALostGraphicsContextIsDrawnAnew(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	p := openPage(t, s.url+"/?debug#60,60,20", desktop)
	p.untilLive()
	p.key("6")
	p.click(p.cell(60, 61))
	p.untilDrawn(60, 61, red)
	const lose = "(globalThis.loss = document.querySelector('#board canvas').getContext('webgl2').getExtension('WEBGL_lose_context'), loss.loseContext(), true)"
	eval[bool](p, lose)
	p.until("document.querySelector('#board canvas').getContext('webgl2').isContextLost()")
	eval[bool](p, "(loss.restoreContext(), true)")
	p.untilDrawn(60, 61, red)
	p.untilDrawn(62, 61, white)

	// One that does not come back is done without.
	eval[bool](p, lose)
	p.until("pixelwall.state().renderer === '2d'")
	p.untilDrawn(60, 61, red)
	p.click(p.cell(62, 61))
	p.untilDrawn(62, 61, red)
}

// before opens url after script has run in it.
func (p *page) before(script, url string) {
	p.t.Helper()
	p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return err
	}), chromedp.Navigate(url))
}

func TestWhereShadersDoNotLinkTheCanvasIsDrawnWithoutThem(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	p := openPage(t, "about:blank", desktop)
	p.before("WebGL2RenderingContext.prototype.getProgramParameter = () => false", s.url+"/?debug#60,60,20")
	p.untilLive()
	p.until("pixelwall.state().renderer === '2d'")
	p.untilDrawn(60, 60, white)
}

func TestAPageWithoutItsWorkerSaysSoAndOffersAReload(t *testing.T) {
	s := startEdge(t)
	p := openPage(t, "about:blank", desktop)
	p.before("globalThis.Worker = class extends Worker { constructor(url, how) { super('/assets/none.js', how); } }", s.url)
	p.until("document.getElementById('banner').textContent.includes('Pixelwall is not working')")
	p.until("!document.querySelector('#banner button').hidden && document.querySelector('#banner button').textContent === 'Reload'")
}

// Keys steer the cursor from afar too, so it is seen there.
func TestTheCursorOfTheKeysIsSeenAtEveryScale(t *testing.T) {
	s := startEdge(t)
	p := openPage(t, s.url+"/?debug#200,200,2", desktop)
	p.untilLive()
	p.do(chromedp.Focus(chromedp.ID("board")))
	p.key(kb.ArrowRight)
	p.until("pixelwall.state().cursor?.by === 'keys'")
	at, cell := p.at("#cursor"), p.cell(201, 200)
	if math.Hypot(at.X-cell.X, at.Y-cell.Y) > 1 {
		t.Errorf("the mark is at %v, its cell at %v", at, cell)
	}
	if side := eval[float64](p, "document.getElementById('cursor').getBoundingClientRect().width"); side < 16 {
		t.Errorf("the mark is %v pixels wide, want 16 at least", side)
	}
}

// A connect that was begun on a network that is gone is given up when somebody asks.
func TestAConnectThatHangsCanBeTriedAnew(t *testing.T) {
	s := startEdge(t)
	var connects atomic.Int64
	at, _ := patientProxy(t, s.url, func(path string) bool { return path == "/ws" && connects.Add(1) == 1 })
	p := openPage(t, at+"/?debug", desktop)
	p.until("document.getElementById('banner').textContent.includes('Connecting') && !document.querySelector('#banner button').hidden")
	p.click(p.at("#banner button"))
	p.untilLive()
	if n := connects.Load(); n != 2 {
		t.Errorf("%d connects, want the one that hung and another", n)
	}
}

func TestDarkMode(t *testing.T) {
	s := startEdge(t)
	const paper = "getComputedStyle(document.body).backgroundColor"
	light := openPage(t, s.url+"/?debug", desktop)
	night := desktop
	night.dark, night.still = true, true
	dark := openPage(t, s.url+"/?debug", night)
	dark.untilLive()
	if a, b := eval[string](light, paper), eval[string](dark, paper); a == b {
		t.Errorf("light and dark have the same paper, %s", a)
	}
	// By choice it is dark, whatever the system says.
	light.choose("theme", "dark")
	if a, b := eval[string](light, paper), eval[string](dark, paper); a != b {
		t.Errorf("chosen dark is %s, the system's %s", a, b)
	}
	// Less motion: the canvas is there at once.
	dark.key("r")
	dark.key("+")
	if eval[bool](dark, "pixelwall.state().moving") {
		t.Error("it moves although less motion was asked for")
	}
}
