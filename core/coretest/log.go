package coretest

import (
	"context"
	"errors"
	"testing"

	"pixelwall/core"
)

// TestLog checks that what open returns keeps the promises of core.Log. Its
// Sequencer is the source of the events.
func TestLog(t *testing.T, open func(*testing.T, Setup) *Store) {
	adapt(t, open, log)
}

func log(t T, open func(T, Setup) *Store) {
	logOrder(t, open)
	logReaders(t, open)
	logEnds(t, open)
	t.Run("the heads are those of the last acknowledgement", func(t T) {
		st := open(t, setup())
		ps := newPage(1).taps(100)
		want := headsOf(t, st)
		for i, o := range mustPlace(t, st, ps...) {
			want[ps[i].Shard] = o.Seq
		}
		if got := headsOf(t, st); got != want {
			t.Errorf("Heads = %v, want %v", got[:4], want[:4])
		}
	})
	t.Run("a reader further back than the log reaches is told so", func(t T) {
		st := open(t, setup())
		if st.Trim == nil {
			t.Skipf("the store has no Trim")
		}
		mustPlace(t, st, newPage(1).taps(100)...)
		heads := headsOf(t, st)
		st.Trim(heads)
		err := tail(t, st, func(*core.Record) error { return errEnough })
		if err == nil || core.CodeOf(err) != core.CodeNotFound {
			t.Errorf("Tail = %v, want %v", err, core.CodeNotFound)
		}
	})
	t.Run("what a reader has seen survives a crash", func(t T) {
		s := setup()
		st := open(t, s)
		ctx, cancel := context.WithTimeout(t.Context(), t.Patience())
		defer cancel()
		var seen []*core.Record
		// Each record makes a call, so that the crash comes while calls are on
		// their way and what they say is the newest that there is.
		err := st.Log.Tail(ctx, core.Heads{}, func(r *core.Record) error {
			seen = append(seen, cloneRecord(r))
			if len(seen) > 30 {
				return errEnough
			}
			ps := newPage(uint64(len(seen))).taps(1)
			go func() { _ = st.Sequencer.Place(ctx, ps, make([]core.Outcome, len(ps))) }()
			return nil
		})
		if !errors.Is(err, errEnough) {
			t.Fatalf("Tail: %v", err)
		}
		after := crash(t, st)
		found := events(t, s, readAll(t, after))
		for _, r := range seen {
			for i, e := range r.Events {
				at := spot{r.Shard, r.First + uint64(i)}
				if found[at].Event != e {
					t.Errorf("shard %d seq %d was seen as %+v and is %+v after the crash", at.shard, at.seq, e, found[at].Event)
				}
			}
		}
	})
}

func logOrder(t T, open func(T, Setup) *Store) {
	t.Run("a reader from the beginning sees the start canvas and then everything once", func(t T) {
		s := setup()
		st := open(t, s)
		ps := newPage(1).taps(300)
		out := mustPlace(t, st, ps[:50]...)
		out = append(out, mustPlace(t, st, ps[50:]...)...)
		records := readAll(t, st)
		begun := make(map[core.ShardID]bool)
		for _, r := range records {
			if r.Kind == core.KindClaim {
				continue
			}
			if !begun[r.Shard] && (r.Kind != core.KindStart || r.Config == nil || r.Config.Width != 600) {
				t.Errorf("shard %d begins with %+v", r.Shard, r)
			}
			begun[r.Shard] = true
		}
		stands(t, events(t, s, records), ps, out)
	})
	t.Run("a reader from anywhere sees what comes after, a straddling record whole", func(t T) {
		st := open(t, setup())
		pg := newPage(1)
		begin := headsOf(t, st) // what lies before may be a jump, which nobody can stand in
		for range 10 {
			mustPlace(t, st, pg.taps(40)...)
		}
		heads := headsOf(t, st)
		for back := range uint64(30) {
			var f core.Follower
			for s := range heads {
				f.Heads[s] = heads[s] - min(heads[s]-begin[s], back*3+uint64(s))
			}
			from := f.Heads
			for _, r := range read(t, st, from, heads) {
				if r.Kind == core.KindStart {
					continue
				}
				first := r.First
				if r.Kind == core.KindClaim {
					f.Next(r)
					continue
				}
				if v := f.Next(r); v != core.Apply || first > from[r.Shard]+1 && r.First != first {
					t.Fatalf("from %d: a record of seq %d to %d of shard %d comes after %d", from[r.Shard], first, r.Last(), r.Shard, f.Heads[r.Shard])
				}
			}
			if f.Heads != heads {
				t.Fatalf("reached %v, want %v", f.Heads[:4], heads[:4])
			}
		}
	})
	t.Run("a reader that waits sees what is placed later", func(t T) { liveReader(t, open) })
}

func logReaders(t T, open func(T, Setup) *Store) {
	t.Run("what a reader does to a record is nobody else's concern", func(t T) {
		s := setup()
		st := open(t, s)
		ps := newPage(1).taps(100)
		out := mustPlace(t, st, ps...)
		heads, reached := headsOf(t, st), core.Heads{}
		err := tail(t, st, func(r *core.Record) error {
			reached[r.Shard] = r.Last()
			for i := range r.Events {
				r.Events[i] = core.Event{Color: 9, User: 666}
			}
			r.First, r.TimeMS = 77, 78
			if within(heads, reached) {
				return errEnough
			}
			return nil
		})
		if !errors.Is(err, errEnough) {
			t.Fatalf("Tail: %v", err)
		}
		stands(t, events(t, s, readAll(t, st)), ps, out)
	})
	t.Run("a reader that stands still holds up neither writers nor readers, and misses nothing", func(t T) { stuckReader(t, open) })
}

// tail reads from the beginning for as long as patience lasts.
func tail(t T, st *Store, fn func(*core.Record) error) error {
	ctx, cancel := context.WithTimeout(t.Context(), t.Patience())
	defer cancel()
	return st.Log.Tail(ctx, core.Heads{}, fn)
}

// drain reads n events from the beginning; it is for goroutines, which must not
// end a case.
func drain(ctx context.Context, st *Store, n int) (all []*core.Record) {
	_ = st.Log.Tail(ctx, core.Heads{}, func(r *core.Record) error {
		all = append(all, cloneRecord(r))
		if n -= len(r.Events); n <= 0 {
			return errEnough
		}
		return nil
	})
	return all
}

func logEnds(t T, open func(T, Setup) *Store) {
	t.Run("a reader ends with its own error and hears nothing more", func(t T) {
		st := open(t, setup())
		mustPlace(t, st, newPage(1).taps(50)...)
		mine, calls := errors.New("mine"), 0
		err := tail(t, st, func(*core.Record) error { calls++; return mine })
		if !errors.Is(err, mine) || calls != 1 {
			t.Errorf("Tail = %v after %d calls, want the function's error after 1", err, calls)
		}
	})
	t.Run("a reader that waits ends with the cause of its context", func(t T) {
		st := open(t, setup())
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		mine := errors.New("mine")
		ended := make(chan error, 1)
		begun := make(chan struct{}, 100)
		go func() {
			ended <- st.Log.Tail(ctx, core.Heads{}, func(r *core.Record) error {
				if len(r.Events) > 0 {
					begun <- struct{}{}
				}
				return nil
			})
		}()
		mustPlace(t, st, newPage(1).tap(1, 1, 1))
		wait, stop := context.WithTimeout(t.Context(), t.Patience())
		defer stop()
		select {
		case <-begun:
		case <-wait.Done():
			t.Fatalf("the event did not come")
		}
		cancel(mine)
		select {
		case err := <-ended:
			if !errors.Is(err, mine) {
				t.Errorf("Tail = %v, want the cause", err)
			}
		case <-wait.Done():
			t.Fatalf("Tail goes on after its context has ended")
		}
	})
}

func liveReader(t T, open func(T, Setup) *Store) {
	s := setup()
	st := open(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), t.Patience())
	defer cancel()
	ps := newPage(1).taps(30)
	var seen []*core.Record
	placed := make(chan []core.Outcome, 1)
	turns := make(chan struct{}, len(ps)+8)
	turns <- struct{}{}
	go func() { // places the next one when the reader has seen the last
		var all []core.Outcome
		for i := range ps {
			select {
			case <-turns:
			case <-ctx.Done():
			}
			o := make([]core.Outcome, 1)
			if st.Sequencer.Place(ctx, ps[i:i+1], o) != nil {
				return // and Tail runs out of patience
			}
			all = append(all, o...)
		}
		placed <- all
	}()
	n := 0
	err := st.Log.Tail(ctx, core.Heads{}, func(r *core.Record) error {
		seen = append(seen, cloneRecord(r))
		for range r.Events {
			n++
			turns <- struct{}{}
		}
		if n == len(ps) {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("Tail ended with %v after %d of %d events", err, n, len(ps))
	}
	stands(t, events(t, s, seen), ps, <-placed)
}

func stuckReader(t T, open func(T, Setup) *Store) {
	s := setup()
	st := open(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), t.Patience())
	defer cancel()
	goOn, stuck, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	ps := newPage(1).taps(200)
	var slow []*core.Record
	n := 0
	go func() {
		done <- st.Log.Tail(ctx, core.Heads{}, func(r *core.Record) error {
			if slow == nil {
				close(stuck)
				<-goOn
			}
			slow = append(slow, cloneRecord(r))
			if n += len(r.Events); n == len(ps) {
				return errEnough
			}
			return nil
		})
	}()
	out := make([]core.Outcome, len(ps))
	quick := make(chan []*core.Record, 1)
	go func() {
		defer close(quick)
		if err := st.Sequencer.Place(ctx, ps[:1], out[:1]); err != nil {
			return
		}
		<-stuck
		for i := 1; i < len(ps); i++ {
			if err := st.Sequencer.Place(ctx, ps[i:i+1], out[i:i+1]); err != nil {
				return
			}
		}
		quick <- drain(ctx, st, len(ps))
	}()
	var records []*core.Record
	select {
	case records = <-quick:
	case <-ctx.Done():
	}
	close(goOn)
	if records == nil {
		t.Fatalf("a reader that stands still holds up the others")
	}
	stands(t, events(t, s, records), ps, out)
	if err := <-done; !errors.Is(err, errEnough) {
		t.Fatalf("the slow reader ended with %v after %d events", err, n)
	}
	stands(t, events(t, s, slow), ps, out)
}
