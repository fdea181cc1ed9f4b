package coretest

import (
	"errors"
	"testing"

	"pixelwall/core"
)

func openMemory(t T, s Setup) *Store {
	t.Helper()
	m, err := NewMemory(s)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return m.Store()
}

func openMemoryT(t *testing.T, s Setup) *Store { return openMemory(realT{t}, s) }

func TestMemoryIsASequencer(t *testing.T) { TestSequencer(t, openMemoryT) }
func TestMemoryIsALog(t *testing.T)       { TestLog(t, openMemoryT) }
func TestMemoryIsAHistory(t *testing.T)   { TestHistory(t, openMemoryT) }
func TestMemoryIsCooldowns(t *testing.T)  { TestCooldowns(t, openMemoryT) }
func TestMemoryIsSnapshots(t *testing.T)  { TestSnapshots(t, openMemoryT) }

func TestMemoryThatFailsAnswersNothingAndLosesNothing(t *testing.T) {
	s := setupCooldown(60_000, 1)
	m, err := NewMemory(s)
	if err != nil {
		t.Fatal(err)
	}
	down := core.NewError(core.CodeUnavailable, "down")
	m.Fail(down)
	ctx, p, out := t.Context(), newPage(1).tap(1, 1, 1), make([]core.Outcome, 1)
	for name, call := range map[string]func() error{
		"Place":     func() error { return m.Place(ctx, []core.Placement{p}, out) },
		"Configure": func() error { return m.Configure(ctx, s.Config) },
		"Tail":      func() error { return m.Tail(ctx, core.Heads{}, func(*core.Record) error { return nil }) },
		"Heads":     func() error { _, err := m.Heads(ctx); return err },
		"Pixel":     func() error { _, err := m.Pixel(ctx, 0, 0, 0, 1); return err },
		"User":      func() error { _, err := m.User(ctx, 0, nil, 1); return err },
		"HeadsAt":   func() error { _, err := m.HeadsAt(ctx, 0); return err },
		"Indexed":   func() error { _, err := m.Indexed(ctx); return err },
		"Allowance": func() error { _, err := m.Allowance(ctx, 1, 0); return err },
		"Put":       func() error { return m.Put(ctx, &core.Snapshot{}) },
		"Latest":    func() error { _, err := m.Latest(ctx); return err },
		"At":        func() error { _, err := m.At(ctx, 0); return err },
	} {
		if err := call(); !errors.Is(err, down) {
			t.Errorf("%s = %v, want %v", name, err, down)
		}
	}
	m.Fail(nil)
	if err := m.Place(ctx, []core.Placement{p}, out); err != nil || out[0].Err != nil || out[0].Seq != 1 {
		t.Errorf("afterwards: %v, %+v", err, out[0])
	}
}

func TestNewMemoryRefusesAConfigurationThatIsNotValid(t *testing.T) {
	if _, err := NewMemory(Setup{Clock: NewClock(0)}); core.CodeOf(err) != core.CodeInvalid || err == nil {
		t.Errorf("NewMemory = %v", err)
	}
}
