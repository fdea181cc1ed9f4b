package web

import (
	"math"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp/kb"
)

func TestTheMagnifierShowsWhatAFingerCovers(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	p := openPage(t, s.url+"/?debug&renderer=2d#300,300,16", phone)
	p.untilLive()
	p.tap(p.at("#palette .swatch:nth-child(6)"))
	p.tap(p.cell(302, 300))
	p.until("pixelwall.state().cursor?.chosen")
	p.tap(p.cell(302, 300))
	p.untilDrawn(302, 300, red)

	place := p.cell(302, 300)
	from := p.cell(299, 303)
	p.fingers(input.DispatchTouchEventTypeTouchStart, from)
	p.until("!document.getElementById('lens').hidden && document.querySelector('#lens span').textContent === '299, 303'")
	const middle = `(() => { const c = document.querySelector("#lens canvas"); return Array.from(c.getContext("2d").getImageData(c.width / 2, c.height / 2, 1, 1).data.slice(0, 3)); })()`
	if got := eval[[3]int](p, middle); got != [3]int{255, 255, 255} {
		t.Errorf("over a white cell the lens shows %v", got)
	}
	if lens := p.at("#lens canvas"); lens.Y > from.Y-70 {
		t.Errorf("the lens is at %v, the finger at %v", lens, from)
	}
	p.fingers(input.DispatchTouchEventTypeTouchMove, place)
	p.until("document.querySelector('#lens span').textContent === '302, 300'")
	if got := eval[[3]int](p, middle); got != [3]int{0xe5, 0, 0} {
		t.Errorf("over a red cell the lens shows %v", got)
	}
	p.fingers(input.DispatchTouchEventTypeTouchEnd)
	p.until("document.getElementById('lens').hidden")
	p.until("pixelwall.state().cursor?.chosen && pixelwall.state().cursor.x === 302 && pixelwall.state().cursor.y === 300")
	if now := p.cell(302, 300); now != place {
		t.Errorf("aiming moved the canvas from %v to %v", place, now)
	}

	// A finger that stays asks who painted this.
	p.fingers(input.DispatchTouchEventTypeTouchStart, place)
	p.until("document.querySelector('#lens span').textContent.includes('who painted')")
	p.fingers(input.DispatchTouchEventTypeTouchEnd)
	p.until("!document.getElementById('inspector').hidden && document.getElementById('lens').hidden")
}

func TestASecondTapIsASetting(t *testing.T) {
	s := startEdge(t, "--cooldown", "0")
	finger := openPage(t, s.url+"/?debug&renderer=2d#300,300,28", phone)
	finger.untilLive()
	finger.tap(finger.at("#palette .swatch:nth-child(6)"))
	finger.choose("confirm", "never")
	finger.tap(finger.cell(301, 302))
	finger.untilDrawn(301, 302, red)
	finger.until("pixelwall.report().then((r) => r.unanswered === 0)")

	mouse := openPage(t, s.url+"/?debug#300,300,28", desktop)
	mouse.untilLive()
	mouse.key("6")
	mouse.choose("confirm", "always")
	mouse.click(mouse.cell(303, 302))
	mouse.until("pixelwall.state().cursor?.chosen && !document.getElementById('confirm').hidden")
	mouse.key(kb.Escape)
	mouse.until("pixelwall.state().cursor === null && document.getElementById('confirm').hidden")
	mouse.click(mouse.cell(304, 302))
	mouse.until("pixelwall.state().cursor?.chosen")
	if got := s.metric("pixelwall_session_placements_total"); got != "1" {
		t.Errorf("%s placements reached the server before a second click, want the finger's", got)
	}
	mouse.click(mouse.cell(304, 302))
	mouse.untilDrawn(304, 302, red)
	if got := mouse.drawn(303, 302); got != white {
		t.Errorf("what was taken back is %s", got)
	}
}

func TestAPinchZoomsAboutItsCentre(t *testing.T) {
	s := startEdge(t)
	p := openPage(t, s.url+"/?debug&renderer=2d#300,300,8", phone)
	p.untilLive()
	under := func(at point) point { // in cells
		cell, scale := p.cell(300, 300), eval[float64](p, "pixelwall.state().scale")
		return point{300.5 + (at.X-cell.X)/scale, 300.5 + (at.Y-cell.Y)/scale}
	}
	centre := point{120, 300}
	before := under(centre)
	p.touch([]point{{centre.X - 40, centre.Y}, {centre.X + 40, centre.Y}}, []point{{centre.X - 100, centre.Y}, {centre.X + 100, centre.Y}})
	p.until("Math.abs(pixelwall.state().scale - 20) < 0.5")
	p.untilRest()
	if after := under(centre); math.Abs(after.X-before.X) > 0.1 || math.Abs(after.Y-before.Y) > 0.1 {
		t.Errorf("under the centre of the pinch was %v, is %v", before, after)
	}
}
