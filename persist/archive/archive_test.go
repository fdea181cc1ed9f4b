package archive

import (
	"context"
	"fmt"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pixelwall/core"
	"pixelwall/core/coretest"
)

// A bench is a log, its archive and a worker between them.
type bench struct {
	*coretest.Script
	shards   atomic.Pointer[[]core.ShardID]
	tailHook coretest.Hook
}

const syncMS = 10_000 // of the archive's nodes

func newBench(t *testing.T, shards int) *bench {
	t.Helper()
	b := &bench{Script: coretest.NewScript(t, 512*shards, syncMS)}
	ids := b.Config.Geometry().Shards()
	b.shards.Store(&ids)
	return b
}

func (b *bench) options(archive core.Archive) Options {
	return Options{
		Owner: 1, Archive: archive, Shards: func() []core.ShardID { return *b.shards.Load() },
		Tail: func(ctx context.Context, _ []core.ShardID, from core.Heads, fn func(*core.Record) error) error {
			return b.Topic.As(b.tailHook).Tail(ctx, from, fn)
		},
	}
}

// run starts w and returns what ends it.
func run(t *testing.T, w *Worker) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// holds fails the test unless the archive holds of shard s what the topic does,
// up to the topic's end.
func (b *bench) holds(t *testing.T, s core.ShardID) {
	t.Helper()
	var f core.Follower
	var want []*core.Record
	for _, r := range b.Topic.Records(s) {
		if f.Next(r) == core.Apply {
			want = append(want, r)
		}
	}
	have := b.Archive.Records(s)
	if len(have) != len(want) {
		t.Fatalf("shard %d: %d records are archived, the topic has %d", s, len(have), len(want))
	}
	for i := range have {
		if !reflect.DeepEqual(have[i], want[i]) {
			t.Errorf("shard %d: record %d is archived as %+v, want %+v", s, i, have[i], want[i])
		}
	}
	if m := b.Archive.Merged(); len(m) > 0 {
		t.Errorf("merged: %v", m)
	}
}

func (b *bench) watermark(t *testing.T, s core.ShardID) uint64 {
	t.Helper()
	p, err := b.Archive.As(nil).Watermark(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return p.Seq
}

func TestEverythingIsArchivedAndTheWatermarkFollowsWhenItIsSafe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 3)
		w := New(b.options(b.Archive.As(nil)))
		stop := run(t, w)
		defer stop()
		for i := range 50 {
			b.Append(t, b.Events(core.ShardID(i%2), 1+i%700, 3))
		}
		synctest.Wait()
		for s := range core.ShardID(2) {
			b.holds(t, s)
			if at := b.watermark(t, s); at != 0 {
				t.Errorf("shard %d: the watermark is at %d before a node could have synced", s, at)
			}
		}
		time.Sleep(20 * time.Second)
		for s := range core.ShardID(2) {
			if at := b.watermark(t, s); at != b.Heads[s] {
				t.Errorf("shard %d: the watermark is at %d, want %d", s, at, b.Heads[s])
			}
		}
		if got := w.Stats(); got.Gaps != 0 || got.Restarts != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// A node that is killed forgets what it acknowledged a moment ago.
func TestWhatANodeForgotIsWrittenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 2)
		w := New(b.options(b.Archive.As(nil)))
		stop := run(t, w)
		defer stop()
		for i := range 40 {
			b.Append(t, b.Events(core.ShardID(i%2), 5, 3))
			time.Sleep(time.Second)
			if i%10 == 9 {
				n := 0
				b.Archive.KillNode(func() bool { n++; return n%2 == 0 })
			}
		}
		time.Sleep(time.Minute)
		b.holds(t, 0)
		b.holds(t, 1)
		if got := w.Stats(); got.Restarts < 4 || got.Gaps != 0 {
			t.Errorf("%+v, want a restart for each of 4 nodes", got)
		}
	})
}

func TestAnArchiveThatWasWipedIsFilledAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		stop := run(t, New(b.options(b.Archive.As(nil))))
		defer stop()
		for range 10 {
			b.Append(t, b.Events(0, 5, 3))
		}
		time.Sleep(time.Minute)
		b.Archive.Wipe()
		time.Sleep(time.Minute)
		b.holds(t, 0)
	})
}

// A record that is missing stops its shard, and no other.
func TestAHoleStopsOneShardOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 3)
		w := New(b.options(b.Archive.As(nil)))
		stop := run(t, w)
		defer stop()
		b.Append(t, b.Events(0, 5, 3))
		lost := b.Events(0, 5, 3)
		end := b.Heads[0]
		b.Heads[0] = lost.Last() // it was given a seq and is in nobody's log
		for range 10 {
			for s := range core.ShardID(2) {
				b.Append(t, b.Events(s, 5, 3))
			}
			time.Sleep(30 * time.Second)
			b.holds(t, 1)
		}
		if at := b.watermark(t, 1); at < b.Heads[1] {
			t.Errorf("the watermark of the other shard is at %d, want %d", at, b.Heads[1])
		}
		if at := b.watermark(t, 0); at != end {
			t.Errorf("the watermark of the shard is at %d, want %d before the hole", at, end)
		}
		if got := w.Stats(); got.Gaps == 0 {
			t.Errorf("nobody was told: %+v", got)
		}
	})
}

// What comes twice, late, or from a relay that was deposed is not archived.
func TestOnlyWhatTheRuleLetsThroughIsArchived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		w := New(b.options(b.Archive.As(nil)))
		stop := run(t, w)
		defer stop()
		first := b.Events(0, 5, 3)
		b.Append(t, first)
		b.Append(t, first) // twice
		deposed := b.Events(0, 2, 3).Clone()
		deposed.Canvas, deposed.Epoch, deposed.Relay = coretest.ScriptCanvas, 1, 666
		if err := b.Topic.As(nil).Append(t.Context(), []*core.Record{deposed}); err != nil {
			t.Fatal(err)
		}
		b.Append(t, b.Events(0, 3, 3))
		synctest.Wait()
		b.holds(t, 0)
		if got := w.Stats(); got.Stale != 1 {
			t.Errorf("%+v, want 1 stale", got)
		}
	})
}

// Two workers share the shards, and whoever ends leaves its own to the other.
func TestWorkersShareTheShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 4)
		var stops []func()
		for owner := range uint64(2) {
			o := b.options(b.Archive.As(nil))
			o.Owner, o.Leases = owner+1, b.Outbox.As(nil)
			stops = append(stops, run(t, New(o)))
		}
		for round := range 4 {
			for _, s := range b.Config.Geometry().Shards() {
				b.Append(t, b.Events(s, 5, 3))
			}
			time.Sleep(time.Minute)
			for _, s := range b.Config.Geometry().Shards() {
				b.holds(t, s)
			}
			if round == 1 {
				stops[0]()
			}
		}
		stops[1]()
	})
}

func TestACanvasThatGrowsIsArchivedWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		stop := run(t, New(b.options(b.Archive.As(nil))))
		defer stop()
		b.Append(t, b.Events(0, 5, 3))
		time.Sleep(time.Minute)
		wide := b.Config
		wide.Version, wide.Width = 2, 1024
		b.Append(t, &core.Record{Kind: core.KindConfig, Shard: 0, First: b.Heads[0] + 1, Config: &wide})
		b.Append(t, &core.Record{Kind: core.KindClaim, Shard: 1}, &core.Record{Kind: core.KindStart, Shard: 1, Config: &wide})
		b.Append(t, &core.Record{Kind: core.KindMarker, Shard: 1, First: core.EpochSeq(1) + 1}, b.Events(0, 2, 3))
		ids := wide.Geometry().Shards()
		b.shards.Store(&ids)
		b.Append(t, b.Events(1, 5, 3))
		time.Sleep(time.Minute)
		b.holds(t, 0)
		b.holds(t, 1)
	})
}

// While the archive or the log is down nothing is lost and nothing is skipped.
func TestFaultsOfEitherSideAreWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 2)
		var down atomic.Bool
		n := 0
		hook := func(_ context.Context, c coretest.Call, effect func() error) error {
			if down.Load() {
				return core.NewError(core.CodeUnavailable, c.Port+" is down")
			}
			if n++; c.Write && n%5 == 0 { // done, and nobody is told
				_ = effect()
				return core.NewError(core.CodeUnavailable, "lost the answer")
			}
			return effect()
		}
		b.tailHook = func(_ context.Context, _ coretest.Call, effect func() error) error {
			if down.Load() {
				return core.NewError(core.CodeUnavailable, "the topic is down")
			}
			return effect()
		}
		w := New(b.options(b.Archive.As(serial(hook))))
		stop := run(t, w)
		defer stop()
		for i := range 60 {
			down.Store(i%20 >= 15)
			b.Append(t, b.Events(core.ShardID(i%2), 1+i, 3))
			time.Sleep(time.Second)
		}
		down.Store(false)
		time.Sleep(2 * time.Minute)
		b.holds(t, 0)
		b.holds(t, 1)
		if w.Stats().Restarts == 0 {
			t.Error("no fault was felt")
		}
		fmt.Fprintln(t.Output(), w.Stats())
	})
}

// serial lets one call through at a time.
func serial(h coretest.Hook) coretest.Hook {
	turn := make(chan struct{}, 1)
	return func(ctx context.Context, c coretest.Call, effect func() error) error {
		turn <- struct{}{}
		defer func() { <-turn }()
		return h(ctx, c, effect)
	}
}

// A process that was frozen has slept through its ticks, and hears of a node that was
// lost meanwhile with the first answer.
func TestTimeAsleepDoesNotSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, 1)
		node := &dying{Archive: b.Archive.As(nil)}
		w := New(b.options(node))
		wr := newWriter(w, 0, 0)
		wr.written = []mark{{core.Position{Seq: 5}, time.Now(), wr.ticks}}
		time.Sleep(time.Hour)
		for tick := 1; tick <= settleTicks; tick++ {
			if at := b.watermark(t, 0); at != 0 {
				t.Fatalf("the watermark is at %d before tick %d", at, tick)
			}
			if err := wr.settle(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if at := b.watermark(t, 0); at != 5 {
			t.Errorf("the watermark is at %d", at)
		}
		wr.written = []mark{{core.Position{Seq: 9}, time.Now().Add(-time.Hour), wr.ticks - settleTicks}}
		node.dies = true
		if err := wr.settle(t.Context()); err != errDisturbed {
			t.Errorf("settle is %v after a node was lost", err)
		}
	})
}

// A dying archive tells with an answer that a node was lost.
type dying struct {
	core.Archive
	dies bool
	n    uint64
}

func (d *dying) Disturbed() uint64 { return d.n }

func (d *dying) Watermark(ctx context.Context, s core.ShardID) (core.Position, error) {
	if d.dies {
		d.n++
	}
	return d.Archive.Watermark(ctx, s)
}
