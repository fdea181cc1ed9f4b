package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"image/png"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/gobwas/ws"

	"pixelwall/edge/token"
	"pixelwall/wire"
)

// A running is an edge that serves inside the test, on a free port.
type running struct {
	t      *testing.T
	addr   string // once opened is closed
	data   string
	stop   context.CancelFunc
	opened chan struct{} // closed when it says that it does its work
	done   chan error
	log    *safeBuffer
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// parse reads a command line as main does.
func parse(args ...string) (settings, error) {
	var c cli
	parser, err := kong.New(&c, kong.DefaultEnvars("PIXELWALL_TEST_NOT_SET"), kong.Vars{"version": "test"})
	if err != nil {
		return settings{}, err
	}
	if _, err := parser.Parse(args); err != nil {
		return settings{}, err
	}
	return c.Config.read()
}

var addrLine = regexp.MustCompile(`http://(\S+)`)

// serve starts an edge with a fast tick and no cooldown unless args say otherwise,
// and waits until it serves.
func serve(t *testing.T, args ...string) *running {
	t.Helper()
	r := begin(t, args...)
	r.serves()
	return r
}

// begin starts an edge as serve does and waits for nothing.
func begin(t *testing.T, args ...string) *running {
	t.Helper()
	return beginWith(t, func(*settings) {}, args...)
}

// beginWith does the same with settings that tweak changes.
func beginWith(t *testing.T, tweak func(*settings), args ...string) *running {
	t.Helper()
	joined := strings.Join(args, " ")
	if !strings.Contains(joined, "--data") {
		args = append(args, "--data", t.TempDir())
	}
	if !strings.Contains(joined, "--tick") {
		args = append(args, "--tick", "20ms")
	}
	if !strings.Contains(joined, "--cooldown") {
		args = append(args, "--cooldown", "0")
	}
	if !strings.Contains(joined, "--listen") {
		args = append(args, "--listen", "127.0.0.1:0")
	}
	s, err := parse(args...)
	if err != nil {
		t.Fatal(err)
	}
	tweak(&s)
	r := &running{t: t, data: s.Data, opened: make(chan struct{}), done: make(chan error, 1), log: &safeBuffer{}}
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	out, in := io.Pipe()
	go func() {
		err := run(ctx, s, in, slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
		in.CloseWithError(errors.Join(err, io.EOF))
		r.done <- err
	}()
	go r.listen(out)
	t.Cleanup(func() { r.end() })
	return r
}

// listen reads what the edge says to the person who started it.
func (r *running) listen(out io.Reader) {
	var said bytes.Buffer
	buf := make([]byte, 4096)
	for told := false; ; {
		n, err := out.Read(buf)
		said.Write(buf[:n])
		if !told && strings.Contains(said.String(), "stop with") {
			told = true
			if m := addrLine.FindStringSubmatch(said.String()); m != nil {
				r.addr = m[1]
			}
			close(r.opened)
		}
		if err != nil {
			return
		}
	}
}

// serves waits until the edge has said that it does its work.
func (r *running) serves() *running {
	r.t.Helper()
	select {
	case <-r.opened:
	case err := <-r.done:
		r.done <- err
		r.t.Fatalf("the edge ended: %v\n%s", err, r.log)
	case <-time.After(60 * time.Second):
		r.t.Fatalf("the edge does not serve:\n%s", r.log)
	}
	return r
}

// end stops the edge as SIGTERM does and returns what run returned.
func (r *running) end() error {
	r.stop()
	err := <-r.done
	r.done <- err
	if err != nil && !r.t.Failed() {
		r.t.Logf("the edge ended with %v", err)
	}
	return err
}

// get answers a GET of path, redirects followed.
func (r *running) get(path string) (int, []byte) {
	r.t.Helper()
	res, err := http.Get("http://" + r.addr + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res.StatusCode, body
}

// admin returns the address of the admin API, "" without one.
func (r *running) admin() string {
	if m := regexpAdmin.FindStringSubmatch(r.log.String()); m != nil {
		return m[1]
	}
	return ""
}

// metric returns the sum of a metric over its labels, or one of them, named as
// Prometheus does: name{label="value"}.
func (r *running) metric(name string) (sum float64) {
	r.t.Helper()
	at := *r
	if admin := r.admin(); admin != "" {
		at.addr = admin
	}
	_, body := at.get("/metrics")
	found := false
	for line := range strings.Lines(string(body)) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != ' ' && rest[0] != '{' {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(rest, ' '):]), 64)
		if err != nil {
			r.t.Fatal(err)
		}
		sum, found = sum+v, true
	}
	if !found {
		r.t.Fatalf("no metric %s in\n%s", name, body)
	}
	return sum
}

// canvas fetches the canvas over HTTP.
func (r *running) canvas() wire.CanvasFile {
	r.t.Helper()
	status, body := r.get("/api/v1/canvas")
	c, err := wire.ParseCanvasFile(body)
	if status != 200 || err != nil {
		r.t.Fatalf("canvas: status %d, %v", status, err)
	}
	return c
}

// token makes a guest.
func (r *running) token() string {
	r.t.Helper()
	res, err := http.Post("http://"+r.addr+"/api/v1/session", "", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct{ Token string }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || res.StatusCode != 201 {
		r.t.Fatalf("session: status %d, %v", res.StatusCode, err)
	}
	return answer.Token
}

// expiredToken signs a token of yesterday with the edge's own keys.
func (r *running) expiredToken() string {
	r.t.Helper()
	keys, err := token.LoadOrCreateKeys(filepath.Join(r.data, "guest-keys"), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	yesterday := time.Now().Add(-48 * time.Hour)
	return keys.Sign(token.Claim{UID: 9, Issued: yesterday, Expires: yesterday.Add(time.Hour)})
}

// A closing is how a connection ended; 1006 when there was no close frame.
type closing struct {
	Code   ws.StatusCode
	Reason string
}

// picture encodes a PNG.
func picture(t *testing.T, w, h int, rgb func(x, y int) uint32) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := rgb(x, y)
			img.Set(x, y, color.RGBA{uint8(c >> 16), uint8(c >> 8), uint8(c), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
