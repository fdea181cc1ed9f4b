package failover

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pixelwall/core"
	"pixelwall/core/coretest"
)

// A bench is the stream of an outbox and the topic that a relay carries it to.
type bench struct {
	topic  *coretest.MemoryTopic
	stream *coretest.MemoryTopic
	heads  core.Heads
	epoch  uint32

	topicDown, streamDown atomic.Bool
	fetched               atomic.Int64 // when the topic last answered, unix ns

	left []*core.Record // in the stream alone
}

var errDown = core.NewError(core.CodeUnavailable, "down")

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{topic: coretest.NewMemoryTopic(3), stream: coretest.NewMemoryTopic(0), epoch: 1}
	p, _ := core.NamedPalette("place2017")
	c := &core.Config{Version: 1, Width: 1024, Height: 512, Bits: 4, Palette: p, BurstMax: 1}
	for s := range core.ShardID(2) {
		b.give(t, &core.Record{Kind: core.KindClaim, Shard: s})
		b.give(t, &core.Record{Kind: core.KindStart, Shard: s, Config: c})
		b.give(t, &core.Record{Kind: core.KindMarker, Shard: s, First: core.EpochSeq(1) + 1})
	}
	b.carry(t)
	return b
}

// give puts r into the stream.
func (b *bench) give(t *testing.T, r *core.Record) {
	t.Helper()
	r.Canvas, r.Epoch, r.Relay, r.TimeMS = 7, b.epoch, 9, time.Now().UnixMilli()
	if r.Kind != core.KindClaim {
		b.heads[r.Shard] = r.Last()
	}
	if err := b.stream.As(nil).Append(t.Context(), []*core.Record{r}); err != nil {
		t.Fatal(err)
	}
	b.left = append(b.left, r)
}

// place puts a record of n events into the stream.
func (b *bench) place(t *testing.T, s core.ShardID, n int) {
	t.Helper()
	b.give(t, &core.Record{Kind: core.KindPlacements, Shard: s, First: b.heads[s] + 1, Events: make([]core.Event, n)})
}

// carry brings what lies in the stream alone to the topic.
func (b *bench) carry(t *testing.T) {
	t.Helper()
	if len(b.left) == 0 {
		return
	}
	if err := b.topic.As(nil).Append(t.Context(), b.left); err != nil {
		t.Fatal(err)
	}
	b.left = nil
}

// A source is a log whose service may be down: it gives nothing meanwhile, and a
// new Tail fails.
type source struct {
	core.Log
	down    *atomic.Bool
	fetched *atomic.Int64 // nil: nobody asks
}

func (s source) Heads(ctx context.Context) (core.Heads, error) {
	if s.down.Load() {
		return core.Heads{}, errDown
	}
	return s.Log.Heads(ctx)
}

func (s source) Tail(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
	if s.down.Load() {
		return errDown
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer end(nil)
	parts.Go(func() { // a service that is up answers also that there is nothing new
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			if s.down.Load() {
				end(errDown)
			} else if s.fetched != nil {
				s.fetched.Store(time.Now().UnixNano())
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return s.Log.Tail(ctx, from, func(r *core.Record) error {
		if s.down.Load() {
			return errDown
		}
		return fn(r)
	})
}

func (b *bench) log(onSwitch func(bool, error)) *Log {
	return New(Options{
		Main: source{b.topic.As(nil), &b.topicDown, &b.fetched}, Fallback: source{b.stream.As(nil), &b.streamDown, nil},
		LastFetch: func() time.Time { return time.Unix(0, b.fetched.Load()) }, Failing: b.topicDown.Load, OnSwitch: onSwitch,
	})
}

// A reader is a consumer with the one rule.
type reader struct {
	mu       sync.Mutex // protects following
	follower core.Follower
	events   map[string]int // by place in the order
	bad      []string
}

func (r *reader) next(rec *core.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch v := r.follower.Next(rec); v {
	case core.Gap, core.Phantom:
		r.bad = append(r.bad, fmt.Sprintf("shard %d seq %d after %d: verdict %v", rec.Shard, rec.First, r.follower.Heads[rec.Shard], v))
	case core.Apply:
		for i := range rec.Events {
			r.events[fmt.Sprintf("%d/%d", rec.Shard, rec.First+uint64(i))]++
		}
	}
	return nil
}

func (r *reader) at() core.Heads {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.follower.Heads
}

// follow reads l into a reader until stop is called, which returns what ended it.
func follow(t *testing.T, l core.Log) (r *reader, stop func() error) {
	r = &reader{events: make(map[string]int)}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Tail(ctx, core.Heads{}, r.next) }()
	return r, func() error {
		cancel()
		return <-ended
	}
}

// complete fails the test unless r has had everything once and no hole.
func (b *bench) complete(t *testing.T, r *reader) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.bad) > 0 {
		t.Errorf("%v", r.bad)
	}
	if r.follower.Heads != b.heads {
		t.Errorf("the reader is at %v, want %v", r.follower.Heads[:2], b.heads[:2])
	}
	want := 0
	for s := range core.ShardID(2) {
		for _, rec := range b.stream.Records(s) {
			want += len(rec.Events)
		}
	}
	if len(r.events) != want {
		t.Errorf("%d events, want %d", len(r.events), want)
	}
	for at, n := range r.events {
		if n != 1 {
			t.Errorf("event %s came %d times", at, n)
		}
	}
}

func TestTheMainLogDiesAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var switches []bool
		l := b.log(func(fallback bool, _ error) { switches = append(switches, fallback) })
		r, stop := follow(t, l)
		for round := range 3 {
			for i := range 20 {
				b.place(t, core.ShardID(i%2), 1+i%3)
				b.carry(t)
				time.Sleep(30 * time.Millisecond)
			}
			if l.OnFallback() {
				t.Fatal("the fallback is followed while the main log answers")
			}
			b.topicDown.Store(true)
			for i := range 60 { // for 60 s, and nothing is carried
				b.place(t, core.ShardID(i%2), 1+i%3)
				time.Sleep(time.Second)
				if i > 1 {
					synctest.Wait()
					if at := r.at(); at != b.heads {
						t.Fatalf("round %d, second %d: the reader is at %v, the stream at %v", round, i, at[:2], b.heads[:2])
					}
				}
			}
			if !l.OnFallback() {
				t.Fatal("the fallback is not followed")
			}
			b.topicDown.Store(false)
			time.Sleep(time.Second)
			if !l.OnFallback() {
				t.Error("the main log was gone back to before it had caught up")
			}
			for len(b.left) > 0 { // the relay carries the backlog while more comes
				rest := b.left
				b.left = rest[:min(7, len(rest))]
				b.carry(t)
				b.left = rest[min(7, len(rest)):]
				time.Sleep(100 * time.Millisecond)
			}
			time.Sleep(time.Second)
			if l.OnFallback() {
				t.Error("the main log has caught up, and the fallback is still followed")
			}
		}
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Tail = %v", err)
		}
		b.complete(t, r)
		if silent, stalled := l.Switches(); fmt.Sprint(switches) != "[true false true false true false]" || silent != 3 || stalled != 0 {
			t.Errorf("switches %v, %d + %d", switches, silent, stalled)
		}
	})
}

// Silence alone may be a pause; a fetch that failed needs less of it.
func TestAMainLogThatFailsIsLeftSooner(t *testing.T) {
	for name, failing := range map[string]bool{"silent": false, "failing": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				l := b.log(nil)
				l.o.Failing = func() bool { return failing && b.topicDown.Load() }
				_, stop := follow(t, l)
				time.Sleep(time.Second)
				b.topicDown.Store(true)
				for down := time.Now(); !l.OnFallback(); time.Sleep(time.Millisecond) {
					if time.Since(down) > time.Second {
						t.Fatal("the fallback is not followed")
					}
				}
				silence := time.Since(time.Unix(0, b.fetched.Load()))
				if soon := silence < l.o.Patience*2/3; soon != failing {
					t.Errorf("the fallback is followed after a silence of %v", silence)
				}
				for range 300 { // and not left before there is an answer
					time.Sleep(10 * time.Millisecond)
					if !l.OnFallback() {
						t.Fatalf("the fallback is left after a silence of %v", time.Since(time.Unix(0, b.fetched.Load())))
					}
				}
				b.topicDown.Store(false)
				time.Sleep(time.Second)
				if silent, stalled := l.Switches(); l.OnFallback() || silent != 1 || stalled != 0 {
					t.Errorf("on the fallback: %v, after %d + %d switches", l.OnFallback(), silent, stalled)
				}
				if err := stop(); !errors.Is(err, context.Canceled) {
					t.Errorf("Tail = %v", err)
				}
			})
		})
	}
}

// The main log answers, and nobody brings it anything: the relay is dead. Then the
// fallback is followed, until somebody does.
func TestAMainLogThatNobodyFeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var why []error
		l := b.log(func(_ bool, err error) { why = append(why, err) })
		r, stop := follow(t, l)
		b.place(t, 0, 3)
		b.carry(t)
		for i := range 30 { // nothing is carried
			b.place(t, core.ShardID(i%2), 1+i%3)
			time.Sleep(time.Second)
			synctest.Wait()
			if at := r.at(); i > 3 && at != b.heads {
				t.Fatalf("second %d: the reader is at %v, the stream at %v", i, at[:2], b.heads[:2])
			}
		}
		if l.Why() != ErrStalled {
			t.Errorf("the fallback is followed because %v", l.Why())
		}
		b.carry(t)
		time.Sleep(3 * time.Second)
		if l.OnFallback() {
			t.Error("the main log has caught up, and the fallback is still followed")
		}
		time.Sleep(time.Hour) // nobody paints, and that is no reason
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("Tail = %v", err)
		}
		b.complete(t, r)
		if silent, stalled := l.Switches(); silent != 0 || stalled != 1 {
			t.Errorf("%d + %d switches", silent, stalled)
		}
		if len(why) != 2 || why[0] != ErrStalled || why[1] != nil {
			t.Errorf("switches because of %v", why)
		}
	})
}

// A main log that is far behind and comes closer, as at a start, is waited for.
func TestAMainLogThatCatchesUpIsNotLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		l := b.log(nil)
		r, stop := follow(t, l)
		for range 200 {
			b.place(t, 0, 1)
		}
		for len(b.left) > 0 {
			rest := b.left
			b.left = rest[:1]
			b.carry(t)
			b.left = rest[1:]
			time.Sleep(100 * time.Millisecond)
		}
		err := stop()
		if silent, stalled := l.Switches(); !errors.Is(err, context.Canceled) || silent+stalled != 0 {
			t.Errorf("Tail = %v, %d + %d switches", err, silent, stalled)
		}
		b.complete(t, r)
	})
}

// The shard is taken over while the topic is down for this reader alone: the claim
// and the marker come by the stream, and later once more by the topic.
func TestATakeOverDuringTheFallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		r, stop := follow(t, b.log(nil))
		b.place(t, 0, 3)
		b.carry(t)
		time.Sleep(time.Second)
		b.topicDown.Store(true)
		b.place(t, 0, 2)
		time.Sleep(time.Second)
		b.epoch = 2
		for s := range core.ShardID(2) {
			last := b.heads[s]
			b.give(t, &core.Record{Kind: core.KindClaim, Shard: s})
			b.give(t, &core.Record{Kind: core.KindMarker, Shard: s, First: core.EpochSeq(2) + 1, LastOld: last})
			b.place(t, s, 4)
		}
		time.Sleep(time.Second)
		if at := r.at(); at != b.heads {
			t.Errorf("by the stream the reader is at %v, want %v", at[:2], b.heads[:2])
		}
		b.carry(t)
		b.topicDown.Store(false)
		time.Sleep(2 * time.Second)
		b.place(t, 1, 1)
		b.carry(t)
		time.Sleep(time.Second)
		_ = stop()
		b.complete(t, r)
	})
}

// While the stream is followed it loses its end. The reader is told by the marker,
// and the main log is gone back to although it never had what was lost.
func TestTheStreamLosesWhatAReaderHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		l := b.log(nil)
		r, stop := follow(t, l)
		b.place(t, 0, 3)
		b.carry(t)
		time.Sleep(time.Second)
		last := b.heads[0]
		b.topicDown.Store(true)
		b.place(t, 0, 2)
		time.Sleep(time.Second)
		b.left = nil // it is in the stream of a server that forgot it
		b.epoch = 2
		b.give(t, &core.Record{Kind: core.KindClaim, Shard: 0})
		b.give(t, &core.Record{Kind: core.KindMarker, Shard: 0, First: core.EpochSeq(2) + 1, LastOld: last})
		b.place(t, 0, 2)
		time.Sleep(time.Second)
		b.carry(t)
		b.topicDown.Store(false)
		time.Sleep(2 * time.Second)
		if l.OnFallback() {
			t.Error("the fallback is still followed")
		}
		_ = stop()
		told := 0
		for _, bad := range r.bad {
			if bad == fmt.Sprintf("shard 0 seq %d after %d: verdict %v", core.EpochSeq(2)+1, last+2, core.Phantom) {
				told++
			}
		}
		if told == 0 {
			t.Errorf("the reader was not told: %v", r.bad)
		}
	})
}

func TestBothLogsMayBeDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.topicDown.Store(true)
		b.streamDown.Store(true)
		l := b.log(nil)
		r, stop := follow(t, l)
		if _, err := l.Heads(t.Context()); core.CodeOf(err) != core.CodeUnavailable {
			t.Errorf("Heads = %v", err)
		}
		b.place(t, 0, 2)
		time.Sleep(time.Minute)
		if at := r.at(); at != (core.Heads{}) {
			t.Errorf("the reader is at %v", at[:2])
		}
		b.streamDown.Store(false)
		time.Sleep(2 * time.Second)
		if at := r.at(); at != b.heads {
			t.Errorf("by the stream the reader is at %v, want %v", at[:2], b.heads[:2])
		}
		if h, err := l.Heads(t.Context()); err != nil || h != b.heads {
			t.Errorf("Heads = %v, %v", h[:2], err)
		}
		b.carry(t)
		b.topicDown.Store(false)
		time.Sleep(2 * time.Second)
		if l.OnFallback() {
			t.Error("the fallback is still followed")
		}
		_ = stop()
		b.complete(t, r)
	})
}

// What says that the log cannot be followed from here ends the tail; so does the
// reader's own error, at once and with nothing after it.
func TestWhatEndsATail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		for range 5 {
			b.place(t, 0, 2)
		}
		b.carry(t)
		mine, calls := errors.New("mine"), 0
		err := b.log(nil).Tail(t.Context(), core.Heads{}, func(*core.Record) error { calls++; return mine })
		if !errors.Is(err, mine) || calls != 1 {
			t.Errorf("Tail = %v after %d calls", err, calls)
		}
		b.topic.Retain(b.heads)
		err = b.log(nil).Tail(t.Context(), core.Heads{}, func(*core.Record) error { return nil })
		if core.CodeOf(err) != core.CodeNotFound {
			t.Errorf("Tail of a topic that does not reach back = %v", err)
		}
	})
}
