package web

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const fitLabel = "document.getElementById('zoom-fit').getAttribute('aria-label')"

func TestTheBrowserChoosesTheLanguageUntilAPersonDoes(t *testing.T) {
	s := startEdge(t)
	viennese := desktop
	viennese.language = "de-AT"
	p := openPage(t, s.url+"/?debug", viennese)
	p.untilLive()
	said := func(lang, dir, label, color string) {
		t.Helper()
		p.until(fmt.Sprintf("document.documentElement.lang === %q && document.documentElement.dir === %q && %s === %q", lang, dir, fitLabel, label))
		p.until(fmt.Sprintf("document.querySelector('.swatch:nth-child(6)').getAttribute('aria-label') === %q", color))
	}
	said("de", "ltr", "Ganze Leinwand zeigen", "Rot")

	choose := func(tag string) {
		t.Helper()
		eval[bool](p, fmt.Sprintf("((s) => (s.value = %q, s.dispatchEvent(new Event('change')), true))(document.getElementById('language'))", tag))
	}
	names := eval[[]string](p, "[...document.getElementById('language').options].map((o) => o.text)")
	if want := "[Wie im Browser eingestellt العربية Deutsch English Español Français 日本語 Português Türkçe]"; fmt.Sprint(names) != want {
		t.Errorf("the languages are %v, want %s", names, want)
	}
	choose("ar")
	said("ar", "rtl", "عرض اللوحة كاملة", "أحمر")
	if x := p.at("#zoom").X; x > 600 {
		t.Errorf("the zoom buttons are at %v, want the left side", x)
	}
	p.do(chromedp.Reload())
	p.untilLive()
	said("ar", "rtl", "عرض اللوحة كاملة", "أحمر")

	// The arrow to the right goes to the right, and the cursor is over its cell.
	p.do(chromedp.Focus(chromedp.ID("board")))
	p.look(500, 500, 20)
	p.key(kb.ArrowRight)
	p.until("pixelwall.state().cursor?.x === 501")
	p.until("((r, c) => Math.abs(r.x + r.width / 2 - c.x) < 2 && Math.abs(r.y + r.height / 2 - c.y) < 2)(document.getElementById('cursor').getBoundingClientRect(), pixelwall.cell(501, 500))")
	p.do(chromedp.Focus(chromedp.CSS(".swatch[aria-checked=true]")))
	left := "document.activeElement.getBoundingClientRect().x"
	before := eval[float64](p, left)
	p.key(kb.ArrowRight)
	p.until(fmt.Sprintf("document.activeElement.matches('.swatch') && %s !== %f", left, before))
	if after := eval[float64](p, left); after < before {
		t.Errorf("the arrow to the right went from %v to %v", before, after)
	}

	choose("auto")
	said("de", "ltr", "Ganze Leinwand zeigen", "Rot")
}

// The smallest window that has to do, in languages with long words and from right
// to left.
func TestNarrowWindowsNeedNoSidewaysScrolling(t *testing.T) {
	s := startEdge(t, "--palette", "place2022", "--cooldown", "1h")
	for _, language := range []string{"en", "de", "fr", "ar", "ja"} {
		t.Run(language, func(t *testing.T) {
			p := openPage(t, s.url+"/?debug#60,60,20", look{width: 320, height: 568, ratio: 2, touch: true, still: true, language: language})
			p.untilLive()
			const wide = "document.documentElement.scrollWidth > innerWidth || document.body.scrollWidth > innerWidth"
			inside := func(state, selector string) {
				t.Helper()
				const outside = `[...document.querySelectorAll(%q)].filter((e) => e.checkVisibility()).filter((e) => {
					const r = e.getBoundingClientRect();
					return r.left < 0 || r.right > innerWidth || e.scrollWidth > e.clientWidth + 1;
				}).map((e) => (e.id || e.className) + " " + e.scrollWidth + " in " + e.clientWidth)`
				if got := eval[[]string](p, fmt.Sprintf(outside, selector)); len(got) > 0 {
					t.Errorf("%s: outside of 320 pixels, or wider than it is: %v", state, got)
				}
				if eval[bool](p, wide) {
					t.Errorf("%s: the page scrolls sideways", state)
				}
			}
			inside("live", "#top, #top .chip, #zoom, #dock, #paint, .swatch")
			p.tap(p.cell(61, 60))
			p.until("!document.getElementById('confirm').hidden")
			inside("a pixel chosen", "#dock, #confirm")
			p.click(p.at("#pad-toggle"))
			inside("pad open", "#pad, #pad button")
			p.click(p.at("#help-open"))
			p.until("document.getElementById('help').open")
			inside("help open", "#help, #help form, #help dl, #language")
		})
	}
}
