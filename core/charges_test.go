package core

import (
	"math/rand/v2"
	"testing"
)

func TestChargesAreTheArithmeticOfCooldownThroughAllGenerations(t *testing.T) {
	for seed := range uint64(10) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		rule := Cooldown{EveryMS: 5000, Max: 1 + rnd.IntN(4)}
		c := NewCharges(rule)
		tats := make(map[uint64]int64)
		now := int64(1_000_000)
		for n := range 20_000 {
			now += rnd.Int64N(40)
			if rnd.IntN(500) == 0 {
				now += rnd.Int64N(60_000)
			}
			c.Turn(now)
			user := rnd.Uint64N(100)
			next, want := rule.Take(tats[user], now)
			a, before, ok := c.Take(user, Request{Number: uint32(n)}, now)
			if ok != want || a != rule.Allowance(next, now) {
				t.Fatalf("seed %d, step %d: %+v %v, want %+v %v", seed, n, a, ok, rule.Allowance(next, now), want)
			}
			if ok && rnd.IntN(3) == 0 {
				c.Put(user, before)
			} else {
				tats[user] = next
			}
		}
		if c.Len() > 200 {
			t.Errorf("seed %d: %d entries for 100 users", seed, c.Len())
		}
	}
}

func TestAClockThatIsSetBackMakesNobodyWaitLongerThanARest(t *testing.T) {
	c := NewCharges(Cooldown{EveryMS: 5000, Max: 1})
	const hour = 3600 * 1000
	if _, _, ok := c.Take(1, Request{}, 2*hour); !ok {
		t.Fatal("refused")
	}
	c.Turn(hour)
	if a := c.Allowance(1, hour); a.NextMS != hour+5000 {
		t.Errorf("%+v, want to wait 5 s", a)
	}
	if _, _, ok := c.Take(1, Request{}, hour+5000); !ok {
		t.Error("refused after a rest")
	}
}

func TestACooldownThatWasShortenedHoldsAtOnce(t *testing.T) {
	c := NewCharges(Cooldown{EveryMS: 300_000, Max: 1})
	c.Take(1, Request{}, 0)
	c.SetRule(Cooldown{EveryMS: 5000, Max: 1}, 0)
	if _, _, ok := c.Take(1, Request{}, 5000); !ok {
		t.Error("the old cooldown still holds")
	}
}
