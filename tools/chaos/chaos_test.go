// Package chaos breaks a cluster while real clients use it, and then asks whether
// anything was lost, made up, stored twice or seen differently by anybody.
//
//	servers (tools/stack) <- edge processes, by role <- painters and watchers (loadtest/client)
//	        kill -9, SIGSTOP, a proxy that goes deaf ... and afterwards: I1 to I4, see rig_check_test.go
//
// What comes in is a seed, what goes out a line a fault and a summary. Every fault
// has to be felt, by a load that went on and by a counter that belongs to it, or
// its test fails. Nothing here runs inside an edge: the processes are those that
// users start. The faults run by make chaos and make chaos-short only, since they
// take minutes; go test alone tests the rig.
package chaos

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	which  = flag.String("chaos", os.Getenv("PIXELWALL_CHAOS"), "faults to run: all, short, or names as T1,T4; nothing runs none")
	brief  = flag.Bool("chaos.brief", false, "faults last as long as in short")
	seeded = flag.Uint64("chaos.seed", seedOf(os.Getenv("PIXELWALL_CHAOS_SEED")), "repeats a run; 0 draws a seed")
)

func seedOf(text string) uint64 {
	seed, _ := strconv.ParseUint(text, 10, 64)
	return seed
}

// A scenario is one fault.
type scenario struct {
	name  string
	short bool // runs with every change, not only in make chaos
	run   func(t *testing.T, seed uint64)
}

// scenarios is the list of faults; their numbers are names, for CHAOS=T4.
func scenarios() (all []scenario) {
	for _, group := range [][]scenario{edgeFaults, redisFaults, kafkaFaults, relayFaults} {
		all = append(all, group...)
	}
	return all
}

func wanted(s scenario) bool {
	switch *which {
	case "all":
		return true
	case "short":
		return s.short
	}
	for name := range strings.SplitSeq(*which, ",") {
		if name != "" && (s.name == name || strings.HasPrefix(s.name, name+" ")) {
			return true
		}
	}
	return false
}

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if err := theRig.close(); err != nil {
		fmt.Fprintln(os.Stderr, "the servers did not end:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func TestChaos(t *testing.T) {
	seed := *seeded
	if seed == 0 {
		seed = rand.Uint64()>>1 | 1
	}
	planned := 0
	began := time.Now()
	for i, s := range scenarios() {
		if !wanted(s) {
			continue
		}
		if planned == 0 {
			fmt.Printf("chaos: seed %d, to repeat: make chaos CHAOS=%q SEED=%d\n", seed, *which, seed)
		}
		planned++
		t.Run(s.name, func(t *testing.T) { s.run(t, seed+uint64(i)) })
	}
	if planned > 0 {
		fmt.Println(theTally.summary(planned, seed, time.Since(began)))
	}
}
