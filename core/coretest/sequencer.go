package coretest

import (
	"context"
	"sync"
	"testing"
	"time"

	"pixelwall/core"
)

// TestSequencer checks that what open returns keeps the promises of
// core.Sequencer, with its Log as the witness.
func TestSequencer(t *testing.T, open func(*testing.T, Setup) *Store) {
	adapt(t, open, sequencer)
}

func sequencer(t T, open func(T, Setup) *Store) {
	sequencerOrder(t, open)
	sequencerResend(t, open)
	sequencerUnknown(t, open)
	sequencerCooldown(t, open)
	sequencerConfigure(t, open)
	sequencerCrash(t, open)
}

func sequencerOrder(t T, open func(T, Setup) *Store) {
	t.Run("each shard has an order of its own without holes", func(t T) {
		st := open(t, setup())
		ps := newPage(1).taps(300)
		next := headsOf(t, st)
		out := mustPlace(t, st, ps[:7]...)
		out = append(out, mustPlace(t, st, ps[7:]...)...)
		for i, p := range ps {
			next[p.Shard]++
			if out[i].Shard != p.Shard || out[i].Seq != next[p.Shard] || out[i].Repeated {
				t.Fatalf("placement %d of shard %d is at shard %d seq %d (repeated: %v), want seq %d", i, p.Shard, out[i].Shard, out[i].Seq, out[i].Repeated, next[p.Shard])
			}
		}
	})
	t.Run("the log has exactly what was acknowledged", func(t T) {
		s := setup()
		st := open(t, s)
		ps := newPage(1).taps(300)
		out := mustPlace(t, st, ps...)
		found := events(t, s, readAll(t, st))
		stands(t, found, ps, out)
		if len(found) != len(ps) {
			t.Errorf("%d events for %d placements", len(found), len(ps))
		}
	})
	t.Run("concurrent callers share one order", func(t T) { concurrent(t, open) })
	t.Run("a clock that goes back does not take the log's time back", func(t T) {
		s := setup()
		st := open(t, s)
		virtual(t, st)
		pg := newPage(1)
		first := mustPlace(t, st, pg.tap(1, 1, 1))[0]
		s.Clock.Advance(-60_000)
		second := mustPlace(t, st, pg.tap(1, 1, 2))[0]
		if second.TimeMS < first.TimeMS {
			t.Errorf("time falls from %d to %d", first.TimeMS, second.TimeMS)
		}
		events(t, s, readAll(t, st))
	})
	t.Run("the caller's memory is its own again after Place", func(t T) {
		s := setup()
		st := open(t, s)
		ps := newPage(1).taps(50)
		sent := append([]core.Placement(nil), ps...)
		out := mustPlace(t, st, ps...)
		for i := range ps {
			ps[i] = core.Placement{Color: 11, User: 666}
		}
		stands(t, events(t, s, readAll(t, st)), sent, out)
	})
}

func concurrent(t T, open func(T, Setup) *Store) {
	const callers, calls, size = 8, 20, 16
	s := setup()
	st := open(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), t.Patience())
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var ps []core.Placement
	var out []core.Outcome
	for c := range callers {
		pg := newPage(uint64(c + 1))
		wg.Go(func() {
			for range calls {
				p, o := pg.taps(size), make([]core.Outcome, size)
				if err := st.Sequencer.Place(ctx, p, o); err != nil {
					t.Errorf("Place: %v", err)
					return
				}
				mu.Lock()
				ps, out = append(ps, p...), append(out, o...)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	taken := make(map[spot]bool)
	for i, p := range ps {
		if out[i].Err != nil {
			t.Fatalf("refused: %v", out[i].Err)
		}
		if taken[spotOf(p, out[i])] {
			t.Errorf("shard %d seq %d was given twice", p.Shard, out[i].Seq)
		}
		taken[spotOf(p, out[i])] = true
	}
	found := events(t, s, readAll(t, st))
	stands(t, found, ps, out)
	if len(found) != callers*calls*size {
		t.Errorf("%d events for %d placements", len(found), callers*calls*size)
	}
}

func sequencerResend(t T, open func(T, Setup) *Store) {
	// again sends p again and wants the first outcome.
	again := func(t T, st *Store, p core.Placement, first core.Outcome) {
		t.Helper()
		o := mustPlace(t, st, p)[0]
		if !o.Repeated || o.Shard != first.Shard || o.Seq != first.Seq || o.TimeMS != first.TimeMS {
			t.Fatalf("sent again: shard %d seq %d at %d, repeated %v; it was shard %d seq %d at %d",
				o.Shard, o.Seq, o.TimeMS, o.Repeated, first.Shard, first.Seq, first.TimeMS)
		}
	}
	t.Run("a request sent again has its first outcome and is stored once", func(t T) {
		s := setup()
		st := open(t, s)
		pg := newPage(1)
		p := pg.tap(5, 5, 3)
		first := mustPlace(t, st, p)[0]
		mustPlace(t, st, pg.taps(20)...)
		again(t, st, p, first)
		p.Color, p.Offset = 4, p.Offset+1 // the request decides, not what comes with it
		again(t, st, p, first)
		storedOnce(t, s, st, p.Request)
	})
	t.Run("a request sent twice at once is stored once", func(t T) {
		s := setup()
		st := open(t, s)
		p := newPage(1).tap(5, 5, 3)
		out := mustPlace(t, st, p, p)
		if out[0].Repeated || !out[1].Repeated || out[0].Seq != out[1].Seq {
			t.Errorf("%+v", out)
		}
		storedOnce(t, s, st, p.Request)
	})
	t.Run("a request sent again is answered before any cooldown is looked at", func(t T) {
		s := setupCooldown(60_000, 1)
		st := open(t, s)
		p := newPage(1).tap(5, 5, 3)
		again(t, st, p, mustPlace(t, st, p)[0])
		storedOnce(t, s, st, p.Request)
	})
	t.Run("the same number of another page is another request", func(t T) {
		st := open(t, setup())
		first := mustPlace(t, st, newPage(1).tap(5, 5, 3))[0]
		if o := mustPlace(t, st, newPage(2).tap(5, 5, 4))[0]; o.Repeated || o.Seq != first.Seq+1 {
			t.Errorf("%+v", o)
		}
	})
	t.Run("a call that was given up can be made again under the same request", func(t T) {
		s := setup()
		st := open(t, s)
		ps := newPage(1).taps(10)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		_ = st.Sequencer.Place(gone, ps, make([]core.Outcome, len(ps))) // either outcome is fine
		out := mustPlace(t, st, ps...)
		found := events(t, s, readAll(t, st))
		stands(t, found, ps, out)
		if len(found) != len(ps) {
			t.Errorf("%d events for %d requests", len(found), len(ps))
		}
	})
	t.Run("a request is known for two minutes", func(t T) {
		s := setup()
		st := open(t, s)
		virtual(t, st)
		p := newPage(1).tap(5, 5, 3)
		first := mustPlace(t, st, p)[0]
		s.Clock.Advance(core.ResendWindowMS - 1)
		again(t, st, p, first)
		storedOnce(t, s, st, p.Request)
	})
	t.Run("a request of a busy page is expired later", func(t T) { expires(t, open, false) })
	t.Run("a request of a silent page is expired later", func(t T) { expires(t, open, true) })
}

// expires lets far more than the window of sending again pass. silent says that
// the page does nothing meanwhile.
func expires(t T, open func(T, Setup) *Store, silent bool) {
	s := setup()
	st := open(t, s)
	virtual(t, st)
	pg := newPage(1)
	p := pg.tap(5, 5, 3)
	mustPlace(t, st, p)
	for i := range uint64(4) { // a store may keep outcomes by generations: let them pass
		s.Clock.Advance(core.ResendWindowMS)
		mustPlace(t, st, newPage(10+i).tap(6, 6, 1))
		if !silent {
			mustPlace(t, st, pg.tap(7, 7, 1))
		}
	}
	refused(t, place(t, st, p)[0], core.CodeExpired)
	storedOnce(t, s, st, p.Request)
}

func storedOnce(t T, s Setup, st *Store, r core.Request) {
	t.Helper()
	if n := count(events(t, s, readAll(t, st)), r); n != 1 {
		t.Errorf("the request is stored %d times", n)
	}
}

func sequencerUnknown(t T, open func(T, Setup) *Store) {
	t.Run("what is unknown is told when it is placed again", func(t T) {
		s := setup()
		st := open(t, s)
		if st.Lose == nil {
			t.Skipf("the store has no Lose")
		}
		ps := newPage(1).taps(300)
		heal := st.Lose()
		out := place(t, st, ps...)
		heal()
		var open []int // of ps, still unknown
		for i, o := range out {
			if o.Unknown {
				open = append(open, i)
			}
			if o.Unknown && o.Err == nil {
				t.Errorf("placement %d is unknown and has no Err", i)
			}
		}
		if len(open) == 0 {
			t.Fatalf("every outcome is known although answers were lost")
		}
		tellUnknown(t, st, ps, out, open)
		found := events(t, s, readAll(t, st))
		for i, o := range out {
			switch n := count(found, ps[i].Request); {
			case o.Err == nil && n != 1:
				t.Errorf("placement %d was acknowledged and is stored %d times", i, n)
			case o.Err != nil && n != 0:
				t.Errorf("placement %d was refused with %v and is stored", i, o.Err)
			case o.Err == nil:
				stands(t, found, ps[i:i+1], out[i:i+1])
			}
		}
	})
}

// tellUnknown places those of ps whose number is in open again and enters what it is
// told into out. A refusal for now says nothing of an earlier try.
func tellUnknown(t T, st *Store, ps []core.Placement, out []core.Outcome, open []int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), t.Patience())
	defer cancel()
	for len(open) > 0 {
		var again []core.Placement
		for _, i := range open {
			again = append(again, ps[i])
		}
		var rest []int
		for k, o := range place(t, st, again...) {
			switch i := open[k]; {
			case o.Unknown, o.Err != nil && (o.Err.Code == core.CodeUnavailable || o.Err.Code == core.CodeTooMany):
				rest = append(rest, i)
			case o.Err != nil:
				t.Fatalf("placement %d was unknown and is refused with %v", i, o.Err)
			default:
				out[i] = o
			}
		}
		open = rest
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("%d outcomes are still unknown", len(open))
		}
	}
}

func sequencerCooldown(t T, open func(T, Setup) *Store) {
	t.Run("a user who has to wait is told how long and stored when it is over", func(t T) {
		s := setupCooldown(5000, 1)
		st := open(t, s)
		virtual(t, st)
		pg := newPage(1)
		if o := mustPlace(t, st, pg.tap(1, 1, 1))[0]; o.Allowance != (core.Allowance{Available: 0, Max: 1, NextMS: startMS + 5000}) {
			t.Errorf("after the first: %+v", o.Allowance)
		}
		s.Clock.Advance(1200)
		for range 3 { // asking costs nothing
			o := place(t, st, pg.tap(2, 2, 1))[0]
			refused(t, o, core.CodeCooldown)
			if o.Err.RetryAfter != 3800*time.Millisecond || o.Allowance.NextMS != startMS+5000 {
				t.Errorf("wait %v until %d", o.Err.RetryAfter, o.Allowance.NextMS)
			}
		}
		s.Clock.Advance(3799)
		refused(t, place(t, st, pg.tap(2, 2, 1))[0], core.CodeCooldown)
		s.Clock.Advance(1)
		if o := mustPlace(t, st, pg.tap(2, 2, 1))[0]; o.Seq != 2 {
			t.Errorf("seq %d, want 2: a refusal took a place in the order", o.Seq)
		}
		if n := len(events(t, s, readAll(t, st))); n != 2 {
			t.Errorf("%d events, want 2", n)
		}
	})
	t.Run("a rested user has a burst, within one call too", func(t T) {
		st := open(t, setupCooldown(60_000, 3))
		out := place(t, st, newPage(1).taps(4)...)
		for i := range 3 {
			if out[i].Err != nil || out[i].Allowance.Available != 2-i {
				t.Fatalf("placement %d: %+v", i, out[i])
			}
		}
		refused(t, out[3], core.CodeCooldown)
	})
	t.Run("users wait each for themselves", func(t T) {
		st := open(t, setupCooldown(60_000, 1))
		for u := range uint64(20) {
			mustPlace(t, st, newPage(u+1).tap(1, 1, 1))
		}
	})
	t.Run("what the canvas can never take is refused without a charge", func(t T) {
		s := setupCooldown(60_000, 1)
		st := open(t, s)
		pg := newPage(1)
		bad := pg.tap(1, 1, 12)
		refused(t, place(t, st, bad)[0], core.CodeUnknownColor)
		for _, p := range []core.Placement{pg.tap(600, 1, 1), pg.tap(1, 520, 1), pg.tap(2000, 2000, 1)} {
			refused(t, place(t, st, p)[0], core.CodeOutOfCanvas, core.CodeUnknownShard)
		}
		mustPlace(t, st, pg.tap(599, 519, 11))
		if n := len(events(t, s, readAll(t, st))); n != 1 {
			t.Errorf("%d events, want 1", n)
		}
	})
}
