package kafka

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"pixelwall/core"
	"pixelwall/core/coretest"
)

// startCopy runs c in a goroutine. The function that it returns kills it.
func startCopy(t *testing.T, c *Copy) (kill func() error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	killed := errors.New("killed")
	kill = func() error {
		cancel(killed)
		err := <-ended
		ended <- err
		if errors.Is(err, killed) {
			return nil
		}
		return err
	}
	t.Cleanup(func() { _ = kill() })
	return kill
}

// TestACopyThatIsKilledAgainAndAgainIsFollowedWithoutAHole copies a history with
// everything in it, and 1 000 old records again each time.
func TestACopyThatIsKilledAgainAndAgainIsFollowedWithoutAHole(t *testing.T) {
	everywhere(t, func(t *testing.T, brokers []string) {
		source := open(t, brokers)
		region := open(t, brokers, func(o *Options) { o.Topic = source.o.Topic + ".eu" })
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		rng := rand.New(rand.NewPCG(seed, 0))
		// What the region had before the copy: its offsets are not the source's.
		w := newWriter(layoutShard + 1)
		mustAppend(t, region, w.claim(), w.claim(), w.claim())
		mustAppend(t, source, w.claim(), w.start())
		mustAppend(t, source, w.batches(3000)...)
		records := makeHistory(rng, 2000)
		var all run
		for o, r := range records {
			all.next(r, int64(o))
		}
		r := read(t, region, core.Heads{})
		for len(records) > 0 {
			n := min(len(records), 500+rng.IntN(1500))
			mustAppend(t, source, records[:n]...)
			records = records[n:]
			again := int64(0)
			if source.Stats().Produced > 4000 {
				again = 1000
			}
			c := &Copy{From: source, To: region, Recopy: again}
			kill := startCopy(t, c)
			some := int64(rng.IntN(n)) + again
			coretest.Eventually(t, "some is copied", func() bool { return c.Copied() >= some })
			if err := kill(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		startCopy(t, &Copy{From: source, To: region})
		r.reaches(t, layoutShard, all.Heads[layoutShard])
		r.reaches(t, layoutShard+1, w.seq)
		if r.count(core.Duplicate)-r.claims < 100 { // how many of them are stale instead depends on the history
			t.Errorf("only %d records came twice: the fault was not felt", r.count(core.Duplicate)-r.claims)
		}
		if got := r.count(core.Apply); got != len(all.ends)+1+3000 {
			t.Errorf("%d records were followed, want %d", got, len(all.ends)+1+3000)
		}
		for range 10 { // and from anywhere
			i := 1 + rng.IntN(len(all.ends)-1)
			late := read(t, region, core.Heads{layoutShard: all.ends[i]}, layoutShard)
			late.reaches(t, layoutShard, all.Heads[layoutShard])
			late.stop()
		}
	})
}

func TestACopyDoesNotGoOnOverAHole(t *testing.T) {
	brokers := fake(t).ListenAddrs()
	source, region := open(t, brokers), open(t, brokers)
	w := newWriter(0)
	mustAppend(t, source, w.claim(), w.start())
	mustAppend(t, source, w.batches(20)...)
	c := &Copy{From: source, To: region}
	kill := startCopy(t, c)
	coretest.Eventually(t, "all is copied", func() bool { return c.Copied() == 22 })
	if err := kill(); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, source, w.batches(20)...)
	trim(t, source, 0, 30)
	if err := (&Copy{From: source, To: region}).Run(t.Context()); core.CodeOf(err) != core.CodeNotFound {
		t.Errorf("Run = %v", err)
	}
}

func TestACopyOfAnotherCanvasIsRefused(t *testing.T) {
	brokers := fake(t).ListenAddrs()
	source, region := open(t, brokers), open(t, brokers)
	w, other := newWriter(0), newWriter(0)
	mustAppend(t, source, w.claim(), w.start(), w.batch(3))
	foreign := []*core.Record{other.claim(), other.start(), other.batch(2)}
	for _, r := range foreign {
		r.Canvas++
	}
	mustAppend(t, region, foreign...)
	if err := (&Copy{From: source, To: region}).Run(t.Context()); core.CodeOf(err) != core.CodeMismatch {
		t.Errorf("Run = %v", err)
	}
}

func TestACopyFollowsACanvasThatGrows(t *testing.T) {
	brokers := fake(t).ListenAddrs()
	source, region := open(t, brokers), open(t, brokers)
	startCopy(t, &Copy{From: source, To: region})
	r := read(t, region, core.Heads{})
	w := newWriter(17)
	rs := []*core.Record{w.claim(), w.start(), w.batch(2)}
	coretest.Eventually(t, "the records are stored", func() bool { return source.Append(coretest.Patiently(t), rs) == nil })
	r.reaches(t, 17, 2)
}
