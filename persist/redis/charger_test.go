package redis

import (
	"net"
	"testing"

	"pixelwall/core"
	"pixelwall/tools/stack/servers"
)

// The limiter's Redis is another one, and goes away: the edge's memory limits.
func TestWithoutALimiterMemoryLimits(t *testing.T) {
	stack := ownServers(t, servers.RedisOptions{})
	o := testOptions(t)
	o.CommandTimeout = shortly
	o.Limiter = []string{stack.Redis[0].Addr()}
	c := open(t, o)
	config := testConfig()
	config.CooldownMS = 600_000
	keepArmed(t, c, config)
	place := func(user uint64, n uint32) core.Outcome {
		return outcomes(t, c, placement(1, 1, 1, user, core.Request{Instance: user, Number: n}))[0]
	}
	if o := place(1, 1); o.Err != nil {
		t.Fatal(o.Err)
	}
	must(t, stack.Redis[0].Kill())
	refusedWith(t, place(1, 2), core.CodeCooldown) // memory knows of what Redis granted
	if o := place(2, 1); o.Err != nil {
		t.Fatal(o.Err)
	}
	refusedWith(t, place(2, 2), core.CodeCooldown)
	for _, user := range []uint64{1, 2} { // one request is one charge in one shard, whoever granted it
		elsewhere := placement(599, 1, 1, user, core.Request{Instance: user, Number: 1})
		refusedWith(t, outcomes(t, c, elsewhere)[0], core.CodeCooldown)
	}
	if o := place(2, 1); o.Err != nil || !o.Repeated {
		t.Errorf("%+v", o)
	}
	if n := c.Stats().FailOpen; n != 1 {
		t.Errorf("%d placements were granted by memory", n)
	}
	until(t, "health says so", func() bool { place(3, 1); return c.LimiterHealth() == "down" })
	must(t, stack.Redis[0].Restart(t.Context()))
	until(t, "the limiter is back", func() bool { return c.LimiterHealth() == "ok" })
	refusedWith(t, place(1, 3), core.CodeCooldown) // its file still has the key
}

// What memory knows of a burst is all of it, not only when the next placement is due.
func TestWithoutALimiterABurstIsRemembered(t *testing.T) {
	stack := ownServers(t, servers.RedisOptions{})
	o := testOptions(t)
	o.CommandTimeout = shortly
	o.Limiter = []string{stack.Redis[0].Addr()}
	c := open(t, o)
	config := testConfig()
	config.CooldownMS, config.BurstMax = 600_000, 4
	keepArmed(t, c, config)
	number := uint32(0)
	place := func() core.Outcome {
		number++
		return outcomes(t, c, placement(1, 1, 1, 1, core.Request{Instance: 1, Number: number}))[0]
	}
	for range 3 {
		if o := place(); o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	must(t, stack.Redis[0].Kill())
	if o := place(); o.Err != nil {
		t.Fatal(o.Err)
	}
	refusedWith(t, place(), core.CodeCooldown)
}

// Charges that are to be given back when a client is closed are given back, or
// counted as lost.
func TestACloseGivesChargesBack(t *testing.T) {
	o := testOptions(t)
	c, err := Open(t.Context(), o)
	must(t, err)
	const users = 3000
	rule := core.Cooldown{EveryMS: 600_000, Max: 1}
	asks := make([]ask, users)
	for i := range asks {
		asks[i] = ask{user: uint64(i), request: core.Request{Instance: uint64(i), Number: 1}, rule: rule, nowMS: c.opts.NowMS()}
	}
	c.charger.charge(t.Context(), asks)
	for i := range asks {
		if !asks[i].held {
			t.Fatalf("%+v", asks[i])
		}
		it := &item{}
		c.charger.enter(it, &asks[i])
		c.charger.refund(it)
	}
	must(t, c.Close())
	st := c.Stats()
	if st.Refunds+st.RefundsLost != users {
		t.Errorf("%d were given back, %d lost, of %d", st.Refunds, st.RefundsLost, users)
	}
	watch := open(t, o)
	r, err := watch.link.get()
	must(t, err)
	kept := int64(0)
	for i := range asks {
		n, err := r.Do(t.Context(), r.B().Exists().Key(asks[i].key).Build()).AsInt64()
		must(t, err)
		kept += n
	}
	if kept > st.RefundsLost {
		t.Errorf("%d charges are there, %d were counted as lost", kept, st.RefundsLost)
	}
}

// What memory granted while the limiter was away is not held in Redis: there it may be
// another edge's. Nor does memory grant what the shard may have forgotten.
func TestAGrantOfMemoryIsOfMemoryAlone(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, gone.Close())
	o := testOptions(t)
	o.Limiter = []string{gone.Addr().String()}
	c := open(t, o)
	for user, burst := range map[uint64]int{7: 1, 8: 3} {
		rule := core.Cooldown{EveryMS: 3_600_000, Max: burst}
		take := func(number uint32, ageMS int64) ask {
			asks := []ask{{user: user, request: core.Request{Instance: 1, Number: number}, rule: rule, nowMS: c.opts.NowMS() + ageMS}}
			c.charger.charge(t.Context(), asks)
			return asks[0]
		}
		for n := range burst {
			if a := take(uint32(n), 0); !a.granted {
				t.Fatalf("burst %d: %+v", burst, a)
			}
		}
		last := uint32(burst - 1)
		if a := take(last, core.ResendWindowMS); a.granted && burst == 1 {
			t.Errorf("burst %d: an old charge grants by memory: %+v", burst, a)
		}
		if take(last+1, 0).granted {
			t.Errorf("burst %d: one more is granted", burst)
		}
		it := &item{}
		a := ask{user: user, request: core.Request{Instance: 1, Number: last}, rule: rule, granted: true, held: true, id: chargeID(core.Request{Instance: 1, Number: last}, 0)}
		c.charger.enter(it, &a)
		if it.charge.id == "" || it.charge.key != "" {
			t.Errorf("burst %d: %+v", burst, it.charge)
		}
		if c.charger.refund(it); len(c.charger.refunds) != 0 {
			t.Errorf("burst %d: Redis is asked to give it back", burst)
		}
		if !take(last+2, 0).granted {
			t.Errorf("burst %d: memory did not give it back", burst)
		}
	}
}
