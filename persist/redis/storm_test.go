package redis

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"pixelwall/core"
)

// A storm places without pause, each placement of a page of its own, and sends
// again what got no outcome, until it is calmed. What it was told must be true.
type storm struct {
	t     testing.TB
	c     *Client
	wg    sync.WaitGroup
	ended chan struct{}
	acks  atomic.Int64

	mu    sync.Mutex
	acked map[core.Request]core.PastEvent
	sent  map[core.Request]bool
}

func newStorm(t testing.TB, c *Client, callers int) *storm {
	s := &storm{t: t, c: c, ended: make(chan struct{}), acked: make(map[core.Request]core.PastEvent), sent: make(map[core.Request]bool)}
	for range callers {
		s.wg.Go(s.run)
	}
	return s
}

func (s *storm) run() {
	for n := uint32(1); ; n++ {
		select {
		case <-s.ended:
			return
		default:
		}
		ps := make([]core.Placement, 8)
		for i := range ps {
			ps[i] = placement(rand.IntN(600), rand.IntN(520), rand.IntN(16), rand.Uint64(), core.Request{Instance: rand.Uint64(), Number: n})
		}
		s.place(ps)
	}
}

// place sends ps until there is an outcome of each.
func (s *storm) place(ps []core.Placement) {
	s.mu.Lock()
	for _, p := range ps {
		s.sent[p.Request] = true
	}
	s.mu.Unlock()
	out := make([]core.Outcome, len(ps))
	unsure := make([]bool, len(ps)) // what was unknown once, a refusal for now says nothing of
	for asked := true; asked; {
		if s.c.ctx.Err() != nil {
			return
		}
		if s.c.Sequencer().Place(context.Background(), ps, out) != nil {
			continue
		}
		asked = false
		for i, o := range out {
			unsure[i] = unsure[i] || o.Unknown
			asked = asked || unsure[i] && o.Err != nil && o.Err.Code == core.CodeUnavailable
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, o := range out {
		if o.Err != nil {
			delete(s.sent, ps[i].Request) // refused: it must not be in the log
			continue
		}
		s.acks.Add(1)
		s.acked[ps[i].Request] = core.PastEvent{Shard: o.Shard, Seq: o.Seq, TimeMS: o.TimeMS, Event: eventsOf(ps[i : i+1])[0]}
	}
}

// more waits for n more acknowledgements.
func (s *storm) more(n int64) {
	s.t.Helper()
	from := s.acks.Load()
	until(s.t, "placements are stored", func() bool { return s.acks.Load() >= from+n })
}

// calm ends the storm and compares the log with what was told: what was
// acknowledged is there, once and as it was told; what was refused is not; the
// pixels are the fold of the log.
func (s *storm) calm() { s.calmAmong(false) }

// calmAmong is calm where others may have placed as well.
func (s *storm) calmAmong(others bool) {
	s.t.Helper()
	close(s.ended)
	s.wg.Wait()
	found := make(map[core.Request]core.PastEvent)
	heads, err := s.c.Stream().Heads(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	f, _ := core.NewFold(nil)
	err = s.c.Stream().Tail(s.t.Context(), core.Heads{}, func(r *core.Record) error {
		verdict, err := f.Next(r)
		if err != nil {
			return err
		}
		if r.Kind != core.KindClaim && verdict != core.Apply {
			s.t.Errorf("shard %d seq %d to %d: verdict %d", r.Shard, r.First, r.Last(), verdict)
		}
		for i, e := range r.Events {
			if _, twice := found[e.Request]; twice {
				s.t.Errorf("%+v is stored twice", e.Request)
			}
			e.Old = 0
			found[e.Request] = core.PastEvent{Shard: r.Shard, Seq: r.First + uint64(i), TimeMS: r.TimeMS, Event: e}
		}
		if f.Heads.Reach(&heads) { // a take-over meanwhile goes beyond
			return errEnough
		}
		return nil
	})
	if err != errEnough {
		s.t.Fatal(err)
	}
	lost := 0
	for r, want := range s.acked {
		if found[r] != want {
			if lost++; lost < 5 {
				s.t.Errorf("%+v was acknowledged as %+v and is %+v", r, want, found[r])
			}
		}
	}
	for r := range found {
		if !s.sent[r] && !others {
			s.t.Errorf("%+v was refused and is stored", r)
		}
	}
	s.t.Logf("%d acknowledged, %d lost, %d stored; %+v", len(s.acked), lost, len(found), s.c.Stats())
	s.pixels(f)
}

func (s *storm) pixels(f *core.Fold) {
	s.t.Helper()
	for _, shard := range f.Board.Geometry().Shards() {
		r, err := s.c.link.get()
		if err != nil {
			s.t.Fatal(err)
		}
		bmp, err := r.Do(s.t.Context(), r.B().Get().Key(s.c.keys[shard].bmp).Build()).AsBytes()
		if err != nil || string(pack(f.Board.Geometry(), shard, bmp)) != string(f.Board.AppendPacked(nil, shard)) {
			s.t.Errorf("the pixels of shard %d are not the fold of its stream (%v)", shard, err)
		}
	}
}
