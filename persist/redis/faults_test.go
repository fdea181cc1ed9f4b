package redis

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
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
