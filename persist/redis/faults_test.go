package redis

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/tools/stack/servers"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Redis is killed under load, again and again: nothing acknowledged is lost with
// appendfsync always, nothing is stored twice, and edges go on by themselves.
func TestAKilledRedisLosesNothingAcknowledged(t *testing.T) {
	c, server := ownServerToKill(t)
	keepArmed(t, c, testConfig())
	s := newStorm(t, c, 8)
	for range 4 {
		s.more(200)
		must(t, server.Kill())
		until(t, "the breakers open", func() bool { return c.Stats().BreakersOpen > 0 })
		must(t, server.Restart(t.Context()))
	}
	s.more(200)
	s.calm()
	if st := c.Stats(); st.Unfenced == 0 || st.Openings == 0 {
		t.Errorf("the kills were not felt: %+v", st)
	}
}

// The file is cut inside the last batches: whole ones are gone, no half one is left.
func TestATornFileLosesWholeBatches(t *testing.T) {
	c, server := ownServerToKill(t)
	config := testConfig()
	stop := keepArmed(t, c, config)
	for n := range uint32(20) {
		var ps []core.Placement
		for i := range uint32(10) {
			ps = append(ps, core.Placement{Offset: n*10 + i, Color: uint8(1 + n%15), User: 1, Request: core.Request{Instance: uint64(n), Number: 1 + i}})
		}
		outcomes(t, c, ps...)
	}
	stop()
	for range 8 {
		before, err := c.Outbox().Stand(t.Context(), 0)
		must(t, err)
		must(t, server.Kill())
		files, err := filepath.Glob(filepath.Join(server.Dir, "appendonlydir", "*.incr.aof"))
		if err != nil || len(files) != 1 {
			t.Fatalf("%v %v", files, err)
		}
		info, err := os.Stat(files[0])
		must(t, err)
		must(t, os.Truncate(files[0], info.Size()-60))
		must(t, server.Restart(t.Context()))
		until(t, "Redis answers", func() bool { _, err := c.Outbox().Stand(t.Context(), 0); return err == nil })
		st, err := c.Outbox().Stand(t.Context(), 0)
		must(t, err)
		if st.Armed || st.Seq > before.Seq || st.Seq != st.Top || (before.Seq-st.Seq)%10 != 0 {
			t.Fatalf("it stands at %+v after %+v", st, before)
		}
		f, _ := core.NewFold(nil)
		err = c.Stream().Tail(t.Context(), core.Heads{}, func(r *core.Record) error {
			if r.Shard != 0 {
				return nil
			}
			if _, err := f.Next(r); err != nil {
				return err
			}
			if f.Heads[0] == st.Seq {
				return errEnough
			}
			return nil
		})
		if err != errEnough {
			t.Fatal(err)
		}
		r, err := c.link.get()
		must(t, err)
		bmp, err := r.Do(t.Context(), r.B().Get().Key(c.keys[0].bmp).Build()).AsBytes()
		if err != nil || string(bmp) != string(f.Board.Pixels(0)) {
			t.Fatalf("pixels are not those of the stream (%v)", err)
		}
	}
}

// The library or everything is deleted while it runs.
func TestAnEmptiedRedisIsTakenOver(t *testing.T) {
	for _, command := range []string{"FUNCTION FLUSH", "FLUSHALL"} {
		c := ownServer(t)
		config := testConfig()
		config.CooldownMS = 60_000
		keepArmed(t, c, config)
		outcomes(t, c, crowd(0, 1)...)
		before := c.Stats()
		r, err := c.link.get()
		must(t, err)
		must(t, r.Do(t.Context(), r.B().Arbitrary(strings.Fields(command)...).Build()).Error())
		o := outcomes(t, c, crowd(0, 1)...)[0]
		if o.Err != nil || o.Repeated {
			t.Errorf("after %s: %+v", command, o)
		}
		if c.Stats().Unfenced == before.Unfenced && command == "FUNCTION FLUSH" {
			t.Errorf("%s was not felt", command)
		}
	}
}

// A frozen Redis: callers hear of it within their deadlines, the breaker opens
// within a second, nothing piles up, and the same Redis is used when it goes on.
func TestAFrozenRedisHoldsNobody(t *testing.T) {
	stack := ownServers(t, servers.RedisOptions{})
	server := stack.Redis[0]
	c := open(t, Options{Addrs: []string{server.Addr()}, PollEvery: 5 * time.Millisecond})
	keepArmed(t, c, testConfig())
	outcomes(t, c, crowd(0, 64)...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	tailed := make(chan error, 1)
	go func() {
		tailed <- c.Stream().Tail(ctx, core.Heads{}, func(*core.Record) error { return nil })
	}()
	must(t, server.Pause())
	defer server.Continue()
	first := make(chan error, 1) // it was sent: its outcome is known when Redis goes on
	frozen := crowd(0, 8)
	go func() {
		first <- c.Sequencer().Place(t.Context(), frozen, make([]core.Outcome, len(frozen)))
	}()
	began := time.Now()
	until(t, "the breaker opens", func() bool { return c.Stats().Openings > 0 })
	t.Logf("the breaker opened after %v", time.Since(began))
	goroutines := runtime.NumGoroutine()
	for range 2000 {
		refusedWith(t, outcomes(t, c, crowd(0, 1)...)[0], core.CodeUnavailable)
	}
	if n := runtime.NumGoroutine(); n > goroutines+100 {
		t.Errorf("%d goroutines, they were %d", n, goroutines)
	}
	until(t, "health says so", func() bool { return c.Health() == "down: no answer" })
	if _, err := c.Canvas().Snapshot(t.Context()); core.CodeOf(err) != core.CodeUnavailable {
		t.Errorf("Snapshot = %v", err)
	}
	must(t, server.Continue())
	if err := <-first; err != nil {
		t.Errorf("what was on its way when Redis froze: %v", err)
	}
	until(t, "placements are taken again", func() bool { return outcomes(t, c, crowd(0, 1)...)[0].Err == nil })
	if o := outcomes(t, c, frozen...)[0]; !o.Repeated {
		t.Errorf("%+v", o)
	}
	cancel()
	<-tailed
}

// What Redis does not answer for too long stays unknown, and is told when it is
// asked for again: it is one event.
func TestAnUnknownOutcomeIsToldLater(t *testing.T) {
	server := ownServers(t, servers.RedisOptions{}).Redis[0]
	c := open(t, Options{Addrs: []string{server.Addr()}, ResendFor: 200 * time.Millisecond})
	config := testConfig()
	config.CooldownMS = 600_000
	keepArmed(t, c, config)
	if o := outcomes(t, c, crowd(0, 1)...)[0]; o.Err != nil {
		t.Fatal(o.Err)
	}
	ps := crowd(0, 8)
	// The charges are there already: what is frozen is the batch.
	c.charger.take(c.ctx, itemsOf(ps))
	must(t, server.Pause())
	defer server.Continue()
	for _, o := range outcomes(t, c, ps...) {
		if !o.Unknown || o.Err == nil {
			t.Errorf("%+v, which nobody can know", o)
		}
	}
	if n := c.Stats().Unknown; n != int64(len(ps)) {
		t.Errorf("%d unknown", n)
	}
	must(t, server.Continue())
	var out []core.Outcome
	until(t, "the outcome is told", func() bool {
		out = outcomes(t, c, ps...)
		return out[0].Err == nil
	})
	again := outcomes(t, c, ps...)
	for i := range out {
		if !again[i].Repeated || again[i].Seq != out[i].Seq {
			t.Errorf("%+v, it was %+v", again[i], out[i])
		}
	}
}

// What an edge asks before its first batch is no batch: without an answer to that
// nothing was sent, and the placements are refused.
func TestWhatWasNeverSentIsRefused(t *testing.T) {
	server := ownServers(t, servers.RedisOptions{}).Redis[0]
	o := Options{Addrs: []string{server.Addr()}, ResendFor: 200 * time.Millisecond}
	keepArmed(t, open(t, o), testConfig())
	c := open(t, o)
	for _, s := range []core.ShardID{0, 1} {
		_, err := c.configOf(t.Context(), s)
		must(t, err)
	}
	must(t, server.Pause())
	defer server.Continue()
	for s := range core.ShardID(2) {
		o := outcomes(t, c, crowd(s, 1)...)[0]
		if refusedWith(t, o, core.CodeUnavailable); o.Unknown {
			t.Errorf("shard %d: %+v", s, o)
		}
	}
	if st := c.Stats(); st.Ambiguous != 0 || st.Unknown != 0 {
		t.Errorf("%+v", st)
	}
}

func itemsOf(ps []core.Placement) (items []*item) {
	for _, p := range ps {
		items = append(items, &item{p: p})
	}
	return items
}

// An edge starts while Redis is away.
func TestRedisMayComeLater(t *testing.T) {
	stack := ownServers(t, servers.RedisOptions{})
	server := stack.Redis[0]
	must(t, server.Stop())
	c := open(t, Options{Addrs: []string{server.Addr()}, CommandTimeout: shortly})
	refusedWith(t, outcomes(t, c, crowd(0, 1)...)[0], core.CodeUnavailable)
	if h := c.Health(); !strings.HasPrefix(h, "down") {
		t.Errorf("Health = %q", h)
	}
	if _, err := c.Outbox().Stand(t.Context(), 0); core.CodeOf(err) != core.CodeUnavailable {
		t.Errorf("Stand = %v", err)
	}
	must(t, server.Restart(t.Context()))
	keepArmed(t, c, testConfig())
	until(t, "placements are taken", func() bool { return outcomes(t, c, crowd(0, 1)...)[0].Err == nil })
	until(t, "it is healthy", func() bool { return c.Health() == "ok" })
}

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

// A replica takes over, and the master of before lives on.
func TestAPromotedReplicaIsFollowed(t *testing.T) {
	stack := ownServers(t, servers.RedisOptions{Replicas: 2})
	var addrs []string
	for _, s := range stack.Redis {
		addrs = append(addrs, s.Addr())
	}
	c := open(t, Options{Addrs: addrs, CommandTimeout: shortly})
	keepArmed(t, c, testConfig())
	if o := outcomes(t, c, crowd(0, 8)...)[7]; o.Err != nil || core.SeqEpoch(o.Seq) != 1 {
		t.Fatalf("%+v", o)
	}
	direct := func(s *servers.Server, args ...string) {
		t.Helper()
		r, err := c.link.single(s.Addr())
		must(t, err)
		defer r.Close()
		must(t, r.Do(t.Context(), r.B().Arbitrary(args...).Build()).Error())
	}
	promote := func(to, other *servers.Server) {
		direct(to, "REPLICAOF", "NO", "ONE")
		host, port, _ := strings.Cut(to.Addr(), ":")
		direct(other, "REPLICAOF", host, port)
	}
	info := func(s *servers.Server) string {
		r, err := c.link.single(s.Addr())
		if err != nil {
			return ""
		}
		defer r.Close()
		text, _ := r.Do(context.Background(), r.B().Info().Section("replication").Build()).ToString()
		return text
	}
	t.Cleanup(func() {
		if t.Failed() {
			st, err := c.stand(context.Background(), 0)
			t.Logf("the link is to %s, which stands at %+v (%v); %+v", master(c), st, err, c.Stats())
			for _, s := range stack.Redis {
				t.Logf("%s: %s", s.Addr(), info(s))
			}
		}
	})
	followed := func(master *servers.Server) func() bool {
		return func() bool {
			text := info(master)
			_, offset, _ := strings.Cut(text, "master_repl_offset:")
			offset, _, _ = strings.Cut(offset, "\r")
			return strings.Count(text, "state=online,offset="+offset+",") == 2
		}
	}
	until(t, "the replicas have followed", followed(stack.Redis[0]))
	promote(stack.Redis[1], stack.Redis[2]) // the old master has no replica any more, and stops by itself
	takes := func(s *servers.Server, epoch uint32) func() bool {
		return func() bool {
			o := outcomes(t, c, crowd(0, 1)...)[0]
			return o.Err == nil && core.SeqEpoch(o.Seq) >= epoch && master(c) == s.Addr()
		}
	}
	until(t, "placements are taken by the new master", takes(stack.Redis[1], 2))
	// And back: the first one was armed once, and must not take that for now.
	host, port, _ := strings.Cut(stack.Redis[1].Addr(), ":")
	direct(stack.Redis[0], "REPLICAOF", host, port)
	until(t, "the first one has followed", followed(stack.Redis[1]))
	promote(stack.Redis[0], stack.Redis[2])
	direct(stack.Redis[1], "REPLICAOF", strings.Split(stack.Redis[0].Addr(), ":")[0], strings.Split(stack.Redis[0].Addr(), ":")[1])
	until(t, "placements are taken by the first one again, under a fence of their own", takes(stack.Redis[0], 3))
}

// A server that lost a fence, and is still armed by the one before, takes nothing
// from an edge that has seen the later one.
func TestAServerThatLostAFenceIsNotBelieved(t *testing.T) {
	o := testOptions(t)
	o.HoldFor = 30 * time.Millisecond
	c := open(t, o)
	config := testConfig()
	must(t, takeOver(t.Context(), c.Outbox(), 0, 1, &config, new(uint32)))
	if o := outcomes(t, c, crowd(0, 1)...)[0]; o.Err != nil {
		t.Fatal(o.Err)
	}
	c.Sequencer().Armed(0, 7) // by a master that we do not reach
	refusedWith(t, outcomes(t, c, crowd(0, 1)...)[0], core.CodeUnavailable)
	after := uint32(7)
	must(t, takeOver(t.Context(), c.Outbox(), 0, 1, &config, &after))
	if o := outcomes(t, c, crowd(0, 1)...)[0]; o.Err != nil || core.SeqEpoch(o.Seq) != 8 {
		t.Errorf("%+v", o)
	}
}

// Of two masters, each alone and armed, the one that the log tells of is found.
func TestAMasterThatWasDeposedIsLeft(t *testing.T) {
	stack := ownServers(t, servers.RedisOptions{Replicas: 1})
	before, after := stack.Redis[0], stack.Redis[1]
	silent, err := net.Listen("tcp", "127.0.0.1:0") // which makes a look last
	must(t, err)
	defer silent.Close()
	edge := open(t, Options{Addrs: []string{before.Addr(), after.Addr(), silent.Addr().String()}, CommandTimeout: shortly})
	config := testConfig()
	config.Width, config.Height = 1024, 1024
	shards := config.Geometry().Shards()
	for _, s := range shards {
		must(t, takeOver(t.Context(), edge.Outbox(), s, 1, &config, new(uint32)))
		if o := outcomes(t, edge, crowd(s, 1)...)[0]; o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	for _, s := range []*servers.Server{after, before} {
		r, err := edge.link.single(s.Addr())
		must(t, err)
		defer r.Close()
		must(t, r.Do(t.Context(), r.B().Arbitrary("CONFIG", "SET", "min-replicas-to-write", "0").Build()).Error())
		must(t, r.Do(t.Context(), r.B().Arbitrary("REPLICAOF", "NO", "ONE").Build()).Error())
	}
	relay := open(t, Options{Addrs: []string{after.Addr()}, CommandTimeout: shortly})
	for _, s := range shards {
		epoch := uint32(6)
		until(t, "the new master is taken over", func() bool { return takeOver(t.Context(), relay.Outbox(), s, 2, &config, &epoch) == nil })
	}
	if o := outcomes(t, edge, crowd(0, 1)...)[0]; o.Err != nil || master(edge) != before.Addr() {
		t.Fatalf("%s: %+v", master(edge), o.Err) // nobody has told the edge yet
	}
	var placing sync.WaitGroup
	for _, s := range shards {
		edge.Sequencer().Armed(s, 7)
		placing.Go(func() {
			until(t, "the edge goes to the new master", func() bool {
				o := outcomes(t, edge, crowd(s, 1)...)[0]
				return o.Err == nil && core.SeqEpoch(o.Seq) == 7
			})
			for range 200 {
				if o := outcomes(t, edge, crowd(s, 1)...)[0]; o.Err != nil {
					t.Errorf("shard %d, at the new master: %v", s, o.Err)
				}
			}
		})
	}
	placing.Wait()
	if n := edge.link.uses.Load(); n != 2 || master(edge) != after.Addr() {
		t.Errorf("the edge went %d times to a server, and is at %s", n, master(edge))
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

func master(c *Client) string {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.link.master
}

// Three masters share the shards; one of them dies and its replica takes over.
func TestAClusterGoesOnWithoutAMaster(t *testing.T) {
	stack := ownServers(t, servers.RedisOptions{Cluster: true, Replicas: 1})
	var addrs []string
	for _, s := range stack.Redis {
		addrs = append(addrs, s.Addr())
	}
	c := open(t, Options{Addrs: addrs[:3], CommandTimeout: shortly})
	config := testConfig()
	config.Width, config.Height = 2048, 2048 // sixteen shards, some on each
	keepArmed(t, c, config)
	placeAll := func() (refused int) {
		for s := range core.ShardID(16) {
			if outcomes(t, c, crowd(s, 4)...)[3].Err != nil {
				refused++
			}
		}
		return refused
	}
	if n := placeAll(); n != 0 {
		t.Fatalf("%d shards refuse", n)
	}
	publish(t, c, config.Geometry().Shards()...)
	snap, err := c.Canvas().Snapshot(t.Context())
	must(t, err)
	heads, err := c.Stream().Heads(t.Context())
	if err != nil || snap.Heads != heads {
		t.Errorf("the published canvas is at %v, the streams at %v (%v)", snap.Heads[:16], heads[:16], err)
	}
	for _, s := range config.Geometry().Shards() { // a script is one of the node that has its key
		if held, err := c.Outbox().Hold(t.Context(), s, "relay", 1, time.Minute); err != nil || !held {
			t.Errorf("Hold of shard %d is %v, %v", s, held, err)
		}
		must(t, c.Outbox().Release(t.Context(), s, "relay", 1))
	}
	must(t, c.Outbox().Archived(t.Context(), 1, heads))
	before := c.Stats()
	must(t, stack.Redis[0].Kill())
	most := 0
	until(t, "the kill is felt", func() bool {
		most = max(most, placeAll())
		st := c.Stats()
		return most > 0 || st.Ambiguous > before.Ambiguous || st.Openings > before.Openings
	})
	if most == 16 {
		t.Error("the other masters refuse as well")
	}
	until(t, "all shards take placements again", func() bool { return placeAll() == 0 })
}
