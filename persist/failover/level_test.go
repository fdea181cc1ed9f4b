package failover_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/persist/failover"
)

// A feed is a log of one shard to which a record of one event is added now and then.
type feed struct {
	mu      sync.Mutex // protects following
	last    uint64
	changed chan struct{}
}

func newFeed() *feed { return &feed{changed: make(chan struct{})} }

func (f *feed) grow(to uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = to
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *feed) Heads(context.Context) (h core.Heads, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h[0] = f.last
	return h, nil
}

var holder = core.Holder{Epoch: 1, Relay: 5}

func (f *feed) Tail(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
	if err := fn(&core.Record{Kind: core.KindClaim, Canvas: 1, Epoch: holder.Epoch, Relay: holder.Relay}); err != nil {
		return err
	}
	for at := from[0]; ; {
		f.mu.Lock()
		last, changed := f.last, f.changed
		f.mu.Unlock()
		for at < last {
			at++
			if err := fn(&core.Record{Kind: core.KindPlacements, Canvas: 1, Epoch: holder.Epoch, Relay: holder.Relay, First: at, Events: make([]core.Event, 1)}); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

// The fallback is always a little ahead, because the main log gets everything from
// where the fallback is read. It is left all the same, and nothing is missing.
func TestTheWayBackWhilePeoplePaint(t *testing.T) {
	const lag = 3
	main, fallback := newFeed(), newFeed()
	var up atomic.Bool // the main log answers
	fetched := func() time.Time {
		if up.Load() {
			return time.Now()
		}
		return time.Time{}
	}
	l := failover.New(failover.Options{Main: main, Fallback: fallback, LastFetch: fetched, Patience: 200 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	var parts sync.WaitGroup
	defer parts.Wait()
	defer cancel()
	parts.Go(func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for n := uint64(1); ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			fallback.grow(n)
			if up.Load() && n > lag {
				main.grow(n - lag)
			}
		}
	})
	var follower core.Follower
	var seen atomic.Uint64
	parts.Go(func() {
		err := l.Tail(ctx, core.Heads{}, func(r *core.Record) error {
			if v := follower.Next(r); v != core.Apply && v != core.Duplicate {
				t.Errorf("record %d is judged %d at %d", r.First, v, follower.Heads[0])
			}
			seen.Store(follower.Heads[0])
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	wait := func(what string, cond func() bool) {
		t.Helper()
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(20 * time.Second); !cond(); <-tick.C {
			if time.Now().After(end) {
				t.Fatalf("%s is still to come", what)
			}
		}
	}
	wait("the fallback", func() bool { return l.OnFallback() && seen.Load() > 10 })
	up.Store(true)
	wait("the way back", func() bool { return !l.OnFallback() })
	at := seen.Load()
	wait("more from the main log", func() bool { return seen.Load() > at+20 })
	if silent, stalled := l.Switches(); l.OnFallback() || silent+stalled != 1 {
		t.Errorf("on the fallback: %v, after %d + %d switches", l.OnFallback(), silent, stalled)
	}
}
