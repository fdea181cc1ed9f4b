package web

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestPicturesOfMoments takes pictures of what is seen seldom.
func TestPicturesOfMoments(t *testing.T) {
	dir := os.Getenv("PICTURES")
	if dir == "" {
		t.Skip("PICTURES names no folder")
	}
	for _, colors := range []int{2, 40, 256} {
		s := startEdge(t, "--palette", paletteFile(t, colors))
		for name, l := range map[string]look{"desktop": desktop, "phone": phone} {
			p := openPage(t, s.url+"/?debug", l)
			p.untilLive()
			p.shoot(filepath.Join(dir, fmt.Sprintf("%d-colours-%s.png", colors, name)))
		}
	}
	s := startEdge(t)
	for name, l := range map[string]look{"desktop": desktop, "phone": phone} {
		p := openPage(t, s.url+"/?debug", l)
		p.untilLive()
		p.click(p.at("#help-open"))
		p.shoot(filepath.Join(dir, "help-"+name+".png"))
		p.key(kb.Escape)
		p.click(p.at("#paint"))
		s.kill()
		p.until("!document.getElementById('banner').hidden")
		p.shoot(filepath.Join(dir, "lost-"+name+".png"))
		s.restart()
	}
	blocked := openPage(t, blockingProxy(t, s.url)+"/?debug", desktop)
	blocked.until("document.documentElement.dataset.link === 'polling'")
	blocked.shoot(filepath.Join(dir, "blocked-desktop.png"))
}

func paletteFile(t *testing.T, colors int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "palette")
	text := ""
	for i := range colors {
		hue, light := i%16, 40+i/16*180/max(1, colors/16)
		text += fmt.Sprintf("shade %d #%02x%02x%02x\n", i+1, (hue*16+light)%256, (255-hue*16+light/2)%256, light%256)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func (p *page) shoot(path string) {
	p.t.Helper()
	p.untilRest()
	// A first visitor's hint goes by itself.
	eval[bool](p, "(document.querySelectorAll('#toasts .plain').forEach((t) => t.textContent.startsWith('Pick a colour') && t.remove()), true)")
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// TestPicturesOfLooking takes pictures of the settings and of the ways to look.
func TestPicturesOfLooking(t *testing.T) {
	dir := os.Getenv("PICTURES")
	if dir == "" {
		t.Skip("PICTURES names no folder")
	}
	args := []string{"--cooldown", "0"}
	if start := os.Getenv("PICTURES_CANVAS"); start != "" {
		args = append(args, "--start-canvas", start)
	}
	s := startEdge(t, args...)
	dark := phone
	dark.dark = true
	for name, l := range map[string]look{"desktop": desktop, "phone": dark} {
		shot := func(p *page, what string) { p.shoot(filepath.Join(dir, "looking-"+what+"-"+name+".png")) }
		p := openPage(t, s.url+"/?debug#500,400,24", l)
		p.untilLive()
		for i := range 6 {
			p.key(fmt.Sprint(i+4) + kb.ArrowRight + kb.Enter)
		}
		for _, id := range []string{"settings", "save", "goto"} { // the second one is opened from the first
			eval[bool](p, fmt.Sprintf("(document.getElementById('%s-open').click(), true)", id))
			shot(p, id)
			if id != "settings" {
				eval[bool](p, fmt.Sprintf("(document.getElementById(%q).close(), true)", id))
			}
		}
		p.choose("glyphs", "on")
		eval[bool](p, "(document.getElementById('pad-toggle').click(), true)")
		shot(p, "signs")
		p.choose("glyphs", "off")
		p.choose("heat", "on")
		p.look(500, 400, 8)
		shot(p, "heat")
		p.choose("heat", "off")
		if l.touch {
			p.look(500, 400, 24)
			p.fingers(input.DispatchTouchEventTypeTouchStart, point{180, 300})
			p.until("!document.getElementById('lens').hidden")
			shot(p, "lens")
			p.fingers(input.DispatchTouchEventTypeTouchCancel)
		}
		kiosk := openPage(t, s.url+"/?debug&kiosk", l)
		kiosk.untilLive()
		shot(kiosk, "kiosk")
	}
}

// TestPicturesOfTemplates takes pictures of the panel, as TestPicturesOfMoments does of
// the page.
func TestPicturesOfTemplates(t *testing.T) {
	dir := os.Getenv("PICTURES")
	if dir == "" {
		t.Skip("PICTURES names no folder")
	}
	s := startEdge(t, "--palette", "place2022", "--cooldown", "0")
	colors := s.palette()
	night := desktop
	night.dark = true
	for name, l := range map[string]look{"light": desktop, "dark": night, "phone": phone} {
		p := openPage(t, s.url+"/?debug#300,300,14", l)
		p.untilLive()
		p.chooseFile("rings.png", pngOf(t, rings(colors, 60)))
		p.untilCounted(1)
		eval[bool](p, "(document.getElementById('toasts').replaceChildren(), document.getElementById('templates-open').click(), true)")
		p.until("document.getElementById('templates').getAnimations().length === 0")
		p.shoot(filepath.Join(dir, "templates-"+name+".png"))
		eval[bool](p, "(document.querySelector('#template-list summary').click(), true)")
		p.until("document.querySelector('#template-list .settings')")
		eval[bool](p, "(document.querySelector('#templates .scroll').scrollTop = 250, document.querySelector('.settings > .switch input').click(), true)")
		p.shoot(filepath.Join(dir, "templates-settings-"+name+".png"))
		eval[bool](p, "(document.getElementById('template-next').click(), true)")
		p.until("pixelwall.state().cursor && !pixelwall.state().moving")
		p.shoot(filepath.Join(dir, "templates-next-"+name+".png"))
		eval[bool](p, "(document.getElementById('templates-close').click(), document.getElementById('zoom-fit').click(), true)")
		p.untilRest()
		p.do(chromedp.Focus(chromedp.ID("board")))
		p.key(kb.ArrowRight)
		p.until("pixelwall.state().cursor?.by === 'keys'")
		p.shoot(filepath.Join(dir, "cursor-far-"+name+".png"))
	}
}
