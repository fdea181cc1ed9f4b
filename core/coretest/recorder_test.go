package coretest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

// A recorder is a T on which a suite's failures are facts to be asserted.
type recorder struct {
	ctx      context.Context
	name     string
	patience time.Duration

	mu     *sync.Mutex
	cases  *[]string           // in the order in which they ran
	failed map[string][]string // case -> what it said
}

// stop is what Fatalf and Skipf throw to end a case.
type stop struct{}

func record(patience time.Duration, suite func(T, func(T, Setup) *Store), open func(T, Setup) *Store) (cases []string, failed map[string][]string) {
	failed = make(map[string][]string)
	r := &recorder{ctx: context.Background(), patience: patience, mu: &sync.Mutex{}, cases: &cases, failed: failed}
	suite(r, open)
	return cases, failed
}

func (r *recorder) Run(name string, f func(T)) bool {
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	c := *r
	c.ctx, c.name = ctx, name
	r.mu.Lock()
	*r.cases = append(*r.cases, name)
	r.mu.Unlock()
	func() {
		defer func() {
			if p := recover(); p != nil && p != (stop{}) {
				panic(p)
			}
		}()
		f(&c)
	}()
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.failed[name]) == 0
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed[r.name] = append(r.failed[r.name], fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(stop{})
}

func (r *recorder) Skipf(format string, args ...any) { panic(stop{}) }
func (r *recorder) Context() context.Context         { return r.ctx }
func (r *recorder) Helper()                          {}

func (r *recorder) Patience() time.Duration { return r.patience }

func TestTheRecorderTellsWhichCaseFailed(t *testing.T) {
	cases, failed := record(time.Second, func(t T, _ func(T, Setup) *Store) {
		t.Run("good", func(T) {})
		t.Run("bad", func(t T) { t.Errorf("one"); t.Fatalf("two"); t.Errorf("never") })
		t.Run("skipped", func(t T) { t.Skipf("no"); t.Errorf("never") })
	}, nil)
	if fmt.Sprint(cases) != "[good bad skipped]" || fmt.Sprint(failed) != "map[bad:[one two]]" {
		t.Errorf("%v %v", cases, failed)
	}
}
