package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"pixelwall/tools/stack/servers"
	"pixelwall/tools/stack/stacktest"
)

// theRig is what all faults share: programs, and the servers that take longest to
// start. Redis starts in no time, so each fault has one of its own.
var theRig rig

type rig struct {
	mu     sync.Mutex
	dir    string
	stacks map[string]*servers.Stack
	built  error
	done   bool
}

// folder returns where the rig keeps its programs and servers. r.mu is held.
func (r *rig) folder(t *testing.T) string {
	t.Helper()
	if r.dir == "" {
		dir, err := os.MkdirTemp("", "pixelwall-chaos-")
		if err != nil {
			t.Fatal(err)
		}
		r.dir = dir
	}
	return r.dir
}

// program returns the path of one of ours, as users would run it.
func (r *rig) program(t *testing.T, name string) string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	dir := r.folder(t)
	if !r.done {
		r.done = true
		out, err := exec.Command("go", "build", "-o", dir, "pixelwall/edge", "pixelwall/tools/audit").CombinedOutput()
		if err != nil {
			r.built = fmt.Errorf("%w\n%s", err, out)
		}
	}
	if r.built != nil {
		t.Fatal(r.built)
	}
	return filepath.Join(dir, name)
}

// startTime is enough for three brokers on two busy cores.
const startTime = 3 * time.Minute

// stack returns servers by a name, and starts them at its first use. They live
// until the run ends, or until drop.
func (r *rig) stack(t *testing.T, name string, o servers.Options) *servers.Stack {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.stacks[name]; s != nil {
		return s
	}
	o.Dir, o.Tied = filepath.Join(r.folder(t), name), true
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	s, err := servers.Up(ctx, o)
	var lacking *servers.MissingError
	if errors.As(err, &lacking) {
		stacktest.Missing(t, lacking.What, lacking.Why)
	}
	if err != nil {
		t.Fatal(err)
	}
	if r.stacks == nil {
		r.stacks = map[string]*servers.Stack{}
	}
	r.stacks[name] = s
	return s
}

// drop ends servers before the run does: two cores are few.
func (r *rig) drop(t *testing.T, name string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.stacks[name]; s != nil {
		delete(r.stacks, name)
		if err := s.Down(); err != nil {
			t.Error(err)
		}
	}
}

func (r *rig) close() error {
	var errs []error
	for _, s := range r.stacks {
		errs = append(errs, s.Down())
	}
	if r.dir != "" {
		errs = append(errs, os.RemoveAll(r.dir))
	}
	return errors.Join(errs...)
}

// kafka and cql are the servers that most faults use.
func (r *rig) kafka(t *testing.T) []string {
	return servers.Addrs(r.stack(t, "kafka", servers.Options{Kafka: &servers.KafkaOptions{Brokers: 1}}).Kafka)
}

func (r *rig) cql(t *testing.T) []string {
	return servers.Addrs(r.stack(t, "cassandra", servers.Options{Cassandra: &servers.CassandraOptions{Nodes: 1, Group: true}}).Cassandra)
}

var ports sync.Map // that were given to somebody

// freePort returns an address that nobody listens on, below the ports that the
// kernel gives to outgoing connections: a process that was killed gets it back.
func freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		if _, given := ports.LoadOrStore(addr, true); given {
			continue
		}
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

// within asks until cond holds, and fails the test when it does not in time.
func within(t *testing.T, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	if !poll(limit, cond) {
		t.Fatalf("after %v: %s is still to come", limit, what)
	}
}

// poll asks until cond holds and reports whether it did in time.
func poll(limit time.Duration, cond func() bool) bool {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); ; <-tick.C {
		if cond() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// lasts lets a fault last: that is its measure, nothing is waited for.
func lasts(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}
