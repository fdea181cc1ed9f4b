package coretest

import (
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
	cooldownsTake(t, open)
	cooldownsRefund(t, open)
	t.Run("asking for the allowance charges nothing", func(t T) {
		s := setupCooldown(60_000, 2)
		st := open(t, s)
		for range 5 {
			if a := allowance(t, st, 1, s.Clock.Now()); a != (core.Allowance{Available: 2, Max: 2}) {
				t.Fatalf("%+v", a)
			}
		}
		granted(t, st, 1, 1, s.Clock.Now())
		if a := allowance(t, st, 1, s.Clock.Now()); a.Available != 1 {
			t.Errorf("after a charge: %+v", a)
		}
	})
	t.Run("it is the arithmetic of core over a long time", func(t T) {
		s := setupCooldown(1000, 3)
		st := open(t, s)
		virtual(t, st)
		const seed = 11
		rnd := rand.New(rand.NewPCG(seed, 0))
		rule, tat := s.Config.Cooldown(), int64(0)
		for n := range uint32(2000) {
			s.Clock.Advance(rnd.Int64N(700))
			now := s.Clock.Now()
			next, want := rule.Take(tat, now)
			a, ok, err := st.Cooldowns.Take(t.Context(), 1, core.Request{Instance: 1, Number: n}, now)
			if err != nil {
				t.Fatalf("Take: %v", err)
			}
			if ok != want || a != rule.Allowance(next, now) {
				t.Fatalf("seed %d, try %d: %+v, %v; want %+v, %v", seed, n, a, ok, rule.Allowance(next, now), want)
			}
			tat = next
		}
	})
}

func take(t T, st *Store, user uint64, n uint32, nowMS int64) (core.Allowance, bool) {
	t.Helper()
	a, ok, err := st.Cooldowns.Take(t.Context(), user, core.Request{Instance: user, Number: n}, nowMS)
	if err != nil {
		t.Fatalf("Take: %v", err)
	}
	return a, ok
}

func granted(t T, st *Store, user uint64, n uint32, nowMS int64) {
	t.Helper()
	if a, ok := take(t, st, user, n, nowMS); !ok {
		t.Fatalf("user %d must wait: %+v", user, a)
	}
}

func mustWait(t T, st *Store, user uint64, n uint32, nowMS int64) {
	t.Helper()
	if a, ok := take(t, st, user, n, nowMS); ok {
		t.Fatalf("user %d need not wait: %+v", user, a)
	}
}

func allowance(t T, st *Store, user uint64, nowMS int64) core.Allowance {
	t.Helper()
	a, err := st.Cooldowns.Allowance(t.Context(), user, nowMS)
	if err != nil {
		t.Fatalf("Allowance: %v", err)
	}
	return a
}

func refund(t T, st *Store, user uint64, n uint32) {
	t.Helper()
	if err := st.Cooldowns.Refund(t.Context(), user, core.Request{Instance: user, Number: n}); err != nil {
		t.Fatalf("Refund: %v", err)
	}
}

func cooldownsTake(t T, open func(T, Setup) *Store) {
	t.Run("a rested user has a burst and then waits", func(t T) {
		s := setupCooldown(60_000, 3)
		st := open(t, s)
		for n := range uint32(3) {
			granted(t, st, 1, n, s.Clock.Now())
		}
		mustWait(t, st, 1, 3, s.Clock.Now())
		granted(t, st, 2, 0, s.Clock.Now())
	})
	t.Run("a refusal charges nothing", func(t T) {
		s := setupCooldown(5000, 1)
		st := open(t, s)
		virtual(t, st)
		granted(t, st, 1, 1, s.Clock.Now())
		for n := range uint32(4) {
			s.Clock.Advance(1000)
			mustWait(t, st, 1, 2+n, s.Clock.Now())
		}
		s.Clock.Advance(1000)
		granted(t, st, 1, 6, s.Clock.Now())
	})
	t.Run("the request that was granted last is granted again without a charge", func(t T) {
		s := setupCooldown(60_000, 2)
		st := open(t, s)
		granted(t, st, 1, 1, s.Clock.Now())
		for range 5 {
			granted(t, st, 1, 1, s.Clock.Now())
		}
		granted(t, st, 1, 2, s.Clock.Now())
		granted(t, st, 1, 2, s.Clock.Now())
		mustWait(t, st, 1, 3, s.Clock.Now())
	})
	t.Run("users in a crowd get exactly their burst each", func(t T) {
		s := setupCooldown(60_000, 3)
		st := open(t, s)
		var wg sync.WaitGroup
		var got [4]atomic.Int32
		for n := range 40 {
			wg.Go(func() {
				r := core.Request{Instance: 1, Number: uint32(n)}
				_, ok, err := st.Cooldowns.Take(t.Context(), uint64(n%4), r, s.Clock.Now())
				if err != nil {
					t.Errorf("Take: %v", err)
				}
				if ok {
					got[n%4].Add(1)
				}
			})
		}
		wg.Wait()
		for u := range got {
			if n := got[u].Load(); n != 3 {
				t.Errorf("user %d got %d, want 3", u, n)
			}
		}
	})
}

func cooldownsRefund(t T, open func(T, Setup) *Store) {
	t.Run("a refund gives the charge back, once", func(t T) {
		s := setupCooldown(60_000, 2)
		st := open(t, s)
		granted(t, st, 1, 1, s.Clock.Now())
		granted(t, st, 1, 2, s.Clock.Now())
		refund(t, st, 1, 2)
		refund(t, st, 1, 2)
		granted(t, st, 1, 3, s.Clock.Now())
		mustWait(t, st, 1, 4, s.Clock.Now())
	})
	t.Run("only a charge can be refunded, and only once", func(t T) {
		s := setupCooldown(60_000, 2)
		st := open(t, s)
		granted(t, st, 1, 1, s.Clock.Now())
		granted(t, st, 1, 2, s.Clock.Now())
		refund(t, st, 1, 7)
		refund(t, st, 2, 2)
		mustWait(t, st, 1, 3, s.Clock.Now())
		refund(t, st, 1, 1) // where that is still known
		refund(t, st, 1, 1)
		take(t, st, 1, 3, s.Clock.Now())
		mustWait(t, st, 1, 4, s.Clock.Now())
	})
	t.Run("a request that was refunded is charged when it comes again", func(t T) {
		s := setupCooldown(60_000, 1)
		st := open(t, s)
		granted(t, st, 1, 1, s.Clock.Now())
		refund(t, st, 1, 1)
		granted(t, st, 1, 1, s.Clock.Now())
		mustWait(t, st, 1, 2, s.Clock.Now())
	})
}
