package snapshot

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pixelwall/core"
	"pixelwall/core/coretest"
)

// A bench is a log that a worker follows, and where it puts snapshots.
type bench struct{ *coretest.Script }

func newBench(t *testing.T) *bench {
	t.Helper()
	return &bench{coretest.NewScript(t, 600, 1000)}
}

func (b *bench) worker(owner uint64, log core.Log) *Worker {
	return New(Options{Owner: owner, Log: log, Snapshots: b.Archive.As(nil), Leases: b.Outbox.As(nil)})
}

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

// latest returns the newest snapshot, which must be the fold of the topic up to its heads.
func (b *bench) latest(t *testing.T) *core.Snapshot {
	t.Helper()
	snap, err := b.Archive.As(nil).Latest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fold := &core.Fold{}
	for _, s := range b.Config.Geometry().Shards() {
		for _, r := range b.Topic.Records(s) {
			if r.Kind != core.KindClaim && r.Last() > snap.Heads[s] {
				break
			}
			if _, err := fold.Next(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := fold.Snapshot(0)
	if snap.Heads != want.Heads || snap.Holders != want.Holders {
		t.Fatalf("the snapshot is at %v by %v, the log leads to %v by %v", snap.Heads[:2], snap.Holders[:2], want.Heads[:2], want.Holders[:2])
	}
	for s := range want.Shards {
		if string(snap.Shards[s]) != string(want.Shards[s]) {
			t.Errorf("shard %d differs", s)
		}
	}
	return snap
}

func TestASnapshotIsPutWhenSomethingChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		w := b.worker(1, b.Topic.As(nil))
		stop := run(t, w)
		defer stop()
		for i := range 4 {
			b.Append(t, b.Events(0, 1, uint8(i)), b.Events(0, 1, 3))
			b.Append(t, b.Events(1, 1, 5))
			time.Sleep(61 * time.Second)
			if snap := b.latest(t); snap.Heads != b.Heads {
				t.Fatalf("round %d: the snapshot is at %v, want %v", i, snap.Heads[:2], b.Heads[:2])
			}
		}
		before := w.Stats()
		time.Sleep(time.Hour)
		if after := w.Stats(); after != before || after.Put != 4 {
			t.Errorf("%+v after an hour in which nothing happened, before it %+v", after, before)
		}
	})
}

// A hole is never stepped over: the last snapshot is of before it, until the log
// has what was missing.
func TestAHoleIsNeverSteppedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var hidden atomic.Uint64
		w := b.worker(1, holed{b.Topic.As(nil), &hidden})
		stop := run(t, w)
		defer stop()
		b.Append(t, b.Events(0, 1, 1))
		b.Append(t, b.Events(1, 1, 1))
		time.Sleep(2 * time.Minute)
		whole := b.latest(t)
		lost := b.Events(0, 1, 9)
		hidden.Store(lost.First)
		b.Append(t, lost)
		for range 5 {
			b.Append(t, b.Events(0, 1, 2))
			b.Append(t, b.Events(1, 1, 2))
			time.Sleep(2 * time.Minute)
			if snap := b.latest(t); snap.Heads[0] != whole.Heads[0] {
				t.Fatalf("shard 0 went on to %d over a hole after %d", snap.Heads[0], whole.Heads[0])
			}
		}
		if w.Stats().Gaps == 0 {
			t.Error("nobody was told of the hole")
		}
		hidden.Store(0)
		time.Sleep(2 * time.Minute)
		if snap := b.latest(t); snap.Heads != b.Heads {
			t.Errorf("with the record back the snapshot is at %v, want %v", snap.Heads[:2], b.Heads[:2])
		}
	})
}

// What a relay publishes again after the topic lost it comes behind what does not join.
// The snapshot before that is of the hole, whose time is that of its newest event.
func TestAHoleIsFilledFromBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		w := b.worker(1, b.Topic.As(nil))
		stop := run(t, w)
		defer stop()
		b.Append(t, b.Events(0, 1, 1))
		time.Sleep(2 * time.Second)
		lost := b.Events(0, 1, 9)
		b.Heads[0] = lost.Last()
		b.Append(t, b.Events(0, 1, 2))
		time.Sleep(5 * time.Second)
		snap := b.latest(t)
		if snap.Heads[0] != lost.First-1 || snap.TimeMS != snap.Times[0] {
			t.Fatalf("at the hole the snapshot is at %v, of %d", snap.Heads[:2], snap.TimeMS)
		}
		b.Heads[0] = lost.First - 1
		again := []*core.Record{{Kind: core.KindClaim}, lost, b.Events(0, 1, 2)}
		again[2].First = lost.First + 1
		for _, r := range again {
			r.Canvas, r.Epoch, r.Relay, r.TimeMS = coretest.ScriptCanvas, 2, 10, coretest.ScriptNowMS()
		}
		if err := b.Topic.As(nil).Append(t.Context(), again); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if snap = b.latest(t); snap.Heads[0] != again[2].Last() {
			t.Errorf("the snapshot is at %v", snap.Heads[:2])
		}
	})
}

// A holed log does not give the record that begins at hidden in shard 0.
type holed struct {
	core.Log
	hidden *atomic.Uint64
}

func (h holed) Tail(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
	return h.Log.Tail(ctx, from, func(r *core.Record) error {
		if hidden := h.hidden.Load(); hidden != 0 && r.Shard == 0 && r.First == hidden {
			return nil
		}
		return fn(r)
	})
}

// A record that a deposed relay appends late is in no snapshot.
func TestADeposedRelayIsInNoSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		w := b.worker(1, b.Topic.As(nil))
		stop := run(t, w)
		defer stop()
		zombie := b.Events(0, 1, 9)
		zombie.Canvas, zombie.Epoch, zombie.Relay = 7, 1, 666
		if err := b.Topic.As(nil).Append(t.Context(), []*core.Record{zombie}); err != nil {
			t.Fatal(err)
		}
		b.Append(t, b.Events(0, 1, 2))
		time.Sleep(2 * time.Minute)
		if snap := b.latest(t); snap.Heads != b.Heads || w.Stats().Stale != 1 {
			t.Errorf("at %v, %+v", snap.Heads[:2], w.Stats())
		}
	})
}

func TestOneOfTwoWorkersPutsAndTheOtherTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		first, second := b.worker(1, b.Topic.As(nil)), b.worker(2, b.Topic.As(nil))
		stopFirst := run(t, first)
		synctest.Wait()
		stopSecond := run(t, second)
		defer stopSecond()
		for range 3 {
			b.Append(t, b.Events(0, 1, 1))
			time.Sleep(61 * time.Second) // never in the moment in which one is put
		}
		if first.Stats().Put < 2 || second.Stats().Put != 0 {
			t.Errorf("the first put %d, the second %d", first.Stats().Put, second.Stats().Put)
		}
		stopFirst()
		b.Append(t, b.Events(0, 1, 4))
		time.Sleep(2 * time.Minute)
		if snap := b.latest(t); snap.Heads != b.Heads || second.Stats().Put == 0 {
			t.Errorf("the second put %d, the snapshot is at %v", second.Stats().Put, snap.Heads[:2])
		}
	})
}

// A log and a store of snapshots that fail now and then cost time and nothing else.
func TestFaultsAreWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var n atomic.Int64
		flaky := func(_ context.Context, _ coretest.Call, effect func() error) error {
			if n.Add(1)%3 == 0 {
				return errors.New("no answer")
			}
			return effect()
		}
		w := New(Options{Owner: 1, Log: b.Topic.As(flaky), Snapshots: b.Archive.As(flaky), Every: 5 * time.Second})
		stop := run(t, w)
		defer stop()
		for range 100 {
			b.Append(t, b.Events(0, 1, 1))
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Minute)
		if snap := b.latest(t); snap.Heads != b.Heads {
			t.Errorf("at %v, want %v", snap.Heads[:2], b.Heads[:2])
		}
	})
}

func TestEveryShardIsPublishedEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var failing atomic.Bool
		port := b.Outbox.As(func(_ context.Context, c coretest.Call, effect func() error) error {
			if failing.Load() && c.Method == "Publish" && c.Shard == 0 {
				return errors.New("no answer")
			}
			return effect()
		})
		board := core.NewBoard(b.Config.Geometry(), 0)
		for s := range core.ShardID(2) {
			base := core.Base{Canvas: 7, Config: &b.Config, Pixels: board.Pixels(s), TimeMS: coretest.ScriptNowMS()}
			_, err := port.Fence(t.Context(), s, 1)
			for _, err := range []error{
				err, port.Rebuild(t.Context(), s, 1, base),
				port.Arm(t.Context(), s, core.Holder{Epoch: 1, Relay: 9}, core.EpochSeq(1), 0),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			Publish(ctx, port, func() []core.ShardID { return []core.ShardID{0, 1} }, time.Second, New(Options{}).o.Logger)
		}()
		time.Sleep(1500 * time.Millisecond)
		for s := range core.ShardID(2) {
			if b.Outbox.Copies(s) != 1 {
				t.Errorf("shard %d was published %d times", s, b.Outbox.Copies(s))
			}
		}
		failing.Store(true)
		wide := b.Config
		wide.Version, wide.BurstMax = 2, 2
		for s := range core.ShardID(2) {
			if err := port.Configure(t.Context(), s, &wide); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		if b.Outbox.Copies(0) != 1 || b.Outbox.Copies(1) != 2 {
			t.Errorf("%d and %d copies: a shard that fails holds up the other, or nothing failed", b.Outbox.Copies(0), b.Outbox.Copies(1))
		}
		failing.Store(false)
		time.Sleep(2 * time.Second)
		if b.Outbox.Copies(0) != 2 {
			t.Errorf("%d copies after the fault", b.Outbox.Copies(0))
		}
		cancel()
		<-done
	})
}

// A worker that slept has lost its lease, whatever it finds due first when it wakes.
func TestTheLeaseIsAskedForBeforeEachSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var taken atomic.Bool
		leases := func(_ context.Context, c coretest.Call, effect func() error) error {
			if err := effect(); err != nil || !taken.Load() {
				return err
			}
			return errors.New("no answer")
		}
		w := New(Options{
			Owner: 1, Log: b.Topic.As(nil), Snapshots: b.Archive.As(nil), Leases: b.Outbox.As(leases), LeaseTTL: time.Hour,
		})
		stop := run(t, w)
		defer stop()
		b.Append(t, b.Events(0, 1, 1))
		time.Sleep(61 * time.Second)
		taken.Store(true)
		b.Append(t, b.Events(0, 1, 2))
		time.Sleep(5 * time.Minute)
		if got := w.Stats().Put; got != 1 {
			t.Errorf("%d snapshots were put, one of them with the lease", got)
		}
	})
}
