package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// What the server tells all pages: how many there are, that it is read-only,
// that canvas and palette grew.

func TestEveryPageShowsHowManyAreOnline(t *testing.T) {
	s := startEdge(t)
	a := openPage(t, s.url+"/?debug", desktop)
	b := openPage(t, s.url+"/?debug", desktop)
	a.untilLive()
	b.untilLive()
	const online = "!document.getElementById('online').hidden && document.querySelector('#online b').textContent === %q"
	a.until(fmt.Sprintf(online, "2"))
	b.until(fmt.Sprintf(online, "2"))

	// The browser may keep a page that was left; it counts no longer, and goes on
	// when its user comes back.
	b.do(chromedp.Navigate("about:blank"))
	a.until(fmt.Sprintf(online, "1"))
	b.back()
	a.until(fmt.Sprintf(online, "2"))
	b.untilLive()
	b.until(fmt.Sprintf(online, "2"))
}

// back asks for the page before and does not wait for it: where the browser has
// kept that page, it is there without being loaded.
func (p *page) back() {
	p.t.Helper()
	history, err := chromedp.Run(p.ctx, chromedp.NavigationEntries())
	if err != nil || history.CurrentIndex < 1 {
		p.t.Fatalf("no page to go back to in %+v: %v", history, err)
	}
	before := history.Entries[history.CurrentIndex-1].ID
	p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, cdppage.NavigateToHistoryEntry, cdppage.NavigateToHistoryEntryParams{EntryID: before})
		return err
	}))
}

func TestAFullDiskShowsABannerUntilThereIsRoom(t *testing.T) {
	browser(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=128m"); err != nil {
		t.Skipf("a disk that can be filled needs root: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	s := startEdge(t, "--cooldown", "0", "--data", filepath.Join(dir, "data"))
	p := openPage(t, s.url+"/?debug#60,60,20", desktop)
	other := openPage(t, s.url+"/?debug&renderer=2d#60,60,20", phone)
	p.untilLive()
	other.untilLive()
	ballast := fill(t, filepath.Join(dir, "ballast"))

	// The first pixel that finds no room is taken back, and everybody is told.
	p.key("6")
	p.click(p.cell(60, 61))
	const told = "!document.getElementById('banner').hidden && document.getElementById('banner').textContent.includes('Read-only')"
	p.until(told)
	other.until(told)
	p.until("pixelwall.state().hopes === 0")
	p.untilDrawn(60, 61, white)
	p.until("document.getElementById('toasts').textContent.includes('The pixel at 60, 61 was taken back')")

	// The next one is not even sent, and the page says why.
	asked := s.metric("pixelwall_session_placements_total")
	p.click(p.cell(62, 61))
	p.until("[...document.querySelectorAll('#toasts .toast')].some((t) => t.textContent === 'The canvas is read-only for the moment.')")
	p.until("document.getElementById('paint').classList.contains('off')")
	if got := p.drawn(62, 61); got != white {
		t.Errorf("the cell is %s, want %s", got, white)
	}
	if got := s.metric("pixelwall_session_placements_total"); got != asked {
		t.Errorf("%s placements reached the server, want the %s from before", got, asked)
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	const over = "document.getElementById('banner').hidden"
	p.until(over)
	other.until(over)
	p.click(p.cell(62, 61))
	other.untilDrawn(62, 61, red)
	p.until("pixelwall.report().then((r) => r.unanswered === 0)")
}

// fill writes a file until the disk has no room for one more byte.
func fill(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for chunk := make([]byte, 1<<20); len(chunk) > 0; {
		if _, err := f.Write(chunk); err != nil {
			chunk = chunk[:len(chunk)/2]
		}
	}
	return path
}

func TestPaletteGrowsTo40ColoursAndTheCanvasWhileConnected(t *testing.T) {
	admin := freeAddress(t)
	s := startEdge(t, "--palette", "place2022", "--cooldown", "0", "--admin-listen", admin)
	p := openPage(t, s.url+"/?debug", desktop)
	watcher := openPage(t, s.url+"/?debug&renderer=2d#1100,100,20", phone)
	p.untilLive()
	watcher.untilLive()
	var added []map[string]string
	for i := 33; i <= 40; i++ {
		added = append(added, map[string]string{"name": fmt.Sprintf("shade %d", i), "hex": fmt.Sprintf("#%02x8040", 4*i)})
	}
	patch(t, admin, map[string]any{"append_colors": added})
	for _, page := range []*page{p, watcher} {
		page.until("pixelwall.state().colors === 40 && document.querySelectorAll('.swatch').length === 40")
	}
	p.keysAtOnce("40")
	p.until("document.querySelector('#facts strong').textContent === 'shade 40'")

	// So does the canvas.
	patch(t, admin, map[string]any{"width": 1200})
	for _, page := range []*page{p, watcher} {
		page.until("pixelwall.state().size.width === 1200")
		page.look(1100, 100, 20)
		page.until("pixelwall.report().then((r) => r.shards.some((s) => s.shard === 4 && s.watched))")
	}
	p.click(p.cell(1100, 101))
	p.until("pixelwall.report().then((r) => r.unanswered === 0)")
	p.until("pixelwall.state().hopes === 0")
	p.untilDrawn(1100, 101, "#a08040")
	watcher.untilDrawn(1100, 101, "#a08040")
	s.sameCanvas(p, watcher)
}

// patch changes the configuration of a running edge.
func patch(t *testing.T, admin string, change map[string]any) {
	t.Helper()
	body, err := json.Marshal(change)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPatch, "http://"+admin+"/admin/v1/config", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, _ := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK {
		t.Fatalf("%d: %s", answer.StatusCode, text)
	}
}

// freeAddress is a loopback address that nobody listens on just now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
