package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pixelwall/core"
	"pixelwall/core/coretest"
	"pixelwall/persist"
)

// A stage is the stores of a cluster of one shard, and an edge that places.
type stage struct {
	t       *testing.T
	outbox  *coretest.MemoryOutbox
	topic   *coretest.MemoryTopic
	archive *coretest.MemoryArchive
	lives   uint64
	number  uint32
	told    []told
	arms    bool          // relays arm and then cannot read the outbox any more
	deaf    atomic.Bool   // one has armed
	slow    atomic.Bool   // what they read of the outbox takes a second
	long    atomic.Bool   // a recall takes three leases
	sleeps  chan struct{} // the next relay reads nothing of the outbox until it is closed, if not nil
	leases  coretest.Hook // of all relays
	reads   time.Duration // how long a relay takes to read a record of the topic
	log     coretest.Hook // of the next relay's topic
	away    atomic.Bool   // see stalled
}

// A told is a placement and the seq that its page heard.
type told struct {
	event core.Event
	seq   uint64
}

func onStage(t *testing.T, play func(*stage)) {
	synctest.Test(t, func(t *testing.T) {
		play(&stage{
			t: t, outbox: coretest.NewMemoryOutbox(nowMS), topic: coretest.NewMemoryTopic(0), archive: coretest.NewMemoryArchive(nowMS, 1),
		})
	})
}

func nowMS() int64 { return time.Now().UnixMilli() }

// A counted outbox counts what it is told to recall.
type counted struct {
	core.Outbox
	recalled int
}

func (c *counted) Recall(ctx context.Context, s core.ShardID, epoch uint32, stored []core.PastEvent) error {
	c.recalled += len(stored)
	return c.Outbox.Recall(ctx, s, epoch, stored)
}

// relay starts a relay, which has no memory of those before it.
func (st *stage) relay() (r *Relay, outbox *counted, stop func()) {
	st.lives++
	p, _ := core.NamedPalette("place2017")
	config := core.Config{Version: 1, Width: 512, Height: 512, Bits: 4, Palette: p, BurstMax: 1}
	st.deaf.Store(false)
	sleeps := st.sleeps
	outbox = &counted{Outbox: st.outbox.As(func(_ context.Context, c coretest.Call, effect func() error) error {
		if c.Method == "Read" && sleeps != nil {
			<-sleeps
		}
		if c.Method == "Read" && st.deaf.Load() {
			return errors.New("no answer")
		}
		if c.Method == "Read" && st.slow.Load() {
			time.Sleep(time.Second)
		}
		if c.Method == "Recall" && st.long.Load() {
			time.Sleep(3 * leaseTTL)
		}
		err := effect()
		if c.Method == "Arm" && err == nil {
			st.deaf.Store(st.arms)
		}
		return err
	})}
	r = New(Options{
		ID: st.lives, Outbox: outbox, Leases: st.outbox.As(st.leases), Topic: slowly{st.topic.As(st.log), st.reads}, Snapshots: st.archive.As(nil),
		Create: core.Create{Canvas: st.lives, Config: config}, NowMS: nowMS, Logger: slog.New(slog.DiscardHandler),
		Safe: func(ctx context.Context) (h core.Heads, err error) {
			s, err := st.archive.As(nil).Latest(ctx)
			if err == nil {
				h = s.Heads
			}
			return h, err
		},
	})
	ctx, cancel := context.WithCancel(st.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	return r, outbox, func() { cancel(); <-done }
}

// A slowly is a topic that takes its time to give a record.
type slowly struct {
	core.Topic
	each time.Duration
}

func (s slowly) Tail(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
	return s.Topic.Tail(ctx, from, func(r *core.Record) error {
		_ = persist.Pause(ctx, s.each)
		return fn(r)
	})
}

// until waits for cond.
func (st *stage) until(what string, cond func() bool) {
	st.t.Helper()
	for began := time.Now(); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 2*time.Minute {
			st.t.Fatalf("waited in vain: %s; the outbox stands at %+v", what, st.outbox.Stand(0))
		}
	}
}

func (st *stage) armedAbove(epoch uint32) (now uint32) {
	st.t.Helper()
	st.until(fmt.Sprint("armed above ", epoch), func() bool { s := st.outbox.Stand(0); return s.Armed && s.Epoch > epoch })
	return st.outbox.Stand(0).Epoch
}

// ask places e, or hears what became of it.
func (st *stage) ask(e core.Event) coretest.Answer {
	st.t.Helper()
	s := st.outbox.Stand(0)
	p, err := st.outbox.As(nil).PlaceBatch(st.t.Context(), 0, s.Epoch, s.Version, []core.Event{e}, nil)
	if err != nil {
		st.t.Fatal(err)
	}
	return p.Answers[0]
}

// place places n new ones, each a batch of its own.
func (st *stage) place(n int) {
	st.t.Helper()
	for range n {
		st.number++
		e := core.Event{Offset: st.number % 1000, Color: uint8(1 + st.number%7), User: 1, Request: core.Request{Instance: 1, Number: st.number}}
		st.told = append(st.told, told{e, st.ask(e).Seq})
	}
}

// fold is what the log of all times leads to.
func (st *stage) fold() *core.Fold {
	st.t.Helper()
	f, _ := core.NewFold(nil)
	for _, r := range st.topic.Records(0) {
		if verdict, err := f.Next(r); err != nil || verdict == core.Gap || verdict == core.Phantom {
			st.t.Fatalf("the log has verdict %d (%v) at %+v after seq %x", verdict, err, r, f.Heads[0])
		}
	}
	return f
}

// carried waits until everything that the outbox gave out is in the log.
func (st *stage) carried() {
	st.t.Helper()
	st.until("all is carried", func() bool {
		heads, err := st.topic.As(nil).Heads(st.t.Context())
		s := st.outbox.Stand(0)
		return err == nil && s.Armed && heads[0] == s.Seq
	})
}

// snapshot puts one of the present log.
func (st *stage) snapshot() {
	st.t.Helper()
	if err := st.archive.As(nil).Put(st.t.Context(), st.fold().Snapshot(nowMS())); err != nil {
		st.t.Fatal(err)
	}
}

// allStored wants every placement in the log under the seq that its page heard.
func (st *stage) allStored() {
	st.t.Helper()
	stored := make(map[core.Request]uint64)
	f, _ := core.NewFold(nil)
	f.OnApply = func(r *core.Record) {
		for i, e := range r.Events {
			if _, twice := stored[e.Request]; twice {
				st.t.Errorf("%v is stored twice", e.Request)
			}
			stored[e.Request] = r.First + uint64(i)
		}
	}
	for _, r := range st.topic.Records(0) {
		if _, err := f.Next(r); err != nil {
			st.t.Fatal(err)
		}
	}
	for _, p := range st.told {
		if stored[p.event.Request] != p.seq {
			st.t.Errorf("%v was told seq %x, the log has %x", p.event.Request, p.seq, stored[p.event.Request])
		}
	}
}
