package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"pixelwall/tools/trace"
)

// binaries are the programs as users run them, built once, with the race
// detector when the test has it.
var binaries = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "pixelwall-kill-"); err != nil {
		return "", err
	}
	built = dir
	args := []string{"build", "-o", dir}
	if raceEnabled {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "pixelwall/edge", "pixelwall/loadtest")...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return dir, err
})

var built string // what TestMain removes

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

// A process is an edge that can be killed.
type process struct {
	cmd  *exec.Cmd
	addr string
}

// launch runs the edge as a process of its own and waits until it serves.
func launch(t *testing.T, addr, data string, args ...string) *process {
	t.Helper()
	dir, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: exec.Command(filepath.Join(dir, "edge"), append(args, "--listen", addr, "--data", data, "--cooldown", "0", "--tick", "100ms")...)}
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := bufio.NewScanner(out)
	for p.addr == "" && s.Scan() {
		if m := addrLine.FindStringSubmatch(s.Text()); m != nil {
			p.addr = m[1]
		}
	}
	if p.addr == "" {
		t.Fatalf("the edge did not start: %v", p.cmd.Wait())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	t.Cleanup(p.kill)
	return p
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

var placedMetric = regexp.MustCompile(`pixelwall_session_placements_total\{result="placed"\} (\S+)`)

// placed returns how many placements the process has stored, or -1 while it
// does not answer.
func (p *process) placed() int {
	res, err := http.Get("http://" + p.addr + "/metrics")
	if err != nil {
		return -1
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	m := placedMetric.FindSubmatch(body)
	if m == nil {
		return -1
	}
	var n float64
	fmt.Sscan(string(m[1]), &n)
	return int(n)
}

// slice is a trace of about five minutes: a piece of the real one where it is
// there, else one that is made up.
func slice(t *testing.T) (args []string, palette string, events int) {
	if real, err := trace.Recorded("place2017_last89min_1000x1000.pxt.gz"); err == nil {
		return []string{"--trace", real, "--from", "600s", "--for", "300s"}, "place2017", 20_000
	}
	file, n := madeUp(t)
	return []string{"--trace", file}, "place2022", n
}

// madeUp writes a trace with 32 colours in which pixels are fought over.
func madeUp(t *testing.T) (path string, events int) {
	rnd := rand.New(rand.NewPCG(32, 32))
	tr := &trace.Trace{Width: 700, Height: 600, Colors: 32, StartUnix: 1_648_800_000, Base: make([]byte, 700*600)}
	for i := range tr.Base {
		tr.Base[i] = uint8(31 - i/700%3)
	}
	for second := range 300 {
		for range 80 + rnd.IntN(20) {
			x, y := rnd.IntN(700), rnd.IntN(600)
			if rnd.IntN(3) == 0 {
				x, y = 500+rnd.IntN(20), 500+rnd.IntN(20) // where four shards meet
			}
			tr.Events = append(tr.Events, trace.Event{TimeMs: uint32(second * 1000), Pos: uint32(y*700 + x), Color: uint8(16 + rnd.IntN(16))})
		}
	}
	path = filepath.Join(t.TempDir(), "made-up.pxt.gz")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Write(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return path, len(tr.Events)
}

// replayed is what the load test says at the end.
type replayed struct {
	Sent, Accepted, Rejected, Unanswered, Seen, Lost, Duplicated, Reconnects, Resyncs, Diverged int64
	CanvasFetches                                                                               int64 `json:"canvas_fetches_while_running"`
	WatchersEqual                                                                               bool  `json:"watchers_equal"`
	RestEqual                                                                                   bool  `json:"rest_equal"`
	FoldEqual                                                                                   bool  `json:"fold_equal"`
	Faults                                                                                      []string
}

// replay paints a trace through real clients; during may disturb the server.
func replay(t *testing.T, addr string, during func(), args ...string) replayed {
	t.Helper()
	dir, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(dir, "loadtest"), append([]string{"replay", "--url", "ws://" + addr + "/ws", "--speed", "100",
		"--watchers", "12", "--reconnect", "--json"}, args...)...)
	var out, errs safeBuffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	during()
	err = cmd.Wait()
	var r replayed
	if jsonErr := json.Unmarshal([]byte(out.String()), &r); jsonErr != nil || err != nil {
		t.Fatalf("the replay failed: %v, %v\n%s\n%s", err, jsonErr, out.String(), errs.String())
	}
	return r
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// The edge is killed with -9 in the middle of a replay and started again: the
// clients resume and send again, every accepted placement is stored once, and
// everybody ends with the same canvas without having fetched it.
func TestKillInTheMiddleOfAReplay(t *testing.T) {
	trace, palette, events := slice(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	rounds := 10
	if testing.Short() {
		rounds = 2
	}
	for round := range rounds {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			killAndCompare(t, palette, events/10+rnd.IntN(events*7/10), trace...)
		})
	}
}

func TestKillWithThirtyTwoColours(t *testing.T) {
	file, events := madeUp(t)
	killAndCompare(t, "place2022", events/2, "--trace", file)
}

func killAndCompare(t *testing.T, palette string, killAfter int, traceArgs ...string) {
	data, addr := t.TempDir(), freePort(t)
	file := traceArgs[1]
	args := []string{"--palette", palette, "--start-canvas", file}
	p := launch(t, addr, data, args...)
	r := replay(t, addr, func() {
		waitFor(t, fmt.Sprintf("%d placements", killAfter), func() bool { return p.placed() >= killAfter })
		p.kill()
		p = launch(t, addr, data, args...)
	}, traceArgs...)
	if r.Reconnects == 0 {
		t.Error("nobody had to reconnect: the kill came too late to be felt")
	}
	if r.Lost != 0 || r.Duplicated != 0 || r.Rejected != 0 || r.Unanswered != 0 || r.Accepted != r.Sent {
		t.Errorf("sent %d, accepted %d, rejected %d, unanswered %d, lost %d, duplicated %d", r.Sent, r.Accepted, r.Rejected, r.Unanswered, r.Lost, r.Duplicated)
	}
	if !r.WatchersEqual || !r.RestEqual || !r.FoldEqual || r.Diverged != 0 {
		t.Errorf("watchers %v, REST %v, fold %v, diverged %d: %s", r.WatchersEqual, r.RestEqual, r.FoldEqual, r.Diverged, strings.Join(r.Faults, "; "))
	}
	if r.CanvasFetches != 0 || r.Resyncs != 0 {
		t.Errorf("%d fetches of the canvas and %d resyncs, want none", r.CanvasFetches, r.Resyncs)
	}
}
