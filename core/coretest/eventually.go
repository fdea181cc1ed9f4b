package coretest

import (
	"context"
	"testing"
	"time"
)

// Patience is how long something may take that must happen sooner or later, on a
// machine that does other things as well.
const Patience = 60 * time.Second

// Patiently returns a context that ends after Patience.
func Patiently(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// Eventually asks until cond holds, and fails the test when that takes longer than
// Patience.
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	ctx := Patiently(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v", what, Patience)
		case <-tick.C:
		}
	}
}
