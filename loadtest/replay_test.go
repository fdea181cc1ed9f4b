package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pixelwall/loadtest/client"
	"pixelwall/tools/trace"
	"pixelwall/wire"
)

const patience = 60 * time.Second

var buildDir string // removed at the end

// buildEdge builds the real server once for all tests.
var buildEdge = sync.OnceValues(func() (path string, err error) {
	if buildDir, err = os.MkdirTemp("", "pixelwall-edge"); err != nil {
		return "", err
	}
	path = filepath.Join(buildDir, "edge")
	out, err := exec.Command("go", "build", "-o", path, "pixelwall/edge").CombinedOutput()
	if err != nil {
		return "", errors.Join(err, errors.New(string(out)))
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if buildDir != "" {
		_ = os.RemoveAll(buildDir)
	}
	os.Exit(code)
}

// An edge is a running server.
type edge struct {
	cmd    *exec.Cmd
	listen string // host:port
	ended  chan struct{}
}

func startEdge(t *testing.T, args ...string) *edge {
	t.Helper()
	if testing.Short() {
		t.Skip("-short leaves out what runs a whole server")
	}
	path, err := buildEdge()
	if err != nil {
		t.Fatal(err)
	}
	e := &edge{cmd: exec.Command(path, args...), ended: make(chan struct{})}
	e.cmd.Stderr = os.Stderr
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make(chan string, 1)
	go func() {
		defer close(e.ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if _, address, ok := strings.Cut(lines.Text(), "http://"); ok {
				select {
				case said <- strings.TrimSpace(address):
				default:
				}
			}
		}
		_ = e.cmd.Wait()
	}()
	t.Cleanup(e.kill)
	select {
	case e.listen = <-said:
	case <-e.ended:
		t.Fatal("the server ended at once")
	case <-time.After(patience):
		t.Fatal("the server does not say where it is")
	}
	return e
}

// kill ends the server as a power cut would.
func (e *edge) kill() {
	_ = e.cmd.Process.Kill() // it may have ended already
	<-e.ended
}

func (e *edge) url() string { return "ws://" + e.listen + "/ws" }

// writeTrace makes a trace of four shards, three filled in part, where many
// events meet on few pixels. It takes seconds at its own speed.
func writeTrace(t *testing.T, colors, events int, seconds uint32) string {
	t.Helper()
	const seed = 17
	rnd := rand.New(rand.NewPCG(seed, uint64(colors)))
	tr := &trace.Trace{Width: 600, Height: 530, Colors: colors, Base: make([]byte, 600*530)}
	for i := range tr.Base {
		tr.Base[i] = uint8(rnd.IntN(colors))
	}
	for i := range events {
		pos := rnd.Uint32N(600 * 530)
		if rnd.IntN(3) == 0 {
			pos = 510*600 + 500 + rnd.Uint32N(40)*600/20
		}
		ms := uint32(uint64(i) * uint64(seconds) * 1000 / uint64(events))
		tr.Events = append(tr.Events, trace.Event{TimeMs: ms / 1000 * 1000, Pos: pos, Color: uint8(rnd.IntN(colors))})
	}
	path := filepath.Join(t.TempDir(), "trace.pxt.gz")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(tr.Write(f), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// run calls the program as a user does and returns its report. It never ends the
// test, so that any goroutine may call it.
func run(ctx context.Context, args ...string) (Report, error) {
	var out strings.Builder
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	err := realMain(ctx, append([]string{"replay", "--json"}, args...), &out, io.Discard)
	var r Report
	if out.Len() > 0 {
		if bad := json.Unmarshal([]byte(out.String()), &r); bad != nil {
			err = errors.Join(err, fmt.Errorf("%w in %s", bad, out.String()))
		}
	}
	return r, err
}

func wantWell(t *testing.T, r Report, err error, events int64) {
	t.Helper()
	if err != nil || len(r.Faults) > 0 {
		t.Fatalf("%v: %q", err, r.Faults)
	}
	if r.Sent != events || r.Accepted != events || r.Seen != events || r.Rejected+r.Unanswered+r.Lost+r.Duplicated+r.Diverged != 0 {
		t.Errorf("%+v, want %d accepted and seen", r, events)
	}
	if !r.WatchersEqual || !r.RestEqual || !r.FoldEqual {
		t.Errorf("watchers %v, REST %v, fold %v", r.WatchersEqual, r.RestEqual, r.FoldEqual)
	}
	if r.HistoryPixels == 0 || r.P99MS < r.P50MS || r.P50MS <= 0 {
		t.Errorf("%d pixels of history, p50 %v, p99 %v", r.HistoryPixels, r.P50MS, r.P99MS)
	}
}

func TestReplayEndsEqualOnBothPixelWidths(t *testing.T) {
	for palette, colors := range map[string]int{"place2017": 16, "place2022": 32} {
		t.Run(palette, func(t *testing.T) {
			path := writeTrace(t, colors, 4000, 4)
			e := startEdge(t, "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--cooldown", "0", "--tick", "100ms", "--palette", palette, "--start-canvas", path)
			r, err := run(t.Context(), "--url", e.url(), "--trace", path, "--watchers", "8", "--speed", "2")
			wantWell(t, r, err, 4000)
			if r.Reconnects+r.CanvasFetches+r.Resyncs != 0 || len(r.Notes) > 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestReplayOnABlankCanvasSaysThatItBeganOtherwise(t *testing.T) {
	path := writeTrace(t, 16, 500, 1)
	e := startEdge(t, "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--cooldown", "0", "--tick", "100ms", "--size", "600x530")
	r, err := run(t.Context(), "--url", e.url(), "--trace", path, "--watchers", "2")
	wantWell(t, r, err, 500)
	if len(r.Notes) != 1 {
		t.Errorf("notes %q", r.Notes)
	}
}

func TestReplayGoesOnWhenTheServerIsKilled(t *testing.T) {
	path := writeTrace(t, 16, 6000, 4)
	args := []string{"--data", t.TempDir(), "--cooldown", "0", "--tick", "100ms"}
	e := startEdge(t, append(args, "--listen", "127.0.0.1:0", "--start-canvas", path)...)
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		follow(t, e, 2500)
		e.kill()
	}()
	type end struct {
		r   Report
		err error
	}
	ended := make(chan end, 1)
	go func() {
		r, err := run(t.Context(), "--url", e.url(), "--trace", path, "--watchers", "8", "--reconnect")
		ended <- end{r, err}
	}()
	<-killed
	startEdge(t, append(args, "--listen", e.listen)...)
	got := <-ended
	wantWell(t, got.r, got.err, 6000)
	if got.r.Reconnects < int64(got.r.Watchers) {
		t.Errorf("%d reconnects of %d watchers and %d painters", got.r.Reconnects, got.r.Watchers, got.r.Painters)
	}
	if got.r.CanvasFetches != 0 {
		t.Errorf("%d canvas fetches to resume", got.r.CanvasFetches)
	}
}

// A line is one address that leads to an edge, and can be cut.
type line struct {
	t      *testing.T
	to     string // host:port
	listen string

	mu    sync.Mutex // Protects following.
	l     net.Listener
	conns []net.Conn
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	l := &line{t: t, to: to, listen: "127.0.0.1:0"}
	l.open()
	t.Cleanup(l.cut)
	return l
}

func (l *line) url() string { return "ws://" + l.listen + "/ws" }

// open listens, at the same address as before.
func (l *line) open() {
	listener, err := net.Listen("tcp", l.listen)
	if err != nil {
		l.t.Error(err)
		return
	}
	l.mu.Lock()
	l.l, l.listen = listener, listener.Addr().String()
	l.mu.Unlock()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go l.carry(listener, c)
		}
	}()
}

func (l *line) carry(listener net.Listener, c net.Conn) {
	far, err := net.Dial("tcp", l.to)
	l.mu.Lock()
	if err != nil || l.l != listener { // it was cut meanwhile
		l.mu.Unlock()
		_ = c.Close()
		return
	}
	l.conns = append(l.conns, c, far)
	l.mu.Unlock()
	go func() { _, _ = io.Copy(far, c); _ = far.Close() }()
	_, _ = io.Copy(c, far)
	_ = c.Close()
}

// cut ends every connection and takes no more.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.l != nil {
		_ = l.l.Close()
	}
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.l, l.conns = nil, nil
}

// Of three addresses two die in the middle of the replay: everybody goes on at
// the third. One stays away until nobody can paint any more.
func TestReplaySpreadsOverSeveralAddresses(t *testing.T) {
	path := writeTrace(t, 16, 6000, 4)
	e := startEdge(t, "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--cooldown", "0", "--tick", "100ms", "--start-canvas", path)
	lines := []*line{newLine(t, e.listen), newLine(t, e.listen), newLine(t, e.listen)}
	disturbed := make(chan struct{})
	go func() {
		defer close(disturbed)
		follow(t, e, 1000)
		lines[0].cut()
		lines[2].cut()
		follow(t, e, 4500)
		lines[2].open()
		follow(t, e, 6000)
		lines[0].open()
	}()
	r, err := run(t.Context(), "--url", lines[0].url()+","+lines[1].url(), "--url", lines[2].url(),
		"--trace", path, "--watchers", "9", "--history=-1", "--reconnect")
	<-disturbed
	wantWell(t, r, err, 6000)
	if r.Edges != 3 || r.Reconnects < 6 || r.CanvasFetches != 0 || r.Resyncs != 0 || r.Answers["placed"] != 6000 || r.Jumps != 0 {
		t.Errorf("%+v", r)
	}
}

func TestReplayWantsEveryEdgesCanvas(t *testing.T) {
	path := writeTrace(t, 16, 600, 2)
	e := startEdge(t, "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--cooldown", "0", "--tick", "100ms", "--start-canvas", path)
	gone := newLine(t, e.listen)
	disturbed := make(chan struct{})
	go func() {
		defer close(disturbed)
		follow(t, e, 100)
		gone.cut()
	}()
	r, err := run(t.Context(), "--url", e.url(), "--url", gone.url(), "--trace", path, "--watchers", "2", "--reconnect", "--patience", "3s")
	<-disturbed
	if !errors.Is(err, errDiffers) || r.RestEqual || !r.WatchersEqual || !r.FoldEqual || r.Accepted != 600 || r.Lost+r.Duplicated != 0 {
		t.Errorf("%v: %+v", err, r)
	}
	if all := strings.Join(r.Faults, "; "); !strings.Contains(all, gone.url()+" did not tell its canvas") {
		t.Errorf("faults: %s", all)
	}
}

func TestReplayRefusesEdgesOfTwoCanvases(t *testing.T) {
	path := writeTrace(t, 16, 10, 1)
	args := []string{"--listen", "127.0.0.1:0", "--cooldown", "0", "--size", "600x530", "--data"}
	one, two := startEdge(t, append(args, t.TempDir())...), startEdge(t, append(args, t.TempDir())...)
	_, err := run(t.Context(), "--url", one.url(), "--url", two.url(), "--trace", path)
	if err == nil || !strings.Contains(err.Error(), "not edges of one cluster") {
		t.Errorf("%v", err)
	}
}

// follow watches until n placements are seen.
func follow(t *testing.T, e *edge, n uint64) {
	s, err := client.NewServer(e.url())
	if err != nil {
		t.Error(err)
		return
	}
	c, err := s.Canvas(t.Context())
	if err != nil {
		t.Error(err)
		return
	}
	w := client.NewWatcher(client.WatcherOptions{Servers: []*client.Server{s}, Decoder: &client.Decoder{}, Reconnect: true}, c)
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	go func() { _ = w.Run(ctx) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		sum := uint64(0)
		for s := range uint8(wire.ShardsMax) {
			sum += w.Head(s)
		}
		if sum >= n {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Errorf("only %d placements were seen", sum)
			return
		}
	}
}

func TestReplayNoticesSomebodyElsesPixels(t *testing.T) {
	path := writeTrace(t, 16, 1500, 3)
	e := startEdge(t, "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--cooldown", "0", "--tick", "100ms", "--start-canvas", path)
	s, err := client.NewServer(e.url())
	if err != nil {
		t.Fatal(err)
	}
	token, err := s.Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p := client.NewPainter(client.PainterOptions{Servers: []*client.Server{s}, Instance: 1, Queue: 10, Placed: func(int32, wire.Placed) {}, Refused: func(int32, wire.Refusal) {}})
	if _, err := p.Connect(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	painted := make(chan error, 1)
	go func() {
		follow(t, e, 300) // in the middle of the replay
		for x := range uint16(3) {
			if err := p.Paint(t.Context(), client.Job{X: x, Y: 529, Color: 1}); err != nil {
				painted <- err
				return
			}
		}
		p.Finish()
		painted <- p.Run(t.Context())
	}()
	r, err := run(t.Context(), "--url", e.url(), "--trace", path, "--watchers", "2", "--history", "10")
	if e := <-painted; e != nil {
		t.Fatal(e)
	}
	if !errors.Is(err, errDiffers) || r.Duplicated != 3 || len(r.Faults) == 0 {
		t.Errorf("%v: %+v", err, r)
	}
}

func TestReplayRefusesAtOnce(t *testing.T) {
	path := writeTrace(t, 32, 10, 1)
	for _, tt := range []struct {
		name string // reads on from "Replay refuses ..."
		args []string
		says string
	}{
		{"a server with a cooldown", []string{"--cooldown", "5s", "--size", "600x530"}, "cooldown of 5s"},
		{"a canvas that is too small", []string{"--cooldown", "0", "--size", "600x529"}, "--size 600x530"},
		{"a palette that is too small", []string{"--cooldown", "0", "--size", "600x530"}, "32 colours, the server's palette 16"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := startEdge(t, append(tt.args, "--listen", "127.0.0.1:0", "--data", t.TempDir())...)
			_, err := run(t.Context(), "--url", e.url(), "--trace", path)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want one that says %q", err, tt.says)
			}
		})
	}
	if _, err := run(t.Context(), "--url", "ws://127.0.0.1:1/ws", "--trace", path); err == nil || !strings.Contains(err.Error(), "connecting to ws://127.0.0.1:1/ws") {
		t.Errorf("no server: %v", err)
	}
	if _, err := run(t.Context(), "--speed", "0", "--watchers=-1", "--trace", path); err == nil || !strings.Contains(err.Error(), "--speed") || !strings.Contains(err.Error(), "--watchers") {
		t.Errorf("two bad flags: %v", err)
	}
}
