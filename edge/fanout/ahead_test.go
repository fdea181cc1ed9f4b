package fanout

import (
	"math/rand/v2"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/wire"
)

// another returns a hub of another edge on the same log.
func (r *clusterRig) another() *clusterRig {
	o := newClusterRig(r.t, r.config.Width, r.config.Height, r.log)
	o.nowMS, o.passed = r.nowMS, r.passed
	return o
}

// fetchFrom loads the canvas that another edge serves.
func (v *viewer) fetchFrom(other *clusterRig) {
	own := v.r
	v.r = other.rig
	v.fetch()
	v.r = own
}

func TestAClientThatIsAheadIsServedWhenThisEdgeIsThereToo(t *testing.T) {
	rnd := testSeed(t)
	slow, log := twoShards(t)
	fast := slow.another()
	v := slow.newViewer(ClassAll)
	slow.place(rnd, 0, 10)
	slow.place(rnd, 1, 10)
	fast.pump()
	fast.tick()
	v.fetchFrom(fast)
	v.watch(0, 0b11)
	slow.tick()
	slow.hub.serveJoins()
	if v.lost != 0 || v.follow != 0 {
		t.Fatalf("lost %b, follows %b, before this edge is as far", v.lost, v.follow)
	}
	slow.pump()
	slow.tick()
	slow.hub.serveJoins()
	if v.lost != 0 || v.follow != 0b11 {
		t.Fatalf("lost %b, follows %b", v.lost, v.follow)
	}
	slow.seqs = fast.hub.Heads()
	slow.place(rnd, 0, 3)
	slow.pump()
	slow.tick()
	v.same()
	v.equals(log.fold(t, slow.hub.opt.Base, whole), 0)
	if st := slow.hub.Stats(); st.AheadJoins != 1 || slow.hub.joins.held != 0 || len(slow.hub.ahead.of) != 0 {
		t.Errorf("%+v, %d held", st, slow.hub.joins.held)
	}
}

func TestAClientAheadOfEverybodyIsSentToFetch(t *testing.T) {
	r, _ := twoShards(t)
	v, never := r.newViewer(ClassAll), &counted{}
	v.seqs[0] = 9
	v.watch(0, 0b11)
	r.hub.Join(Join{Client: never, Sub: &Subscription{}, Shards: []wire.WatchShard{{Shard: 0, Resume: true, Held: ^uint64(0)}}})
	r.hub.serveJoins()
	if never.n != 1 || never.d.Follow != 0 {
		t.Error("a seq that cannot be was waited for")
	}
	r.pass(aheadPatience)
	r.tick()
	r.hub.serveJoins()
	if v.lost != 0 {
		t.Fatal("given up with the first tick")
	}
	r.tick()
	r.hub.serveJoins()
	if v.lost != 0b01 || v.follow != 0b10 {
		t.Fatalf("lost %b, follows %b", v.lost, v.follow)
	}
}

func TestTheNewerJoinOfAClientWins(t *testing.T) {
	for _, tt := range []struct {
		name    string
		ticket  uint32 // of the newer one
		atOnce  int    // answers
		answers int    // in the end
		follow  uint64
	}{
		{"that goes on with what it asked for", 1, 0, 1, 0b11},
		{"after it was left out", 2, 2, 2, 0b10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rnd := testSeed(t)
			r, _ := twoShards(t)
			r.place(rnd, 0, 5)
			c, sub := &counted{}, &Subscription{}
			r.hub.Join(Join{Client: c, Sub: sub, Ticket: 1, Shards: []wire.WatchShard{{Shard: 0, Resume: true, Held: 5}}})
			r.hub.serveJoins()
			r.hub.Join(Join{Client: c, Sub: sub, Ticket: tt.ticket, Shards: []wire.WatchShard{{Shard: 0}, {Shard: 1, Resume: true}}})
			r.hub.serveJoins()
			if c.n != tt.atOnce {
				t.Fatalf("%d answers before the edge is as far", c.n)
			}
			r.pump()
			r.tick()
			r.hub.serveJoins()
			if c.n != tt.answers || c.d.Follow != tt.follow || r.hub.joins.held != 0 {
				t.Fatalf("%d answers, the last one follows %b", c.n, c.d.Follow)
			}
		})
	}
}

func TestJoinsThatAreAheadAreBounded(t *testing.T) {
	r, _ := twoShards(t)
	c := &counted{}
	join := func() bool {
		return r.hub.Join(Join{Client: c, Sub: &Subscription{}, Shards: []wire.WatchShard{{Shard: 0, Resume: true, Held: 5}}})
	}
	for range joinsMax {
		if !join() {
			t.Fatal("refused with room")
		}
	}
	for len(r.hub.joins.queue) > 0 {
		r.hub.serveJoins()
	}
	if join() {
		t.Fatal("more joins wait than may")
	}
	r.pass(aheadPatience)
	r.tick()
	r.tick()
	for len(r.hub.ahead.ripe) > 0 {
		r.hub.serveJoins()
	}
	if c.n != joinsMax || !join() {
		t.Fatalf("%d of %d answered", c.n, joinsMax)
	}
}

// Clients fetch the canvas from one edge and watch at another, while people
// paint, relays change and either edge is behind: nobody misses a pixel, sees
// one twice, or has to fetch again.
func TestComingWhilePeoplePaint(t *testing.T) {
	seeds := 10_000
	if testing.Short() {
		seeds = 500
	}
	first := testSeed(t).Uint64()
	for i := range uint64(seeds) {
		if comeWhilePeoplePaint(t, first+i); t.Failed() {
			return
		}
	}
}

func comeWhilePeoplePaint(t *testing.T, seed uint64) {
	defer func() {
		if t.Failed() {
			t.Logf("in the episode of seed %d", seed)
		}
	}()
	rnd := rand.New(rand.NewPCG(seed, 2))
	log := newFaultyLog()
	near := newClusterRig(t, 16, 16, log)
	log.claim(core.Holder{Epoch: 1, Relay: 5}, 0)
	far := near.another()
	near.tickIs = 100 * time.Millisecond // no join waits longer than it may
	v := near.newViewer(rnd.IntN(2))
	fetched := false
	for range 12 {
		switch rnd.IntN(8) {
		case 0, 1, 2:
			near.place(rnd, 0, 1+rnd.IntN(4))
		case 3:
			near.pump()
		case 4:
			far.pump()
			far.tick()
		case 5:
			near.tick()
			near.hub.serveJoins()
		case 6:
			if rnd.IntN(4) == 0 {
				near.takeOver(0, near.seqs[0])
			}
		case 7:
			if !fetched || rnd.IntN(3) == 0 {
				v.follow, v.sub = 0, Subscription{} // a new connection
				near.clients = near.clients[:0]
				v = near.newViewer(rnd.IntN(2))
				v.fetchFrom([]*clusterRig{near, far}[rnd.IntN(2)])
				fetched = true
			}
			v.watch(0, 1)
		}
	}
	v.watch(0, 1)
	near.pump()
	for range 2 {
		near.tick()
		near.hub.serveJoins()
	}
	if v.lost != 0 || v.follow != 1 {
		t.Fatalf("lost %b, follows %b", v.lost, v.follow)
	}
	v.same()
	v.equals(log.fold(t, near.hub.opt.Base, whole), 0)
}

// A queue that never empties is bounded all the same.
func TestTheJoinQueueDoesNotGrowForEver(t *testing.T) {
	h := &Hub{}
	h.joins.ready = make(chan struct{}, 1)
	if !h.Join(Join{}) {
		t.Fatal("no room")
	}
	for n := range uint32(4 * joinsMax) {
		if !h.Join(Join{Ticket: n + 1}) {
			t.Fatalf("no room for join %d where one waits", n)
		}
		if j, ok := h.joins.next(); !ok || j.Ticket != n {
			t.Fatalf("join %d came as %d, %v", n, j.Ticket, ok)
		}
	}
	if len(h.joins.queue) > 2*joinsMax {
		t.Errorf("%d places for one join that waits", len(h.joins.queue))
	}
}
