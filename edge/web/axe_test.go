package web

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// readAxe returns axe-core, which npm installs beside TypeScript.
func readAxe(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if errors.Is(err, fs.ErrNotExist) && os.Getenv("CI") != "true" {
		t.Skip("no axe-core here: npm ci in edge/web installs it")
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// A finding is a rule of axe that a page breaks, and where.
type finding struct {
	ID, Impact, Help string
	Nodes            []string
}

const audit = `axe.run(document, { resultTypes: ["violations"] }).then(({ violations, passes }) => ({
	Passed: passes.length,
	Findings: violations.map((v) => ({ ID: v.id, Impact: v.impact, Help: v.help, Nodes: v.nodes.map((n) => n.target.join(" ") + ": " + n.failureSummary) })),
}))`

// audit reports what axe finds serious or critical about the page as it is now.
func (p *page) audit(axe, state string) {
	p.t.Helper()
	p.untilRest()
	if !eval[bool](p, "'axe' in globalThis") {
		p.do(chromedp.Evaluate[chromedp.Void](axe + "; void 0"))
	}
	result := eval[struct {
		Passed   int
		Findings []finding
	}](p, audit)
	if result.Passed < 10 {
		p.t.Errorf("%s: only %d rules passed: is that the page?", state, result.Passed)
	}
	for _, f := range result.Findings {
		text := fmt.Sprintf("%s: %s (%s): %s\n    %s", state, f.ID, f.Impact, f.Help, strings.Join(f.Nodes, "\n    "))
		if f.Impact == "serious" || f.Impact == "critical" {
			p.t.Error(text)
		} else {
			p.t.Log(text)
		}
	}
}

func TestAxeFindsNothingSerious(t *testing.T) {
	axe := readAxe(t)
	narrow := look{width: 320, height: 568, ratio: 2, touch: true}
	for _, tt := range []struct {
		name     string
		look     look
		dark     bool
		language string
		palette  string
	}{
		{"on a desktop", desktop, false, "", "place2017"},
		{"on a dark desktop", desktop, true, "", "place2022"},
		{"on a phone", phone, false, "", "place2022"},
		{"on a dark phone", phone, true, "", "place2017"},
		{"on a narrow phone", narrow, false, "", "place2017"},
		{"from right to left", desktop, false, "ar", "place2022"},
		{"from right to left on a dark phone", phone, true, "ar", "place2017"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startEdge(t, "--cooldown", "1h", "--palette", tt.palette)
			at, release := patientProxy(t, s.url, func(path string) bool { return path == "/ws" || strings.HasPrefix(path, "/api/") })
			tt.look.dark, tt.look.still, tt.look.language = tt.dark, true, tt.language
			p := openPage(t, at+"/?debug#60,60,20", tt.look)
			p.until("globalThis.pixelwall")
			p.audit(axe, "first load")

			release()
			p.untilLive()
			p.audit(axe, "live")

			p.do(chromedp.Focus(chromedp.ID("board")))
			p.key(kb.ArrowRight + kb.Enter)
			p.until("pixelwall.state().available === 0 && pixelwall.state().hopes === 0")
			p.audit(axe, "cooling down")

			p.key("i")
			p.until("document.querySelectorAll('#inspector .history .who').length > 0")
			p.audit(axe, "inspector open")
			p.key(kb.Escape)

			p.click(p.at("#pad-toggle"))
			p.until("!document.getElementById('pad').hidden")
			p.audit(axe, "pad open")
			p.click(p.at("#pad-toggle"))

			for _, dialog := range []string{"help", "settings", "goto", "save"} {
				eval[bool](p, fmt.Sprintf("(document.getElementById('%s-open').click(), true)", dialog)) // one is opened from another
				p.until(fmt.Sprintf("document.getElementById(%q).open", dialog))
				p.audit(axe, dialog+" open")
				p.key(kb.Escape)
				p.until(fmt.Sprintf("!document.getElementById(%q).open", dialog))
			}

			p.choose("heat", "on")
			p.choose("glyphs", "on")
			p.audit(axe, "heat map and numbers")
			p.choose("heat", "off")

			p.chooseFile("rings.png", pngOf(t, rings(s.palette(), 40)))
			p.untilCounted(1)
			p.click(p.at("#templates-open"))
			p.until("!document.getElementById('templates').hidden && document.querySelector('#template-list summary')")
			eval[bool](p, "(document.querySelector('#template-list summary').click(), true)")
			p.until("document.querySelector('#template-list .settings')")
			p.audit(axe, "a template and its settings")
			p.click(p.at("#templates-close"))

			silent := newLine(t, s.url)
			cutOff := openPage(t, silent.url+"/?debug#60,60,20", tt.look)
			cutOff.untilLive()
			silent.set(true, false)
			cutOff.until("document.documentElement.dataset.link === 'silent' && !document.getElementById('banner').hidden")
			cutOff.audit(axe, "silent")

			s.kill()
			p.until("!document.getElementById('banner').hidden")
			p.audit(axe, "reconnecting")
		})
	}
}

func TestAxeFindsNothingSeriousWhileReadOnly(t *testing.T) {
	axe := readAxe(t)
	browser(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=128m"); err != nil {
		t.Skipf("a disk that can be filled needs root: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	s := startEdge(t, "--cooldown", "0", "--data", filepath.Join(dir, "data"))
	light, dark := desktop, phone
	light.still, dark.still, dark.dark = true, true, true
	p, other := openPage(t, s.url+"/?debug#60,60,20", light), openPage(t, s.url+"/?debug#60,60,20", dark)
	p.untilLive()
	other.untilLive()
	fill(t, filepath.Join(dir, "ballast"))
	p.click(p.cell(60, 61))
	for _, page := range []*page{p, other} {
		page.until("!document.getElementById('banner').hidden && document.getElementById('banner').textContent.includes('Read-only')")
		page.audit(axe, "read-only")
	}
}

// tab presses Tab, or with back Shift and Tab.
func (p *page) tab(back bool) {
	p.t.Helper()
	if back {
		p.do(chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(chromedp.ModifierShift)))
	} else {
		p.key(kb.Tab)
	}
}

// tabTo presses Tab until what has the focus satisfies the expression on e.
func (p *page) tabTo(back bool, expression string) {
	p.t.Helper()
	for range 60 {
		if eval[bool](p, "((e) => Boolean("+expression+"))(document.activeElement)") {
			return
		}
		p.tab(back)
	}
	p.t.Fatalf("Tab does not reach %s", expression)
}

func (p *page) untilSaid(text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("document.getElementById('live').textContent.includes(%q)", text))
}

func TestAPixelIsPaintedByKeyboardAlone(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	p := openPage(t, s.url+"/?debug#120,80,20", desktop)
	p.untilLive()
	p.tabTo(false, "e.id === 'board'")
	p.key(kb.ArrowRight + kb.ArrowDown)
	p.untilSaid("121, 81, white")

	p.tabTo(false, "e.getAttribute('role') === 'radio'")
	before := eval[int](p, "pixelwall.state().color")
	p.key(kb.ArrowLeft)
	p.until(fmt.Sprintf("pixelwall.state().color === %d", before-1))
	name := eval[string](p, "document.activeElement.getAttribute('aria-label')")
	if checked := eval[string](p, "document.activeElement.getAttribute('aria-checked')"); checked != "true" {
		t.Errorf("the colour that has the focus is checked %q", checked)
	}

	p.tabTo(true, "e.id === 'board'")
	p.key(kb.Enter)
	p.untilSaid("Placed: " + name + " at 121, 81.")
	p.until("pixelwall.state().hopes === 0")
	if got := s.metric(`pixelwall_session_placements_total{result="placed"}`); got != "1" {
		t.Errorf("%s pixels were placed, want 1", got)
	}

	// Who painted it, without a single letter.
	p.do(chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(chromedp.ModifierShift)))
	p.untilSaid("Painted by " + eval[string](p, "document.getElementById('name').textContent"))
	if !eval[bool](p, "document.getElementById('inspector').contains(document.activeElement)") {
		t.Error("the focus is not in the card that opened")
	}
	p.key(kb.Escape)
	p.until("document.getElementById('inspector').hidden && document.activeElement.id === 'board'")

	// The button paints too.
	p.key(kb.ArrowRight)
	p.tabTo(false, "e.id === 'paint'")
	p.key(kb.Enter)
	p.untilSaid("Placed: " + name + " at 122, 81.")
}

func TestTabGoesThroughEverythingAndOut(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	p := openPage(t, s.url+"/?debug#60,60,20", desktop)
	p.untilLive()
	p.click(p.at("#pad-toggle"))
	eval[bool](p, "(document.activeElement.blur(), true)")
	const reachable = `[...document.querySelectorAll("button, a[href], input, select, textarea, [tabindex]")]
		.filter((e) => e.tabIndex >= 0 && !e.disabled && e.checkVisibility()).map((e) => e.id || e.getAttribute("aria-label") || e.textContent)`
	const focused = `((e) => e === document.body || !document.hasFocus() ? "" : e.id || e.getAttribute("aria-label") || e.textContent)(document.activeElement)`
	for _, back := range []bool{false, true} {
		want := map[string]bool{}
		for _, name := range eval[[]string](p, reachable) {
			want[name] = true
		}
		seen := map[string]bool{}
		// Once around, wherever it began: who comes out, or to the same again, is through.
		first := ""
		for range 3 * len(want) {
			p.tab(back)
			at := eval[string](p, focused)
			if at == "" || at == first {
				if len(seen) >= len(want) {
					break
				}
				continue
			}
			if first == "" {
				first = at
			}
			seen[at] = true
		}
		for name := range want {
			if !seen[name] {
				t.Errorf("Tab (back %v) does not reach %q", back, name)
			}
		}
	}
}

func TestSingleKeysCanBeSwitchedOff(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	p := openPage(t, s.url+"/?debug#60,60,20", desktop)
	p.untilLive()
	p.key("6")
	p.until("pixelwall.state().color === 5")
	p.tabTo(false, "e.id === 'settings-open'")
	p.key(kb.Enter)
	p.until("document.getElementById('settings').open")
	p.tabTo(false, "e.dataset.preference === 'singleKeys'")
	p.key(" ")
	p.until("!document.querySelector('[data-preference=singleKeys]').checked")
	p.key(kb.Escape)
	p.until("!document.getElementById('settings').open")

	off := func(when string) {
		t.Helper()
		p.tabTo(false, "e.id === 'board'")
		before := eval[string](p, "location.hash")
		p.key("9wk+?i")
		p.key(kb.ArrowLeft) // comes after them, so they have been read
		p.until("pixelwall.state().cursor?.by === 'keys'")
		if got := eval[int](p, "pixelwall.state().color"); got != 5 {
			t.Errorf("%s: colour %d was chosen by a letter or digit", when, got)
		}
		if eval[bool](p, "document.getElementById('help').open || !document.getElementById('inspector').hidden") {
			t.Errorf("%s: a letter opened something", when)
		}
		if got := eval[string](p, "location.hash"); got != before {
			t.Errorf("%s: the view went from %s to %s", when, before, got)
		}
	}
	off("at once")
	p.do(chromedp.Reload())
	p.untilLive()
	off("after a reload")
}

// What can be done by dragging can be done by buttons.
func TestTheViewMovesByButtons(t *testing.T) {
	s := startEdge(t)
	p := openPage(t, s.url+"/?debug#500,500,20", desktop)
	p.untilLive()
	p.click(p.at("#pad-toggle"))
	before := p.cell(500, 500)
	p.click(p.at("#pad-right"))
	p.click(p.at("#pad-up"))
	p.untilRest()
	if after := p.cell(500, 500); after.X > before.X-100 || after.Y < before.Y+100 {
		t.Errorf("cell 500, 500 went from %v to %v, want left and down", before, after)
	}
}
