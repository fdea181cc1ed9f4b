package coretest

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pixelwall/core"
)

// A broken is a store with one promise broken, and the cases that must notice.
// Other cases may notice too.
type broken struct {
	name  string // reads on from "a store that ..."
	spoil func(*Memory, *Store, Setup)
	red   []string
}

var suites = map[string]struct {
	run    func(T, func(T, Setup) *Store)
	broken []broken
}{
	"Sequencer": {sequencer, brokenSequencers},
	"Log":       {log, brokenLogs},
	"History":   {history, brokenHistories},
	"Cooldowns": {cooldowns, brokenCooldowns},
	"Snapshots": {snapshots, brokenSnapshots},
}

// Each suite is green on Memory, red on every broken store, and has no case that
// no broken store turns red: such a case might not be able to fail.
func TestTheSuitesNoticeBrokenStores(t *testing.T) {
	for name, suite := range suites {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cases, failed := record(time.Minute, suite.run, openMemory)
			if len(cases) == 0 {
				t.Fatal("the suite has no cases")
			}
			for c, said := range failed {
				t.Errorf("Memory fails %q: %s", c, said[0])
			}
			noticed := make(map[string]bool)
			for _, b := range suite.broken {
				for _, c := range b.red {
					noticed[c] = true
					if !slices.Contains(cases, c) {
						t.Errorf("there is no case %q", c)
					}
				}
				t.Run("a store that "+b.name, func(t *testing.T) {
					t.Parallel()
					notices(t, suite.run, b)
				})
			}
			for _, c := range cases {
				if !noticed[c] {
					t.Errorf("no broken store turns %q red", c)
				}
			}
		})
	}
}

// notices runs suite on b in a bubble, where patience runs out only when nobody
// can go on any more: a port that hangs turns its case red at once, and a slow
// machine turns nothing red.
func notices(t *testing.T, suite func(T, func(T, Setup) *Store), b broken) {
	var failed map[string][]string
	synctest.Test(t, func(*testing.T) {
		_, failed = record(10*time.Second, suite, func(t T, s Setup) *Store {
			m, err := NewMemory(s)
			if err != nil {
				t.Fatalf("%v", err)
			}
			st := m.Store()
			b.spoil(m, st, s)
			return st
		})
		time.Sleep(2 * tooLate) // of the bubble: a port that came too late has ended
	})
	for _, c := range b.red {
		if failed[c] == nil {
			t.Errorf("%q is green", c)
		}
	}
}

// tooLate is longer than the patience of any case.
const tooLate = time.Hour

// The ports below forward to Memory but for what they break.

type placer struct {
	core.Sequencer
	place     func(ctx context.Context, ps []core.Placement, out []core.Outcome) error
	configure func(ctx context.Context, c core.Config) error
}

func (p placer) Place(ctx context.Context, ps []core.Placement, out []core.Outcome) error {
	if p.place == nil {
		return p.Sequencer.Place(ctx, ps, out)
	}
	return p.place(ctx, ps, out)
}

func (p placer) Configure(ctx context.Context, c core.Config) error {
	if p.configure == nil {
		return p.Sequencer.Configure(ctx, c)
	}
	return p.configure(ctx, c)
}

type tailer struct {
	core.Log
	tail  func(ctx context.Context, from core.Heads, fn func(*core.Record) error) error
	heads func(ctx context.Context) (core.Heads, error)
}

func (l tailer) Tail(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
	if l.tail == nil {
		return l.Log.Tail(ctx, from, fn)
	}
	return l.tail(ctx, from, fn)
}

func (l tailer) Heads(ctx context.Context) (core.Heads, error) {
	if l.heads == nil {
		return l.Log.Heads(ctx)
	}
	return l.heads(ctx)
}

// onPlace breaks Place.
func onPlace(f func(m *Memory, ctx context.Context, ps []core.Placement, out []core.Outcome) error) func(*Memory, *Store, Setup) {
	return func(m *Memory, st *Store, _ Setup) {
		st.Sequencer = placer{Sequencer: m, place: func(ctx context.Context, ps []core.Placement, out []core.Outcome) error {
			return f(m, ctx, ps, out)
		}}
	}
}

// beforePlace spoils m's state before each Place.
func beforePlace(f func(m *Memory)) func(*Memory, *Store, Setup) {
	return onPlace(func(m *Memory, ctx context.Context, ps []core.Placement, out []core.Outcome) error {
		m.mu.Lock()
		f(m)
		m.mu.Unlock()
		return m.Place(ctx, ps, out)
	})
}

// onRecord breaks what a tail hands out. f may return several records or none.
func onRecord(f func(r *core.Record, from core.Heads) []*core.Record) func(*Memory, *Store, Setup) {
	return func(m *Memory, st *Store, _ Setup) {
		st.Log = tailer{Log: m, tail: func(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
			return m.Tail(ctx, from, func(r *core.Record) error {
				for _, r := range f(r, from) {
					if err := fn(r); err != nil {
						return err
					}
				}
				return nil
			})
		}}
	}
}

// onCrash breaks what m still has when the power comes back.
func onCrash(f func(m *Memory)) func(*Memory, *Store, Setup) {
	return func(m *Memory, st *Store, _ Setup) {
		st.Crash = func() *Store {
			n := m.Crash()
			n.mu.Lock()
			f(n)
			n.mu.Unlock()
			return n.Store()
		}
	}
}

// forgetRecords is a store that acknowledges and shows what the disk does not
// have yet: the later half is gone after a crash.
func forgetRecords(m *Memory, st *Store, s Setup) {
	st.Crash = func() *Store {
		m.mu.Lock()
		m.records = m.records[:max(len(m.records)/2, len(s.Config.Geometry().Shards()))]
		m.mu.Unlock()
		return m.Crash().Store()
	}
}
