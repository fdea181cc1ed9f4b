package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/tools/stack/servers"
	"pixelwall/tools/stack/stacktest"
	"pixelwall/wire"
)

// kills ends a server with -9.
func kills(t *testing.T, s *servers.Server) {
	t.Helper()
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
}

// revives starts it again and waits until it answers.
func revives(t *testing.T, s *servers.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := s.Restart(ctx); err != nil {
		t.Fatal(err)
	}
}

// refusedForNow places a pixel that is refused, with a time to try again.
func (p *peer) refusedForNow(x, y, color int) {
	p.t.Helper()
	a, ok := p.answer(p.place(x, y, color)).(wire.Refusal)
	if !ok || core.Code(a.Code) != core.CodeUnavailable || a.RetryAfterMS == 0 {
		p.t.Fatalf("while it cannot be stored the answer is %+v, want a refusal with a time to try again", a)
	}
}

func TestRedisIsDown(t *testing.T) {
	t.Parallel()
	w, server := ownRedis(t)
	dir := tempDir(t)
	publisher := w.begin("--roles", "snapshot")
	a := w.edge("--roles", "gateway,relay,archive", "--cooldown", "1h", "--data", dir)
	p, q := a.fresh(1).hello(a.token()).watch(all4), a.fresh(2).hello(a.token()).watch(all4)
	if err := publisher.serves().end(); err != nil { // so that the board knows more than what is published
		t.Fatal(err)
	}
	placed := p.placed(p.place(1, 1, 3))
	q.shows(placed.Shard, placed.Seq)
	archived(t, w.inside(), placed)
	kills(t, server)
	waitFor(t, "an open breaker", func() bool { return a.metric("pixelwall_redis_breakers_open") > 0 })
	a.becomes("word of it", func(h health) bool {
		return h.Status == "read_only" && strings.HasPrefix(h.Dependencies["redis"], "down")
	})
	if writable, refusing := a.metric("pixelwall_store_writable"), a.metric("pixelwall_shards_refusing"); writable != 0 || refusing != 4 {
		t.Errorf("operators are told that the store is writable (%v) and %v shards refuse", writable, refusing)
	}
	q.refusedForNow(2, 2, 4)
	late := a.fresh(3) // from memory
	if late.seqs[placed.Shard] < placed.Seq || late.board.At(0, 513) != 3 {
		t.Errorf("the canvas is at %d and shows %d", late.seqs[placed.Shard], late.board.At(0, 513))
	}
	if n := a.metric(`pixelwall_canvas_source_total{source="board"}`); n == 0 {
		t.Error("no version came from the board")
	}
	late.hello("").watch(all4)
	if late.lost != 0 {
		t.Error("a client that joins now has to fetch the canvas again")
	}
	var h past
	if status := a.getJSON("/api/v1/pixel?x=1&y=1", &h); status != 200 || len(h.Items) != 1 {
		t.Errorf("history is answered with %d and %d items", status, len(h.Items))
	}
	other := w.begin("--cooldown", "1h") // comes while Redis is away
	revives(t, server)
	next := q.paintsWhenItCan(2, 2, 4) // inside the hour, had the refusal been charged
	for _, c := range []*peer{p, late} {
		c.shows(next.Shard, next.Seq)
	}
	other.serves()
	r := other.fresh(4).hello(other.token()).watch(all4)
	equal(t, p, q, late, r)
	if p.lost|q.lost|late.lost != 0 {
		t.Error("the restart cost somebody a fetch")
	}
	for _, at := range []*running{a, other} {
		at.becomes("all well by itself", isOK)
	}
	waitFor(t, "closed breakers", func() bool { return a.metric("pixelwall_redis_breakers_open") == 0 })
}

// A Redis that stands still with a batch under way holds up the end of an edge for
// --drain, and not for as long as a batch may be sent again. Nobody is told that what
// Redis may have stored was refused.
func TestARedisThatStandsStillHoldsUpNoShutdown(t *testing.T) {
	t.Parallel()
	w, server := ownRedis(t)
	a := w.edge()
	p := a.fresh(1).hello(a.token())
	p.placed(p.place(1, 1, 1))
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	p.place(2, 2, 2)
	waitFor(t, "a batch without an answer", func() bool { return a.metric("pixelwall_redis_ambiguous_total") > 0 })
	began := time.Now()
	if err := a.end(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 10*time.Second { // --drain is 2 s
		t.Errorf("the end took %v", took)
	}
	p.closes()
	if len(p.answers) != 0 {
		t.Errorf("what may be stored is answered with %+v", p.answers)
	}
}

// Nobody carries what Redis acknowledges to Kafka, which answers all the same. It is
// seen, and who comes now has a canvas to go on from.
func TestTheRelayIsGone(t *testing.T) {
	t.Parallel()
	w := sharedWall(t)
	gateway := w.begin("--roles", "gateway")
	relay := w.edge("--roles", "relay,archive,snapshot")
	gateway.serves()
	p, q := gateway.fresh(1).hello(gateway.token()).watch(all4), gateway.fresh(2).hello(gateway.token()).watch(all4)
	placed := p.placed(p.place(1, 1, 3))
	q.shows(placed.Shard, placed.Seq)
	if err := relay.end(); err != nil {
		t.Fatal(err)
	}
	placed = p.placed(p.place(2, 2, 4))
	q.shows(placed.Shard, placed.Seq)
	gateway.becomes("word of it", func(h health) bool { return strings.HasPrefix(h.Dependencies["kafka"], "stands still") })
	late := gateway.fresh(3).hello("").watch(all4)
	late.shows(placed.Shard, placed.Seq)
	equal(t, p, q, late)
	if p.lost|q.lost|late.lost != 0 {
		t.Error("somebody has to fetch the canvas again")
	}
	w.edge("--roles", "relay,archive,snapshot")
	placed = p.paintsWhenItCan(3, 3, 5)
	q.shows(placed.Shard, placed.Seq)
	gateway.becomes("all well by itself", isOK)
	equal(t, p, q, late)
}

func TestTheLimiterIsDown(t *testing.T) {
	t.Parallel()
	w := sharedRedis(t)
	limiter := stacktest.Own(t, servers.Options{Redis: &servers.RedisOptions{}}).Redis[0]
	a := w.edge("--limiter-redis", limiter.Addr(), "--cooldown", "1h")
	before := a.fresh(1).hello(a.token())
	before.placed(before.place(1, 1, 1))
	a.becomes("all well", isOK)
	kills(t, limiter)
	p := a.fresh(2).hello(a.token()).watch(all4)
	placed := p.placed(p.place(2, 2, 2))
	p.shows(placed.Shard, placed.Seq)
	if a, ok := p.answer(p.place(3, 3, 3)).(wire.Refusal); !ok || core.Code(a.Code) != core.CodeCooldown {
		t.Errorf("the second placement is answered with %+v", a)
	}
	if n := a.metric("pixelwall_redis_fail_open_total"); n < 1 {
		t.Error("what memory granted is not counted")
	}
	a.becomes("word of it", func(h health) bool { return h.Status == "degraded" && h.Dependencies["limiter"] == "down" })
	revives(t, limiter)
	a.becomes("all well by itself", isOK)
	if a, ok := before.answer(before.place(4, 4, 4)).(wire.Refusal); !ok || core.Code(a.Code) != core.CodeCooldown {
		t.Errorf("who placed before is answered with %+v", a)
	}
}

// Each service goes away in turn while two edges serve, and comes back. The
// servers take so long to start that one set serves all of it.
func TestEachServiceGoesAway(t *testing.T) {
	t.Parallel()
	if os.Getenv("PIXELWALL_CHAOS") == "" {
		t.Skip("make chaos runs it: it starts Kafka and Cassandra three times")
	}
	stack := stacktest.Own(t, servers.Options{Redis: &servers.RedisOptions{}, Kafka: &servers.KafkaOptions{Brokers: 1}, Cassandra: &servers.CassandraOptions{Nodes: 1}})
	redis, kafka, cql := stack.Redis[0], stack.Kafka[0], stack.Cassandra[0]
	w := newWall(t, redis.Addr())
	w.kafka, w.cql = []string{kafka.Addr()}, cql.Addr()
	dirs := []string{tempDir(t), tempDir(t)}
	a, b := w.begin("--data", dirs[0]), w.edge("--data", dirs[1])
	a.serves()
	p, q := a.fresh(1).hello(a.token()).watch(all4), b.fresh(2).hello(b.token()).watch(all4)
	var stored []wire.Placed
	seen := func(placed wire.Placed) {
		t.Helper()
		stored = append(stored, placed)
		p.shows(placed.Shard, placed.Seq)
		q.shows(placed.Shard, placed.Seq)
	}
	step := func(name string, f func()) { // no subtests: connections live on
		began := time.Now()
		t.Logf("%s …", name)
		f()
		t.Logf("%s: %.1f s", name, time.Since(began).Seconds())
	}
	seen(p.placed(p.place(10, 10, 1)))

	step("CQL", func() {
		kills(t, cql)
		a.becomes("word of it", func(h health) bool { return h.Status == "degraded" && h.Dependencies["history"] != "ok" })
		res, err := http.Get("http://" + a.addr + "/api/v1/pixel?x=10&y=10")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if n, err := strconv.Atoi(res.Header.Get("Retry-After")); res.StatusCode != 503 || err != nil || n < 1 {
			t.Errorf("history is answered with %s, Retry-After %q", res.Status, res.Header.Get("Retry-After"))
		}
		for i := range 20 {
			seen(p.placed(p.place(600*(i&1), 600*(i>>1&1)+i, 2)))
		}
		for _, r := range []*running{a, b} {
			if err := r.end(); err != nil {
				t.Fatal(err)
			}
		}
		a, b = w.edge("--data", dirs[0]), w.edge("--data", dirs[1]) // edge and relay start without history
		p.moves(a, a.token(), all4)
		q.moves(b, b.token(), all4)
		seen(q.placed(q.place(11, 11, 3)))
		revives(t, cql)
		for _, r := range []*running{a, b} {
			r.becomes("all well by itself", isOK)
		}
		for _, path := range []string{"x=0&y=0", "x=600&y=1", "x=0&y=602", "x=600&y=619", "x=11&y=11"} {
			waitFor(t, "what was placed meanwhile in the history, "+path, func() bool {
				var h past
				return a.getJSON("/api/v1/pixel?"+path, &h) == 200 && len(h.Items) == 1
			})
		}
	})

	step("Kafka", func() {
		kills(t, kafka)
		seen(p.placed(p.place(20, 20, 4)))
		waitFor(t, "the streams followed", func() bool { return b.metric("pixelwall_failover_active") == 1 })
		b.becomes("word of it", func(h health) bool { return h.Status == "degraded" && h.Dependencies["kafka"] == "down" })
		seen(p.placed(p.place(21, 21, 5)))
		late := b.fresh(3).hello("").watch(all4)
		if late.lost != 0 {
			t.Error("a client that joins now has to fetch the canvas again")
		}
		if err := a.end(); err != nil {
			t.Fatal(err)
		}
		seen2 := q.placed(q.place(22, 22, 6))
		a = w.edge("--data", dirs[0]) // it starts without the log
		p.moves(a, a.token(), all4)
		seen(seen2)
		seen(p.placed(p.place(23, 23, 7)))
		equal(t, p, q, late)
	})

	step("Kafka, and Redis restarts", func() {
		kills(t, redis)
		revives(t, redis)
		// Nobody can claim the shards, so nobody can arm them.
		q.until("a refusal", func() bool {
			a, ok := q.answer(q.place(30, 30, 8)).(wire.Refusal)
			return ok && core.Code(a.Code) == core.CodeUnavailable && a.RetryAfterMS > 0
		})
		q.refusedForNow(30, 30, 8)
		b.becomes("word of it", func(h health) bool { return h.Status == "read_only" })
		waitFor(t, "a canvas with what was acknowledged, though nobody publishes", func() bool {
			last := stored[len(stored)-1]
			return b.canvas().Shards[last.Shard].Seq >= last.Seq
		})
		revives(t, kafka)
		seen(q.paintsWhenItCan(31, 31, 9))
		seen(p.paintsWhenItCan(32, 32, 10))
		for _, r := range []*running{a, b} {
			r.becomes("all well by itself", isOK)
			waitFor(t, "the log followed", func() bool { return r.metric("pixelwall_failover_active") == 0 })
		}
	})

	step("all of it agrees", func() {
		equal(t, p, q)
		p.same(a)
		q.same(b)
		for _, path := range []string{"x=20&y=20", "x=21&y=21", "x=22&y=22", "x=23&y=23", "x=31&y=31", "x=32&y=32"} {
			waitFor(t, "what was placed in the history, "+path, func() bool {
				var h past
				return b.getJSON("/api/v1/pixel?"+path, &h) == 200 && len(h.Items) == 1
			})
		}
	})

	step("all of them, before an edge starts", func() {
		for _, r := range []*running{a, b} {
			if err := r.end(); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range []*servers.Server{redis, kafka, cql} {
			if err := s.Stop(); err != nil {
				t.Fatal(err)
			}
		}
		a = w.begin("--data", filepath.Join(dirs[0], "other"), "--data", dirs[0])
		waitFor(t, "an edge that waits", func() bool { return strings.Contains(a.log.String(), "the canvas is waited for") })
		for _, s := range []*servers.Server{cql, redis, kafka} {
			if err := s.Launch(); err != nil {
				t.Fatal(err)
			}
		}
		a.serves()
		p.moves(a, a.token(), all4)
		placed := p.paintsWhenItCan(40, 40, 11)
		p.shows(placed.Shard, placed.Seq)
		p.same(a)
	})
}
