package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/wire"
)

const all6 = 0b1011111 // the shards of a 1500 × 1000 canvas

// Two edges on one canvas, with everything that a fleet promises its clients.
// They share the servers' set-up, which takes longer than the tests do.
func TestTwoEdgesOnOneCluster(t *testing.T) {
	t.Parallel()
	twoEdges(t, sharedWall(t))
}

func TestTwoEdgesOnRedisAlone(t *testing.T) {
	t.Parallel()
	w, _ := ownRedis(t)
	w.own = true
	twoEdges(t, w)
}

func twoEdges(t *testing.T, w *wall) {
	dirA := tempDir(t)
	flags := []string{"--cooldown", "0", "--palette", "place2022"}
	a := w.begin(append(flags, "--data", dirA)...)
	b := w.edge(flags...)
	a.serves()
	in := func(name string, f func(t *testing.T)) {
		if !t.Failed() {
			t.Run(name, func(t *testing.T) {
				a.t, b.t = t, t
				defer func() { a.t, b.t = w.t, w.t }()
				f(t)
			})
		}
	}
	in("what is painted at one is seen at the other", func(t *testing.T) { seenAtTheOther(t, a, b) })
	in("a tap that is sent again through the other is one event", func(t *testing.T) { sentThroughTheOther(t, a, b) })
	in("both serve the same canvas from Redis", func(t *testing.T) { sameFiles(t, w, a, b) })
	in("history is answered by both", func(t *testing.T) { historyAtBoth(t, a, b) })
	in("a change at one is a change at both", func(t *testing.T) { changedAtBoth(t, a, b) })
	in("a restart costs nobody a fetch", func(t *testing.T) {
		p := b.fresh(40).hello(b.token()).watch(all6)
		at := a.fresh(41).hello(a.token()).watch(all6)
		for i := range 3 {
			placed := at.placed(at.place(700*i%1400, 33, 1+i))
			p.shows(placed.Shard, placed.Seq)
			at.shows(placed.Shard, placed.Seq)
		}
		if err := a.end(); err != nil {
			t.Fatal(err)
		}
		placed := p.placed(p.place(5, 900, 7)) // while A is away
		w.size = ""                            // what was changed since counts
		a = w.edge("--data", dirA)
		at.moves(a, a.token(), all6)
		at.shows(placed.Shard, placed.Seq)
		p.shows(placed.Shard, placed.Seq)
		equal(t, p, at)
		at.same(a)
		p.same(b)
	})
}

func seenAtTheOther(t *testing.T, a, b *running) {
	p := a.fresh(1).hello(a.token()).watch(all4)
	q := b.fresh(2).hello(b.token()).watch(all4)
	if p.canvas != q.canvas {
		t.Fatalf("the canvases are %x and %x", p.canvas, q.canvas)
	}
	first, second := p.placed(p.place(3, 4, 5)), q.placed(q.place(999, 999, 6))
	for _, c := range []*peer{p, q} {
		c.shows(first.Shard, first.Seq)
		c.shows(second.Shard, second.Seq)
		if c.board.At(0, 4*512+3) != 5 || c.board.At(3, 487*512+487) != 6 {
			t.Errorf("client %d does not show both pixels", c.instance)
		}
	}
	equal(t, p, q)
	p.same(a)
	q.same(b)
}

func sentThroughTheOther(t *testing.T, a, b *running) {
	a.configure(`{"cooldown_ms": 3600000}`, b)
	token := a.token()
	p := a.fresh(77).hello(token)
	q := b.fresh(77).hello(token) // the keys are shared, so it is the same guest
	if p.init.User != q.init.User || p.init.Name != q.init.Name {
		t.Errorf("the edges know one guest as %v %q and %v %q", p.init.User, p.init.Name, q.init.User, q.init.Name)
	}
	first := p.placed(p.place(10, 10, 3))
	again := q.placed(q.place(10, 10, 3))
	if again.Seq != first.Seq || again.Shard != first.Shard || again.TimeMS != first.TimeMS {
		t.Errorf("sent again it became %+v, want %+v", again, first)
	}
	refusal, ok := q.answer(q.place(11, 11, 4)).(wire.Refusal)
	if !ok || core.Code(refusal.Code) != core.CodeCooldown || refusal.RetryAfterMS < 3_500_000 {
		t.Errorf("inside the cooldown the other edge answers %+v", refusal)
	}
	if late := b.fresh(78).hello(token); late.init.Allowance.NextMS != first.Allowance.NextMS {
		t.Errorf("at the other edge the allowance is %+v, want %+v", late.init.Allowance, first.Allowance)
	}
	b.configure(`{"cooldown_ms": 0}`, a)
	p.until("the cooldown's end at the first edge", func() bool {
		return len(p.configs) > 0 && p.configs[len(p.configs)-1].CooldownMS == 0
	})
}

// version fetches the newest canvas and returns its name, tag and bytes.
func (r *running) version() (name, tag string, body []byte) {
	r.t.Helper()
	res, err := http.Get("http://" + r.addr + "/api/v1/canvas")
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(res.Body); err != nil || res.StatusCode != 200 {
		r.t.Fatalf("%s, %v", res.Status, err)
	}
	return res.Request.URL.Path, res.Header.Get("ETag"), body
}

func sameFiles(t *testing.T, w *wall, a, b *running) {
	p := a.fresh(3).hello(a.token())
	placed := p.placed(p.place(600, 600, 9))
	var body []byte
	waitFor(t, "one version at both edges, with the pixel in it", func() bool {
		nameA, tagA, bodyA := a.version()
		nameB, tagB, bodyB := b.version()
		if nameA == nameB && (tagA != tagB || !bytes.Equal(bodyA, bodyB)) {
			t.Fatalf("%s is %d bytes under tag %s at one edge and %d bytes under tag %s at the other", nameA, len(bodyA), tagA, len(bodyB), tagB)
		}
		body = bodyA
		file, err := wire.ParseCanvasFile(bodyA)
		return err == nil && nameA == nameB && file.Shards[placed.Shard].Seq >= placed.Seq
	})
	for _, r := range []*running{a, b} {
		if n := r.metric(`pixelwall_canvas_source_total{source="redis_csc"}`); n == 0 {
			t.Error("no version came from Redis")
		}
	}
	if !w.own {
		return // others read there, too
	}
	before, began := w.reads(), time.Now()
	for range 500 {
		for _, r := range []*running{a, b} {
			if _, _, again := r.version(); !bytes.Equal(again, body) {
				t.Fatal("the version changed while nobody painted")
			}
		}
	}
	// What is read goes with the time, not with the requests: each edge asks for the
	// pointers again when two seconds are over, and whether Redis answers.
	seconds := int(time.Since(began).Seconds()) + 1
	if n := w.reads() - before; n > 200+40*seconds {
		t.Errorf("1000 requests for the canvas in %d s were %d reads of Redis", seconds, n)
	}
}

// reads returns how often anybody has asked Redis for a value.
func (w *wall) reads() (gets int) {
	w.t.Helper()
	c := w.client()
	text, err := c.Do(w.t.Context(), c.B().Info().Section("commandstats").Build()).ToString()
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, "cmdstat_get:calls="); ok {
			_, _ = fmt.Sscan(strings.Replace(rest, ",", " ", 1), &gets)
		}
	}
	return gets
}

func historyAtBoth(t *testing.T, a, b *running) {
	p := a.fresh(4).hello(a.token())
	var seqs []uint64
	for i := range 5 {
		seqs = append(seqs, p.placed(p.place(77, 78, 1+i)).Seq)
	}
	for _, r := range []*running{a, b} {
		waitFor(t, "the history of the pixel", func() bool {
			var h past
			status := r.getJSON("/api/v1/pixel?x=77&y=78", &h)
			return status == 200 && len(h.Items) == 5
		})
		var got []uint64
		for path := "/api/v1/pixel?x=77&y=78&limit=2"; path != ""; {
			var page past
			if status := r.getJSON(path, &page); status != 200 || len(page.Items) > 2 {
				t.Fatalf("%s: status %d, %d items", path, status, len(page.Items))
			}
			for _, item := range page.Items {
				got = append(got, item.Seq)
				if item.User == nil || item.User.Name != p.init.Name {
					t.Errorf("seq %d is by %v, want %s", item.Seq, item.User, p.init.Name)
				}
			}
			path = ""
			if page.Next != nil {
				path = fmt.Sprintf("/api/v1/pixel?x=77&y=78&limit=2&before=%d", *page.Next)
			}
		}
		for i := range seqs {
			if len(got) != 5 || got[4-i] != seqs[i] {
				t.Fatalf("the pages hold %v, want %v from the last to the first", got, seqs)
			}
		}
	}
}

func changedAtBoth(t *testing.T, a, b *running) {
	p := a.fresh(30).hello(a.token()).watch(all4)
	q := b.fresh(31).hello(b.token()).watch(all4)
	a.configure(`{"append_colors": [{"name": "pixelwall", "hex": "#123456"}]}`, b)
	for _, c := range []*peer{p, q} {
		c.until("the new colour", func() bool {
			return len(c.configs) > 0 && len(c.configs[len(c.configs)-1].Colors) == 33
		})
	}
	placed := q.placed(q.place(1, 1, 32))
	p.shows(placed.Shard, placed.Seq)
	if p.board.At(0, 513) != 32 {
		t.Error("the new colour is not on the canvas")
	}
	a.configure(`{"width": 1500}`)
	for _, c := range []*peer{p, q} {
		c.until("the resync of a canvas that grew", func() bool { return c.lost == all4 })
	}
	for _, at := range []struct {
		r *running
		c *peer
	}{{a, p}, {b, q}} {
		waitFor(t, "the canvas in its new size", func() bool { return at.r.canvas().Width == 1500 })
		at.c.load(at.r.canvas())
		at.c.watch(all6)
	}
	var last wire.Placed
	for _, c := range []*peer{p, q} {
		for i := range 2 {
			last = c.placed(c.place(1200+i, 700*i, 3+i)) // shards that the canvas did not have
			p.shows(last.Shard, last.Seq)
			q.shows(last.Shard, last.Seq)
		}
	}
	equal(t, p, q)
	p.same(a)
	q.same(b)
}
