package redis

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"pixelwall/core"
)

// A charge is what a placement cost its user.
type charge struct {
	rule      core.Cooldown
	id        string // what stands for the request; empty when no charge is held
	key       string // of the user, where Redis counts us among its holders; empty when memory granted
	shared    bool   // others may hold it too
	user      uint64
	began     time.Time // before Redis was asked
	allowance core.Allowance
}

// chargeIDBytes is the length of what stands for a request: instance (8), number
// (4), shard (1). The shard is part of it, or one request could be placed once
// in each of them.
const chargeIDBytes = 13

func chargeID(r core.Request, shard uint8) string {
	return string(append(appendAsked(make([]byte, 0, chargeIDBytes), r), shard))
}

// remembered is what stands for id in memory, where a charge has no place for a shard.
func (g *charger) remembered(id string) core.Request {
	return core.Request{Instance: maphash.String(g.seed, id)}
}

// A charger limits how often a user places: in Redis, and by memory while that
// cannot be asked. With a burst of one, a charge is the key of the user, which
// expires with the cooldown:
//
//	cd:<user>   id (13), at (8), every (8), holders (1)
//	tat:<user>  time of arrival (8) by the clock of Redis, and of each of the last 16
//	            charges: id (13), at (8), holders (1)
//
// at is unix ms by the clock of the edge that charged. Who asks with the id of a young
// charge holds it as well: a page that lost one edge sends again through another one. It
// is given back when all who hold it have given it back, so that what one of them
// stores stays paid, whatever the others were told. An old one grants nothing, because
// the shard may have forgotten the request by then and would store it once more.
type charger struct {
	c       *Client
	refunds chan charge // overflow: a charge that stands although nothing was stored, counted

	seed   maphash.Seed
	mu     sync.Mutex // protects memory
	memory *core.Charges
}

const (
	refundsMax     = 4096
	refundRestTime = time.Second // for a full queue of them, at a shutdown
)

func newCharger(c *Client) *charger {
	return &charger{c: c, refunds: make(chan charge, refundsMax), seed: maphash.MakeSeed(), memory: core.NewCharges(core.Cooldown{EveryMS: 0, Max: 1})}
}

// take charges every item that may be stored. Who has to wait is only asked about
// from then on.
func (g *charger) take(ctx context.Context, items []*item) {
	rule, err := g.c.rule(ctx)
	now := g.c.opts.NowMS()
	var asks []ask
	var of []*item
	for _, it := range items {
		switch {
		case it.out.Err != nil && it.out.Err.Code == core.CodeUnavailable:
			continue // as it is
		case err != nil:
			it.out.Err = unavailable(err)
		default:
			asks = append(asks, ask{
				user: it.p.User, request: it.p.Request, shard: uint8(it.p.Shard), rule: rule, nowMS: now,
				peek: it.out.Err != nil || it.asked != nil,
			})
			of = append(of, it)
		}
	}
	g.charge(ctx, asks)
	for i, it := range of {
		g.enter(it, &asks[i])
	}
}

// enter gives it what became of its charge.
func (g *charger) enter(it *item, a *ask) {
	it.charge = charge{rule: a.rule, user: a.user, began: a.began, allowance: a.allowance}
	if it.out.Err != nil {
		it.out.Allowance = a.allowance
		return
	}
	switch {
	case a.err != nil && it.asked == nil:
		it.out.Err = unavailable(a.err)
	case a.peek:
	case !a.granted:
		it.asked = a.allowance.Refusal(a.nowMS)
	case a.held:
		it.charge.id, it.charge.shared = a.id, a.shared
		if a.answered {
			it.charge.key = a.key
		}
	}
}

// refund takes the charge of it back, if it was charged: at once in memory, soon
// in Redis.
func (g *charger) refund(it *item) {
	ch := it.charge
	if ch.id == "" {
		return
	}
	it.charge.id = ""
	if !ch.shared {
		it.charge.allowance = refunded(ch.rule, ch.allowance)
		g.mu.Lock()
		g.memory.Refund(ch.user, g.remembered(ch.id))
		g.mu.Unlock()
	}
	if ch.key == "" {
		return
	}
	select {
	case g.refunds <- ch:
	default:
		g.c.stats.refundsDropped.Add(1)
	}
}

// refunded is a with one placement more.
func refunded(rule core.Cooldown, a core.Allowance) core.Allowance {
	a.Available++
	if a.Available >= rule.Max {
		return core.Allowance{Available: rule.Max, Max: rule.Max}
	}
	return a
}

// refundAll sends refunds until ctx ends.
func (g *charger) refundAll(ctx context.Context) {
	for {
		select {
		case ch := <-g.refunds:
			g.sendRefunds(ctx, ch)
		case <-ctx.Done():
			return
		}
	}
}

// refundRest sends what is left when the client is closed, while there is still a
// link. What there is no time for is counted as lost.
func (g *charger) refundRest() {
	ctx, cancel := context.WithTimeout(context.Background(), refundRestTime)
	defer cancel()
	for {
		select {
		case ch := <-g.refunds:
			g.sendRefunds(ctx, ch)
		default:
			return
		}
	}
}

func (g *charger) sendRefunds(ctx context.Context, first charge) {
	batch := []charge{first}
	for len(batch) < 64 {
		select {
		case ch := <-g.refunds:
			batch = append(batch, ch)
			continue
		default:
		}
		break
	}
	n, _ := g.giveBack(ctx, batch)
	g.c.stats.refunds.Add(int64(n))
	g.c.stats.refundsDropped.Add(int64(len(batch) - n))
}

// giveBack takes charges back in Redis and returns for how many that was answered.
func (g *charger) giveBack(ctx context.Context, batch []charge) (n int, err error) {
	err = g.run(ctx, func(ctx context.Context, r rueidis.Client) (failed error) {
		for _, m := range evalAll(ctx, r, len(batch), func(i int) eval {
			ch := &batch[i]
			if ch.rule.Max == 1 {
				return eval{giveBackScript, ch.key, []string{ch.id}}
			}
			return eval{refundScript, ch.key, []string{ch.id, decimal(ch.rule.EveryMS)}}
		}) {
			if err := m.Error(); err != nil {
				failed = err
			} else {
				n++
			}
		}
		return failed
	})
	return n, err
}

// run runs f with the limiter's Redis, behind its breaker.
func (g *charger) run(ctx context.Context, f func(context.Context, rueidis.Client) error) error {
	return g.c.limiterBreaker.run(func() error { return g.c.limiter.with(ctx, f) })
}

// An ask is one question to the limiter.
type ask struct {
	user    uint64
	request core.Request
	shard   uint8
	rule    core.Cooldown
	nowMS   int64
	peek    bool // only the allowance is asked for
	again   bool // it was asked before, without an answer

	key, id   string
	began     time.Time
	answered  bool
	granted   bool
	held      bool  // the charge can be given back
	shared    bool  // another one charged before
	tatMS     int64 // the arrival time after that, by our clock
	allowance core.Allowance
	err       error // Redis refused
}

// charge answers asks, in order.
func (g *charger) charge(ctx context.Context, asks []ask) {
	if len(asks) == 0 {
		return
	}
	rule := asks[0].rule
	if rule.EveryMS == 0 {
		for i := range asks {
			asks[i].granted, asks[i].began, asks[i].allowance = true, time.Now(), rule.Allowance(0, asks[i].nowMS)
		}
		return
	}
	for i := range asks {
		a := &asks[i]
		a.began, a.id, a.key = time.Now(), chargeID(a.request, a.shard), g.c.userKey(rule, a.user)
	}
	// A time-out is asked again with the same id: getting it back means granted.
	for try := range 2 {
		err := g.run(ctx, func(ctx context.Context, r rueidis.Client) error {
			var open []*ask
			for i := range asks {
				if !asks[i].answered {
					asks[i].again = try > 0
					open = append(open, &asks[i])
				}
			}
			if rule.Max == 1 {
				return g.askKeys(ctx, r, open)
			}
			return g.askScript(ctx, r, open)
		})
		if c := conclude(err); c == done || c == notSent || c == refused {
			break
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.c.opts.NowMS()
	if g.memory.Rule() != rule {
		g.memory.SetRule(rule, now)
	}
	g.memory.Turn(now)
	for i := range asks {
		g.remember(&asks[i])
	}
}

// remember notes a charge, or grants by memory what Redis did not answer.
func (g *charger) remember(a *ask) {
	if g.c.limiter == g.c.link && !a.answered && conclude(a.err) == refused {
		return // the shards lie there too, and would refuse
	}
	switch {
	case a.answered && a.held:
		g.memory.Put(a.user, core.Charge{TatMS: a.tatMS, Last: g.remembered(a.id)})
	case a.answered:
	case a.peek:
		a.allowance = g.memory.Allowance(a.user, a.nowMS)
	default:
		a.err = nil
		e, ok := g.memory.Get(a.user, a.nowMS)
		if ok && e.Last == g.remembered(a.id) && a.nowMS-e.TatMS+int64(a.rule.Max)*a.rule.EveryMS < core.ResendWindowMS {
			a.granted, a.allowance = true, a.rule.Allowance(e.TatMS, a.nowMS)
			return
		}
		a.allowance, _, a.granted = g.memory.Take(a.user, g.remembered(a.id), a.nowMS)
		if a.held = a.granted; a.granted {
			g.c.stats.failOpenGrant.Add(1)
		}
	}
}

// value is what a charge by key writes.
func (a *ask) value() string {
	b := binary.LittleEndian.AppendUint64([]byte(a.id), uint64(a.nowMS))
	return string(append(binary.LittleEndian.AppendUint64(b, uint64(a.rule.EveryMS)), 1))
}

// chargeBytes is the length of value.
const chargeBytes = chargeIDBytes + 17

// errGone says that a charge went between two steps; to ask again makes another.
var errGone = errors.New("the charge is gone")

// askKeys charges by one key a user. It returns the first error that is no refusal.
func (g *charger) askKeys(ctx context.Context, r rueidis.Client, asks []*ask) error {
	cmds := make(rueidis.Commands, len(asks))
	for i, a := range asks {
		if a.peek {
			cmds[i] = r.B().Get().Key(a.key).Build()
			continue
		}
		cmds[i] = r.B().Set().Key(a.key).Value(a.value()).Nx().Get().PxMilliseconds(a.rule.EveryMS).Build()
	}
	var failed error
	fails := func(a *ask, err error) {
		a.answered, a.granted, a.held, a.shared = false, false, false, false
		if a.err = err; failed == nil {
			failed = err
		}
	}
	var shared []*ask
	var shorter rueidis.Commands // keys of before the cooldown was changed
	for i, m := range r.DoMulti(ctx, cmds...) {
		a := asks[i]
		old, err := m.ToString()
		switch {
		case rueidis.IsRedisNil(err):
			a.answered, a.granted, a.held = true, true, !a.peek
			a.allowance = a.rule.Allowance(0, a.nowMS)
			if a.held {
				a.tatMS = a.nowMS + a.rule.EveryMS
				a.allowance = a.rule.Allowance(a.tatMS, a.nowMS)
			}
			a.err = nil
		case err != nil:
			fails(a, err)
		default:
			if changed := a.readKey(old); changed {
				shorter = append(shorter, r.B().Pexpire().Key(a.key).Milliseconds(a.tatMS-a.nowMS).Lt().Build())
			}
			if a.shared {
				shared = append(shared, a)
			}
		}
	}
	if len(shorter) > 0 {
		r.DoMulti(ctx, shorter...) // whoever asks next tries again
	}
	if len(shared) == 0 {
		return failed
	}
	for i, m := range evalAll(ctx, r, len(shared), func(i int) eval { return eval{holdChargeScript, shared[i].key, []string{shared[i].id}} }) {
		held, err := m.AsInt64()
		if err == nil && held == 0 {
			err = errGone
		}
		if err != nil {
			fails(shared[i], err)
		}
	}
	return failed
}

// readKey reads what lies under the key of a user who was charged before. It reports
// whether that is of another cooldown than the present one.
func (a *ask) readKey(old string) (changed bool) {
	var at, every int64
	a.tatMS = a.nowMS + a.rule.EveryMS
	if len(old) == chargeBytes {
		at, every = int64(uint64At(old, chargeIDBytes)), int64(uint64At(old, chargeIDBytes+8))
		// at may be of a clock that is ahead of ours, or behind.
		a.tatMS = min(max(at+min(every, a.rule.EveryMS), a.nowMS+1), a.tatMS)
	}
	a.answered, a.err = true, nil
	a.granted = !a.peek && len(old) == chargeBytes && old[:chargeIDBytes] == a.id && a.nowMS-at < core.ResendWindowMS
	a.held, a.shared = a.granted, a.granted && !(a.again && at == a.nowMS) // then the try without an answer has charged
	a.allowance = a.rule.Allowance(a.tatMS, a.nowMS)
	return every != a.rule.EveryMS
}

// askScript charges by the arrival time of each user.
func (g *charger) askScript(ctx context.Context, r rueidis.Client, asks []*ask) error {
	var failed error
	for i, m := range evalAll(ctx, r, len(asks), func(i int) eval {
		a := asks[i]
		id := a.id
		if a.peek {
			id = ""
		}
		again := "0"
		if a.again {
			again = "1"
		}
		return eval{takeScript, a.key, []string{id, decimal(a.rule.EveryMS), decimal(int64(a.rule.Max)), decimal(a.nowMS), decimal(int64(core.ResendWindowMS)), again}}
	}) {
		a := asks[i]
		got, err := m.AsIntSlice()
		if err != nil || len(got) != 2 {
			if a.err = err; failed == nil {
				failed = err
			}
			continue
		}
		a.answered, a.err = true, nil
		a.granted, a.held, a.shared, a.tatMS = got[0] != 0, got[0] != 0, got[0] == 2, a.nowMS+got[1]
		a.allowance = a.rule.Allowance(a.tatMS, a.nowMS)
	}
	return failed
}
