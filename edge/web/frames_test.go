package web

import (
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
)

const (
	// scriptMaxMS is what the main thread may spend between two frames, of its own
	// time: script, and handing bytes to WebGL. It is the 99th percentile.
	scriptMaxMS = 4
	floodASec   = 35_000
)

// BenchmarkFramesWhilePanning drags the view over a canvas of 2000 × 2000 while
// 35 000 placements a second come in, and measures what the threads of the page
// do, in processor time, which other programs change little. Frame rates are told
// and not judged: here a software renderer draws.
func BenchmarkFramesWhilePanning(b *testing.B) {
	s := startEdge(b, "--size", "2000x2000", "--cooldown", "0", "--messages-per-sec", "10000", "--message-burst", "1000000",
		"--conns-per-address=-1", "--guests-per-hour", "1000000")
	p := openPage(b, s.url+"/?debug#1000,1000,1", desktop)
	p.untilLive()
	f := startFlood(b, s.url, 2000, floodASec)
	p.until("pixelwall.report().then((r) => r.decodeMS > 0)")
	var all threads
	before, began := f.placed.Load(), time.Now()
	for b.Loop() {
		all.add(p.traced(func() { p.dragAround(10 * time.Second) }))
	}
	b.ReportMetric(float64(f.placed.Load()-before)/time.Since(began).Seconds(), "placements/s")
	for name, ms := range map[string][]float64{"script": all.frames, "worker": all.worker, "interval": all.intervals} {
		b.ReportMetric(percentile(ms, 50), name+"-p50-ms")
		b.ReportMetric(percentile(ms, 99), name+"-p99-ms")
	}
	b.Logf("%d frames: script p50 %.2f ms, p99 %.2f ms, max %.2f ms; worker tasks p50 %.2f ms, p99 %.2f ms; between frames p50 %.0f ms, p99 %.0f ms", len(all.frames),
		percentile(all.frames, 50), percentile(all.frames, 99), percentile(all.frames, 100), percentile(all.worker, 50), percentile(all.worker, 99),
		percentile(all.intervals, 50), percentile(all.intervals, 99))
	if p99 := percentile(all.frames, 99); p99 > scriptMaxMS {
		b.Errorf("the main thread takes %.2f ms a frame (p99), want at most %d", p99, scriptMaxMS)
	}
}

// dragAround drags the canvas to and fro with the mouse for d.
func (p *page) dragAround(d time.Duration) {
	p.t.Helper()
	const left, right, y = 300.0, 900.0, 300.0
	x, step := left, 12.0
	p.do(chromedp.MouseEvent(chromedp.MouseMoved, x, y), chromedp.MouseEvent(chromedp.MousePressed, x, y, chromedp.ButtonType(input.MouseButtonLeft)))
	for end := time.Now().Add(d); time.Now().Before(end); x += step {
		if x+step > right || x+step < left {
			step = -step
		}
		p.do(chromedp.MouseEvent(chromedp.MouseMoved, x, y+(x-left)/4, chromedp.ButtonType(input.MouseButtonLeft)))
	}
	p.do(chromedp.MouseEvent(chromedp.MouseReleased, x, y, chromedp.ButtonType(input.MouseButtonLeft)))
}
