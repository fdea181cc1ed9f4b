package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/loadtest/client"
	"pixelwall/wire"
)

const (
	side   = 1024
	shards = 4 // of a canvas of that side
	colors = 16
)

// A fate is what became of a stroke.
type fate uint8

const (
	unknown fate = iota // never answered: it may have been stored
	unsent
	placed
	refused
)

// A stroke is one placement of a painter. Its number is its place in the list,
// from 1.
type stroke struct {
	shard  uint8
	offset uint32
	color  uint8
	sent   int64 // unix ms, before it was
	fate   fate
	seq    uint64
	code   uint8 // of a refusal
	at     time.Time
	denied int64 // unix ms, when it was last said to be surely not stored; 0 never
}

// A painter is one user who paints at random.
type painter struct {
	l        *load
	p        *client.Painter
	instance uint64
	edge     int // where it begins
	ran      chan error

	mu      sync.Mutex // protects strokes
	strokes []stroke
}

// A load is many clients of a wall, and what they were told.
type load struct {
	t        *testing.T
	w        *wall
	every    time.Duration // between two strokes of a painter
	feed     context.Context
	stopFeed context.CancelFunc
	ctx      context.Context
	cancel   context.CancelFunc
	parts    sync.WaitGroup

	servers  []*client.Server
	painters []*painter
	watchers []*watcher
	extra    []*painter // told by hand, see judge

	resting        atomic.Bool // nobody paints for a while
	acked, retried atomic.Int64
	mu             sync.Mutex // protects following
	samples        []int64    // acknowledged, every 100 ms
	atFaultMin     float64
	notes          []string
}

// A watcher is somebody who only looks.
type watcher struct {
	*client.Watcher
	edge int
	ran  chan error

	mu   sync.Mutex // protects seen
	seen []client.Seen
}

// newLoad connects painters and watchers to all gateways of w.
func newLoad(w *wall) *load {
	w.t.Helper()
	l := &load{t: w.t, w: w}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.feed, l.stopFeed = context.WithCancel(l.ctx)
	for _, p := range w.gateways() {
		s, err := client.NewServer("ws://" + p.addr + "/ws")
		if err != nil {
			w.t.Fatal(err)
		}
		l.servers = append(l.servers, s)
	}
	// Without a cooldown few users paint as quickly as one connection may; with one,
	// each tries a little too soon now and then.
	n := 64
	l.every = 70 * time.Millisecond
	if cd := w.layout.cooldown; cd > 0 {
		n, l.every = max(n, int(750*cd/time.Second)), max(l.every, cd)
	}
	l.addPainters(n)
	l.addWatchers(3 * len(l.servers))
	l.parts.Go(l.sample)
	return l
}

func (l *load) addPainters(n int) {
	l.t.Helper()
	first := len(l.painters)
	added := make([]*painter, n)
	var connect sync.WaitGroup
	errs := make(chan error, n)
	slots := make(chan struct{}, 16)
	for i := range n {
		k := first + i
		at := k % len(l.servers)
		pt := &painter{l: l, edge: at, instance: l.w.rnd.Uint64(), ran: make(chan error, 1)}
		pt.p = client.NewPainter(client.PainterOptions{
			Servers: client.Rotated(l.servers, at), N: k, Instance: pt.instance, Reconnect: true,
			Placed: pt.placed, Refused: pt.refused, Retried: pt.retried,
		})
		added[i] = pt
		connect.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			token, err := l.servers[at].Session(l.ctx)
			if err == nil {
				_, err = pt.p.Connect(l.ctx, token)
			}
			if err != nil {
				errs <- err
			}
		})
	}
	connect.Wait()
	select {
	case err := <-errs:
		l.t.Fatalf("a painter cannot connect: %v", err)
	default:
	}
	for i, pt := range added {
		rnd := rand.New(rand.NewPCG(l.w.seed, uint64(first+i+1)))
		l.parts.Go(func() { pt.ran <- pt.p.Run(l.ctx) })
		l.parts.Go(func() { pt.paint(rnd) })
	}
	l.painters = append(l.painters, added...)
}

// addWatchers adds n watchers, spread over the edges.
func (l *load) addWatchers(n int) []*watcher {
	l.t.Helper()
	decoder := &client.Decoder{}
	var start *client.Canvas
	within(l.t, 20*time.Second, "a canvas", func() (ok bool) {
		var err error
		start, err = l.servers[0].Canvas(l.ctx)
		return err == nil
	})
	for range n {
		k := len(l.watchers)
		wt := &watcher{edge: k % len(l.servers), ran: make(chan error, 1)}
		wt.Watcher = client.NewWatcher(client.WatcherOptions{
			Servers: client.Rotated(l.servers, k), Decoder: decoder, N: k, Instance: l.w.rnd.Uint64(), Capabilities: wire.CanRange, Reconnect: true,
			Seen: func(s client.Seen) {
				wt.mu.Lock()
				wt.seen = append(wt.seen, s)
				wt.mu.Unlock()
			},
		}, start)
		l.watchers = append(l.watchers, wt)
		l.parts.Go(func() { wt.ran <- wt.Run(l.ctx) })
	}
	return l.watchers[len(l.watchers)-n:]
}

// paint feeds the painter until the load is stopped.
func (pt *painter) paint(rnd *rand.Rand) {
	defer pt.p.Finish()
	l := pt.l
	next := time.Now().Add(time.Duration(rnd.Int64N(int64(l.every))))
	for {
		if client.Pause(l.feed, time.Until(next)) != nil {
			return
		}
		if l.resting.Load() {
			next = time.Now().Add(l.every)
			continue
		}
		x, y := rnd.IntN(side), rnd.IntN(side)
		if rnd.IntN(3) == 0 {
			x, y = side/2-8+rnd.IntN(16), side/2-8+rnd.IntN(16) // where four shards meet
		}
		s := stroke{shard: uint8(x/512 | y/512<<1), offset: uint32(y%512*512 + x%512), color: uint8(rnd.IntN(colors)), sent: time.Now().UnixMilli()}
		pt.mu.Lock()
		pt.strokes = append(pt.strokes, s)
		n := len(pt.strokes)
		pt.mu.Unlock()
		if pt.p.Paint(l.feed, client.Job{ID: int32(n), X: uint16(x), Y: uint16(y), Color: s.color}) != nil {
			pt.mu.Lock()
			pt.strokes[n-1].fate = unsent
			pt.mu.Unlock()
			return
		}
		wait := l.every * time.Duration(98+rnd.IntN(14)) / 100 // now and then too soon for a cooldown
		if next = next.Add(wait); time.Since(next) > wait {    // it was held up; a crowd does not catch up
			next = time.Now()
		}
	}
}

func (pt *painter) placed(id int32, p wire.Placed) {
	pt.l.acked.Add(1)
	pt.mu.Lock()
	defer pt.mu.Unlock()
	s := &pt.strokes[id-1]
	s.fate, s.seq, s.at = placed, p.Seq, time.Now()
	if s.shard != p.Shard {
		pt.l.t.Errorf("a placement in shard %d was answered for shard %d", s.shard, p.Shard)
	}
}

func (pt *painter) refused(id int32, r wire.Refusal) {
	pt.mu.Lock()
	defer pt.mu.Unlock()
	s := &pt.strokes[id-1]
	s.fate, s.code, s.at = refused, r.Code, time.Now()
}

func (pt *painter) retried(id int32, _ wire.Refusal, sure bool) {
	pt.l.retried.Add(1)
	if sure {
		pt.mu.Lock()
		defer pt.mu.Unlock()
		pt.strokes[id-1].denied = time.Now().UnixMilli()
	}
}

// sample keeps how many placements were acknowledged, ten times a second.
func (l *load) sample() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-tick.C:
			l.mu.Lock()
			l.samples = append(l.samples, l.acked.Load())
			l.mu.Unlock()
		}
	}
}

// rate returns the acknowledged placements of the last second.
func (l *load) rate() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.samples)
	if n < 11 {
		return 0
	}
	return float64(l.samples[n-1] - l.samples[n-11])
}

// atFault notes the load under which a fault came.
func (l *load) atFault(rate float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.atFaultMin == 0 || rate < l.atFaultMin {
		l.atFaultMin = rate
	}
}

// note adds to the line that is printed about the fault.
func (l *load) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notes = append(l.notes, fmt.Sprintf(format, args...))
}

func (l *load) noted() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.notes, " ")
}

// reconnects returns how often painters had to connect again.
func (l *load) reconnects() (n int64) {
	for _, pt := range l.painters {
		n += pt.p.Reconnects.Load()
	}
	for _, wt := range l.watchers {
		n += wt.Reconnects.Load()
	}
	return n
}

// resyncs returns the most that one watcher was told to fetch, in shards.
func (l *load) resyncs() (most int64) {
	for _, wt := range l.watchers {
		most = max(most, wt.Resyncs.Load())
	}
	return most
}

// pauseLoad lets nobody paint for a while, and returns the last seqs when all that
// was sent is answered.
func (w *wall) pauseLoad() core.Heads {
	w.t.Helper()
	w.load.resting.Store(true)
	return w.rest()
}

func (l *load) resume() { l.resting.Store(false) }

// stop lets the painters end, and waits until each has an answer to everything.
func (l *load) stop() {
	l.t.Helper()
	l.stopFeed()
	end := time.After(90 * time.Second)
	for _, pt := range l.painters {
		select {
		case err := <-pt.ran:
			if err != nil {
				l.t.Errorf("a painter ended: %v", err)
			}
		case <-end:
			l.t.Error("a painter waits for an answer 90 s after the last fault")
			return
		}
	}
}
