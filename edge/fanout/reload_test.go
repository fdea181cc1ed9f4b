package fanout

import (
	"bytes"
	"context"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/wire"
)

// equals asserts that v shows the fold of the log in shard s.
func (v *viewer) equals(want *core.Snapshot, s core.ShardID) {
	v.t.Helper()
	pixels := want.Shards[s]
	if pixels == nil { // nobody has painted there
		pixels = core.NewBoard(want.Config.Geometry(), want.Config.Blank).AppendPacked(nil, s)
	}
	if got := v.board.AppendPacked(nil, s); !bytes.Equal(got, pixels) || v.seqs[s] != want.Heads[s] {
		v.t.Fatalf("shard %d of a client at seq %d is not the fold of the log at seq %d", s, v.seqs[s], want.Heads[s])
	}
}

func twoShards(t *testing.T) (*clusterRig, *faultyLog) {
	log := newFaultyLog()
	r := newClusterRig(t, 1024, 512, log)
	log.claim(core.Holder{Epoch: 1, Relay: 5}, 0, 1)
	return r, log
}

func TestAGapIsFetchedAgainAndOthersGoOn(t *testing.T) {
	rnd := testSeed(t)
	r, log := twoShards(t)
	v := r.newViewer(ClassAll)
	v.watch(0, 0b11)
	r.place(rnd, 0, 20)
	log.hidden[r.place(rnd, 0, 5)] = true
	r.place(rnd, 0, 5)
	r.place(rnd, 1, 9)
	r.pump()
	r.tick()
	v.same()
	if v.seqs[0] != 20 || v.seqs[1] != 9 {
		t.Fatalf("the client stands at %v, want 20 and 9", v.seqs[:2])
	}
	log.hidden = nil
	if !r.heal(mendEvery) {
		t.Fatal("a gap was forgotten")
	}
	r.pump()
	r.tick()
	v.same()
	v.equals(log.fold(t, r.hub.opt.Base, whole), 0)
	if st := r.hub.Stats(); st.Gaps < 2 || st.Reloads != 0 || v.lost != 0 || r.heal(time.Second) {
		t.Errorf("%+v, lost %b: want gaps and nothing else", st, v.lost)
	}
}

// A claim beyond the hole is heard before what is missing.
func TestAGapBeforeAClaimIsFilledByWhoWroteIt(t *testing.T) {
	rnd := testSeed(t)
	r, log := twoShards(t)
	r.place(rnd, 0, 20)
	hidden := r.place(rnd, 0, 5)
	log.hidden[hidden] = true
	r.takeOver(0, 25)
	r.place(rnd, 0, 5)
	r.pump()
	log.hidden = nil
	r.heal(mendEvery)
	r.pump()
	if st := r.hub.Stats(); r.hub.follower.Heads[0] != r.seqs[0] || st.Reloads != 0 || st.Stale != 0 {
		t.Fatalf("head %d of %d, %+v", r.hub.follower.Heads[0], r.seqs[0], st)
	}
}

func TestAGapThatStaysIsReloaded(t *testing.T) {
	rnd := testSeed(t)
	r, log := twoShards(t)
	v, w := r.newViewer(ClassAll), r.newViewer(ClassRice)
	v.watch(0, 0b11)
	w.watch(0, 0b10)
	r.place(rnd, 0, 20)
	log.hidden[r.place(rnd, 0, 5)] = true
	r.place(rnd, 0, 5)
	base := *r.hub.opt.Base
	log.snapshot = log.fold(t, &base, upTo(20))
	r.pump()
	r.tick()
	r.heal(gapPatience)
	if n := r.hub.Stats().Reloads; n != 0 || log.asked != 1 {
		t.Fatalf("%d reloads from a snapshot that ends before the gap, asked %d times", n, log.asked)
	}
	log.snapshot = log.fold(t, &base, upTo(25))
	r.heal(mendEvery)
	r.place(rnd, 1, 3)
	r.tick() // the tail has not come back yet
	if v.lost != 0 || v.seqs[0] != 20 || r.hub.Heads()[0] != 20 {
		t.Fatalf("lost %b, client at %d, boundary at %d: the shard must stand still", v.lost, v.seqs[0], r.hub.Heads()[0])
	}
	r.pump()
	r.tick()
	if v.lost != 0b01 || v.follow != 0b10 || w.lost != 0 {
		t.Fatalf("lost %b and %b, follows %b", v.lost, w.lost, v.follow)
	}
	v.watch(0b11, 0) // sent before it heard
	if v.follow != 0b10 {
		t.Fatalf("goes on with a shard that was loaded anew: %b", v.follow)
	}
	v.fetchAnd(0b11)
	r.place(rnd, 0, 4)
	r.pump()
	r.tick()
	v.same()
	w.same()
	v.equals(log.fold(t, &base, whole), 0)
	if st := r.hub.Stats(); st.Reloads != 1 || st.Phantoms != 0 {
		t.Errorf("%+v", st)
	}
}

// While nobody publishes, the published canvas has the same phantoms; a snapshot that is
// kept has not.
func TestAPhantomIsTakenBackToAStoredSnapshot(t *testing.T) {
	rnd := testSeed(t)
	r, log := twoShards(t)
	base := *r.hub.opt.Base
	var armed []uint32
	r.hub.opt.Armed = func(s core.ShardID, epoch uint32) { armed = append(armed, epoch) }
	r.place(rnd, 0, 60)
	stored := log.fold(t, &base, whole)
	r.hub.opt.Stored = func(context.Context) (*core.Snapshot, error) { return stored, nil }
	phantoms := r.place(rnd, 0, 20)
	r.pump()
	r.tick()
	log.snapshot = log.fold(t, &base, whole)
	log.lost[phantoms] = true
	r.takeOver(0, 60)
	r.pump()
	if r.heal(mendEvery); r.hub.Stats().Reloads != 1 {
		t.Fatal("the stored snapshot was not loaded")
	}
	r.pump()
	r.tick()
	v := r.newViewer(ClassAll)
	v.fetch()
	v.equals(log.fold(t, &base, whole), 0)
	log.claim(core.Holder{Epoch: 9, Relay: 5}, 1)
	r.pump()
	if len(armed) != 1 || armed[0] != 2 {
		t.Errorf("told that epochs %v are armed", armed)
	}
}

// The stored snapshot is the whole canvas, so it is not read with every look at what is
// in trouble.
func TestAStoredSnapshotThatDoesNotHelpIsReadSeldom(t *testing.T) {
	rnd := testSeed(t)
	r, log := twoShards(t)
	base := *r.hub.opt.Base
	stored, reads := log.fold(t, &base, whole), 0
	r.hub.opt.Stored = func(context.Context) (*core.Snapshot, error) { reads++; return stored, nil }
	r.place(rnd, 0, 60)
	phantoms := r.place(rnd, 0, 20)
	r.pump()
	r.tick()
	log.snapshot = log.fold(t, &base, whole)
	stored = log.snapshot
	log.lost[phantoms] = true
	r.takeOver(0, 60)
	r.pump()
	for range 10 * int(storedEvery/mendEvery) {
		if !r.heal(mendEvery) {
			t.Fatal("it is healed")
		}
	}
	if reads != 10 {
		t.Errorf("%d reads in %v", reads, 10*storedEvery)
	}
}

func TestAPhantomIsTakenBack(t *testing.T) {
	rnd := testSeed(t)
	r, log := twoShards(t)
	base := *r.hub.opt.Base
	saw, away, unhurt := r.newViewer(ClassAll), r.newViewer(ClassAll), r.newViewer(ClassAll)
	r.place(rnd, 0, 60)
	log.snapshot = log.fold(t, &base, whole) // good, but not of use yet
	good := log.snapshot
	r.place(rnd, 0, 20)
	r.place(rnd, 1, 7)
	r.pump()
	r.tick()
	saw.fetchAnd(0b11)
	away.fetch()
	unhurt.fetch() // holds 80, the last one that the log will have
	phantoms := r.place(rnd, 0, 20)
	r.pump()
	r.tick()
	away.fetch() // holds phantoms, and is not here when they are taken back
	log.snapshot = log.fold(t, &base, whole)

	log.lost[phantoms] = true
	r.takeOver(0, 80)
	r.place(rnd, 0, 6)
	r.pump()
	r.tick()
	if r.hub.Heads()[0] != 100 || saw.lost != 0 {
		t.Fatalf("boundary %d, lost %b: the shard must stand still", r.hub.Heads()[0], saw.lost)
	}
	if !r.heal(mendEvery) || r.hub.Stats().Reloads != 0 {
		t.Fatal("a snapshot with the same phantoms was loaded")
	}
	log.snapshot = good
	r.heal(mendEvery)
	r.pump()
	r.tick()
	if saw.lost != 0b01 || saw.follow != 0b10 {
		t.Fatalf("lost %b, follows %b", saw.lost, saw.follow)
	}
	want := log.fold(t, &base, whole)
	saw.fetchAnd(0b11)
	saw.equals(want, 0)
	if away.watch(0, 0b01); away.lost != 0b01 {
		t.Fatal("a client with phantoms goes on from them")
	}
	away.fetchAnd(0b01)
	away.equals(want, 0)
	if unhurt.watch(0, 0b01); unhurt.lost != 0 {
		t.Fatal("a client that never saw a phantom has to fetch the canvas")
	}
	unhurt.equals(want, 0)
	for range 5 {
		r.place(rnd, 0, 8)
		r.pump()
		r.tick()
	}
	for _, v := range r.clients {
		v.same()
	}
	if st := r.hub.Stats(); st.Phantoms != 1 || st.Reloads != 1 || st.Stale != 0 {
		t.Errorf("%+v", st)
	}
}

// A shard that was loaded is shown when it is as far as the log was, even where
// only its marker tells how far that is; but not much later than it could be.
func TestAReloadIsShownWhenItHasCaughtUp(t *testing.T) {
	for _, tt := range []struct {
		name string
		late bool
	}{{"and the marker came", false}, {"or the log gives nothing", true}} {
		t.Run(tt.name, func(t *testing.T) {
			rnd := testSeed(t)
			r, log := twoShards(t)
			base := *r.hub.opt.Base
			v, joins := r.newViewer(ClassAll), &counted{}
			r.place(rnd, 0, 60)
			good := log.fold(t, &base, whole)
			r.tick()
			left := r.place(rnd, 0, 20)
			r.tick()
			phantoms := r.place(rnd, 0, 20)
			r.pump()
			r.tick()
			v.fetchAnd(1)
			log.lost[phantoms], log.snapshot = true, good
			r.takeOver(0, 80)
			newest := r.place(rnd, 0, 6)
			r.pump()
			log.fault = core.NewError(core.CodeUnavailable, "no heads")
			r.heal(mendEvery)
			log.fault = nil
			for _, rec := range []*core.Record{log.records[len(log.records)-3], newest} { // of the Tail that still runs
				c := *rec
				if err := r.hub.apply(&c); err != nil {
					t.Fatal(err)
				}
			}
			r.hub.begin(nil)
			c := *left
			if err := r.hub.apply(&c); err != nil {
				t.Fatal(err)
			}
			if r.tick(); v.lost != 0 || r.hub.Heads()[0] != 100 {
				t.Fatalf("lost %b, boundary %d, before the marker came", v.lost, r.hub.Heads()[0])
			}
			want := log.fold(t, &base, whole)
			if tt.late {
				want = log.fold(t, &base, upTo(80))
				r.pass(reloadPatience)
			} else {
				r.pump()
			}
			r.hub.Join(Join{Client: joins, Sub: &Subscription{}, Shards: []wire.WatchShard{{Shard: 0, Resume: true, Held: 70}}})
			if r.hub.serveJoins(); joins.d.Follow != 0 {
				t.Fatal("a catch-up to a boundary that is to be taken back")
			}
			if r.tick(); v.lost != 1 {
				t.Fatal("it is not shown")
			}
			v.fetchAnd(1)
			v.equals(want, 0)
			if got := r.hub.Snapshot(); got.Times[0] != want.Times[0] || r.hub.Stats().Stale != 0 {
				t.Errorf("time %d, want %d; %+v", got.Times[0], want.Times[0], r.hub.Stats())
			}
		})
	}
}

// An edge that starts may get a snapshot that followed what was lost later.
func TestAPhantomInTheBaseIsTakenBack(t *testing.T) {
	rnd := testSeed(t)
	maker, log := twoShards(t)
	base := *maker.hub.opt.Base
	maker.place(rnd, 0, 80)
	good := log.fold(t, &base, whole)
	phantoms := maker.place(rnd, 0, 20)
	haunted := log.fold(t, &base, whole)
	log.lost[phantoms] = true
	maker.takeOver(0, 80)
	maker.place(rnd, 0, 6)

	log.snapshot = good
	hub := newRig(t, 1024, 512, "place2017", func(o *Options) {
		o.Log, o.Reload, o.Base, o.RingFrom = log, log.reload, haunted, core.Heads{40}
	})
	h, err := NewHub(hub.hub.opt) // newRig's is ready before it has read anything
	if err != nil {
		t.Fatal(err)
	}
	hub.hub = h
	r := &clusterRig{rig: hub, log: log}
	if err := h.aim(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.pump()
	if h.shown != nil {
		t.Fatal("ready with phantoms")
	}
	r.heal(mendEvery)
	r.pump()
	v := r.newViewer(ClassAll)
	v.equals(log.fold(t, &base, whole), 0)
}

func TestAMarkerCostsNoReload(t *testing.T) {
	rnd := testSeed(t)
	r, log := twoShards(t)
	v, away := r.newViewer(ClassAll), r.newViewer(ClassAll)
	v.watch(0, 0b11)
	r.place(rnd, 0, 30)
	r.pump()
	r.tick()
	away.fetch()
	r.place(rnd, 0, 5)
	r.takeOver(0, 35)
	r.place(rnd, 0, 5)
	r.pump()
	r.tick()
	v.same()
	v.equals(log.fold(t, r.hub.opt.Base, whole), 0)
	if st := r.hub.Stats(); st.Events != 30+5+1+5 || st.Reloads+st.Gaps+st.Phantoms+st.Stale != 0 {
		t.Errorf("%+v", st)
	}
	for _, tt := range []struct {
		name string
		held uint64
		lost uint64
	}{
		{"before the last one", 30, 0},
		{"the last one before the jump", 35, 0},
		{"the first one in the hole", 36, 1},
		{"the last one in the hole", r.seqs[0] - 6, 1},
		{"the marker", r.seqs[0] - 5, 0},
		{"an event after it", r.seqs[0] - 2, 0},
		{"the newest", r.seqs[0], 0},
	} {
		// What was skipped is of no matter here: only who may go on.
		c := &counted{}
		r.hub.Join(Join{Client: c, Sub: &Subscription{}, Shards: []wire.WatchShard{{Shard: 0, Resume: true, Held: tt.held}}})
		r.hub.serveJoins()
		if c.d.Follow != 1-tt.lost {
			t.Errorf("a client at %s follows %b", tt.name, c.d.Follow)
		}
	}
	away.watch(0, 1)
	away.same()
}

// counted keeps the last delivery.
type counted struct {
	d Delivery
	n int
}

func (c *counted) Deliver(d Delivery) { c.d, c.n = d, c.n+1 }

func TestARecordOfADeposedRelayIsDropped(t *testing.T) {
	rnd := testSeed(t)
	r, log := twoShards(t)
	r.place(rnd, 0, 10)
	zombie := log.holder
	r.takeOver(0, 10)
	h := log.holder
	log.holder = zombie
	log.add(&core.Record{Kind: core.KindPlacements, Shard: 0, First: 11, Events: []core.Event{{Offset: 1, Color: 3}}})
	log.holder = h
	r.place(rnd, 0, 4)
	r.pump()
	r.tick()
	if st := r.hub.Stats(); st.Stale != 1 || r.hub.Heads()[0] != r.seqs[0] || st.Gaps != 0 {
		t.Errorf("%+v, boundary %d of %d", st, r.hub.Heads()[0], r.seqs[0])
	}
	if got, want := r.hub.Snapshot(), log.fold(t, r.hub.opt.Base, whole); !bytes.Equal(got.Shards[0], want.Shards[0]) || got.Holders[0] != want.Holders[0] {
		t.Error("the canvas is not the fold of the log")
	}
}

// A snapshot may be of a larger canvas than this edge knew.
func TestAReloadBringsTheSizeOfTheSnapshot(t *testing.T) {
	rnd := testSeed(t)
	r, log := twoShards(t)
	v := r.newViewer(ClassAll)
	v.watch(0, 0b11)
	r.place(rnd, 0, 20)
	r.pump()
	base := *r.hub.opt.Base
	larger := r.config
	larger.Version, larger.Height = 2, 700
	log.hidden[r.place(rnd, 0, 5)] = true
	for _, s := range []core.ShardID{0, 1} {
		r.seqs[s]++
		log.hidden[log.add(&core.Record{Kind: core.KindConfig, Shard: s, First: r.seqs[s], TimeMS: r.nowMS, Config: &larger})] = s == 0
	}
	r.place(rnd, 0, 3)
	log.snapshot = log.fold(t, &base, whole)
	log.records = append(log.records[:3:3], log.records[len(log.records)-1]) // shard 1 has not heard of it yet
	r.pump()
	r.heal(gapPatience)
	r.pump()
	r.tick()
	if v.lost != 0b11 || r.hub.Config().Version != 2 || r.hub.Snapshot().Config.Height != 700 {
		t.Fatalf("lost %b, configuration %d, height %d", v.lost, r.hub.Config().Version, r.hub.Snapshot().Config.Height)
	}
	r.config = larger
	v.fetchAnd(0b1)
	v.equals(log.snapshot, 0)
}

func TestALogOfAnotherCanvasEndsTheHub(t *testing.T) {
	rnd := testSeed(t)
	r, log := twoShards(t)
	base := *r.hub.opt.Base
	other := r.place(rnd, 0, 3)
	other.Canvas = 2
	h, err := NewHub(live(r, &base))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Run(t.Context()); core.CodeOf(err) != core.CodeMismatch {
		t.Errorf("Run ended with %v", err)
	}
	r.heal(0)
	log.snapshot = &core.Snapshot{Canvas: 2, Config: r.config}
	r.hub.shards[0].trouble = trouble{kind: phantom}
	if _, err := r.hub.heal(t.Context()); core.CodeOf(err) != core.CodeMismatch {
		t.Errorf("a snapshot of another canvas gives %v", err)
	}
}

func TestAPixelBesideTheCanvasChangesNothing(t *testing.T) {
	r := newRig(t, 100, 100, "place2017", nil)
	v := r.newViewer(ClassAll)
	v.watch(0, 1)
	rec := &core.Record{Kind: core.KindPlacements, First: 1, TimeMS: r.nowMS, Events: []core.Event{
		{Offset: 100, Color: 3}, {Offset: 100 * core.ShardSide, Color: 3}, {Offset: 99*core.ShardSide + 99, Color: 3},
	}}
	if err := r.hub.apply(rec); err != nil {
		t.Fatal(err)
	}
	r.tick()
	v.same()
	if n := r.hub.Stats().Pixels; n != 1 || v.seqs[0] != 3 {
		t.Errorf("%d pixels, seq %d", n, v.seqs[0])
	}
}
