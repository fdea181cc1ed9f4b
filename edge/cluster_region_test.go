package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pixelwall/core"
	"pixelwall/wire"
)

// mirror copies the log to the region eu until it is killed.
func (w *wall) mirror(binary string, more ...string) (kill func()) {
	w.t.Helper()
	brokers := strings.Join(w.kafka, ",")
	var said safeBuffer
	cmd := exec.Command(binary, append([]string{"--from", brokers, "--to", brokers, "--topic", w.prefix, "--region", "eu"}, more...)...)
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	dead := false
	kill = func() {
		if !dead {
			dead = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	w.t.Cleanup(func() {
		kill()
		if w.t.Failed() {
			w.t.Logf("the mirror said:\n%s", said.String())
		}
	})
	return kill
}

// An edge of a region follows a mirror that is killed and copies a thousand
// records again, under other offsets. Its clients see each event once.
func TestARegionFollowsAMirror(t *testing.T) {
	t.Parallel()
	w := sharedWall(t)
	binary := filepath.Join(t.TempDir(), "mirror")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "pixelwall/tools/mirror").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	home := w.edge(quick...)
	kill := w.mirror(binary)
	dir := tempDir(t)
	away := w.edge(append(quick, "--region", "eu", "--data", dir)...)
	if !strings.Contains(home.log.String(), "taken over") || strings.Contains(away.log.String(), "taken over") {
		t.Error("the region's edge relays, or the home edge does not")
	}
	p, q := home.fresh(1).hello(home.token()).watch(all4), away.fresh(2).hello(away.token()).watch(all4)
	if p.canvas != q.canvas {
		t.Fatalf("the canvases are %x and %x", p.canvas, q.canvas)
	}
	// One placement a record, all in one shard, so that what is copied again is much.
	many := 1000
	if testing.Short() {
		many = 200
	}
	paint := func(c *peer, n int) (last wire.Placed) {
		t.Helper()
		for i := range n {
			last = c.placed(c.place(i%500, i/500, 1+i%15))
		}
		return last
	}
	paint(p, 300)
	last := paint(q, 50) // goes to the write region and comes back through the mirror
	for _, c := range []*peer{p, q} {
		c.shows(last.Shard, last.Seq)
	}
	kill()
	last = paint(p, many)
	p.shows(last.Shard, last.Seq)
	kill = w.mirror(binary, "--recopy", "1000")
	q.shows(last.Shard, last.Seq)
	kill()
	w.mirror(binary, "--recopy", "1000") // all of it once more
	last = paint(q, 20)
	for _, c := range []*peer{p, q} {
		c.shows(last.Shard, last.Seq)
	}
	equal(t, p, q)
	p.same(home)
	q.same(away)
	if n := away.metric("pixelwall_fanout_resyncs_total") + away.metric("pixelwall_fanout_reloads_total") + away.metric("pixelwall_session_diverged_total"); p.lost|q.lost != 0 || n != 0 {
		t.Errorf("somebody had to fetch the canvas: shards %b, %b; %v in the metrics", p.lost, q.lost, n)
	}
	if err := away.end(); err != nil {
		t.Fatal(err)
	}
	middle := paint(p, 5)
	back := w.edge(append(quick, "--region", "eu", "--data", dir)...)
	q.moves(back, back.token(), all4)
	q.shows(middle.Shard, middle.Seq)
	equal(t, p, q)
	q.same(back)
	waitFor(t, "history in the region", func() bool { // it connects beside everything else
		var h past
		return back.getJSON("/api/v1/pixel?x=0&y=0", &h) == 200
	})
	c := w.inside()
	if st, err := c.Outbox().Stand(context.Background(), core.ShardID(middle.Shard)); err != nil || st.Seq < middle.Seq {
		t.Errorf("Redis stands at %+v, %v", st, err)
	}
}
