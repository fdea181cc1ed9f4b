package web

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestPictures takes pictures of the page for people to look at and for the
// README; it runs where PICTURES names a folder for them. With
// PICTURES_CANVAS the canvas begins with that file.
func TestPictures(t *testing.T) {
	dir := os.Getenv("PICTURES")
	if dir == "" {
		t.Skip("PICTURES names no folder")
	}
	big := desktop
	big.width, big.height = 1280, 800
	dark := big
	dark.dark = true
	darkPhone := phone
	darkPhone.dark = true
	for _, palette := range []string{"place2017", "place2022"} {
		args := []string{"--palette", palette}
		if start := os.Getenv("PICTURES_CANVAS"); start != "" && palette == "place2017" {
			args = append(args, "--start-canvas", start)
		}
		s := startEdge(t, args...)
		for _, shot := range []struct {
			name, hash string
			look       look
		}{
			{"desktop-light", "", big},
			{"desktop-dark", "", dark},
			{"desktop-close", "#500,400,20", big},
			{"phone-light", "", phone},
			{"phone-dark", "#500,400,14", darkPhone},
		} {
			p := openPage(t, s.url+"/?debug"+shot.hash, shot.look)
			p.untilLive()
			if shot.hash != "" && shot.look.touch {
				p.tap(p.cell(502, 398))
			} else if shot.hash != "" {
				at := p.cell(503, 398)
				p.click(at)
				p.until("pixelwall.report().then((r) => r.unanswered === 0)")
				p.key("i")
				p.until("document.querySelectorAll('#inspector .history .who').length > 0")
			}
			p.shoot(filepath.Join(dir, fmt.Sprintf("%s-%s.png", palette, shot.name)))
		}
	}
}

func (p *page) shoot(path string) {
	p.t.Helper()
	p.untilRest()
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}
