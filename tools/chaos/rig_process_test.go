package chaos

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A process is an edge in some of its roles.
type process struct {
	t      *testing.T
	name   string
	addr   string // of clients, or of the metrics alone
	args   []string
	path   string
	log    string
	cmd    *exec.Cmd
	paused bool
	ended  chan struct{} // closed when the process is gone

	mu   sync.Mutex         // protects gone
	gone map[string]float64 // what earlier lives had counted when they were last asked
}

// starter runs f on a thread that lives as long as the test does: a child that is
// to die with its parent dies with the thread that started it.
var starter = sync.OnceValue(func() chan func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// start runs the process and returns when it answers.
func (p *process) start(limit time.Duration) {
	p.t.Helper()
	p.launch()
	if !poll(limit, func() bool { return p.answers() || !p.running() }) || !p.running() {
		p.t.Fatalf("%s did not start; its log ends with:\n%s", p.name, p.tail(25))
	}
}

// launch runs the process and waits for nothing.
func (p *process) launch() {
	p.t.Helper()
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		p.t.Fatal(err)
	}
	defer out.Close()
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Dir = out, out, filepath.Dir(p.log)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	failed := make(chan error)
	starter() <- func() { failed <- p.cmd.Start() }
	if err := <-failed; err != nil {
		p.t.Fatal(err)
	}
	p.paused, p.ended = false, make(chan struct{})
	go func(cmd *exec.Cmd, ended chan struct{}) { _ = cmd.Wait(); close(ended) }(p.cmd, p.ended)
}

func (p *process) running() bool {
	if p.ended == nil {
		return false
	}
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func (p *process) answers() bool {
	res, err := asker.Get("http://" + p.addr + "/livez")
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// kill is kill -9. What the process had counted is kept.
func (p *process) kill() {
	if !p.running() {
		return
	}
	p.keepCounts()
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// stop is SIGTERM, and kill -9 when that takes too long.
func (p *process) stop() {
	p.keepCounts()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		p.t.Errorf("%s did not end in 20 s after SIGTERM", p.name)
		p.kill()
	}
}

func (p *process) pause() {
	p.t.Helper()
	p.paused = true
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) proceed() {
	p.t.Helper()
	p.paused = false
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) keepCounts() {
	if p.paused {
		return
	}
	now := p.scrape()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone == nil {
		p.gone = map[string]float64{}
	}
	for name, n := range now {
		if family, _, _ := strings.Cut(name, "{"); strings.HasSuffix(family, "_total") {
			p.gone[name] += n
		}
	}
}

// count returns a counter of all lives of the process.
func (p *process) count(name string) float64 {
	n := 0.0
	if p.running() && !p.paused {
		n = p.scrape()[name]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return n + p.gone[name]
}

var asker = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// scrape returns what the process counts now, each with its labels and all of a name
// summed up; nothing when it does not answer.
func (p *process) scrape() map[string]float64 {
	res, err := asker.Get("http://" + p.addr + "/metrics")
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil
	}
	return parseMetrics(body)
}

func parseMetrics(body []byte) map[string]float64 {
	sums := map[string]float64{}
	lines := bufio.NewScanner(bytes.NewReader(body))
	for lines.Scan() {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || line[0] == '#' {
			continue
		}
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			continue
		}
		name, _, labelled := strings.Cut(line[:at], "{")
		sums[name] += value
		if labelled {
			sums[line[:at]] = value
		}
	}
	return sums
}

// tail returns the last lines of the log, without the many that say that a broker
// which was killed is not there.
func (p *process) tail(n int) string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Sprint(err)
	}
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(text)), "\n"), func(line string) bool {
		return strings.Contains(line, "unable to open connection to broker")
	})
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// counts returns what the process counts now, in one line.
func (p *process) counts() string {
	var all []string
	for name, n := range p.scrape() {
		if short, ok := strings.CutPrefix(name, "pixelwall_"); ok && n != 0 && !strings.Contains(short, "{") {
			all = append(all, fmt.Sprintf("%s=%.6g", short, n))
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}
