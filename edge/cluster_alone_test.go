package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/persist/redis"
	"pixelwall/tools/stack/servers"
	"pixelwall/tools/stack/stacktest"
	"pixelwall/wire"
)

// ownRedis is a canvas in a Redis that the test may kill.
func ownRedis(t *testing.T, extra ...string) (*wall, *servers.Server) {
	t.Helper()
	stack := stacktest.Own(t, servers.Options{Redis: &servers.RedisOptions{Extra: extra}})
	return newWall(t, stack.Redis[0].Addr()), stack.Redis[0]
}

// inside looks at the canvas in Redis as an edge does.
func (w *wall) inside() *redis.Client {
	w.t.Helper()
	c, err := redis.Open(w.t.Context(), redis.Options{Addrs: []string{w.redis}, Prefix: w.prefix})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	return c
}

// restarts kills Redis with -9, does something and starts it again.
func restarts(t *testing.T, s *servers.Server, meanwhile func()) {
	t.Helper()
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	meanwhile()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Restart(ctx); err != nil {
		t.Fatal(err)
	}
}

// paintsWhenItCan places a pixel as soon as that is possible.
func (p *peer) paintsWhenItCan(x, y, color int) wire.Placed {
	p.t.Helper()
	for {
		switch a := p.answer(p.place(x, y, color)).(type) {
		case wire.Placed:
			return a
		case wire.Refusal:
			if core.Code(a.Code) != core.CodeUnavailable && core.Code(a.Code) != core.CodeReadOnly {
				p.t.Fatalf("refused with %+v", a)
			}
			p.waits(100 * time.Millisecond)
		}
	}
}

// waits reads what comes for a while.
func (p *peer) waits(d time.Duration) {
	pong := p.pong.Nonce + 1
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
	p.send(wire.Ping{Nonce: pong})
	p.until("a pong", func() bool { return p.pong.Nonce == pong })
}

// archived waits until every archive holds what was placed, and returns how many there are.
func archived(t *testing.T, c *redis.Client, placed wire.Placed) (archives int) {
	t.Helper()
	waitFor(t, "the placement in every archive", func() bool {
		heads, n, err := c.Outbox().EverywhereArchived(t.Context())
		archives = n
		return err == nil && n > 0 && heads[placed.Shard] >= placed.Seq
	})
	return archives
}

func TestARestartOfRedisAloneCostsNobodyAFetch(t *testing.T) {
	t.Parallel()
	w, server := ownRedis(t)
	a, b := w.edge(), w.edge()
	p, q := a.fresh(1).hello(a.token()).watch(all4), b.fresh(2).hello(b.token()).watch(all4)
	first := p.placed(p.place(1, 1, 3))
	restarts(t, server, func() {})
	again := p.paintsWhenItCan(2, 2, 4)
	if core.SeqEpoch(again.Seq) <= core.SeqEpoch(first.Seq) {
		t.Errorf("seq %d came after seq %d of the Redis before", again.Seq, first.Seq)
	}
	p.number -= 1
	if same := p.placed(p.place(2, 2, 4)); same.Seq != again.Seq {
		t.Errorf("sent again it is seq %d, was %d", same.Seq, again.Seq)
	}
	p.shows(again.Shard, again.Seq)
	equal(t, p, q)
	if p.lost|q.lost != 0 {
		t.Errorf("shards %b and %b have to be fetched", p.lost, q.lost)
	}
	p.same(a)
	q.same(b)
	for _, r := range []*running{a, b} {
		if r.metric("pixelwall_fanout_resyncs_total")+r.metric("pixelwall_fanout_reloads_total") != 0 {
			t.Error("an edge loaded something anew")
		}
		r.becomes("everything well", isOK)
	}
	if n := a.metric("pixelwall_relay_takeovers_total") + b.metric("pixelwall_relay_takeovers_total"); n < 8 {
		t.Errorf("four shards were taken over %v times in two lives of Redis", n)
	}
	if n := archived(t, w.inside(), again); n != 2 {
		t.Errorf("%d archives hold it, want both edges'", n)
	}
}

// Everything that Redis held is gone. An archive gives it back under the same
// canvas id, and seqs go on where nobody has seen any.
func TestARedisThatWasFlushedIsFilledFromAnArchive(t *testing.T) {
	t.Parallel()
	w, _ := ownRedis(t)
	dir := tempDir(t)
	b := w.edge("--roles", "gateway,relay,snapshot") // has nothing to give back
	a := w.edge("--roles", "gateway,archive", "--data", dir)
	p, q := a.fresh(1).hello(a.token()).watch(all4), b.fresh(2).hello(b.token()).watch(all4)
	inside, last := w.inside(), wire.Placed{}
	for i := range 5 { // the last one in the first shard
		last = p.placed(p.place(600*(i&1), 600*(i>>1&1)+i>>2, 3+i))
		archived(t, inside, last)
		p.shows(last.Shard, last.Seq)
		q.shows(last.Shard, last.Seq)
	}
	c := w.client()
	if err := c.Do(t.Context(), c.B().Flushall().Build()).Error(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a relay that makes no blank canvas over the one that was", func() bool { return strings.Contains(b.log.String(), "no snapshot to build it from") })
	if err := a.end(); err != nil {
		t.Fatal(err)
	}
	a = w.begin("--data", dir) // relays as well
	next := q.paintsWhenItCan(8, 8, 8)
	p.moves(a.serves(), a.token(), all4)
	if core.SeqEpoch(next.Seq) <= core.SeqEpoch(last.Seq) {
		t.Errorf("seq %d came after seq %d of the Redis before", next.Seq, last.Seq)
	}
	for s := 1; s < 4; s++ {
		next = q.paintsWhenItCan(600*(s&1), 600*(s>>1)+1, 9)
		p.shows(next.Shard, next.Seq)
	}
	equal(t, p, q)
	for i := range 4 {
		if got := p.board.At(core.ShardID(i), uint32(600*(i>>1)%512*512+600*(i&1)%512)); got != uint8(3+i) {
			t.Errorf("the pixel of shard %d is %d, want %d", i, got, 3+i)
		}
	}
	if p.lost|q.lost != 0 {
		t.Errorf("shards %b and %b have to be fetched", p.lost, q.lost)
	}
	p.same(a)
	q.same(b)
	if late := b.fresh(3); late.canvas != p.canvas {
		t.Errorf("it is canvas %x now, was %x", late.canvas, p.canvas)
	}
}

// Redis is put back to a moment in an earlier life of its own, as from a backup:
// what edges and archives saw since is in nobody's log. They report it, so that no
// seq is given twice, and load what there is.
func TestARedisThatIsPutBack(t *testing.T) {
	t.Parallel()
	w, server := ownRedis(t)
	relay := w.begin("--roles", "relay")
	a := w.edge("--roles", "gateway,archive,snapshot")
	b := w.edge("--roles", "gateway,archive,snapshot")
	relay.serves()
	p, q := a.fresh(1).hello(a.token()).watch(1), b.fresh(2).hello(b.token()).watch(1)
	kept := p.placed(p.place(1, 1, 3))
	archived(t, w.inside(), kept)
	backup := filepath.Join(t.TempDir(), "backup")
	restarts(t, server, func() {
		if err := os.CopyFS(backup, os.DirFS(server.Dir)); err != nil {
			t.Fatal(err)
		}
	})
	gone := p.paintsWhenItCan(2, 2, 4) // in the next epoch
	q.shows(gone.Shard, gone.Seq)
	archived(t, w.inside(), gone)
	if err := relay.end(); err != nil { // with what it remembers
		t.Fatal(err)
	}
	restarts(t, server, func() { putBack(t, server.Dir, backup) })
	w.edge("--roles", "relay")
	for _, c := range []*peer{p, q} {
		c.until("a resync", func() bool { return c.lost == 1 })
	}
	p.load(a.canvas())
	q.load(b.canvas())
	p.watch(1)
	q.watch(1)
	next := p.paintsWhenItCan(3, 3, 5)
	if core.SeqEpoch(next.Seq) <= core.SeqEpoch(gone.Seq) {
		t.Errorf("seq %d was given after %d had been seen", next.Seq, gone.Seq)
	}
	p.shows(next.Shard, next.Seq)
	equal(t, p, q)
	if p.board.At(0, 513) != 3 || p.board.At(0, 1026) == 4 || p.board.At(0, 1539) != 5 {
		t.Errorf("the pixels are %d %d %d, want 3, none and 5", p.board.At(0, 513), p.board.At(0, 1026), p.board.At(0, 1539))
	}
	p.same(a)
	q.same(b)
	archived(t, w.inside(), next)
	for path, n := range map[string]int{"x=1&y=1": 1, "x=2&y=2": 0, "x=3&y=3": 1} { // history takes back what is in nobody's log
		waitFor(t, "the history of "+path, func() bool {
			var h past
			return a.getJSON("/api/v1/pixel?"+path, &h) == 200 && len(h.Items) == n
		})
	}
}

// A folder from which nothing leads to what Redis has is kept, and another begun.
func TestAnArchiveOfAnotherCanvasIsSetAside(t *testing.T) {
	t.Parallel()
	w := sharedRedis(t)
	dir := tempDir(t)
	a := w.edge("--data", dir)
	p := a.fresh(1).hello(a.token())
	archived(t, w.inside(), p.placed(p.place(1, 1, 3)))
	if err := a.end(); err != nil {
		t.Fatal(err)
	}
	w = sharedRedis(t)
	b := w.edge() // makes another canvas
	c := w.edge("--data", dir)
	q := b.fresh(2).hello(b.token())
	q.placed(q.place(2, 2, 4))
	waitFor(t, "a history of this canvas", func() bool {
		var h, other past
		return c.getJSON("/api/v1/pixel?x=2&y=2", &h) == 200 && len(h.Items) == 1 && c.getJSON("/api/v1/pixel?x=1&y=1", &other) == 200 && len(other.Items) == 0
	})
	names, err := filepath.Glob(filepath.Join(dir, "archive-until-*"))
	if err != nil || len(names) != 1 {
		t.Errorf("the folder of before is kept as %v, %v", names, err)
	}
}

// putBack replaces the data in dir, but not the log of the server.
func putBack(t *testing.T, dir, backup string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() || strings.HasSuffix(e.Name(), ".rdb") {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	saved, err := os.ReadDir(backup)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range saved {
		from, to := filepath.Join(backup, e.Name()), filepath.Join(dir, e.Name())
		if e.IsDir() {
			if err := os.CopyFS(to, os.DirFS(from)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestRolesOfSeveralProcesses(t *testing.T) {
	t.Parallel()
	w := sharedRedis(t)
	gateway := w.begin("--roles", "gateway")
	relay := w.edge("--roles", "relay")
	archive := w.edge("--roles", "archive")
	snapshot := w.edge("--roles", "snapshot")
	gateway.serves()
	p := gateway.fresh(1).hello(gateway.token()).watch(all4)
	placed := p.placed(p.place(5, 5, 5))
	p.shows(placed.Shard, placed.Seq)
	p.same(gateway)
	archived(t, w.inside(), placed)
	waitFor(t, "the relay has taken four shards over", func() bool { return relay.metric("pixelwall_relay_takeovers_total") >= 4 })
	if n := archive.metric("pixelwall_archive_events_total"); n != 1 {
		t.Errorf("the archive has %v placements, want 1", n)
	}
	var problem struct{ Code string }
	if status := gateway.getJSON("/api/v1/pixel?x=5&y=5", &problem); status != 503 {
		t.Errorf("history is answered with %d where there is none", status)
	}
	for _, r := range []*running{snapshot, archive, relay} {
		if err := r.end(); err != nil {
			t.Error(err)
		}
	}
	waitFor(t, "what a canvas without a relay is", func() bool { return slices.Contains([]string{"ok", "degraded", "read_only"}, gateway.health().Status) })
}

func TestFlagsThatContradictACanvasInRedis(t *testing.T) {
	t.Parallel()
	w := sharedRedis(t)
	r := w.edge("--palette", "place2022", "--cooldown", "3s")
	r.fresh(1)
	w.size = ""
	for _, tt := range []struct{ flag, value, has, asked string }{
		{"--size", "500x500", "1000x1000", "500x500"},
		{"--size", "2000x2000", "1000x1000", "2000x2000"},
		{"--palette", "place2017", "32", "16"},
	} {
		err := w.refuses(tt.flag, tt.value)
		if !strings.Contains(err.Error(), tt.has) || !strings.Contains(err.Error(), tt.asked) {
			t.Errorf("%s %s: %v, which does not name both", tt.flag, tt.value, err)
		}
	}
	again := w.edge("--cooldown", "7s") // what may change is changed
	r.waitsForCooldown(7000)
	again.waitsForCooldown(7000)
}

// A shard takes no change while nobody has armed it: an edge whose flags ask for one
// serves meanwhile, and the change comes by itself.
func TestAChangeByFlagsWaitsForATakeOver(t *testing.T) {
	t.Parallel()
	w := sharedRedis(t)
	w.begin("--roles", "snapshot")
	relays := w.edge("--cooldown", "3s")
	if err := relays.end(); err != nil {
		t.Fatal(err)
	}
	outbox := w.inside().Outbox()
	stand, err := outbox.Stand(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.Fence(t.Context(), 1, stand.Epoch+1); err != nil {
		t.Fatal(err)
	}
	r := w.edge("--roles", "gateway", "--cooldown", "7s")
	r.fresh(1).hello("").watch(all4)
	w.begin("--roles", "relay")
	r.waitsForCooldown(7000)
	waitFor(t, "the change in every shard", func() bool {
		for shard := range core.ShardID(4) {
			if c, err := outbox.Config(t.Context(), shard); err != nil || c.CooldownMS != 7000 {
				return false
			}
		}
		return true
	})
	r.becomes("all well by itself", isOK)
}

func (r *running) waitsForCooldown(ms int) {
	r.t.Helper()
	waitFor(r.t, "the cooldown", func() bool {
		var info struct {
			CooldownMS int `json:"cooldown_ms"`
		}
		r.getJSON("/api/v1/canvas/info", &info)
		return info.CooldownMS == ms
	})
}

func TestAStartCanvasInRedis(t *testing.T) {
	t.Parallel()
	w := sharedRedis(t)
	w.size = ""
	palette, _ := core.NamedPalette("place2017")
	file := filepath.Join(t.TempDir(), "start.png")
	png := picture(t, 700, 530, func(x, y int) uint32 { return palette[(x+3*y)%16].RGB })
	if err := os.WriteFile(file, png, 0o644); err != nil {
		t.Fatal(err)
	}
	a := w.begin("--start-canvas", file)
	b := w.edge("--start-canvas", file) // both would make it, one does
	a.serves()
	p, q := a.fresh(1).hello(a.token()).watch(all4), b.fresh(2).hello(b.token()).watch(all4)
	if p.canvas != q.canvas {
		t.Fatalf("the canvases are %x and %x", p.canvas, q.canvas)
	}
	for _, at := range [][2]int{{0, 0}, {699, 529}, {511, 512}, {512, 511}, {513, 514}} {
		s, off := core.Locate(at[0], at[1])
		if got, want := p.board.At(s, off), uint8((at[0]+3*at[1])%16); got != want {
			t.Errorf("pixel %v is %d, want %d", at, got, want)
		}
	}
	placed := q.placed(q.place(699, 529, 1))
	p.shows(placed.Shard, placed.Seq)
	equal(t, p, q)
	p.same(a)
}
