package fanout

import (
	"flag"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/wire"
)

var seed = flag.Uint64("seed", 0, "repeat the random tests with this seed")

// Clients come, go, look elsewhere and return from any seq, and all that are in
// step show the same canvas after every tick, whichever coding they understand.
func TestEveryClientInStepShowsTheSameCanvas(t *testing.T) {
	for _, tt := range []struct {
		name          string
		width, height int
		palette       string
	}{
		{"four shards of 4 bits", 700, 600, "place2017"},
		{"an odd sliver of 8 bits", 513, 3, "place2022"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rnd := testSeed(t)
			r := newRig(t, tt.width, tt.height, tt.palette, nil)
			all := uint64(1)<<len(r.config.Geometry().Shards()) - 1
			if tt.height == 3 {
				all = 0b11
			}
			for range 150 {
				for range rnd.IntN(6) {
					r.place(rnd, 1+rnd.IntN(40))
				}
				switch {
				case len(r.clients) < 8:
					v := r.newViewer(rnd.IntN(2))
					if rnd.IntN(2) == 0 { // its canvas comes from a slow CDN
						for range rnd.IntN(4) {
							r.place(rnd, 1+rnd.IntN(9))
							r.tick()
						}
					}
					v.watch(0, rnd.Uint64()&all)
				default:
					v := r.clients[rnd.IntN(len(r.clients))]
					switch rnd.IntN(3) {
					case 0:
						v.follow, v.sub = 0, Subscription{} // cut off
					case 1:
						want := rnd.Uint64() & all
						v.watch(want&v.follow, want&^v.follow)
					case 2:
						v.watch(0, all) // says again what it holds
					}
				}
				r.tick()
				for _, v := range r.clients {
					if v.lost != 0 {
						t.Fatalf("a client that was away for less than the ring has to fetch shards %b", v.lost)
					}
					v.same()
				}
			}
			if r.hub.Stats().Pixels == 0 || r.bytes == 0 {
				t.Fatal("nothing was sent")
			}
		})
	}
}

func TestACanvasIsRecentForAMinuteOrTwo(t *testing.T) {
	rnd := testSeed(t)
	r := newRig(t, 512, 512, "place2017", nil)
	r.place(rnd, 10)
	r.tick()
	fetched := r.hub.Heads()[0]
	r.place(rnd, 10)
	for passed := r.tickIs; passed < 3*recentFor; passed += r.tickIs {
		r.tick()
		recent := r.hub.Recent(0, fetched)
		if passed <= recentFor && !recent {
			t.Fatalf("not recent after %v", passed)
		}
		if passed > 2*recentFor+r.tickIs && recent {
			t.Fatalf("recent after %v", passed)
		}
		if !r.hub.Recent(0, r.hub.Heads()[0]) {
			t.Fatal("who is in step holds what is not recent")
		}
	}
}

func TestAClientOlderThanTheRingFetchesTheCanvas(t *testing.T) {
	rnd := testSeed(t)
	r := newRig(t, 512, 512, "place2017", func(o *Options) { o.RingBytes = 2 * blockEvents * 4 })
	v := r.newViewer(ClassAll)
	for range 10 {
		r.place(rnd, blockEvents)
		r.tick()
	}
	if have := r.hub.Stats().RingBytes; have > 2*blockEvents*4 {
		t.Errorf("the ring has %d bytes, more than its bound", have)
	}
	v.watch(0, 1)
	if v.lost != 1 || v.follow != 0 {
		t.Fatalf("a client from seq 0 follows %b and lost %b, want a resync", v.follow, v.lost)
	}
	v.fetch()
	v.watch(0, 1)
	v.same()
	r.place(rnd, 5)
	r.tick()
	v.same()
}

func TestEventsOlderThanTheRingsAgeAreForgotten(t *testing.T) {
	rnd := testSeed(t)
	r := newRig(t, 512, 512, "place2017", func(o *Options) { o.RingAge = 5 * time.Second })
	v := r.newViewer(ClassAll)
	for range 3 {
		r.place(rnd, blockEvents)
		r.tick()
	}
	r.nowMS += 10_000
	r.tick()
	v.watch(0, 1)
	if v.lost != 1 {
		t.Fatal("a client from ten seconds ago was caught up from a ring of five")
	}
}

func TestAClientAheadOfTheEdgeFetchesTheCanvas(t *testing.T) {
	r := newRig(t, 512, 512, "place2017", nil)
	v := r.newViewer(ClassAll)
	v.seqs[0] = 9
	v.watch(0, 1)
	if v.lost != 1 || v.follow != 0 {
		t.Fatalf("follows %b, lost %b", v.follow, v.lost)
	}
}

func TestAClientOfAnotherCanvasFetchesItAll(t *testing.T) {
	r := newRig(t, 1024, 512, "place2017", nil)
	v := r.newViewer(ClassAll)
	r.hub.Join(Join{Client: v, Sub: &v.sub, Foreign: true, Shards: []wire.WatchShard{{Shard: 0, Resume: true}, {Shard: 1}}})
	r.hub.serveJoins()
	if v.lost != 0b11 || v.follow != 0 {
		t.Fatalf("follows %b, lost %b", v.follow, v.lost)
	}
}

func TestGoingOnWithAShardThatIsNotFollowedIsAResync(t *testing.T) {
	r := newRig(t, 1024, 512, "place2017", nil)
	v := r.newViewer(ClassAll)
	v.watch(0b10, 0b01)
	if v.lost != 0b10 || v.follow != 0b01 {
		t.Fatalf("follows %b, lost %b", v.follow, v.lost)
	}
}

func TestATickThatFindsNoRoomIsSaidWithTheNextOne(t *testing.T) {
	rnd := testSeed(t)
	room := true
	r := newRig(t, 512, 512, "place2017", func(o *Options) { o.Room = func() bool { return room } })
	v := r.newViewer(ClassAll)
	v.watch(0, 1)
	r.tick()
	room = false
	r.place(rnd, 100)
	r.tick()
	if len(r.sent) != 0 || v.seqs[0] != 0 {
		t.Fatal("a tick was sent without room")
	}
	room = true
	r.place(rnd, 100)
	r.tick()
	v.same()
	if v.seqs[0] != 200 {
		t.Fatalf("the client stands at seq %d, want 200", v.seqs[0])
	}
}

func TestEachShardIsCheckedOnceAMinute(t *testing.T) {
	rnd := testSeed(t)
	r := newRig(t, 512, 512, "place2017", nil)
	v := r.newViewer(ClassAll)
	v.watch(0, 1)
	r.place(rnd, 5)
	r.tick()
	joined := v.checks
	for range 180 {
		r.tick()
	}
	if got := v.checks - joined; got != 3 {
		t.Errorf("%d checks in three minutes", got)
	}
}

func TestClientsThatAreFarBehindShareACatchUp(t *testing.T) {
	rnd := testSeed(t)
	r := newRig(t, 512, 512, "place2017", nil)
	var away []*viewer
	for range 3 {
		away = append(away, r.newViewer(ClassAll))
		r.place(rnd, 7)
		r.tick()
	}
	for range 18 {
		r.place(rnd, blockEvents)
	}
	r.tick()
	for _, v := range away {
		v.watch(0, 1)
		v.same()
	}
	if n := r.hub.Stats().CatchUps; n != 1 {
		t.Errorf("%d catch-ups were encoded for clients in one block", n)
	}
}

func TestChangesThatCancelOutStillMoveTheSeq(t *testing.T) {
	r := newRig(t, 512, 512, "place2017", nil)
	v := r.newViewer(ClassAll)
	v.watch(0, 1)
	r.tick()
	for i, color := range []uint8{5, r.config.Blank} {
		rec := &core.Record{Kind: core.KindPlacements, Shard: 0, First: uint64(i + 1), TimeMS: r.nowMS, Events: []core.Event{{Offset: 7, Color: color}}}
		if err := r.hub.apply(rec); err != nil {
			t.Fatal(err)
		}
	}
	r.tick()
	if v.seqs[0] != 2 || r.hub.Stats().Pixels != 0 {
		t.Fatalf("seq %d with %d pixels, want 2 with none", v.seqs[0], r.hub.Stats().Pixels)
	}
}

func TestACanvasThatGrowsIsFetchedAnew(t *testing.T) {
	rnd := testSeed(t)
	grew := false
	r := newRig(t, 600, 500, "place2017", func(o *Options) {
		o.Reset = func(_ uint64, reason uint8) { grew = reason == wire.ResyncGrown }
	})
	v := r.newViewer(ClassAll)
	v.watch(0, 0b11)
	r.place(rnd, 20)
	r.tick()
	larger := r.config
	larger.Version, larger.Width, larger.Height = 2, 1100, 600
	for _, s := range larger.Geometry().Shards() {
		r.seqs[s]++
		if err := r.hub.apply(&core.Record{Kind: core.KindConfig, Shard: s, First: r.seqs[s], TimeMS: r.nowMS, Config: &larger}); err != nil {
			t.Fatal(err)
		}
	}
	r.config = larger
	r.place(rnd, 20)
	r.tick()
	if !grew {
		t.Fatal("nobody was told that the canvas grew")
	}
	v.follow = 0
	v.watch(0b11, 0)
	if v.lost != 0b11 {
		t.Fatalf("a client goes on with a canvas that is too small; lost %b", v.lost)
	}
	v.fetch()
	v.watch(0, 0b111111)
	for range 10 {
		r.place(rnd, 30)
		r.tick()
		v.same()
	}
}

func TestARingIsFilledFromBeforeTheBase(t *testing.T) {
	rnd := testSeed(t)
	old := newRig(t, 512, 512, "place2017", nil)
	var log []*core.Record
	away := old.newViewer(ClassAll)
	for range 20 {
		old.place(rnd, 10)
		old.tick()
	}
	base := old.hub.Snapshot()
	// The same events again, as the log would give them after a restart.
	fresh := newRig(t, 512, 512, "place2017", func(o *Options) { o.Base = base })
	fresh.hub.goal = base.Heads
	ring := &old.hub.shards[0].ring
	rec := &core.Record{Kind: core.KindPlacements, Shard: 0, First: 1, TimeMS: old.nowMS}
	ring.visit(0, base.Heads[0], func(off uint32) { rec.Events = append(rec.Events, core.Event{Offset: off, Color: 3}) })
	log = append(log, rec)
	hub, err := NewHub(Options{Base: base, RingFrom: core.Heads{}, TickEvery: time.Second, NowMS: fresh.hub.opt.NowMS,
		Room: fresh.hub.opt.Room, Say: fresh.hub.opt.Say, Broadcast: fresh.hub.opt.Broadcast, Changed: fresh.hub.opt.Changed, Reset: fresh.hub.opt.Reset,
		RingAge: 5 * time.Minute, RingBytes: 64 << 20, CheckEach: time.Minute, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	hub.goal = base.Heads
	for _, r := range log {
		if err := hub.apply(r); err != nil {
			t.Fatal(err)
		}
	}
	fresh.hub, away.r = hub, fresh
	away.watch(0, 1)
	if away.lost != 0 {
		t.Fatal("a client from before the restart has to fetch the canvas")
	}
	away.same()
}

func TestTicksOutOfRangeAreRefused(t *testing.T) {
	for _, d := range []time.Duration{0, 19 * time.Millisecond, 11 * time.Second} {
		if _, err := NewHub(Options{TickEvery: d, Base: &core.Snapshot{}}); core.CodeOf(err) != core.CodeInvalid {
			t.Errorf("a tick of %v gives %v", d, err)
		}
	}
}

// A tick allocates its buffers and its broadcast, however many pixels it has.
func BenchmarkTick(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 1))
	r := newRig(&testing.T{}, 1000, 1000, "place2017", nil)
	b.ReportAllocs()
	for b.Loop() {
		for range 10 {
			r.place(rnd, 100)
		}
		r.tick()
	}
}
