// Package stacktest gives tests real servers: the shared ones that make test
// started, by address, or servers of their own to kill.
//
// A test whose server is not there fails with CI=true. Elsewhere it says so, and
// make test names it in one line at the end. The shared servers are used by many
// tests at once: take names of your own in them, and never flush or kill them.
package stacktest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pixelwall/tools/stack/servers"
)

// Redis returns the address of the shared Redis, a single server.
func Redis(t testing.TB) string {
	t.Helper()
	return shared(t, "Redis", "PIXELWALL_TEST_REDIS")
}

// Kafka returns the addresses of the shared Kafka's brokers.
func Kafka(t testing.TB) []string {
	t.Helper()
	return strings.Split(shared(t, "Apache Kafka", "PIXELWALL_TEST_KAFKA"), ",")
}

// CQL returns the address of the shared Cassandra, or of the ScyllaDB that make
// test-cql was given.
func CQL(t testing.TB) string {
	t.Helper()
	return shared(t, "Apache Cassandra", "PIXELWALL_TEST_SCYLLA")
}

func shared(t testing.TB, what, variable string) string {
	t.Helper()
	addr := os.Getenv(variable)
	if addr == "" {
		Missing(t, what, variable+" is not set: run make test")
	}
	return addr
}

// startTime is enough for three nodes of each on two busy cores.
const startTime = 5 * time.Minute

// Own starts servers of the test's own, which end with it. Dir and Tied are set
// here.
func Own(t testing.TB, o servers.Options) *servers.Stack {
	t.Helper()
	o.Dir, o.Tied = t.TempDir(), true
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	stack, err := servers.Up(ctx, o)
	var lacking *servers.MissingError
	if errors.As(err, &lacking) {
		Missing(t, lacking.What, lacking.Why)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // before the folder goes: what still runs would write into it
		if t.Failed() {
			for _, s := range stack.All() {
				t.Logf("the log of %s ends with:\n%s", s.Name, s.Tail(10))
			}
		}
		if err := stack.Down(); err != nil {
			t.Error(err)
		}
	})
	return stack
}

// Missing ends a test that needs what is not there. make test reads the file and
// prints its lines as one.
func Missing(t testing.TB, what, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("needs %s: %s", what, why)
	}
	if path := os.Getenv("PIXELWALL_TEST_MISSING"); path != "" {
		dir, _ := os.Getwd() // a test runs in its package's folder
		if err := note(path, fmt.Sprintf("%s.%s needs %s", filepath.Base(dir), t.Name(), what)); err != nil {
			t.Error(err)
		}
	}
	t.Skipf("needs %s: %s", what, why)
}

// note adds a line. Packages are tested by several processes at once, and one
// write of a line is never mixed with another.
func note(path, line string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}
