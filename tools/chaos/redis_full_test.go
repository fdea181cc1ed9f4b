package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// redisFull lets Redis run out of memory: it refuses before a function begins.
func redisFull(t *testing.T, seed uint64) {
	w := newWall(t, seed, layout{cooldown: time.Second}).open()
	before := w.epochs()
	w.redisCLI(w.redis[0], "CONFIG", "SET", "maxmemory", "1mb")
	retried := w.load.retried.Load()
	within(t, 20*time.Second, "refusals", func() bool { return w.load.retried.Load() > retried+500 })
	if !poll(10*time.Second, func() bool { return w.load.rate() == 0 }) {
		t.Errorf("%.0f placements a second are acknowledged by a full Redis", w.load.rate())
	}
	w.redisCLI(w.redis[0], "CONFIG", "SET", "maxmemory", "0")
	w.underLoad()
	w.load.note("oom=%s epochs %v to %v", w.errorCount("errorstat_OOM"), before, w.epochs())
	w.settle(expected{})
}

// errorCount returns how often Redis answered with an error.
func (w *wall) errorCount(name string) string {
	for line := range strings.Lines(w.redisCLI(w.redis[0], "INFO", "errorstats")) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), name+":count="); ok {
			return rest
		}
	}
	w.t.Errorf("Redis counts no %s: the fault was not felt", name)
	return "0"
}

// redisDiskFull runs Redis with its append-only file on a small disk. With
// appendfsync always it ends itself rather than acknowledge what it cannot keep.
func redisDiskFull(t *testing.T, seed uint64) {
	if os.Getuid() != 0 {
		t.Log("needs root to mount a small disk: not run here")
		fmt.Println("chaos: T8 disk of Redis full needs root: not run here")
		return
	}
	w := newWall(t, seed, layout{})
	s := w.redis[0]
	dir := filepath.Join(s.Dir, "small")
	kill(t, s)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// The mount lives in the namespace of a process that does nothing.
	holder := exec.Command("unshare", "-m", "sh", "-c", `mount -t tmpfs -o size=24m none "$0" && exec sleep 3600`, dir)
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Process.Kill(); _ = holder.Wait() }()
	inside := filepath.Join(fmt.Sprintf("/proc/%d/root", holder.Process.Pid), dir)
	within(t, 10*time.Second, "the small disk", func() bool {
		out, err := os.ReadFile(fmt.Sprintf("/proc/%d/mounts", holder.Process.Pid))
		return err == nil && strings.Contains(string(out), dir)
	})
	s.Args = append(append([]string{"nsenter", "-t", strconv.Itoa(holder.Process.Pid), "-m"}, s.Args...), "--dir", dir)
	restart(t, s)
	w.open()
	before := w.epochs()
	filler := filepath.Join(inside, "filler")
	fill(t, filler)
	within(t, time.Minute, "the end of Redis on a full disk", func() bool { return !s.Running() })
	if !strings.Contains(s.Tail(40), "AOF write error") {
		t.Errorf("Redis ended for another reason:\n%s", s.Tail(10))
	}
	lasts(t, 2*time.Second) // somebody has to make room first
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	restart(t, s)
	w.tookOver(before, time.Minute)
	w.underLoad()
	w.felt("pixelwall_redis_breaker_openings_total", "pixelwall_relay_takeovers_total")
	w.settle(expected{})
}

// fill writes until there is no space left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 64<<10); ; {
		if _, err := f.Write(block); err != nil {
			return
		}
	}
}
