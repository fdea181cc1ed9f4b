package sim

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seedFlag  = flag.Uint64("sim.seed", 0, "run this seed alone")
	seedsFlag = flag.Int("sim.seeds", 0, "how many seeds; 0 is 2000, or 200 with -short")
	verbose   = flag.Bool("sim.log", false, "what the processes log, with the bubble's time")
)

// writer brings what processes log to the test's output.
type writer struct{}

func (writer) Write(b []byte) (int, error) { return os.Stdout.Write(b) }

// run is one seed in a bubble of its own.
func run(t *testing.T, seed uint64, p plant) *world {
	var w *world
	synctest.Test(t, func(*testing.T) {
		w = newWorld(seed, p)
		w.storm()
	})
	return w
}

func seeds() (first, n uint64) {
	switch {
	case *seedFlag > 0:
		return *seedFlag, 1
	case *seedsFlag > 0:
		return 1, uint64(*seedsFlag)
	case testing.Short():
		return 1, 200
	}
	return 1, 2000
}

// Whatever happens, everything comes to one canvas and nothing acknowledged is lost.
func TestEverythingConverges(t *testing.T) {
	felt := make(map[string]int)
	bad := 0
	first, n := seeds()
	began := time.Now()
	for seed := first; seed < first+n; seed++ {
		w := run(t, seed, plant{})
		for what, n := range w.felt {
			felt[what] += n
		}
		if len(w.problems) > 0 {
			t.Errorf("seed %d (repeat it with -sim.seed %d -sim.log):\n\t%s", seed, seed, strings.Join(w.problems, "\n\t"))
			if bad++; bad == 5 {
				break
			}
		}
	}
	for _, what := range mustBeFelt {
		if n >= 200 && bad == 0 && felt[what] == 0 {
			t.Errorf("no run has felt %q", what)
		}
	}
	t.Logf("%d seeds from %d on in %v: %s", n, first, time.Since(began).Round(time.Millisecond), said(felt))
}

// mustBeFelt is what hundreds of runs go through.
var mustBeFelt = []string{
	"crashed", "paused", "held", "failed before", "failed after", "twice", "cut outbox", "cut topic", "cut archive",
	"late Append", "late Arm", "late Fence", "late Rebuild", "late Recall", "late Place", "late Write", "late Report",
	"restart", "lose", "failover", "back", "flush", "node", "empty", "configured", "taken over", "published again", "stale", "stale at an edge",
	"phantom", "reloaded", "fell back", "repeated", "told again", "unfenced", "ambiguous", "archived again", "snapshots", "lost with its server",
}

func said(felt map[string]int) string {
	var all []string
	for _, what := range slices.Sorted(maps.Keys(felt)) {
		all = append(all, fmt.Sprintf("%s %d", what, felt[what]))
	}
	return strings.Join(all, ", ")
}
