package redis

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pixelwall/core"
)

func refusedWith(t testing.TB, o core.Outcome, code core.Code) {
	t.Helper()
	if o.Err == nil || o.Err.Code != code {
		t.Fatalf("%+v, want %v", o, code)
	}
}

// What place refuses, it refuses before it writes anything.
func TestPlaceRefusesBeforeItWrites(t *testing.T) {
	c := open(t, testOptions(t))
	config := testConfig()
	if err := takeOver(t.Context(), c.Outbox(), 0, 1, &config, new(uint32)); err != nil {
		t.Fatal(err)
	}
	good := string(appendEvent(nil, &core.Placement{Offset: 7, Color: 3, User: 1, Request: core.Request{Instance: 1, Number: 1}}))
	far := string(appendEvent(nil, &core.Placement{Offset: 1 << 18, Color: 3, Request: core.Request{Instance: 1, Number: 2}}))
	bright := string(appendEvent(nil, &core.Placement{Offset: 7, Color: 16, Request: core.Request{Instance: 1, Number: 2}}))
	question := string(appendAsked(nil, core.Request{Instance: 1, Number: 1}))
	for _, tt := range []struct {
		name                          string
		epoch, version, events, asked string
		want                          string
	}{
		{"an older epoch", "0", "1", good, "", "UNFENCED 1 1"},
		{"an epoch that is still to come", "2", "1", good, "", "UNFENCED 1 1"},
		{"an older configuration", "1", "0", good, "", "CONFIG 1"},
		{"a configuration that is still to come", "1", "2", good, "", "CONFIG 1"},
		{"nothing", "1", "1", "", "", "BADARG"},
		{"half an event", "1", "1", good + good[:24], "", "BADARG"},
		{"half a question", "1", "1", good, question[:11], "BADARG"},
		{"513 events", "1", "1", strings.Repeat(good, 513), "", "BADARG"},
		{"512 events and a question", "1", "1", strings.Repeat(good, 512), question, "BADARG"},
		{"an offset beyond the shard", "1", "1", good + far, "", "BADARG"},
		{"a colour beyond the bits", "1", "1", good + bright, "", "BADARG"},
	} {
		before, err := c.Outbox().Stand(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		k := &c.keys[0]
		_, err = c.fcall(t.Context(), 0, fnPlace, []string{k.bmp, k.meta, k.out, k.requests[0], k.requests[1]}, tt.epoch, tt.version, tt.events, tt.asked)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
		}
		if after, err := c.Outbox().Stand(t.Context(), 0); err != nil || after != before {
			t.Errorf("%s: it stands at %+v after %+v (%v)", tt.name, after, before, err)
		}
	}
	ps := make([]core.Placement, 512) // as many as there may be, and all different
	for i := range ps {
		ps[i] = core.Placement{Offset: uint32(i), Color: uint8(i % 16), User: 1, Request: core.Request{Instance: uint64(i), Number: 9}}
	}
	p, err := modelled{c.Outbox()}.PlaceBatch(t.Context(), 0, 1, 1, eventsOf(ps), nil)
	if err != nil || p.Answers[511].Seq != p.Answers[0].Seq+511 {
		t.Errorf("512 events: %v", err)
	}
}

func eventsOf(ps []core.Placement) []core.Event {
	es := make([]core.Event, len(ps))
	for i, p := range ps {
		es[i] = core.Event{Offset: p.Offset, Color: p.Color, User: p.User, Request: p.Request}
	}
	return es
}

// Each shard decides by itself, so the shard is part of what was charged: one
// request cannot be placed once in each of them for one charge.
func TestARequestUnderAnotherShardHasAChargeOfItsOwn(t *testing.T) {
	c := open(t, testOptions(t))
	config := testConfig()
	config.CooldownMS = 60_000
	keepArmed(t, c, config)
	r := core.Request{Instance: 1, Number: 1}
	if o := outcomes(t, c, placement(1, 1, 1, 7, r))[0]; o.Err != nil {
		t.Fatal(o.Err)
	}
	refusedWith(t, outcomes(t, c, placement(599, 1, 1, 7, r))[0], core.CodeCooldown)
	if o := outcomes(t, c, placement(2, 2, 2, 7, r))[0]; o.Err != nil || !o.Repeated {
		t.Errorf("sent again: %+v", o)
	}
}

// An edge that has not heard of a change learns it from the shard's refusal.
func TestAStaleConfigurationIsReadAgain(t *testing.T) {
	o := testOptions(t)
	a, b := open(t, o), open(t, o)
	config := testConfig()
	config.Palette = config.Palette[:12:12]
	keepArmed(t, a, config)
	refusedWith(t, outcomes(t, b, placement(1, 1, 13, 1, core.Request{Instance: 1, Number: 1}))[0], core.CodeUnknownColor)
	grown := testConfig()
	grown.Version = 2
	if err := a.Sequencer().Configure(t.Context(), grown); err != nil {
		t.Fatal(err)
	}
	if o := outcomes(t, b, placement(1, 1, 13, 1, core.Request{Instance: 1, Number: 2}))[0]; o.Err != nil {
		t.Error(o.Err)
	}
	if b.Stats().Reconfigured == 0 {
		t.Error("no batch was judged again")
	}
}

// Two edges change the configuration at the same moment, and both have seen that
// theirs follows: what comes to the first shard first is what all of them get.
func TestOfTwoChangesAtOnceAllShardsGetOne(t *testing.T) {
	o := testOptions(t)
	a, b := open(t, o), open(t, o)
	config := testConfig()
	keepArmed(t, a, config)
	first, second := config, config
	first.Version, first.CooldownMS = 2, 1000
	second.Version, second.CooldownMS = 2, 2000
	built, err := b.Sequencer().follows(t.Context(), &second)
	must(t, err)
	must(t, a.Outbox().Configure(t.Context(), 0, &first)) // a is on its way to the others
	if err := b.Sequencer().configure(t.Context(), built, &second); core.CodeOf(err) != core.CodeMismatch {
		t.Errorf("the second change: %v, want %v", err, core.CodeMismatch)
	}
	must(t, a.Sequencer().Configure(t.Context(), first))
	for _, shard := range config.Geometry().Shards() {
		if has, err := a.readConfig(t.Context(), shard); err != nil || !sameConfig(has, &first) {
			t.Errorf("shard %d has %+v (%v)", shard, has, err)
		}
	}
}

// What an old configuration found bad is judged by the one that it is sent under,
// also when that was read for another placement meanwhile.
func TestTheConfigurationChangesBetweenJudgementAndSending(t *testing.T) {
	o := testOptions(t)
	a, b := open(t, o), open(t, o)
	config := testConfig()
	config.Palette = config.Palette[:12:12]
	keepArmed(t, a, config)
	it := &item{p: placement(1, 1, 13, 1, core.Request{Instance: 1, Number: 1}), call: &call{done: make(chan struct{})}}
	it.call.left.Store(1)
	b.sequencer.admit(t.Context(), it)
	if it.asked == nil {
		t.Fatal("the colour is there already")
	}
	grown := testConfig()
	grown.Version = 2
	if err := a.Sequencer().Configure(t.Context(), grown); err != nil {
		t.Fatal(err)
	}
	if _, err := b.reloadConfig(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	b.sequencer.enqueue([]*item{it})
	select {
	case <-it.call.done:
	case <-time.After(patience):
		t.Fatal("it is not decided")
	}
	if it.out.Err != nil {
		t.Error(it.out.Err)
	}
}

// A fence between two batches: the edge goes on under the new one.
func TestANewFenceIsFollowed(t *testing.T) {
	o := testOptions(t)
	a, b := open(t, o), open(t, o)
	config := testConfig()
	keepArmed(t, a, config)
	first := outcomes(t, b, placement(1, 1, 1, 1, core.Request{Instance: 1, Number: 1}))[0]
	for n := uint32(2); n < 6; n++ {
		st, err := a.Outbox().Stand(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Outbox().Fence(t.Context(), 0, st.Epoch+1); err != nil {
			t.Fatal(err)
		}
		o := outcomes(t, b, placement(1, 1, 2, 1, core.Request{Instance: 1, Number: n}))[0]
		if o.Err != nil || o.Repeated || core.SeqEpoch(o.Seq) <= core.SeqEpoch(first.Seq) {
			t.Fatalf("%+v after %+v", o, first)
		}
		first = o
	}
	if b.Stats().Unfenced == 0 {
		t.Error("no batch met another fence")
	}
}

// A shard that nobody arms refuses after a while, and gives the charge back.
func TestAnUnarmedShardRefusesAndGivesTheChargeBack(t *testing.T) {
	o := testOptions(t)
	o.HoldFor = 50 * time.Millisecond
	c := open(t, o)
	config := testConfig()
	config.CooldownMS = 60_000
	stop := keepArmed(t, c, config)
	stop()
	st, err := c.Outbox().Stand(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Outbox().Fence(t.Context(), 0, st.Epoch+1); err != nil {
		t.Fatal(err)
	}
	for n := range uint32(3) {
		out := outcomes(t, c, placement(1, 1, 1, 7, core.Request{Instance: 1, Number: n}))[0]
		refusedWith(t, out, core.CodeUnavailable)
		if out.Err.RetryAfter == 0 {
			t.Error("without a time to try again")
		}
		rested(t, c, 7)
	}
	keepArmed(t, c, config)
	if o := outcomes(t, c, placement(1, 1, 1, 7, core.Request{Instance: 1, Number: 1}))[0]; o.Err != nil || o.Repeated {
		t.Errorf("%+v", o)
	}
}

// rested waits until user may place, as after a refund.
func rested(t testing.TB, c *Client, user uint64) {
	t.Helper()
	until(t, "the charge is given back", func() bool {
		a, err := c.Cooldowns().Allowance(t.Context(), user, c.opts.NowMS())
		return err == nil && a.Available == a.Max
	})
}

// A repeat is not paid twice, and what was stored stays paid.
func TestARepeatIsRefundedOnlyWhenItWasPaidBefore(t *testing.T) {
	for _, burst := range []int{1, 3} {
		c := open(t, testOptions(t))
		config := testConfig()
		config.CooldownMS, config.BurstMax = 60_000, burst
		keepArmed(t, c, config)
		p := placement(1, 1, 1, 7, core.Request{Instance: 1, Number: 1})
		first := outcomes(t, c, p)[0]
		if first.Err != nil || first.Allowance.Available != burst-1 {
			t.Fatalf("%+v", first)
		}
		again := outcomes(t, c, p)[0]
		if !again.Repeated || again.Allowance.Available != burst-1 {
			t.Errorf("burst %d: sent again under its own charge: %+v", burst, again)
		}
		// Long after, when the key is gone: the repeat is charged first and then refunded.
		r, err := c.link.get()
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Do(t.Context(), r.B().Del().Key(c.userKey(config.Cooldown(), 7)).Build()).Error(); err != nil {
			t.Fatal(err)
		}
		until(t, "the shard's clock goes on", func() bool {
			o := outcomes(t, c, placement(9, 9, 1, 8+uint64(time.Now().UnixNano()), core.Request{Instance: uint64(time.Now().UnixNano()), Number: 1}))[0]
			return o.Err == nil && o.TimeMS > first.TimeMS+50
		})
		if o := outcomes(t, c, p)[0]; !o.Repeated || o.Seq != first.Seq || o.Allowance.Available != burst {
			t.Errorf("burst %d: sent again after the cooldown: %+v", burst, o)
		}
		rested(t, c, 7)
	}
}

// Edges count one user together, whichever they place through.
func TestEdgesShareTheCooldowns(t *testing.T) {
	for _, burst := range []int{1, 3} {
		o := testOptions(t)
		config := testConfig()
		config.CooldownMS, config.BurstMax = 600_000, burst
		edges := []*Client{open(t, o), open(t, o), open(t, o)}
		keepArmed(t, edges[0], config)
		var stored atomic.Int32
		var wg sync.WaitGroup
		for e, c := range edges {
			wg.Go(func() {
				for n := range uint32(10) {
					out := outcomes(t, c, placement(int(n)*50, e*100, 1, 7, core.Request{Instance: uint64(e), Number: n}))[0]
					if out.Err == nil {
						stored.Add(1)
					} else if out.Err.Code != core.CodeCooldown {
						t.Error(out.Err)
					}
				}
			})
		}
		wg.Wait()
		if n := stored.Load(); n != int32(burst) {
			t.Errorf("%d placements of one user, the burst is %d", n, burst)
		}
	}
}

// Of a burst each charge can be given back and is known when it is asked for again,
// not only the last one.
func TestEveryChargeOfABurstIsKnown(t *testing.T) {
	c := open(t, testOptions(t))
	const burst, known = 20, 16
	rule := core.Cooldown{EveryMS: 600_000, Max: burst}
	ask := func(n int, peek bool) ask {
		asks := []ask{{user: 7, request: core.Request{Instance: 1, Number: uint32(n)}, rule: rule, nowMS: c.opts.NowMS(), peek: peek}}
		c.charger.charge(t.Context(), asks)
		if err := asks[0].err; err != nil {
			t.Fatal(err)
		}
		return asks[0]
	}
	left := func() int { return ask(0, true).allowance.Available }
	giveBack := func(n int) {
		t.Helper()
		_, err := c.charger.giveBack(t.Context(), []charge{{rule: rule, key: c.userKey(rule, 7), id: chargeID(core.Request{Instance: 1, Number: uint32(n)}, 0)}})
		must(t, err)
	}
	for range 2 {
		for n := range known {
			if a := ask(n, false); !a.granted {
				t.Fatalf("charge %d: %+v", n, a)
			}
		}
		if n := left(); n != burst-known {
			t.Fatalf("%d left after %d charges of %d", n, known, burst)
		}
	}
	for i, n := range []int{3, 0, 15, 7, 7} { // each was asked for twice
		for back, want := range []int{min(i, 4), min(i+1, 4)} {
			if giveBack(n); left() != burst-known+want {
				t.Fatalf("%d left after charge %d was given back %d times, want %d", left(), n, back+1, burst-known+want)
			}
		}
	}
	for n := range burst { // those that are known still cost nothing
		ask(n, false)
	}
	if n := left(); n != 0 {
		t.Fatalf("%d left after %d charges", n, burst)
	}
	if giveBack(1); left() != 0 { // 20 were charged since: it is forgotten
		t.Errorf("%d left after what is forgotten was given back", left())
	}
	if giveBack(burst - 1); left() != 1 {
		t.Errorf("%d left after the last one was given back", left())
	}
}

// A charge is held by every edge that a page sent its request to, and given back when
// all of them have refused it.
func TestAChargeIsGivenBackByAllWhoHoldIt(t *testing.T) {
	o := testOptions(t)
	a, b := open(t, o), open(t, o)
	for user, burst := range map[uint64]int{7: 1, 8: 3} {
		rule := core.Cooldown{EveryMS: 600_000, Max: burst}
		take := func(c *Client, number uint32) *item {
			t.Helper()
			asks := []ask{{user: user, request: core.Request{Instance: 1, Number: number}, rule: rule, nowMS: c.opts.NowMS()}}
			c.charger.charge(t.Context(), asks)
			it := &item{}
			if c.charger.enter(it, &asks[0]); it.out.Err != nil {
				t.Fatal(it.out.Err)
			}
			return it
		}
		left := func() int {
			asks := []ask{{user: user, rule: rule, nowMS: a.opts.NowMS(), peek: true}}
			a.charger.charge(t.Context(), asks)
			return asks[0].allowance.Available
		}
		giveBack := func(c *Client, it *item) {
			t.Helper()
			_, err := c.charger.giveBack(t.Context(), []charge{it.charge})
			must(t, err)
		}
		ofA, ofB := take(a, 1), take(b, 1)
		if ofA.charge.key == "" || ofB.charge.key == "" || ofA.charge.shared || !ofB.charge.shared {
			t.Fatalf("burst %d: %+v %+v", burst, ofA.charge, ofB.charge)
		}
		b.charger.refund(&item{charge: charge{id: ofB.charge.id, rule: rule, user: user, shared: true}})
		if n := b.charger.memory.Allowance(user, b.opts.NowMS()).Available; n != burst-1 {
			t.Errorf("burst %d: memory has %d left of what another edge may still store", burst, n)
		}
		giveBack(a, ofA)
		if n := left(); n != burst-1 {
			t.Errorf("burst %d: %d left while another edge may still store it", burst, n)
		}
		giveBack(b, ofB)
		if n := left(); n != burst {
			t.Errorf("burst %d: %d left when all have given it back", burst, n)
		}
		giveBack(b, ofB) // of what is gone, nothing
		if take(a, 2); left() != burst-1 {
			t.Errorf("burst %d: %d left after a new charge", burst, left())
		}
	}
}

// The shard forgets a request in time; its charge must not let it in again.
func TestAnOldChargeGrantsNothing(t *testing.T) {
	c := open(t, testOptions(t))
	for user, burst := range map[uint64]int{7: 1, 8: 3} {
		ask := func(number uint32, ageMS int64) bool {
			asks := []ask{{
				user: user, request: core.Request{Instance: 1, Number: number}, nowMS: c.opts.NowMS() + ageMS,
				rule: core.Cooldown{EveryMS: 3_600_000, Max: burst},
			}}
			c.charger.charge(t.Context(), asks)
			return asks[0].granted
		}
		for n := range burst {
			if !ask(uint32(n), 0) {
				t.Fatalf("burst %d: charge %d is refused", burst, n)
			}
		}
		for n := range burst {
			if !ask(uint32(n), core.ResendWindowMS/2) {
				t.Errorf("burst %d: charge %d is not known a minute later", burst, n)
			}
			if ask(uint32(n), core.ResendWindowMS) {
				t.Errorf("burst %d: charge %d grants a placement two minutes later", burst, n)
			}
		}
	}
}

// A cooldown that was shortened holds for those who wait already.
func TestACooldownThatWasShortenedHoldsAtOnce(t *testing.T) {
	c := open(t, testOptions(t))
	config := testConfig()
	config.CooldownMS = 600_000
	keepArmed(t, c, config)
	outcomes(t, c, placement(1, 1, 1, 7, core.Request{Instance: 1, Number: 1}))
	config.Version, config.CooldownMS = 2, 20
	if err := c.Sequencer().Configure(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	n := uint32(1)
	until(t, "the user may place again", func() bool {
		n++
		return outcomes(t, c, placement(1, 1, 1, 7, core.Request{Instance: 1, Number: n}))[0].Err == nil
	})
}

// What may have been stored by a batch without an answer stays paid: the clocks of two
// masters are not the same.
func TestWhatMayHaveBeenPaidForIsNotRefunded(t *testing.T) {
	c := open(t, testOptions(t))
	for _, tt := range []struct {
		name     string
		sent     bool
		st       status
		agoMS    int64 // that it was stored, before its charge
		refunded bool
	}{
		{"stored before, by an earlier try", false, statusRepeated, 1, true},
		{"stored a moment before, perhaps by this one", true, statusRepeated, clocksApartMS, false},
		{"stored long before", true, statusRepeated, clocksApartMS + 1, true},
		{"expired", false, statusExpired, 0, false},
	} {
		it := &item{sent: tt.sent, charge: charge{rule: core.Cooldown{EveryMS: 1000, Max: 1}, key: c.userKey(core.Cooldown{Max: 1}, 7), id: "x"}}
		c.sequencer.queues[0].tell(it, tt.st, 5, 100_000-tt.agoMS, 100_000)
		if (it.charge.id == "") != tt.refunded {
			t.Errorf("%s: refunded is %v", tt.name, !tt.refunded)
		}
	}
}

// A charge whose answer was lost is that of the call which asks again, and goes back
// with it when the placement is refused.
func TestAChargeWithoutAnAnswerCanBeRefunded(t *testing.T) {
	c := open(t, testOptions(t))
	r, err := c.link.get()
	must(t, err)
	for _, again := range []bool{true, false} {
		rule := core.Cooldown{EveryMS: 600_000, Max: 1}
		lost := ask{user: 7, request: core.Request{Instance: 1, Number: 1}, rule: rule, nowMS: c.opts.NowMS(), key: c.userKey(rule, 7)}
		lost.id = chargeID(lost.request, lost.shard)
		now := lost
		must(t, c.charger.askKeys(t.Context(), r, []*ask{&lost}))
		now.again = again
		must(t, c.charger.askKeys(t.Context(), r, []*ask{&now}))
		if !now.granted || !now.held || now.shared == again {
			t.Errorf("asked again (%v): %+v", again, now)
		}
		must(t, r.Do(t.Context(), r.B().Del().Key(lost.key).Build()).Error())
	}
}
