package coretest

import (
	"context"
	"testing"
	"time"

	"pixelwall/core"
)

// TestHistory checks that what open returns keeps the promises of core.History.
// Its Sequencer and Log are the source of the events.
func TestHistory(t *testing.T, open func(*testing.T, Setup) *Store) {
	adapt(t, open, history)
}

func history(t T, open func(T, Setup) *Store) {
	historyPixel(t, open)
	historyUser(t, open)
	t.Run("the heads of a time are the last events up to it", func(t T) {
		s := setup()
		st := open(t, s)
		virtual(t, st)
		pg := newPage(1)
		var want core.Heads
		var times []int64
		var heads []core.Heads
		for range 8 {
			s.Clock.Advance(10_000)
			ps := pg.taps(9)
			for i, o := range mustPlace(t, st, ps...) {
				want[ps[i].Shard] = o.Seq
			}
			times, heads = append(times, s.Clock.Now()), append(heads, want)
		}
		indexed(t, st)
		headsAt := func(ms int64) core.Heads {
			h, err := st.History.HeadsAt(t.Context(), ms)
			if err != nil {
				t.Fatalf("HeadsAt(%d): %v", ms, err)
			}
			return h
		}
		for i, ms := range times {
			for _, at := range []int64{ms, ms + 9_999} {
				if got := headsAt(at); got != heads[i] {
					t.Errorf("%d ms after the start: %v, want %v", at-startMS, got[:4], heads[i][:4])
				}
			}
		}
		if got := headsAt(times[0] - 1); got != (core.Heads{}) {
			t.Errorf("before the first event: %v", got[:4])
		}
	})
	t.Run("the index reaches the log and never goes beyond it", func(t T) {
		st := open(t, setup())
		pg := newPage(1)
		for range 20 {
			ps := pg.taps(10)
			mustPlace(t, st, ps...)
			at, err := st.History.Indexed(t.Context())
			if err != nil {
				t.Fatalf("Indexed: %v", err)
			}
			if h := headsOf(t, st); !within(at, h) {
				t.Fatalf("indexed to %v, the log ends at %v", at[:4], h[:4])
			}
		}
		indexed(t, st)
	})
	t.Run("history survives a crash", func(t T) {
		s := setup()
		st := open(t, s)
		ps := newPage(1).taps(30)
		mustPlace(t, st, ps...)
		st = crash(t, st)
		want := byPixel(events(t, s, readAll(t, st)))
		indexed(t, st)
		for px, all := range want {
			same(t, pixel(t, st, px, 0, 100), all)
		}
	})
}

// indexed waits until history knows all that is in the log.
func indexed(t T, st *Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), t.Patience())
	defer cancel()
	heads := headsOf(t, st)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		at, err := st.History.Indexed(ctx)
		if err != nil {
			t.Fatalf("Indexed: %v", err)
		}
		if within(heads, at) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the index stays at %v, the log is at %v", at[:4], heads[:4])
		}
	}
}

type pixelAt struct {
	shard core.ShardID
	off   uint32
}

// byPixel orders the events of each pixel newest first.
func byPixel(found map[spot]core.PastEvent) map[pixelAt][]core.PastEvent {
	px := make(map[pixelAt][]core.PastEvent)
	var top core.Heads
	for at := range found {
		top[at.shard] = max(top[at.shard], at.seq)
	}
	for s := range top {
		for seq := top[s]; seq > 0; seq-- {
			if e, ok := found[spot{core.ShardID(s), seq}]; ok {
				k := pixelAt{e.Shard, e.Offset}
				px[k] = append(px[k], e)
			}
		}
	}
	return px
}

func pixel(t T, st *Store, p pixelAt, before uint64, limit int) []core.PastEvent {
	t.Helper()
	items, err := st.History.Pixel(t.Context(), p.shard, p.off, before, limit)
	if err != nil {
		t.Fatalf("Pixel: %v", err)
	}
	return items
}

func same(t T, got, want []core.PastEvent) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d events, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("event %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

func historyPixel(t T, open func(T, Setup) *Store) {
	// painted returns a store where a few pixels, the same offsets in every
	// shard, were painted often, and what the log says of it.
	painted := func(t T) (*Store, map[pixelAt][]core.PastEvent) {
		s := setup()
		st := open(t, s)
		for i := range 60 {
			pg := newPage(uint64(1 + i%3))
			pg.req.Number = uint32(10 * i)
			mustPlace(t, st, pg.tap(i%2, 0, uint8(i%12)), pg.tap(512+i%2, 0, uint8(i%11)), pg.tap(i%2, 512, uint8(i%10)))
		}
		want := byPixel(events(t, s, readAll(t, st)))
		indexed(t, st)
		return st, want
	}
	t.Run("a pixel tells its events newest first, and no other's", func(t T) {
		st, want := painted(t)
		if len(want) != 6 {
			t.Fatalf("%d pixels painted", len(want))
		}
		for px, all := range want {
			same(t, pixel(t, st, px, 0, 1000), all)
			same(t, pixel(t, st, px, 0, 3), all[:3])
		}
	})
	t.Run("a pixel's pages meet without hole or double", func(t T) {
		st, want := painted(t)
		for px, all := range want {
			var got []core.PastEvent
			for before := uint64(0); len(got) <= len(all); {
				items := pixel(t, st, px, before, 7)
				if len(items) == 0 {
					break
				}
				if len(items) > 7 {
					t.Fatalf("%d events, asked for 7", len(items))
				}
				got = append(got, items...)
				before = items[len(items)-1].Seq
			}
			same(t, got, all)
		}
	})
	t.Run("a pixel that nobody painted has no events", func(t T) {
		st, _ := painted(t)
		for _, px := range []pixelAt{{0, 2}, {3, 0}, {0, 512}} {
			same(t, pixel(t, st, px, 0, 10), nil)
		}
	})
}

func historyUser(t T, open func(T, Setup) *Store) {
	user := func(t T, st *Store, u uint64, cursor *core.PastEvent, limit int) []core.PastEvent {
		t.Helper()
		items, err := st.History.User(t.Context(), u, cursor, limit)
		if err != nil {
			t.Fatalf("User: %v", err)
		}
		return items
	}
	t.Run("a user's pages are all the user's events, newest first, without hole or double", func(t T) {
		s := setup()
		st := open(t, s)
		pages := []*page{newPage(1), newPage(2), newPage(3)}
		for i := range 40 {
			if i%4 == 0 {
				s.Clock.Advance(1000) // several events share a time
			}
			mustPlace(t, st, pages[i%2].taps(3)...)
		}
		found := events(t, s, readAll(t, st))
		indexed(t, st)
		for _, pg := range pages[:2] {
			var got []core.PastEvent
			var cursor *core.PastEvent
			for len(got) <= len(found) {
				items := user(t, st, pg.user, cursor, 7)
				if len(items) == 0 {
					break
				}
				got = append(got, items...)
				last := got[len(got)-1]
				cursor = &last
			}
			same(t, user(t, st, pg.user, nil, 1000), got)
			seen := make(map[spot]bool)
			var below [core.ShardsMax]uint64
			for i, e := range got {
				at := spot{e.Shard, e.Seq}
				if seen[at] || found[at] != e || e.User != pg.user {
					t.Fatalf("user %d, event %d: %+v, the log has %+v (seen before: %v)", pg.user, i, e, found[at], seen[at])
				}
				seen[at] = true
				if i > 0 && e.TimeMS > got[i-1].TimeMS || below[e.Shard] > 0 && e.Seq > below[e.Shard] {
					t.Fatalf("user %d, event %d is newer than the one before it", pg.user, i)
				}
				below[e.Shard] = e.Seq
			}
			if len(got) != 60 {
				t.Errorf("user %d has %d events, want 60", pg.user, len(got))
			}
		}
		same(t, user(t, st, pages[2].user, nil, 10), nil)
	})
}
