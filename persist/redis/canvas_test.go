package redis

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pixelwall/core"
)

// publish makes copies as if a second had passed since the last ones.
func publish(t testing.TB, c *Client, shards ...core.ShardID) {
	t.Helper()
	r, err := c.link.get()
	must(t, err)
	for _, s := range shards {
		must(t, r.Do(t.Context(), r.B().Hincrby().Key(c.keys[s].meta).Field("copiedat").Increment(-1000).Build()).Error())
		if err := c.Outbox().Publish(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

// fold returns the canvas that the stream leads to.
func fold(t testing.TB, c *Client) *core.Snapshot {
	t.Helper()
	heads, err := c.Stream().Heads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f, err := core.NewFold(nil)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Stream().Tail(t.Context(), core.Heads{}, func(r *core.Record) error {
		if _, err := f.Next(r); err != nil {
			return err
		}
		if f.Heads.Reach(&heads) {
			return errEnough
		}
		return nil
	})
	if err != errEnough {
		t.Fatal(err)
	}
	return f.Snapshot(0)
}

func sameSnapshot(t testing.TB, got, want *core.Snapshot) {
	t.Helper()
	if got.Canvas != want.Canvas || got.Heads != want.Heads || got.Times != want.Times || got.Holders != want.Holders || got.Config.Version != want.Config.Version {
		t.Errorf("canvas %x version %d heads %v, want %x %d %v", got.Canvas, got.Config.Version, got.Heads[:4], want.Canvas, want.Config.Version, want.Heads[:4])
	}
	for s := range want.Shards {
		if string(got.Shards[s]) != string(want.Shards[s]) {
			t.Errorf("shard %d differs", s)
		}
	}
}

func TestThePublishedCanvasIsTheFoldOfTheStream(t *testing.T) {
	c := open(t, testOptions(t))
	config := testConfig()
	config.Width = 601 // an odd width, so that rows share bytes
	keepArmed(t, c, config)
	for n := range uint32(20) {
		outcomes(t, c, placement(rand.IntN(601), rand.IntN(520), rand.IntN(16), 1, core.Request{Instance: 1, Number: n}))
	}
	if _, err := c.Canvas().Snapshot(t.Context()); core.CodeOf(err) != core.CodeUnavailable {
		t.Fatalf("before it was published: %v", err)
	}
	publish(t, c, config.Geometry().Shards()...)
	var got *core.Snapshot
	var err error
	until(t, "Redis takes back that there was none", func() bool {
		got, err = c.Canvas().Snapshot(t.Context())
		return err == nil
	})
	want := fold(t, c)
	sameSnapshot(t, got, want)

	grown := config
	grown.Version, grown.Width = 2, 700
	if err := c.Sequencer().Configure(t.Context(), grown); err != nil {
		t.Fatal(err)
	}
	outcomes(t, c, placement(699, 1, 5, 1, core.Request{Instance: 1, Number: 100}))
	publish(t, c, 0) // shard 1 is still that of before
	until(t, "the pointer is seen", func() bool {
		got, err = c.Canvas().Snapshot(t.Context())
		return err == nil && got.Config.Version == 2
	})
	if g := got.Config.Geometry(); len(got.Shards[1]) != g.PackedBytes(1) || got.Heads[1] != want.Heads[1] {
		t.Errorf("shard 1 has %d bytes and seq %d", len(got.Shards[1]), got.Heads[1])
	}
	publish(t, c, grown.Geometry().Shards()...)
	until(t, "all pointers are seen", func() bool {
		heads, err := c.Canvas().Heads(t.Context())
		now, err2 := c.Stream().Heads(t.Context())
		return err == nil && err2 == nil && heads == now
	})
	if got, err = c.Canvas().Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	sameSnapshot(t, got, fold(t, c))
}

// Whoever asks, and however often: a copy is fetched once, and its publication
// takes one key out of the cache.
func TestAThousandSnapshotsCostOneGetEach(t *testing.T) {
	c := ownServer(t)
	config := testConfig()
	keepArmed(t, c, config)
	shards := config.Geometry().Shards()
	publish(t, c, shards...)
	snapshots := func(n int) {
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range n / 8 {
					if _, err := c.Canvas().Snapshot(t.Context()); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	before, _ := commandTime(t, c, "get")
	snapshots(1000)
	after, _ := commandTime(t, c, "get")
	// A pointer is believed for two seconds, so a slow machine asks more than once.
	if gets := after - before; gets < float64(2*len(shards)) || gets > float64(4*len(shards)) {
		t.Errorf("%v GETs for 1000 snapshots of %d shards", gets, len(shards))
	}
	invalidated := c.Stats().Invalidations
	for n := range uint32(5) {
		outcomes(t, c, placement(3, 3, 3, 1, core.Request{Instance: 1, Number: n}))
		before, _ = commandTime(t, c, "get")
		publish(t, c, 0)
		want, err := c.Stream().Heads(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		until(t, "the new copy is seen", func() bool {
			snap, err := c.Canvas().Snapshot(t.Context())
			return err == nil && snap.Heads[0] == want[0]
		})
		snapshots(200)
		after, _ = commandTime(t, c, "get")
		if gets := after - before; gets < 2 || gets > 2+2*float64(len(shards)) {
			t.Errorf("%v GETs after one publication", gets)
		}
	}
	if n := c.Stats().Invalidations - invalidated; n < 5 || n > 10 {
		t.Errorf("%d invalidations for 5 publications", n)
	}
}

func TestACopyThatNothingChangedIsNotMadeAgain(t *testing.T) {
	c := open(t, testOptions(t))
	keepArmed(t, c, testConfig())
	publish(t, c, 0)
	first := pointerName(t, c)
	publish(t, c, 0)
	if again := pointerName(t, c); again != first {
		t.Error("it was made again")
	}
	outcomes(t, c, placement(3, 3, 3, 1, core.Request{Instance: 1, Number: 1}))
	publish(t, c, 0)
	if next := pointerName(t, c); next == first {
		t.Error("what changed was not published")
	}
}

// However many processes publish, a shard that changes all the time is copied once a
// second.
func TestManyPublishersMakeOneCopyASecond(t *testing.T) {
	o := testOptions(t)
	publishers := []*Client{open(t, o), open(t, o), open(t, o)}
	c := publishers[0]
	keepArmed(t, c, testConfig())
	copies := func() int {
		r, err := c.link.get()
		must(t, err)
		keys, err := r.Do(t.Context(), r.B().Keys().Pattern(c.keys[0].base+"snap:*").Build()).AsStrSlice()
		must(t, err)
		return len(keys)
	}
	number := uint32(0)
	began := time.Now()
	round := func() {
		for _, p := range publishers {
			number++
			outcomes(t, c, placement(3, 3, int(number%16), 1, core.Request{Instance: 1, Number: number}))
			must(t, p.Outbox().Publish(t.Context(), 0))
		}
	}
	for range 3 {
		round()
	}
	if n, most := copies(), 1+int(time.Since(began)/(900*time.Millisecond)); n < 1 || n > most {
		t.Errorf("%d copies in %v of nine tries", n, time.Since(began))
	}
	before := copies()
	until(t, "the next second has a copy too", func() bool { round(); return copies() > before })
}

func TestACanvasNeverGoesBack(t *testing.T) {
	c := open(t, testOptions(t))
	config := testConfig()
	keepArmed(t, c, config)
	publish(t, c, config.Geometry().Shards()...)
	old := latest(t, c)
	outcomes(t, c, placement(3, 3, 3, 1, core.Request{Instance: 1, Number: 1}))
	publish(t, c, 0)
	want, err := c.Stream().Heads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seen := func() bool {
		heads, err := c.Canvas().Heads(t.Context())
		return err == nil && heads == want
	}
	until(t, "the new copy is seen", seen)
	r, _ := c.link.get()
	if err := r.Do(t.Context(), r.B().Set().Key(c.keys[0].latest).Value(old).Build()).Error(); err != nil {
		t.Fatal(err)
	}
	until(t, "the old pointer is back", func() bool { return latest(t, c) == old })
	if !seen() {
		t.Error("an older pointer was believed")
	}
}

func latest(t testing.TB, c *Client) string {
	t.Helper()
	r, err := c.link.get()
	if err != nil {
		t.Fatal(err)
	}
	text, err := r.Do(t.Context(), r.B().Get().Key(c.keys[0].latest).Build()).ToString()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func pointerName(t testing.TB, c *Client) string { return latest(t, c)[:8] }
