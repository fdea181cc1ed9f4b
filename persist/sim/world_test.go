// Package sim holds no code but tests: the production code of relays, archive,
// snapshots, failover and the consumer rule, driven through the ports by a seed.
//
//	seed -> world -> relays, workers, edges -> hook at every call of a port -> models of the stores
//
// Each run lives in a bubble of its own time. At every call the seed decides
// whether it works, fails before or after its effect, is held, lands long after
// its caller gave up, or is the last thing that its process did. Then the faults
// stop, and everything must come to one canvas without having lost anything.
//
// A seed repeats, but for the rare timers that end in the same nanosecond. Edges
// place as persist/redis does, by a few lines of this package's own: that adapter
// is not behind a port.
package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"pixelwall/core"
	"pixelwall/core/coretest"
	"pixelwall/persist"
)

// A world is one run.
type world struct {
	seed    uint64
	rates   rates
	plant   plant // what is broken on purpose
	config  core.Config
	grows   bool // with the first change of the configuration
	alone   bool // no topic and no archive: the streams are the log
	empties bool // the topic is emptied now and then, and no other store loses anything

	outbox  *coretest.MemoryOutbox
	topic   *coretest.MemoryTopic
	archive *coretest.MemoryArchive

	ctx  context.Context
	end  context.CancelFunc
	work sync.WaitGroup

	mu       sync.Mutex // protects following
	calm     bool       // no faults any more
	away     map[string]time.Time
	lost     map[spot]bool       // undone by the outbox's server, acknowledged or not
	settled  map[spot]bool       // told to be stored under a later epoch than their own
	lives    map[string]*process // by name
	acks     map[spot]core.Event // what an edge was told to be stored
	said     []ack               // the same in order
	edges    []*edge
	problems []string
	felt     map[string]int
}

// A spot is a place in the order.
type spot struct {
	shard core.ShardID
	seq   uint64
}

// An ack is a placement that an edge was told to be stored.
type ack struct {
	shard core.ShardID
	seq   uint64
	event core.Event
}

// rates are how often what happens in a run. Each run has its own mixture, so that
// rare faults also meet runs in which nothing else fails.
type rates struct {
	before, after, late, held, crash, pause float64 // of each call
	cut, restart, lose, failover, flush     float64 // of each second
	node, configure, back, empty            float64
}

func mixture(r *rand.Rand) rates {
	some := func(high float64) float64 {
		switch r.IntN(4) {
		case 0:
			return 0
		case 1:
			return high
		default:
			return high * r.Float64() / 4
		}
	}
	return rates{
		before: some(0.05), after: some(0.05), late: some(0.04), held: some(0.03), crash: some(0.02), pause: some(0.004),
		cut: some(0.3), restart: some(0.3), lose: some(0.3), failover: some(0.2), flush: some(0.1),
		node: some(0.3), configure: some(0.2), back: some(0.3),
	}
}

const (
	stormFor  = 25 * time.Second // of the bubble
	settleFor = 4 * time.Minute  // until everything must agree
	syncMS    = 2000             // the archive's
)

func newWorld(seed uint64, p plant) *world {
	r := rand.New(rand.NewPCG(seed, 1))
	palette, _ := core.NamedPalette("place2017")
	w := &world{
		seed: seed, plant: p, rates: mixture(r),
		config: core.Config{Version: 1, Width: 16, Height: 8, Bits: 4, Palette: palette[:12:12], BurstMax: 1},
		away:   make(map[string]time.Time), lost: make(map[spot]bool), settled: make(map[spot]bool), lives: make(map[string]*process),
		acks: make(map[spot]core.Event), felt: make(map[string]int),
	}
	if r.IntN(3) == 0 {
		w.config.Width = core.ShardSide + 8
	}
	if r.IntN(8) == 0 {
		w.rates = rates{} // a run in which nothing fails
	}
	w.grows = r.IntN(4) == 0 && p.name == ""
	w.alone = r.IntN(5) == 0 && p.name == "" || p.alone
	if w.empties = r.IntN(6) == 0 && p.name == "" && !w.alone && !w.grows; w.empties {
		w.rates.empty = 0.2
		w.rates.late = 0 // what was under way to the old one does not come to the new one
		w.rates.lose, w.rates.failover, w.rates.flush, w.rates.back, w.rates.node = 0, 0, 0, 0, 0
	}
	if p.weather != nil {
		p.weather(&w.rates)
	}
	w.outbox = coretest.NewMemoryOutbox(nowMS)
	w.outbox.Err(p.mistake)
	w.topic = coretest.NewMemoryTopic(r.IntN(4))
	w.archive = coretest.NewMemoryArchive(nowMS, syncMS)
	w.ctx, w.end = context.WithCancel(context.Background())
	return w
}

func nowMS() int64 { return time.Now().UnixMilli() }

// storm lets everything run with faults for a while, and then without.
func (w *world) storm() {
	w.startActors()
	w.work.Go(w.weather)
	_ = persist.Pause(w.ctx, stormFor)
	w.mu.Lock()
	w.calm = true
	w.away = make(map[string]time.Time)
	w.mu.Unlock()
	w.settle()
	if *verbose {
		w.dump()
	}
	w.end()
	w.work.Wait()
	synctest.Wait()
}

// weather is what happens to the stores themselves.
func (w *world) weather() {
	r := rand.New(rand.NewPCG(w.seed, 2))
	const every = 100 * time.Millisecond
	happens := func(rate float64) bool { return r.Float64() < rate*every.Seconds() }
	_ = persist.Pause(w.ctx, 500*time.Millisecond)
	for persist.Pause(w.ctx, every+time.Duration(r.IntN(1e6))) == nil && !w.isCalm() {
		for _, service := range []string{"outbox", "topic", "archive"} {
			if happens(w.rates.cut) {
				w.cut(service, time.Duration(r.ExpFloat64()*float64(3*time.Second)))
			}
		}
		switch {
		case happens(w.rates.restart):
			w.note("restart")
			w.outbox.Restart()
		case happens(w.rates.lose):
			w.forget("lose", w.outbox.Lose(1+r.IntN(20)))
		case happens(w.rates.failover):
			w.forget("failover", w.outbox.Failover(r.IntN(12)))
		case happens(w.rates.flush):
			w.forget("flush", w.outbox.Flush())
		case happens(w.rates.back):
			if lost, done := w.outbox.Return(); done {
				w.forget("back", lost)
			}
		case happens(w.rates.empty):
			w.empty()
		}
		if happens(w.rates.node) {
			w.note("node")
			w.archive.KillNode(func() bool { return r.IntN(3) == 0 })
		}
	}
}

// empty loses the topic, and the relays with it: the next ones know what snapshots
// tell them. Without any that would be nothing at all.
func (w *world) empty() {
	s, err := w.archive.As(nil).Latest(w.ctx)
	if err != nil {
		return
	}
	for _, shard := range w.shards() {
		// A claim that went no further would be known of by those alone who have read it.
		epoch := w.outbox.Stand(shard).Epoch
		if s.Heads[shard] == 0 || slices.ContainsFunc(w.topic.Records(shard), func(r *core.Record) bool { return r.Epoch > epoch }) {
			return
		}
	}
	w.note("empty")
	w.topic.Empty()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.lives {
		if is(p, "relay") {
			p.kill()
		}
	}
}

func (w *world) cut(service string, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.felt["cut "+service]++
	w.away[service] = time.Now().Add(d)
}

// forget notes what a server lost. It may be in the topic all the same.
func (w *world) forget(what string, lost []core.PastEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.felt[what]++
	for _, e := range lost {
		w.lost[spot{e.Shard, e.Seq}] = true
	}
}

func (w *world) isCalm() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calm
}

// note counts something that the run has seen.
func (w *world) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.felt[what]++
}

func (w *world) count(what string, n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.felt[what] += int(n)
}

// wrong notes a broken promise.
func (w *world) wrong(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.problems) < 12 {
		w.problems = append(w.problems, fmt.Sprintf(format, args...))
	}
}
