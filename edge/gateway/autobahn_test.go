package gateway

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// kosoku finds the runner of the Autobahn cases, or says why there is none.
func kosoku(t *testing.T) string {
	path := os.Getenv("PIXELWALL_AUTOBAHN")
	if path == "" {
		if cache, err := os.UserCacheDir(); err == nil {
			path = filepath.Join(cache, "pixelwall", "venv", "bin", "kosoku")
		}
	}
	if testing.Short() {
		t.Skip("left out by -short")
	}
	found, err := exec.LookPath(path)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("the Autobahn runner is missing: run make deps (%v)", err)
	}
	if err != nil {
		t.Skip("needs kosoku 0.1.0 from PyPI: run make deps")
	}
	return found
}

func TestAutobahn(t *testing.T) {
	runner := kosoku(t)
	// The cases send messages of 16 MiB, in fragments of 64 bytes too.
	g := start(t, Config{
		FrameBytesMax: 16 << 20, MessageBytesMax: 16 << 20, FragmentsMax: 1 << 20, BacklogBytes: 64 << 20,
		MessagesPerSecond: 1e6, MessageBurst: 1 << 30, ConnsPerAddress: -1,
	}, &echo{})

	out := t.TempDir()
	args := []string{"-m", "fuzzingclient", "-p", "4", "-o", out}
	for _, group := range strings.Fields("1 2 3 4 5 6 7 9 10") { // the suite has no group 8; 12 and 13 are compression
		args = append(args, "-i", group+".*")
	}
	began := time.Now()
	if text, err := exec.Command(runner, append(args, "ws://"+g.Addr().String()+"/ws")...).CombinedOutput(); err != nil {
		t.Logf("%s\n%s", err, text)
	}

	index, err := os.ReadFile(filepath.Join(out, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var agents map[string]map[string]struct{ Behavior, BehaviorClose string }
	if err := json.Unmarshal(index, &agents); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, cases := range agents {
		for id, c := range cases {
			count[c.Behavior]++
			if good := c.Behavior == "OK" || c.Behavior == "INFORMATIONAL"; !good || c.BehaviorClose != "OK" && c.BehaviorClose != "INFORMATIONAL" {
				t.Errorf("case %s: %s, close %s", id, c.Behavior, c.BehaviorClose)
			}
		}
	}
	total := 0
	for _, n := range count {
		total += n
	}
	if want := autobahnCases; total != want {
		t.Errorf("%d cases ran, want %d", total, want)
	}
	t.Logf("%d cases in %v: %v", total, time.Since(began).Round(time.Millisecond), count)
}

// autobahnCases is how many cases groups 1 to 10 of kosoku 0.1.0 have.
const autobahnCases = 301
