package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience bounds every wait for a condition; a machine that is busy with
// something else needs it, a sound page does not.
const patience = 30 * time.Second

// tools are what all browser tests of a run share: one Chromium, one edge.
var tools struct {
	once    sync.Once
	browser context.Context
	edge    string // the built program
	skip    string // why there is no browser
	err     error
	close   []func()
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, f := range tools.close {
		f()
	}
	os.Exit(code)
}

// browser returns the context of the shared Chromium, or skips t.
func browser(t testing.TB) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("-short leaves out the browser")
	}
	tools.once.Do(startTools)
	if tools.skip != "" && os.Getenv("CI") != "true" {
		t.Skip(tools.skip)
	}
	if tools.skip != "" || tools.err != nil {
		t.Fatal(tools.skip, tools.err)
	}
	return tools.browser
}

func startTools() {
	chromium := os.Getenv("CHROMIUM")
	if chromium == "" {
		var err error
		if chromium, err = exec.LookPath("chromium"); err != nil {
			tools.skip = "no chromium here: install it or name it in CHROMIUM"
			return
		}
	}
	dir, err := os.MkdirTemp("", "pixelwall-web")
	if err != nil {
		tools.err = err
		return
	}
	tools.close = append(tools.close, func() { os.RemoveAll(dir) })
	tools.edge = filepath.Join(dir, "edge")
	if out, err := exec.Command("go", "build", "-o", tools.edge, "pixelwall/edge").CombinedOutput(); err != nil {
		tools.err = fmt.Errorf("go build pixelwall/edge: %w\n%s", err, out)
		return
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.UserDataDir(filepath.Join(dir, "profile")),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("enable-unsafe-swiftshader", true),
		// Otherwise Chromium drops what is typed and clicked before a page's first frame.
		chromedp.Flag("allow-pre-commit-input", true),
	)
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), opts...)
	// Chromium is newer than the library's list of events; what it does not know it would log.
	quiet := func(string, ...any) {}
	ctx, stop := chromedp.NewContext(allocator, chromedp.WithLogf(quiet), chromedp.WithErrorf(quiet))
	tools.close = append([]func(){func() {
		_ = chromedp.Cancel(ctx)
		stop()
		stopAllocator()
	}}, tools.close...)
	tools.browser, tools.err = ctx, chromedp.Do(ctx)
}

// A server is a running edge of its own for one test.
type server struct {
	t    testing.TB
	url  string // http://127.0.0.1:port
	args []string
	exe  string
	cmd  *exec.Cmd
	done chan struct{}
}

var addressLine = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)

// startEdge starts the real edge on a free port and an empty data folder.
func startEdge(t testing.TB, args ...string) *server {
	t.Helper()
	browser(t)
	s := &server{t: t, exe: tools.edge, args: append([]string{"--data", filepath.Join(t.TempDir(), "data")}, args...)}
	s.start("127.0.0.1:0")
	t.Cleanup(s.kill)
	return s
}

func (s *server) start(listen string) {
	s.t.Helper()
	s.cmd = exec.Command(s.exe, append([]string{"--listen", listen}, s.args...)...)
	s.cmd.Dir = s.t.TempDir()
	s.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PIXELWALL_") })
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	log := &strings.Builder{}
	s.cmd.Stderr = log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.done = make(chan struct{})
	found := make(chan string, 1)
	go func() {
		defer close(s.done)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if url := addressLine.FindString(lines.Text()); url != "" {
				select {
				case found <- url:
				default:
				}
			}
		}
		_ = s.cmd.Wait()
	}()
	select {
	case s.url = <-found:
	case <-s.done:
		s.t.Fatalf("the edge ended at its start:\n%s", log)
	case <-time.After(patience):
		s.t.Fatal("the edge does not say its address")
	}
}

// kill ends the edge as kill -9 does.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// restart starts the edge again on the same port and data.
func (s *server) restart() { s.start(strings.TrimPrefix(s.url, "http://")) }

// A page is one tab.
type page struct {
	t   testing.TB
	ctx context.Context
}

// A look is how a page's window is.
type look struct {
	width, height int64
	ratio         float64 // device pixels a CSS pixel
	touch         bool
	dark          bool
	still         bool   // prefers-reduced-motion
	language      string // that the browser asks for, English if empty
}

var desktop = look{width: 1200, height: 800, ratio: 1}
var phone = look{width: 375, height: 667, ratio: 2, touch: true}

// openPage opens url in a profile of its own.
func openPage(t testing.TB, url string, l look) *page {
	t.Helper()
	ctx, stop := chromedp.NewContext(browser(t), chromedp.WithNewBrowserContext())
	return newPage(t, ctx, stop, url, l)
}

// openTab opens url beside p: the same user, the same storage.
func (p *page) openTab(url string, l look) *page {
	p.t.Helper()
	ctx, stop := chromedp.NewContext(p.ctx, chromedp.WithNewWindow(true))
	return newPage(p.t, ctx, stop, url, l)
}

func newPage(t testing.TB, ctx context.Context, stop func(), url string, l look) *page {
	t.Helper()
	t.Cleanup(stop)
	p := &page{t, ctx}
	// The tab lives as long as the context that it is first used with.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	p.do(
		chromedp.EmulateViewport(l.width, l.height, func(m *emulation.SetDeviceMetricsOverrideParams, touch *emulation.SetTouchEmulationEnabledParams) {
			m.DeviceScaleFactor, m.Mobile = l.ratio, l.touch
			touch.Enabled = l.touch
		}),
		chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
			if _, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, media(l)); err != nil {
				return err
			}
			// What the Content Security Policy stops is a fault of the page.
			_, err := cdp.Call(ctx, tab, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: throwViolations + asksFor(l.language)})
			return err
		}),
	)
	errs := &pageErrors{}
	if err := chromedp.Listen(ctx, errs.hear); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		errs.report(t)
		p.explain()
	})
	p.do(chromedp.Navigate(url))
	return p
}

const throwViolations = `addEventListener("securitypolicyviolation", (e) => { throw new Error("CSP: " + e.violatedDirective + " " + e.blockedURI); });`

func asksFor(language string) string {
	if language == "" {
		return ""
	}
	return fmt.Sprintf("Object.defineProperty(Navigator.prototype, 'languages', { get: () => [%q] });", language)
}

func media(l look) emulation.SetEmulatedMediaParams {
	scheme, motion := "light", "no-preference"
	if l.dark {
		scheme = "dark"
	}
	if l.still {
		motion = "reduce"
	}
	return emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion},
	}}
}

// pageErrors collects what the page's script threw and nobody caught: a test
// whose page did that fails.
type pageErrors struct {
	mu   sync.Mutex
	seen []string
}

func (e *pageErrors) hear(ev any) {
	if thrown, ok := ev.(*runtime.EventExceptionThrown); ok {
		e.mu.Lock()
		defer e.mu.Unlock()
		text := thrown.ExceptionDetails.Text
		if thrown.ExceptionDetails.Exception != nil {
			text += " " + thrown.ExceptionDetails.Exception.Description
		}
		e.seen = append(e.seen, text)
	}
}

func (e *pageErrors) report(t testing.TB) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, text := range e.seen {
		t.Errorf("the page threw: %s", text)
	}
}

// explain logs what a page of a failed test knows: the page that waits in vain
// is often not the one that went wrong.
func (p *page) explain() {
	if !p.t.Failed() {
		return
	}
	ctx, stop := context.WithTimeout(p.ctx, patience)
	defer stop()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](whatIsKnown, chromedp.EvalAwaitPromise))
	p.t.Logf("a page of this test: %s %v", text, err)
}

const whatIsKnown = `(async () => JSON.stringify({
	url: location.href, link: document.documentElement?.dataset.link,
	said: ["banner", "toasts"].map((id) => document.getElementById(id)?.innerText),
	state: globalThis.pixelwall?.state(), report: await globalThis.pixelwall?.report(),
}))()`

func (p *page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, stop := context.WithTimeout(p.ctx, 2*patience)
	defer stop()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatal(err)
	}
}

// eval returns what the expression, or the promise that it is, gives.
func eval[T any](p *page, expression string) T {
	p.t.Helper()
	v, err := tryEval[T](p, expression)
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

func tryEval[T any](p *page, expression string) (v T, err error) {
	ctx, stop := context.WithTimeout(p.ctx, patience)
	defer stop()
	// By way of JSON text: then Go's decoder says what does not fit.
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](
		"(async () => JSON.stringify(await ("+expression+"), (k, v) => typeof v === 'bigint' ? v.toString() : ArrayBuffer.isView(v) ? Array.from(v) : v) ?? 'null')()", chromedp.EvalAwaitPromise))
	if err == nil {
		err = json.Unmarshal([]byte(text), &v)
	}
	return v, err
}

// until waits for the expression, which may be a promise, to be true, also while the
// page is loaded again.
func (p *page) until(expression string) {
	p.t.Helper()
	waitFor(p.t, expression, func() bool {
		is, err := tryEval[bool](p, "Promise.resolve("+expression+").then(Boolean)")
		if err != nil && !strings.Contains(err.Error(), "navigated or closed") {
			p.t.Fatalf("%s: %v", expression, err)
		}
		return is
	})
}

// waitFor asks again and again whether cond holds.
func waitFor(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	every := time.NewTicker(25 * time.Millisecond)
	defer every.Stop()
	for !cond() {
		select {
		case <-every.C:
		case <-deadline.C:
			t.Fatalf("after %v it had not come to: %s", patience, what)
		}
	}
}

// untilLive waits until the page is connected, may paint, and follows what it watches.
func (p *page) untilLive() {
	p.t.Helper()
	p.until("globalThis.pixelwall && pixelwall.report().then((r) => r && r.state === 'live' && r.shards.length > 0 && r.shards.some((s) => s.watched) && !document.getElementById('name').hidden)")
}

// look follows a link to a place on the canvas.
func (p *page) look(x, y, scale int) {
	p.t.Helper()
	// The address tells of a view only when it has come to rest, and a hash that is
	// there already would be no change.
	p.do(chromedp.Evaluate[chromedp.Void](fmt.Sprintf("history.replaceState(null, '', location.pathname + location.search); void (location.hash = '#%d,%d,%d')", x, y, scale)))
	p.until(fmt.Sprintf("pixelwall.state().scale === %[3]d && Math.abs(pixelwall.cell(%[1]d, %[2]d).x - innerWidth / 2) <= 1 && Math.abs(pixelwall.cell(%[1]d, %[2]d).y - innerHeight / 2) < innerHeight / 4", x, y, scale))
}

// untilRest waits until nothing on the page moves.
func (p *page) untilRest() {
	p.t.Helper()
	p.until("!pixelwall.state().moving")
}

// untilDrawn waits until the drawn canvas really shows color in the cell.
func (p *page) untilDrawn(x, y int, color string) {
	p.t.Helper()
	p.until(fmt.Sprintf("pixelwall.drawn(%d, %d) === %q", x, y, color))
}

func (p *page) drawn(x, y int) string {
	p.t.Helper()
	return eval[string](p, fmt.Sprintf("pixelwall.drawn(%d, %d)", x, y))
}

type point struct{ X, Y float64 }

// cell returns the middle of a cell in the window.
func (p *page) cell(x, y int) point {
	p.t.Helper()
	return eval[point](p, fmt.Sprintf("pixelwall.cell(%d, %d)", x, y))
}

// at returns the middle of an element.
func (p *page) at(selector string) point {
	p.t.Helper()
	return eval[point](p, fmt.Sprintf("(() => { const r = document.querySelector(%q).getBoundingClientRect(); return {X: r.x + r.width / 2, Y: r.y + r.height / 2}; })()", selector))
}

func (p *page) click(at point) {
	p.t.Helper()
	p.do(chromedp.MouseEvent(chromedp.MouseMoved, at.X, at.Y), chromedp.MouseClickXY(at.X, at.Y))
}

func (p *page) key(keys string) {
	p.t.Helper()
	p.do(chromedp.KeyEvent(keys))
}

// keysAtOnce types keys in one moment, however slow the machine is: the page
// takes digits together by the time of their events.
func (p *page) keysAtOnce(keys string) {
	p.t.Helper()
	now := input.TimeSinceEpoch(float64(time.Now().UnixMicro()) / 1e6)
	p.do(chromedp.KeyEvent(keys, func(k *input.DispatchKeyEventParams) { k.Timestamp = now }))
}

// touch puts the fingers down, moves them along and lifts them all.
func (p *page) touch(from, to []point) {
	p.t.Helper()
	const steps = 8
	p.fingers(input.DispatchTouchEventTypeTouchStart, from...)
	if to != nil {
		for i := 1; i <= steps; i++ {
			share := float64(i) / steps
			at := make([]point, len(from))
			for k := range from {
				at[k] = point{from[k].X + (to[k].X-from[k].X)*share, from[k].Y + (to[k].Y-from[k].Y)*share}
			}
			p.fingers(input.DispatchTouchEventTypeTouchMove, at...)
		}
	}
	p.fingers(input.DispatchTouchEventTypeTouchEnd)
}

// fingers sends one touch event: kind, and where the fingers are.
func (p *page) fingers(kind input.DispatchTouchEventType, at ...point) {
	p.t.Helper()
	points := []*input.TouchPoint{}
	for i, f := range at {
		points = append(points, &input.TouchPoint{X: f.X, Y: f.Y, ID: new(float64(i))})
	}
	p.do(chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, input.DispatchTouchEvent, input.DispatchTouchEventParams{Type: kind, TouchPoints: points})
		return err
	}))
}

func (p *page) tap(at point) {
	p.t.Helper()
	p.touch([]point{at}, nil)
}
