package web

import (
	"context"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// TestPicturesOfTheReadme takes the pictures of the README anew; it runs where
// PICTURES names the folder for them, edge/web/pictures.
func TestPicturesOfTheReadme(t *testing.T) {
	dir := os.Getenv("PICTURES")
	if dir == "" {
		t.Skip("PICTURES names no folder")
	}
	start := filepath.Join(t.TempDir(), "start.png")
	plain := startEdge(t, "--palette", "place2022")
	colors := plain.palette()
	plain.kill()
	if err := os.WriteFile(start, pngOf(t, julia(colors, 1000)), 0o644); err != nil {
		t.Fatal(err)
	}
	s := startEdge(t, "--palette", "place2022", "--cooldown", "5m", "--start-canvas", start)
	big, tall, small := look{width: 1280, height: 800, ratio: 1}, look{width: 412, height: 915, ratio: 2, touch: true}, phone
	dark := func(l look) look { l.dark = true; return l }
	arabic := tall
	arabic.language = "ar"
	open := func(l look, hash string) *page {
		p := openPage(t, s.url+"/?debug"+hash, l)
		p.untilLive()
		return p
	}
	shoot := func(p *page, name string) {
		p.untilRest()
		p.until("document.getAnimations().every((a) => a.playState === 'finished' || a.effect.getComputedTiming().iterations === Infinity || a.effect.target.matches('.arc'))") // the arc moves for as long as one cools down
		eval[bool](p, "(document.querySelectorAll('#toasts .plain').forEach((t) => t.remove()), true)")
		quality := int64(82)
		var webp []byte
		p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
			shot, err := cdp.Call(ctx, tab, cdppage.CaptureScreenshot, cdppage.CaptureScreenshotParams{Format: cdppage.CaptureScreenshotFormatWebp, Quality: &quality})
			webp = shot.Data
			return err
		}))
		if err := os.WriteFile(filepath.Join(dir, name+".webp"), webp, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	shoot(open(big, ""), "desktop-light")
	near := open(dark(big), "#468,322,14")
	near.click(near.cell(470, 322))
	near.until("pixelwall.state().available === 0 && pixelwall.report().then((r) => r.unanswered === 0)")
	near.key("i")
	near.until("document.querySelectorAll('#inspector .history .who').length > 0")
	shoot(near, "desktop-dark-cooling-down")
	templates := open(big, "#560,300,10")
	templates.chooseFile("rings.png", pngOf(t, rings(colors, 48)))
	templates.untilCounted(1)
	eval[bool](templates, "(document.getElementById('templates-open').click(), true)")
	templates.until("document.getElementById('templates').getAnimations().length === 0")
	shoot(templates, "templates")
	thumb := open(tall, "#468,322,16")
	thumb.tap(thumb.cell(468, 318))
	thumb.until("!document.getElementById('confirm').hidden")
	shoot(thumb, "phone-412")
	shoot(open(arabic, "#468,322,3"), "phone-right-to-left")
	lost := open(dark(small), "#468,322,6")
	s.kill()
	lost.until("!document.getElementById('banner').hidden")
	shoot(lost, "phone-375-reconnecting")
}

// julia is a fractal in the palette's colours.
func julia(colors color.Palette, side int) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, side, side))
	for i := range side * side {
		z := complex(float64(i%side-side/2)*3.1/float64(side), float64(i/side-side/2)*3.1/float64(side))
		n := 0
		for ; n < 3*len(colors) && real(z)*real(z)+imag(z)*imag(z) < 4; n++ {
			z = z*z + complex(-0.8, 0.156)
		}
		img.Set(i%side, i/side, colors[(len(colors)-1+n)%len(colors)])
	}
	return img
}

// rings is a disc of rings in the palette's colours.
func rings(colors color.Palette, side int) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, side, side))
	for i := range side * side {
		x, y := i%side-side/2, i/side-side/2
		if r := x*x + y*y; r < side*side/4 {
			img.Set(i%side, i/side, colors[r/24%len(colors)])
		}
	}
	return img
}
