package web

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// The page in the engines of other browsers: Gecko is Firefox's, WebKit is that
// of Safari and of every browser on an iPhone.

// An engine is a page in another browser.
type engine interface {
	// open goes to an address.
	open(url string) error
	// run gives the text that a function's body returns, or the promise that it returns.
	run(body string) (string, error)
	// click presses the mouse at a point of the window.
	click(x, y int) error
	// picture gives the window as a PNG.
	picture() ([]byte, error)
}

func TestOtherEngines(t *testing.T) {
	for _, tt := range []struct {
		name, needs string
		start       func(t *testing.T) engine
	}{
		{"Gecko", "firefox-esr", startGecko},
		{"WebKit", "WebKitWebDriver", startWebKit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startEdge(t, "--cooldown", "0")
			if _, err := exec.LookPath(tt.needs); err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatal(err)
				}
				t.Skip(err)
			}
			e := tt.start(t)
			if err := e.open(s.url + "/?debug#60,60,20"); err != nil {
				t.Fatal(err)
			}
			until := func(expression string) {
				t.Helper()
				waitFor(t, expression, func() bool {
					got, err := e.run("return Promise.resolve(" + expression + ").then((v) => String(Boolean(v)))")
					return err == nil && got == "true"
				})
			}
			value := func(expression string) string {
				t.Helper()
				got, err := e.run("return Promise.resolve(" + expression + ").then(String)")
				if err != nil {
					t.Fatalf("%s: %v", expression, err)
				}
				return got
			}
			t.Cleanup(func() {
				if t.Failed() {
					text, err := e.run("return " + whatIsKnown)
					t.Logf("the page of this engine: %s %v", text, err)
				}
			})
			until("globalThis.pixelwall && pixelwall.report().then((r) => r && r.state === 'live' && r.shards.some((s) => s.watched) && !document.getElementById('name').hidden)")
			t.Logf("%s, drawn with %s", value("navigator.userAgent"), value("pixelwall.state().renderer"))

			other := openPage(t, s.url+"/?debug#60,60,20", desktop)
			other.untilLive()
			other.key("9")
			other.click(other.cell(60, 61))
			until(fmt.Sprintf("pixelwall.drawn(60, 61) === %q", yellow))

			if _, err := e.run("document.querySelector('#palette .swatch:nth-child(6)').click(); return ''"); err != nil {
				t.Fatal(err)
			}
			var at struct{ X, Y float64 }
			if err := json.Unmarshal([]byte(value("JSON.stringify(pixelwall.cell(62, 60))")), &at); err != nil {
				t.Fatal(err)
			}
			if err := e.click(int(at.X), int(at.Y)); err != nil {
				t.Fatal(err)
			}
			other.untilDrawn(62, 60, red)
			until(fmt.Sprintf("pixelwall.drawn(62, 60) === %q", red))
			until("pixelwall.report().then((r) => r.unanswered === 0 && pixelwall.state().hopes === 0)")
			until(fmt.Sprintf("pixelwall.report().then((r) => r.shards.filter((s) => s.watched).map((s) => s.crc).join() === %q)",
				eval[string](other, "pixelwall.report().then((r) => r.shards.filter((s) => s.watched).map((s) => s.crc).join())")))
			if got := value("document.getElementById('toasts').textContent"); strings.Contains(got, "went wrong") {
				t.Errorf("the page says %q", got)
			}
			if dir := os.Getenv("PICTURES"); dir != "" {
				png, err := e.picture()
				if err == nil {
					err = os.WriteFile(filepath.Join(dir, tt.name+".png"), png, 0o644)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// driver starts a program that controls a browser, in a session of its own so that
// all that it starts ends with the test, and waits for a line that has the pattern.
func driver(t *testing.T, pattern string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_RUNTIME_DIR="+t.TempDir(), "LIBGL_ALWAYS_SOFTWARE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		out.Close()
	})
	found, ended := make(chan string, 1), make(chan string, 1)
	go func() {
		said := &bytes.Buffer{}
		matches := regexp.MustCompile(pattern)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			fmt.Fprintln(said, lines.Text())
			if m := matches.FindString(lines.Text()); m != "" {
				select {
				case found <- m:
				default:
				}
			}
		}
		ended <- said.String()
	}()
	select {
	case m := <-found:
		return m
	case said := <-ended:
		t.Fatalf("%s ended:\n%s", name, said)
	case <-time.After(patience):
		t.Fatalf("%s does not say %s", name, pattern)
	}
	return ""
}

// A gecko is a tab of Firefox, spoken to by WebDriver BiDi.
type gecko struct {
	conn    net.Conn
	last    int
	context string
}

func startGecko(t *testing.T) engine {
	t.Helper()
	profile := t.TempDir()
	// Otherwise the first start shows pages of its own and asks its maker's hosts.
	const quiet = `user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("app.update.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("webgl.force-enabled", true);
`
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(quiet), 0o644); err != nil {
		t.Fatal(err)
	}
	at := driver(t, `ws://127\.0\.0\.1:\d+`, "firefox-esr", "--headless", "--no-remote", "--remote-debugging-port", "0", "--profile", profile, "about:blank")
	conn, _, _, err := ws.Dialer{Timeout: patience}.Dial(t.Context(), at+"/session")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	g := &gecko{conn: conn}
	if err := g.call("session.new", map[string]any{"capabilities": map[string]any{}}, nil); err != nil {
		t.Fatal(err)
	}
	var tree struct{ Contexts []struct{ Context string } }
	if err := g.call("browsingContext.getTree", map[string]any{}, &tree); err != nil || len(tree.Contexts) == 0 {
		t.Fatal(tree, err)
	}
	g.context = tree.Contexts[0].Context
	return g
}

func (g *gecko) call(method string, params map[string]any, result any) error {
	g.last++
	text, err := json.Marshal(map[string]any{"id": g.last, "method": method, "params": params})
	if err != nil {
		return err
	}
	_ = g.conn.SetDeadline(time.Now().Add(patience))
	if err := wsutil.WriteClientText(g.conn, text); err != nil {
		return err
	}
	for {
		text, err := wsutil.ReadServerText(g.conn)
		if err != nil {
			return err
		}
		var answer struct {
			ID             int
			Type           string
			Error, Message string
			Result         json.RawMessage
		}
		switch err := json.Unmarshal(text, &answer); {
		case err != nil:
			return err
		case answer.ID != g.last: // an event
		case answer.Type == "error":
			return fmt.Errorf("%s: %s: %s", method, answer.Error, answer.Message)
		case result == nil:
			return nil
		default:
			return json.Unmarshal(answer.Result, result)
		}
	}
}

func (g *gecko) open(url string) error {
	return g.call("browsingContext.navigate", map[string]any{"context": g.context, "url": url, "wait": "complete"}, nil)
}

func (g *gecko) run(body string) (string, error) {
	var r struct {
		Type             string
		Result           struct{ Value any }
		ExceptionDetails struct{ Text string }
	}
	err := g.call("script.callFunction", map[string]any{
		"functionDeclaration": "function() {" + body + "}", "awaitPromise": true, "target": map[string]any{"context": g.context},
	}, &r)
	if err == nil && r.Type == "exception" {
		err = errors.New(r.ExceptionDetails.Text)
	}
	return fmt.Sprint(r.Result.Value), err
}

func (g *gecko) click(x, y int) error {
	return g.call("input.performActions", map[string]any{"context": g.context, "actions": mouseClick(x, y)}, nil)
}

func (g *gecko) picture() ([]byte, error) {
	var shot struct{ Data []byte }
	err := g.call("browsingContext.captureScreenshot", map[string]any{"context": g.context}, &shot)
	return shot.Data, err
}

// mouseClick is a click as both protocols write it.
func mouseClick(x, y int) []any {
	return []any{map[string]any{"type": "pointer", "id": "mouse", "parameters": map[string]any{"pointerType": "mouse"}, "actions": []any{
		map[string]any{"type": "pointerMove", "x": x, "y": y, "duration": 0},
		map[string]any{"type": "pointerDown", "button": 0},
		map[string]any{"type": "pointerUp", "button": 0},
	}}}
}

// A webkit is a window of WebKitGTK, spoken to by WebDriver.
type webkit struct{ session string }

func startWebKit(t *testing.T) engine {
	t.Helper()
	display := driver(t, `^\d+$`, "Xvfb", "-displayfd", "1", "-screen", "0", "1280x900x24", "-nolisten", "tcp")
	t.Setenv("DISPLAY", ":"+display)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().(*net.TCPAddr)
	l.Close() // the driver takes a port and tells none
	cmd := exec.Command("WebKitWebDriver", fmt.Sprintf("--port=%d", at.Port), "--host=127.0.0.1")
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_RUNTIME_DIR="+t.TempDir(), "LIBGL_ALWAYS_SOFTWARE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	base := "http://" + at.String()
	waitFor(t, "WebKitWebDriver", func() bool { _, err := http.Get(base + "/status"); return err == nil })
	var made struct{ SessionID string }
	if err := webDriver("POST", base+"/session", map[string]any{"capabilities": map[string]any{"alwaysMatch": map[string]any{}}}, &made); err != nil {
		t.Fatal(err)
	}
	w := &webkit{base + "/session/" + made.SessionID}
	t.Cleanup(func() { _ = webDriver("DELETE", w.session, nil, nil) })
	return w
}

func (w *webkit) open(url string) error {
	return webDriver("POST", w.session+"/url", map[string]any{"url": url}, nil)
}

func (w *webkit) run(body string) (text string, err error) {
	const call = `const done = arguments[arguments.length - 1]; Promise.resolve((() => {%s})()).then((v) => done({ v }), (e) => done({ e: String(e) }));`
	var r struct{ V, E string }
	err = webDriver("POST", w.session+"/execute/async", map[string]any{"script": fmt.Sprintf(call, body), "args": []any{}}, &r)
	if err == nil && r.E != "" {
		err = errors.New(r.E)
	}
	return r.V, err
}

func (w *webkit) click(x, y int) error {
	return webDriver("POST", w.session+"/actions", map[string]any{"actions": mouseClick(x, y)}, nil)
}

func (w *webkit) picture() (png []byte, err error) {
	err = webDriver("GET", w.session+"/screenshot", nil, &png)
	return png, err
}

// webDriver asks what WebDriver calls a command.
func webDriver(method, url string, body map[string]any, result any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	res, err := (&http.Client{Timeout: patience}).Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s: %s", method, url, res.Status, answer)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer, &struct{ Value any }{result})
}
