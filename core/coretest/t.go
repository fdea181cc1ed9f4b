package coretest

import (
	"context"
	"testing"
	"time"
)

// T is the part of *testing.T that a suite needs, so that a suite can also be
// run where its failures are only recorded.
type T interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Context() context.Context
	Run(name string, f func(T)) bool

	// Patience is how long something may take that must happen sooner or later.
	Patience() time.Duration
}

type realT struct{ *testing.T }

func (t realT) Run(name string, f func(T)) bool {
	return t.T.Run(name, func(t *testing.T) { f(realT{t}) })
}

func (t realT) Patience() time.Duration { return 30 * time.Second }

// adapt runs a suite of T on a *testing.T.
func adapt(t *testing.T, open func(*testing.T, Setup) *Store, suite func(T, func(T, Setup) *Store)) {
	suite(realT{t}, func(t T, s Setup) *Store { return open(t.(realT).T, s) })
}
