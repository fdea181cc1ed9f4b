package core

import (
	"math/rand/v2"
	"testing"
)

// A user who tries at random moments never gets more than Max placements plus
// one for each EveryMS that has passed, in any window; and is never refused
// while that would still be kept.
func TestCooldownGrantsExactlyWhatARestAllows(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		c := Cooldown{EveryMS: 1 + rnd.Int64N(5000), Max: 1 + rnd.IntN(6)}
		var tat int64
		var granted []int64
		now := int64(1_491_000_000_000)
		for range 3000 {
			now += rnd.Int64N(c.EveryMS * int64(1+rnd.IntN(3)))
			next, ok := c.Take(tat, now)
			if want := allowed(c, granted, now); ok != want {
				t.Fatalf("seed %d %+v: Take = %v, want %v", seed, c, ok, want)
			}
			if !ok && next != tat {
				t.Fatalf("seed %d: a refusal was charged", seed)
			}
			if ok {
				granted = append(granted, now)
			}
			tat = next
		}
		if len(granted) < 100 {
			t.Errorf("seed %d: only %d granted, the test says little", seed, len(granted))
		}
	}
}

// allowed asks every window that ends now. Looking back 2*Max grants is enough:
// GCRA remembers a burst only while it is not rested.
func allowed(c Cooldown, granted []int64, now int64) bool {
	for i := len(granted) - 1; i >= 0; i-- {
		n := int64(len(granted) - i + 1) // grants in [granted[i], now], this one included
		if n > int64(c.Max)+(now-granted[i])/c.EveryMS {
			return false
		}
	}
	return true
}

// NextMS is the very millisecond at which one more placement is granted.
func TestNextMSIsExact(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 8))
		c := Cooldown{EveryMS: 1 + rnd.Int64N(100), Max: 1 + rnd.IntN(5)}
		now := int64(1_000_000)
		tat := now + rnd.Int64N(c.EveryMS*int64(c.Max)*2) - c.EveryMS // also further ahead than Take leaves it
		a := c.Allowance(tat, now)
		if got := burst(c, tat, now); got != a.Available || a.Max != c.Max {
			t.Fatalf("seed %d: Allowance says %d of %d, Take grants %d of %d", seed, a.Available, a.Max, got, c.Max)
		}
		if a.Available == c.Max {
			if a.NextMS != 0 {
				t.Fatalf("seed %d: rested, but NextMS = %d", seed, a.NextMS)
			}
			continue
		}
		if before, at := burst(c, tat, a.NextMS-1), burst(c, tat, a.NextMS); before != a.Available || at != a.Available+1 {
			t.Fatalf("seed %d %+v: %d available a millisecond before NextMS and %d at it, want %d and %d", seed, c, before, at, a.Available, a.Available+1)
		}
	}
}

// burst counts what Take grants at once.
func burst(c Cooldown, tat, now int64) (n int) {
	for ok := true; ; n++ {
		if tat, ok = c.Take(tat, now); !ok {
			return n
		}
	}
}

func TestRefundUndoesACharge(t *testing.T) {
	c := Cooldown{EveryMS: 5000, Max: 3}
	for _, tt := range []struct {
		name     string
		tat, now int64
	}{
		{"of a user who never placed", 0, 1_000_000},
		{"of a user who is rested since long", 900_000, 1_000_000},
		{"of a user in the middle of a burst", 1_004_000, 1_000_000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			next, ok := c.Take(tt.tat, tt.now)
			if !ok {
				t.Fatal("not granted")
			}
			back := c.Refund(next)
			for _, later := range []int64{0, 1, 4999, 5000, 60_000} {
				if got, want := c.Allowance(back, tt.now+later), c.Allowance(tt.tat, tt.now+later); got != want {
					t.Errorf("%d ms later: %+v, want %+v as if nothing had been taken", later, got, want)
				}
			}
		})
	}
}

func TestCooldownOfZeroNeverWaits(t *testing.T) {
	c := Cooldown{EveryMS: 0, Max: 1}
	tat := int64(77)
	for now := range int64(1000) {
		var ok bool
		if tat, ok = c.Take(tat, now); !ok || tat != 77 {
			t.Fatalf("Take at %d = %d, %v", now, tat, ok)
		}
	}
	if a := c.Allowance(99999, 5); a != (Allowance{Available: 1, Max: 1}) {
		t.Errorf("Allowance = %+v", a)
	}
}
