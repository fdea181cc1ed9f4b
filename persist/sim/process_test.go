package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"pixelwall/core"
	"pixelwall/core/coretest"
	"pixelwall/persist"
)

// A process is one life of a relay, a worker or an edge: what it has in memory
// ends with it.
type process struct {
	w    *world
	name string
	life uint64
	ctx  context.Context
	kill context.CancelFunc

	mu     sync.Mutex // protects following
	calls  map[coretest.Call]uint64
	asleep time.Time // until then nothing leaves the process
}

var (
	errFailed  = errors.New("the simulation: the call failed")
	errAway    = errors.New("the simulation: the service is away")
	errCrashed = errors.New("the simulation: the process was killed")
)

// processes runs lives of an actor, one after the other, until the world ends.
func (w *world) processes(name string, run func(*process)) {
	w.work.Go(func() {
		r := rand.New(rand.NewPCG(w.seed, number(name)))
		for life := uint64(1); w.ctx.Err() == nil; life++ {
			p := &process{w: w, name: name, life: life, calls: make(map[coretest.Call]uint64)}
			p.ctx, p.kill = context.WithCancel(w.ctx)
			w.mu.Lock()
			w.lives[name] = p
			w.mu.Unlock()
			run(p)
			p.kill()
			_ = persist.Pause(w.ctx, time.Duration(r.ExpFloat64()*float64(time.Second))+1)
		}
	})
}

// number makes a name a number, the same in every program.
func number(name string) uint64 {
	h := uint64(14695981039346656037)
	for _, b := range []byte(name) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return h
}

// id returns a number that names this life of this process alone, for what.
func (p *process) id(what string) uint64 {
	return number(fmt.Sprint(p.w.seed, p.name, p.life, what)) | 1
}

// dice returns the chances of one call, which depend on nothing but the seed and
// on which call of its process it is.
func (p *process) dice(c coretest.Call) *rand.Rand {
	p.mu.Lock()
	p.calls[c]++
	n := p.calls[c]
	p.mu.Unlock()
	at := number(p.name+c.Port+c.Method) + p.life*0x9e3779b97f4a7c15 + uint64(c.Shard)<<40 + n*0xd1342543de82ef95
	return rand.New(rand.NewPCG(p.w.seed, at))
}

// hook is what stands between the process and every port.
func (p *process) hook(ctx context.Context, c coretest.Call, effect func() error) error {
	if !*verbose {
		return p.decide(ctx, c, effect)
	}
	err := p.decide(ctx, c, func() error {
		err := effect()
		p.logger().Info("effect", "port", c.Port, "method", c.Method, "of", c.Shard, "err", err)
		return err
	})
	p.logger().Info("call", "port", c.Port, "method", c.Method, "of", c.Shard, "err", err)
	return err
}

func (p *process) decide(ctx context.Context, c coretest.Call, effect func() error) error {
	r := p.dice(c)
	if err := p.travel(ctx, r); err != nil {
		return err
	}
	if until, away := p.w.isAway(c.Port); away {
		if r.IntN(2) == 0 { // no answer instead of a refusal
			_ = persist.Pause(ctx, min(time.Until(until), time.Second))
		}
		return errAway
	}
	if p.w.isCalm() {
		return effect()
	}
	return p.fate(ctx, c, effect, r)
}

// travel is the way there. A call of a dead process never arrives; one of a
// process that is asleep leaves when it wakes.
func (p *process) travel(ctx context.Context, r *rand.Rand) error {
	_ = persist.Pause(ctx, time.Duration(100_000+r.IntN(2_900_000)))
	for {
		p.mu.Lock()
		asleep := time.Until(p.asleep)
		p.mu.Unlock()
		if asleep <= 0 || p.ctx.Err() != nil {
			break
		}
		_ = persist.Pause(p.ctx, asleep)
	}
	if p.ctx.Err() != nil {
		return errCrashed
	}
	return ctx.Err()
}

// fate decides what becomes of a call that has arrived.
func (p *process) fate(ctx context.Context, c coretest.Call, effect func() error, r *rand.Rand) error {
	rates, more := p.w.rates, 1.0
	switch c.Method {
	case "Fence", "Rebuild", "Recall", "Arm": // rare, and each step counts
		more = 4
	}
	u := r.Float64()
	chance := func(rate float64) bool {
		u -= rate * more
		return u < 0 && u+rate*more >= 0
	}
	later := time.Duration(r.ExpFloat64() * float64(2*time.Second))
	switch {
	case chance(rates.before):
		p.w.note("failed before")
		return errFailed
	case chance(rates.after):
		p.w.note("failed after")
		_ = effect()
		return errFailed
	case chance(rates.late) && c.Write:
		p.w.late(c, effect, later)
		return errFailed
	case chance(rates.held):
		p.w.note("held")
		_ = persist.Pause(p.ctx, later) // beyond its own deadline, too
		if p.ctx.Err() != nil {
			return errCrashed
		}
		return effect()
	case chance(rates.crash):
		p.w.note("crashed")
		if r.IntN(2) == 0 {
			_ = effect()
		}
		p.kill()
		return errCrashed
	case chance(rates.pause):
		p.w.note("paused")
		p.mu.Lock()
		p.asleep = time.Now().Add(time.Duration(r.ExpFloat64() * float64(6*time.Second)))
		p.mu.Unlock()
		return p.decide(ctx, c, effect)
	}
	return effect()
}

// late lets effect happen long after its caller gave up.
func (w *world) late(c coretest.Call, effect func() error, d time.Duration) {
	w.note("late " + c.Method)
	w.work.Go(func() {
		if persist.Pause(w.ctx, d) == nil {
			_ = effect()
		}
	})
}

func (w *world) isAway(port string) (until time.Time, away bool) {
	switch port {
	case "leases":
		port = "outbox"
	case "snapshots":
		port = "archive"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	until = w.away[port]
	return until, time.Now().Before(until)
}

// twice makes every now and then a call of a Topic twice, as producers do.
type twice struct {
	core.Topic
	p *process
}

func (t twice) Append(ctx context.Context, rs []*core.Record) error {
	if err := t.Topic.Append(ctx, rs); err != nil {
		return err
	}
	if !t.p.w.isCalm() && t.p.dice(coretest.Call{Port: "twice", Shard: rs[0].Shard}).Float64() < t.p.w.rates.after {
		t.p.w.note("twice")
		return t.Topic.Append(ctx, rs)
	}
	return nil
}
