package web

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"image/png"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Ways to look at the canvas, what helps with painting, and the settings.

// choose sets a preference as a person does: in the settings dialog. value is
// "on" or "off" for a switch.
func (p *page) choose(name, value string) {
	p.t.Helper()
	press := p.click
	if eval[bool](p, "matchMedia('(pointer: coarse)').matches") {
		press = p.tap
	}
	press(p.at("#settings-open"))
	p.until("document.getElementById('settings').open")
	control := fmt.Sprintf("#settings [data-preference=%s]", name)
	switch kind := eval[string](p, fmt.Sprintf("document.querySelector(%q).type", control)); kind {
	case "checkbox":
		if eval[bool](p, fmt.Sprintf("document.querySelector(%q).checked", control)) != (value == "on") {
			p.press(press, control)
		}
	case "radio":
		p.press(press, fmt.Sprintf("%s[value=%s]", control, value))
	default: // the list of a select is not part of the page
		eval[bool](p, fmt.Sprintf("(() => { const s = document.querySelector(%q); s.value = %q; return s.dispatchEvent(new Event('change')); })()", control, value))
	}
	p.press(press, "#settings .close")
	p.until("!document.getElementById('settings').open")
}

// press scrolls an element into view and presses it.
func (p *page) press(how func(point), selector string) {
	p.t.Helper()
	eval[bool](p, fmt.Sprintf("(document.querySelector(%q).scrollIntoView({block: 'center'}), true)", selector))
	how(p.at(selector))
}

func TestTheMinimapMovesTheView(t *testing.T) {
	s := startEdge(t)
	p := openPage(t, s.url+"/?debug#500,500,20", desktop)
	p.untilLive()
	p.until("!document.getElementById('minimap').hidden && document.querySelector('#minimap canvas').width === 144")
	// Its pixels are the canvas's.
	const corner = "Array.from(document.querySelector('#minimap canvas').getContext('2d').getImageData(3, 3, 1, 1).data)"
	if got := eval[[4]int](p, corner); got != [4]int{255, 255, 255, 255} {
		t.Errorf("the minimap of a white canvas has %v", got)
	}
	middle := p.at("#minimap canvas")
	p.click(point{middle.X - 36, middle.Y + 36})
	p.until("/^#2(49|50|51),7(49|50|51),20$/.test(location.hash)")

	// The frame is where the view is.
	frame := p.at("#minimap i")
	if math.Abs(frame.X-(middle.X-36)) > 3 || math.Abs(frame.Y-(middle.Y+36)) > 4 {
		t.Errorf("the frame is at %v, want about %v", frame, point{middle.X - 36, middle.Y + 36})
	}
	p.key("r")
	p.until("document.getElementById('minimap').hidden") // all is seen
	p.look(500, 500, 20)
	p.choose("minimap", "off")
	p.until("document.getElementById('minimap').hidden")
}

func TestWaysToGetSomewhere(t *testing.T) {
	s := startEdge(t)
	p := openPage(t, s.url+"/?debug#500,500,20", desktop)
	p.untilLive()
	const said = "document.getElementById('goto-said').textContent"

	p.key("g")
	p.until("document.getElementById('goto').open")
	p.key("somewhere" + kb.Enter)
	p.until(said + ".startsWith('Write it as')")
	p.do(chromedp.SetValue(chromedp.CSS("#goto input"), "1000, 3"))
	p.key(kb.Enter)
	p.until(said + ".includes('outside')")
	p.do(chromedp.SetValue(chromedp.CSS("#goto input"), "https://elsewhere.example/#700,300,8"))
	p.key(kb.Enter)
	p.until("!document.getElementById('goto').open && location.hash === '#700,300,8'")
	p.click(p.at("#goto-open"))
	p.do(chromedp.SetValue(chromedp.CSS("#goto input"), "(20 30)"))
	p.key(kb.Enter)
	p.until("location.hash === '#20,30,16'")
	// The cell cursor has come along, and Enter paints there and nowhere else.
	p.until("document.getElementById('live').textContent.startsWith('20, 30, ')")
	p.key("6" + kb.Enter)
	p.untilDrawn(20, 30, red)
	p.until("pixelwall.report().then((r) => r.unanswered === 0)")
	// What is out of sight is shown first.
	p.look(500, 500, 20)
	p.key(kb.Enter)
	p.until("pixelwall.cell(20, 30).x > 0 && pixelwall.cell(20, 30).x < innerWidth")
	if got := s.metric("pixelwall_session_placements_total"); got != "1" {
		t.Errorf("%s placements reached the server, want 1", got)
	}

	p.click(p.at("#zoom-actual"))
	p.until("pixelwall.state().scale === 1 && !pixelwall.state().moving")
	p.look(500, 500, 20)
	p.click(p.at("#pad-toggle"))
	p.until("!document.getElementById('pad').hidden && document.getElementById('pad-toggle').ariaExpanded === 'true'")
	p.click(p.at("#pad-right"))
	p.until("/^#51\\d,500,20$/.test(location.hash)")
	p.click(p.at("#pad-down"))
	p.until("/^#51\\d,50[5-9],20$/.test(location.hash)")
	p.click(p.at("#pad-left"))
	p.click(p.at("#pad-up"))
	p.until("location.hash === '#500,500,20'")
}

func TestAKioskShowsThePictureAndNothingElse(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	p := openPage(t, s.url+"/?debug&kiosk", desktop)
	p.untilLive()
	const shown = `[...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() && e.getClientRects().length > 0 && !e.matches("main, .unseen, #board, #board canvas")).map((e) => e.id)`
	if got := eval[[]string](p, shown); len(got) != 1 || got[0] != "address" {
		t.Errorf("a kiosk shows %v, want the address only", got)
	}
	if got := eval[string](p, "document.getElementById('address').textContent"); got != strings.TrimPrefix(s.url, "http://") {
		t.Errorf("the address is %q", got)
	}
	if got := eval[string](p, "getComputedStyle(document.getElementById('board')).cursor"); got != "none" {
		t.Errorf("the cursor is %q", got)
	}
	if got := eval[float64](p, "pixelwall.state().scale * 1000"); got > 800 || got < 700 {
		t.Errorf("the canvas is %v high in a window of 800", got)
	}
	p.click(point{600, 400})
	p.key("6" + kb.Enter)
	p.look(700, 300, 16)
	p.click(p.cell(700, 300))
	if got := p.drawn(700, 300); got != white {
		t.Errorf("a kiosk painted %s", got)
	}
	if got := s.metric("pixelwall_session_placements_total"); got != "0" {
		t.Errorf("a kiosk placed %s pixels", got)
	}
}

// bothWays runs a test with each renderer, on a page that looks at 60, 60 and
// has just painted 60, 61 red.
func bothWays(t *testing.T, body func(t *testing.T, s *server, p *page)) {
	for name, query := range map[string]string{"WebGL2": "", "Canvas 2D": "&renderer=2d"} {
		t.Run(name, func(t *testing.T) {
			s := startEdge(t, "--cooldown", "0")
			p := openPage(t, s.url+"/?debug"+query+"#60,60,20", desktop)
			p.untilLive()
			p.paint(60, 61)
			body(t, s, p)
		})
	}
}

// paint places one red pixel and waits until the log has it.
func (p *page) paint(x, y int) {
	p.t.Helper()
	p.key("6")
	p.click(p.cell(x, y))
	p.until("pixelwall.report().then((r) => r.unanswered === 0)")
	p.until("pixelwall.state().hopes === 0")
	p.untilDrawn(x, y, red)
}

func TestTheHeatMapGlowsWhereSomebodyPainted(t *testing.T) {
	bothWays(t, func(t *testing.T, s *server, p *page) {
		p.choose("heat", "on")
		// Dimmed by 0.55 of rgb(18 18 22): white, where nobody painted.
		p.until("/^#7[c-e]7[c-e]7[e-f]$|^#7[c-e]7[c-e]80$/.test(pixelwall.drawn(75, 61))")
		hot := rgb(t, p.drawn(60, 61))
		if hot[0] < 0x90 || hot[0] < hot[2]+0x40 {
			t.Errorf("where somebody painted it is %v, want a warm light", hot)
		}
		p.until("!document.getElementById('legend').hidden && document.getElementById('legend').textContent.includes('minutes')")
		p.choose("heat", "off")
		p.untilDrawn(60, 61, red)
		p.untilDrawn(75, 61, white)
		p.until("document.getElementById('legend').hidden")
	})
}

func rgb(t *testing.T, hex string) (c [3]int) {
	t.Helper()
	if _, err := fmt.Sscanf(hex, "#%02x%02x%02x", &c[0], &c[1], &c[2]); err != nil {
		t.Fatal(hex, err)
	}
	return c
}

func TestVisionAndGlyphsChangeWhatIsShownOnly(t *testing.T) {
	bothWays(t, func(t *testing.T, s *server, p *page) {
		p.choose("vision", "grey")
		p.until("/^#(..)\\1\\1$/.test(pixelwall.drawn(60, 61))")
		const swatch = "document.querySelector('.swatch:nth-child(6)').style.getPropertyValue('--color')"
		if got, want := eval[string](p, swatch), p.drawn(60, 61); got != want {
			t.Errorf("the swatch is %s, the canvas %s", got, want)
		}
		p.click(p.cell(62, 61))
		p.until("pixelwall.state().hopes === 0 && pixelwall.report().then((r) => r.unanswered === 0)")
		p.choose("vision", "all")
		p.untilDrawn(60, 61, red)
		p.untilDrawn(62, 61, red) // painted with the same colour as before

		const inks = `new Set(Array.from({ length: 36 }, (_, i) => pixelwall.drawn(69.65 + (i % 6) * 0.13, 60.65 + Math.floor(i / 6) * 0.13))).size`
		if got := eval[int](p, inks); got != 1 {
			t.Fatalf("a white cell without a sign has %d colours", got)
		}
		p.choose("glyphs", "on")
		p.until(inks + " > 1")
		if got := eval[string](p, "getComputedStyle(document.querySelector('.swatch:nth-child(6)'), '::after').content"); got != `"6"` {
			t.Errorf("the sign of the sixth swatch is %s", got)
		}
		p.choose("glyphs", "off")
		p.until(inks + " === 1")
	})
}

func TestWhatWasKeptAndMakesNoSenseIsLeftOut(t *testing.T) {
	s := startEdge(t)
	p := openPage(t, "about:blank", desktop)
	p.before(`if (location.protocol === "http:") localStorage.setItem("pixelwall-preferences", '{"vision":"ultraviolet","grid":false}')`, s.url+"/?debug#60,60,20")
	p.untilLive()
	p.untilDrawn(60, 60, white)
	if kept := eval[string](p, "document.querySelector('[data-preference=vision]').value + document.querySelector('[data-preference=grid]').checked"); kept != "allfalse" {
		t.Errorf("the settings are %s", kept)
	}
}

func TestASavedPictureIsTheCanvas(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	p := openPage(t, s.url+"/?debug#60,60,20", desktop)
	p.untilLive()
	p.paint(60, 61)
	p.paint(63, 59)
	p.choose("vision", "grey") // no matter: a saved picture has true colours
	eval[bool](p, `(globalThis.saved = [], ((make) => (URL.createObjectURL = (blob) => (saved.push(blob), make.call(URL, blob))))(URL.createObjectURL), true)`)
	p.click(p.at("#settings-open"))
	p.press(p.click, "#save-open")
	p.until("document.getElementById('save').open && !document.querySelector('#save [type=submit]').disabled")

	fill := func(x, y, width, height, scale int) {
		eval[bool](p, fmt.Sprintf(`(() => {
			const form = document.querySelector("#save form");
			for (const [name, value] of Object.entries({ x: %d, y: %d, width: %d, height: %d, scale: %d })) form.elements.namedItem(name).value = value;
			return form.dispatchEvent(new Event("input"));
		})()`, x, y, width, height, scale))
	}
	const said = "document.querySelector('#save .said').textContent"
	fill(990, 0, 11, 5, 1)
	p.until("document.querySelector('#save [type=submit]').disabled && " + said + ".includes('within the canvas')")
	fill(0, 0, 1000, 1000, 8)
	p.until("document.querySelector('#save [type=submit]').disabled && " + said + ".includes('too large')")
	fill(58, 57, 9, 7, 3)
	p.until(said + ".includes('27 × 21')")
	p.click(p.at("#save [type=submit]"))
	p.until("saved.length === 1 && !document.getElementById('save').open")

	text := eval[string](p, `saved[0].arrayBuffer().then((b) => btoa(String.fromCharCode(...new Uint8Array(b))))`)
	body, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	got, err := png.Decode(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if size := got.Bounds().Size(); size.X != 27 || size.Y != 21 {
		t.Fatalf("the picture is %v", size)
	}
	differs := func() string {
		answer, err := http.Get(s.url + "/api/v1/canvas.png")
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		want, err := png.Decode(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		for y := range 21 {
			for x := range 27 {
				r, g, b, _ := got.At(x, y).RGBA()
				if wr, wg, wb, _ := want.At(58+x/3, 57+y/3).RGBA(); r != wr || g != wg || b != wb {
					return fmt.Sprintf("pixel %d, %d", x, y)
				}
			}
		}
		return ""
	}
	waitFor(t, "the saved picture to be the server's", func() bool { return differs() == "" })
	if r, g, b, _ := got.At(3*(60-58)+1, 3*(61-57)+1).RGBA(); r>>8 != 0xe5 || g != 0 || b != 0 {
		t.Errorf("the red pixel is %d %d %d", r>>8, g>>8, b>>8)
	}
}

// notifications stands in for the system's: it counts who asks and what is shown.
const notifications = `
	globalThis.asked = 0;
	globalThis.shown = [];
	globalThis.answer = "denied";
	ServiceWorkerRegistration.prototype.showNotification = async (title) => void shown.push(title);
	globalThis.Notification = class extends EventTarget {
		static permission = "default";
		static requestPermission() { asked++; return Promise.resolve((this.permission = answer)); }
		constructor(title) { super(); shown.push(title); }
		close() {}
	};
	document.hasFocus = () => false;`

func TestNotificationsAreAskedForByAClickOnly(t *testing.T) {
	s := startEdge(t, "--cooldown", "1s")
	p := openPage(t, "about:blank", desktop)
	p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: notifications})
		return err
	}), chromedp.Navigate(s.url+"/?debug#60,60,20"))
	p.untilLive()
	p.until("pixelwall.state().available === 1")
	p.paint(60, 61)
	p.until("pixelwall.state().available === 1")
	if asked, shown := eval[int](p, "asked"), eval[int](p, "shown.length"); asked != 0 || shown != 0 {
		t.Errorf("before the click it was asked %d times and shown %d", asked, shown)
	}

	const control = "document.querySelector('[data-preference=notify]')"
	p.click(p.at("#settings-open"))
	p.press(p.click, "[data-preference=notify]")
	p.until("asked === 1 && !" + control + ".checked && document.getElementById('notify-said').textContent.includes('does not let')")
	eval[bool](p, "(answer = 'granted', true)")
	p.press(p.click, "[data-preference=notify]")
	p.until("asked === 2 && " + control + ".checked && document.getElementById('notify-said').textContent === ''")
	p.click(p.at("#settings .close"))

	p.paint(62, 61)
	p.until("shown.length === 1 && shown[0] === 'Your next pixel is ready'")
	if got := eval[int](p, "asked"); got != 2 {
		t.Errorf("it was asked %d times", got)
	}
}

func TestATitleCountsAStackOfPixels(t *testing.T) {
	admin := freeAddress(t)
	s := startEdge(t, "--cooldown", "1h", "--admin-listen", admin)
	patch(t, admin, map[string]any{"max": 3})
	p := openPage(t, s.url+"/?debug#60,60,20", desktop)
	p.untilLive()
	for _, left := range []int{3, 2, 1} {
		p.until(fmt.Sprintf("document.title === '(%[1]d/3) Pixelwall' && document.getElementById('clock').textContent === '%[1]d'", left))
		eval[bool](p, "(globalThis.before = pixelwall.state().available, true)")
		p.key("6" + kb.ArrowRight + kb.Enter)
		p.until("pixelwall.state().available === before - 1")
	}
	p.until("/^\\(\\d+:\\d\\d\\) Pixelwall$/.test(document.title)")
}

func TestColoursAreTakenFromTheCanvas(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	p := openPage(t, s.url+"/?debug#60,60,20", desktop)
	p.untilLive()
	p.paint(60, 61)
	p.key("9")
	at := p.cell(60, 61)
	p.do(chromedp.MouseEvent(chromedp.MouseMoved, at.X, at.Y), chromedp.MouseClickXY(at.X, at.Y, chromedp.ButtonMiddle))
	p.until("pixelwall.state().color === 5")

	p.click(p.at("#dropper"))
	p.until("document.getElementById('dropper').ariaPressed === 'true'")
	p.click(p.cell(62, 61)) // white
	p.until("pixelwall.state().color === 0 && document.getElementById('dropper').ariaPressed === 'false'")

	// The keys and the button take the colour below the cursor as well.
	p.do(chromedp.Focus(chromedp.ID("board")))
	p.key(kb.ArrowRight)
	p.until("pixelwall.state().cursor?.by === 'keys'")
	for _, how := range []string{"key", "button"} {
		p.key("9")
		p.click(p.at("#dropper"))
		p.do(chromedp.Focus(chromedp.ID("board")))
		if how == "key" {
			p.key(kb.Enter)
		} else {
			p.click(p.at("#paint"))
		}
		p.until("pixelwall.state().color === 0 && document.getElementById('dropper').ariaPressed === 'false'")
	}
	p.until("pixelwall.state().hopes === 0")
	if got := s.metric("pixelwall_session_placements_total"); got != "1" {
		t.Errorf("taking colours placed pixels: %s in all", got)
	}
}

func TestTheInspectorTakesTheFocusAndGivesItBack(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	p := openPage(t, s.url+"/?debug#60,60,20", desktop)
	p.untilLive()
	p.do(chromedp.Focus(chromedp.ID("board")))
	p.key(kb.ArrowRight)
	for i := range 12 {
		p.key(fmt.Sprint(5+i%2) + kb.Enter)
		p.until("pixelwall.report().then((r) => r.unanswered === 0)")
	}
	p.until("pixelwall.state().hopes === 0")
	p.key("i")
	p.until("document.querySelectorAll('#inspector .history .who').length === 10")
	p.until("document.getElementById('inspector').contains(document.activeElement)")
	p.key(kb.Tab + kb.Tab + kb.Tab)
	p.until("document.activeElement.textContent === 'Paint with this colour'")
	p.key(kb.Escape)
	p.until("document.getElementById('inspector').hidden && document.activeElement.id === 'board'")
	p.key(kb.ArrowLeft)
	p.until("pixelwall.state().cursor.x === 60")
}

func TestDialogsFitASmallPhone(t *testing.T) {
	s := startEdge(t)
	small := phone
	small.width, small.height = 320, 568
	for _, dir := range []string{"ltr", "rtl"} {
		p := openPage(t, s.url+"/?debug", small)
		p.untilLive()
		eval[bool](p, fmt.Sprintf("(document.documentElement.dir = %q, true)", dir))
		for _, id := range []string{"settings", "goto", "save"} {
			const bad = `(() => {
				const dialog = document.getElementById(%q);
				dialog.showModal();
				const outside = (e) => { const r = e.getBoundingClientRect(); return r.left < 0 || r.right > innerWidth || r.width < 24 || r.height < 24; };
				const found = [...dialog.querySelectorAll("button, input, select")].filter((e) => e.checkVisibility() && outside(e)).map((e) => e.outerHTML);
				if (dialog.scrollWidth > dialog.clientWidth) found.push("scrolls sideways");
				dialog.close();
				return found;
			})()`
			if got := eval[[]string](p, fmt.Sprintf(bad, id)); len(got) > 0 {
				t.Errorf("%s, %s: too small or outside: %v", dir, id, got)
			}
		}
	}
}
