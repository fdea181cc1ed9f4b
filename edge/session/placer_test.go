package session

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/edge/gateway"
	"pixelwall/wire"
)

// A slowSequencer stores what it is given when the gate of its shard is open. A call
// that is given up before fails.
type slowSequencer struct {
	gates [core.ShardsMax]chan struct{}
	lost  func(core.Request) bool // requests whose outcome gets lost; nil: none
	fails error                   // what every call ends with

	mu    sync.Mutex
	heads core.Heads
	order []core.Placement
	calls []int // placements of each call
}

func newSlowSequencer(shut ...core.ShardID) *slowSequencer {
	q := &slowSequencer{}
	for s := range q.gates {
		q.gates[s] = make(chan struct{})
	}
	for s := range q.gates {
		closed := false
		for _, k := range shut {
			closed = closed || core.ShardID(s) == k
		}
		if !closed {
			close(q.gates[s])
		}
	}
	return q
}

func (q *slowSequencer) Place(ctx context.Context, ps []core.Placement, out []core.Outcome) error {
	q.mu.Lock()
	q.calls = append(q.calls, len(ps))
	q.mu.Unlock()
	for i, p := range ps {
		select {
		case <-q.gates[p.Shard]:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		q.mu.Lock()
		q.heads[p.Shard]++
		out[i] = core.Outcome{Shard: p.Shard, Seq: q.heads[p.Shard], TimeMS: 1}
		if q.lost != nil && q.lost(p.Request) {
			out[i] = core.Outcome{Unknown: true, Err: core.NewError(core.CodeUnavailable, "no answer")}
		}
		q.order = append(q.order, p)
		q.mu.Unlock()
	}
	return q.fails
}

func (q *slowSequencer) Configure(context.Context, core.Config) error { return nil }

func (q *slowSequencer) sizes() []int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]int(nil), q.calls...)
}

type noCooldowns struct{ core.Cooldowns }

func (noCooldowns) Allowance(context.Context, uint64, int64) (core.Allowance, error) {
	return core.Allowance{}, nil
}

func TestASlowShardHoldsUpNobodyElse(t *testing.T) {
	q := newSlowSequencer(2)
	k := newTalk(t, q, func(o *Options) { o.Lanes = 4 })
	for number := uint32(1); number <= 30; number += 3 {
		k.place(number, 2)
		k.place(number+1, 0)
		k.place(number+2, 3)
	}
	last := map[uint8]uint64{}
	for range 20 {
		p := k.placed()
		if p.Shard == 2 || p.Seq != last[p.Shard]+1 {
			t.Fatalf("%+v after %v", p, last)
		}
		last[p.Shard] = p.Seq
	}
	close(q.gates[2])
	for i := range uint64(10) {
		if p := k.placed(); p.Shard != 2 || p.Seq != i+1 || p.Number != uint32(1+3*i) {
			t.Fatalf("%+v as answer %d of the slow shard", p, i)
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	numbers := map[core.ShardID]uint32{}
	for _, p := range q.order {
		if p.Request.Number < numbers[p.Shard] {
			t.Fatalf("shard %d: number %d after %d", p.Shard, p.Request.Number, numbers[p.Shard])
		}
		numbers[p.Shard] = p.Request.Number
	}
}

// One of whose placements nobody knows the outcome is not told that it was refused:
// it hears of those that are known, and has to come again. Others of the call stay.
func TestAnUnknownOutcomeHasNoAnswer(t *testing.T) {
	q := newSlowSequencer(0)
	q.lost = func(r core.Request) bool { return r.Instance == 3^7 && (r.Number == 2 || r.Number == 4) }
	a := newTalk(t, q, func(o *Options) { o.Verify = painters() })
	b := a.with(4)
	a.place(1, 0) // a call that holds up the next one
	a.eventually("a call", func() bool { return len(q.sizes()) == 1 })
	for number := uint32(2); number <= 5; number++ {
		a.place(number, 1)
		b.place(number, 1)
	}
	a.eventually("one call of all", func() bool {
		l := a.srv.placer.lanes[0]
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.asked) == 8
	})
	close(q.gates[0])
	for _, number := range []uint32{1, 3, 5} {
		if p := a.placed(); p.Number != number {
			t.Errorf("%+v, want the answer to %d", p, number)
		}
	}
	a.leaves()
	for number := uint32(2); number <= 5; number++ {
		if p := b.placed(); p.Number != number {
			t.Errorf("%+v, want the answer to %d", p, number)
		}
	}
	b.place(6, 1)
	b.placed()
	if n := a.srv.Stats().Results["unknown"]; n != 2 {
		t.Errorf("%d outcomes are counted as unknown", n)
	}
}

func TestACallThatFailsIsUnknown(t *testing.T) {
	q := newSlowSequencer()
	q.fails = core.NewError(core.CodeUnavailable, "the store has stopped")
	k := newTalk(t, q, func(*Options) {})
	k.place(1, 0)
	k.leaves()
}

// A sequencer that hangs holds up the end no longer than until it is given up. What it
// was given, and what waited behind that, is then unknown and not refused.
func TestASequencerThatHangsIsGivenUp(t *testing.T) {
	q := newSlowSequencer(0)
	k := newTalk(t, q, func(*Options) {})
	k.place(1, 0)
	k.eventually("a call", func() bool { return len(q.sizes()) == 1 })
	k.place(2, 0)
	k.eventually("one waiting", func() bool {
		l := k.srv.placer.lanes[0]
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.asked) == 1
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		k.stop()
	}()
	select {
	case <-ended:
		t.Error("what was under way was not waited for")
	case <-time.After(50 * time.Millisecond):
	}
	k.srv.GiveUp()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		close(q.gates[0])
		t.Fatal("the end waits for a sequencer that hangs")
	}
	k.leaves()
	for result, n := range k.srv.Stats().Results {
		if want := map[string]int64{"unknown": 2}[result]; n != want {
			t.Errorf("%d placements are counted as %s, want %d", n, result, want)
		}
	}
}

func TestWhateverRefusesAPlacementIsCounted(t *testing.T) {
	q := newSlowSequencer(0)
	defer close(q.gates[0])
	k := newTalk(t, q, func(*Options) {})
	refused := func(k *talk, number uint32, want core.Code) {
		t.Helper()
		r, err := wire.ParseRefusal(k.hear(wire.TypeError))
		if err != nil || r.Number != number || core.Code(r.Code) != want {
			t.Fatalf("%+v, %v; want %v of %d", r, err, want, number)
		}
		if n := k.srv.Stats().Results[want.String()]; n != 1 {
			t.Errorf("%d placements count as %v, want 1", n, want)
		}
	}
	watcher := k.dial(wire.Hello{Version: wire.Version, Instance: 4})
	watcher.hear(wire.TypeInit)
	watcher.place(1, 1)
	refused(watcher, 1, core.CodeUnauthorized)
	k.say(wire.Place{Number: 1, X: 2000})
	refused(k, 1, core.CodeOutOfCanvas)
	k.say(wire.Place{Number: 1, Color: 200})
	refused(k, 1, core.CodeUnknownColor)

	for number := range uint32(unansweredMax + 1) {
		k.place(number+1, 0)
	}
	refused(k, unansweredMax+1, core.CodeTooMany)
	full := k.with(5)
	filled := make(chan struct{}, 3) // connections
	k.gw.Each(func(c *gateway.Conn) {
		cl := c.Data.(*client)
		for cl.user != nil && k.srv.placer.add(cl, core.Placement{}) {
		}
		filled <- struct{}{}
	})
	<-filled
	full.place(1, 1)
	refused(full, 1, core.CodeUnavailable)
	k.srv.Drain()
	full.place(2, 1)
	refused(full, 2, core.CodeDraining)

	if refusedWith(core.CodeMalformed) != refusedWith(core.CodeInternal) {
		t.Error("a code that no placement has is not counted as a fault of ours")
	}
}

// painters is a Verify for which each token is another user.
func painters() func(string) (User, error) {
	var n atomic.Uint64
	return func(string) (User, error) { return User{ID: 6 + n.Add(1)}, nil }
}

func TestAFewPlacementsWaitForMore(t *testing.T) {
	q := newSlowSequencer()
	k := newTalk(t, q, func(o *Options) { o.Lanes, o.Gather = 2, time.Hour })
	for number := range uint32(gatherMax - 1) {
		k.place(number+1, 1)
	}
	k.eventually("all but one waiting", func() bool {
		l := k.srv.placer.lanes[1]
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.asked) == gatherMax-1
	})
	if got := q.sizes(); len(got) != 0 {
		t.Fatalf("calls of %v before there were enough", got)
	}
	k.place(gatherMax, 1)
	for range gatherMax {
		k.placed()
	}
	if got := q.sizes(); len(got) != 1 || got[0] != gatherMax {
		t.Fatalf("calls of %v, want one of %d", got, gatherMax)
	}
	k.place(gatherMax+1, 0)
	k.eventually("one waiting", func() bool {
		l := k.srv.placer.lanes[0]
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.asked) == 1
	})
	k.stop() // what waits is placed at once
	if p := k.placed(); p.Number != gatherMax+1 {
		t.Fatalf("%+v", p)
	}
}

func TestAGatherEndsByItself(t *testing.T) {
	q := newSlowSequencer()
	k := newTalk(t, q, func(o *Options) { o.Gather = 5 * time.Millisecond })
	for number := range uint32(3) {
		k.place(number+1, 1)
		k.placed()
	}
}

func TestABusyLaneLeavesRoomInTheOthers(t *testing.T) {
	var p placer
	p.init(&Server{opt: Options{Lanes: 4}})
	fill := func(s core.ShardID) (n int) {
		for p.add(nil, core.Placement{Shard: s}) {
			n++
		}
		return n
	}
	const own, spare = placementsMax / 8, placementsMax / 2
	for s, want := range []int{own + spare, own, own, own} {
		if got := fill(core.ShardID(s)); got != want {
			t.Errorf("lane %d takes %d, want %d", s, got, want)
		}
	}
	p = placer{}
	p.init(&Server{opt: Options{}})
	if got := fill(9); got != placementsMax {
		t.Errorf("a single lane takes %d, want %d", got, placementsMax)
	}
}

// A queue that has grown to its size takes placements without memory of its own.
func TestAPlacementThatWaitsAllocatesNothing(t *testing.T) {
	var p placer
	p.init(&Server{opt: Options{Lanes: 4, Gather: time.Hour}})
	l := p.lanes[1]
	l.asked, l.askers = make([]core.Placement, 0, 256), make([]*client, 0, 256)
	if n := testing.AllocsPerRun(100, func() {
		for range 200 {
			p.add(nil, core.Placement{Shard: 1})
		}
		l.asked, l.askers = l.asked[:0], l.askers[:0]
	}); n != 0 {
		t.Errorf("%v allocations for 200 placements", n)
	}
}

// togetherCooldowns answers when two ask at once, as soon as together is set.
type togetherCooldowns struct {
	noCooldowns
	together atomic.Bool
	asked    chan struct{}
}

func (c *togetherCooldowns) Allowance(ctx context.Context, _ uint64, _ int64) (core.Allowance, error) {
	if c.together.Load() {
		select {
		case c.asked <- struct{}{}:
		case <-c.asked:
		case <-ctx.Done():
		}
	}
	return core.Allowance{Available: 1, Max: 1}, nil
}

// A store that is far away would else greet a crowd one by one.
func TestAllowancesAreAskedForAtOnce(t *testing.T) {
	c := &togetherCooldowns{asked: make(chan struct{})}
	k := newTalk(t, newSlowSequencer(), func(o *Options) { o.Cooldowns = c })
	c.together.Store(true)
	one, other := k.arrive(4), k.arrive(5)
	one.hear(wire.TypeInit)
	other.hear(wire.TypeInit)
}
