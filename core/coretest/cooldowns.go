package coretest

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"pixelwall/core"
)

// TestCooldowns checks that what open returns keeps the promises of
// core.Cooldowns.
func TestCooldowns(t *testing.T, open func(*testing.T, Setup) *Store) {
	adapt(t, open, cooldowns)
}

func cooldowns(t T, open func(T, Setup) *Store) {
	t.Run("asking for the allowance charges nothing", func(t T) {
		s := setupCooldown(60_000, 2)
		st := open(t, s)
		for range 5 {
			if a := allowance(t, st, 1, s.Clock.Now()); a != (core.Allowance{Available: 2, Max: 2}) {
				t.Fatalf("%+v", a)
			}
		}
		pg := newPage(1)
		mustPlace(t, st, pg.tap(1, 1, 1))
		if a := allowance(t, st, 1, s.Clock.Now()); a.Available != 1 {
			t.Errorf("after a placement: %+v", a)
		}
		if a := allowance(t, st, 2, s.Clock.Now()); a.Available != 2 {
			t.Errorf("of somebody else: %+v", a)
		}
		mustPlace(t, st, pg.tap(2, 1, 1))
		refused(t, place(t, st, pg.tap(3, 1, 1))[0], core.CodeCooldown)
		if a := allowance(t, st, 1, s.Clock.Now()); a.Available != 0 {
			t.Errorf("after a refusal: %+v", a)
		}
	})
	t.Run("users in a crowd get exactly their burst each", func(t T) {
		s := setupCooldown(60_000, 3)
		st := open(t, s)
		var wg sync.WaitGroup
		var got [4]atomic.Int32
		for n := range 40 {
			pg := newPage(uint64(n%4 + 1))
			pg.req.Number = uint32(n)
			p := pg.tap(n, n, 1)
			wg.Go(func() {
				var out [1]core.Outcome
				ctx, cancel := context.WithTimeout(t.Context(), t.Patience())
				defer cancel()
				if err := st.Sequencer.Place(ctx, []core.Placement{p}, out[:]); err != nil {
					t.Errorf("Place: %v", err)
				}
				if out[0].Err == nil {
					got[n%4].Add(1)
				}
			})
		}
		wg.Wait()
		for u := range got {
			if n := got[u].Load(); n != 3 {
				t.Errorf("user %d got %d, want 3", u+1, n)
			}
		}
	})
	t.Run("it is the arithmetic of core over a long time", func(t T) {
		s := setupCooldown(1000, 3)
		st := open(t, s)
		virtual(t, st)
		const seed = 11
		rnd := rand.New(rand.NewPCG(seed, 0))
		rule, tat, pg := s.Config.Cooldown(), int64(0), newPage(1)
		for n := range 2000 {
			s.Clock.Advance(rnd.Int64N(700))
			now := s.Clock.Now()
			next, want := rule.Take(tat, now)
			o := place(t, st, pg.tap(n%500, n%400, 1))[0]
			if (o.Err == nil) != want || o.Allowance != rule.Allowance(next, now) {
				t.Fatalf("seed %d, try %d: %+v; want %+v, %v", seed, n, o, rule.Allowance(next, now), want)
			}
			if a := allowance(t, st, 1, now); a != o.Allowance {
				t.Fatalf("seed %d, try %d: %+v, the outcome said %+v", seed, n, a, o.Allowance)
			}
			tat = next
		}
	})
}

func allowance(t T, st *Store, user uint64, nowMS int64) core.Allowance {
	t.Helper()
	a, err := st.Cooldowns.Allowance(t.Context(), user, nowMS)
	if err != nil {
		t.Fatalf("Allowance: %v", err)
	}
	return a
}
