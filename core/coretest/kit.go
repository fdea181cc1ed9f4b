package coretest

import (
	"context"
	"errors"

	"pixelwall/core"
)

// start is when the suites' clocks begin: in the busiest minute of 2017.
const startMS = 1_491_237_000_000

// setup returns a canvas of four shards, three of them filled in part, with room
// for four more colours, and no cooldown.
func setup() Setup {
	p, _ := core.NamedPalette("place2017")
	return Setup{
		Config: core.Config{Version: 1, Width: 600, Height: 520, Bits: 4, Palette: p[:12:12], BurstMax: 1},
		Clock:  NewClock(startMS),
	}
}

func setupCooldown(everyMS int64, burst int) Setup {
	s := setup()
	s.Config.CooldownMS, s.Config.BurstMax = everyMS, burst
	return s
}

// A page makes placements of one user with requests that rise by one.
type page struct {
	user uint64
	req  core.Request
}

func newPage(n uint64) *page { return &page{user: n, req: core.Request{Instance: n << 32}} }

func (p *page) tap(x, y int, color uint8) core.Placement {
	p.req.Number++
	s, off := core.Locate(x, y)
	return core.Placement{Shard: s, Offset: off, Color: color, User: p.user, Request: p.req}
}

// taps returns n placements that walk over all shards and repeat pixels.
func (p *page) taps(n int) []core.Placement {
	var ps []core.Placement
	for i := range n {
		ps = append(ps, p.tap((i*97+int(p.user)*13)%600, (i*61)%520, uint8(i%12)))
	}
	return ps
}

// place calls Place and fails the case when Place itself fails.
func place(t T, st *Store, ps ...core.Placement) []core.Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), t.Patience())
	defer cancel()
	out := make([]core.Outcome, len(ps))
	if err := st.Sequencer.Place(ctx, ps, out); err != nil {
		t.Fatalf("Place of %d: %v", len(ps), err)
	}
	return out
}

// mustPlace is place for placements that cannot be refused.
func mustPlace(t T, st *Store, ps ...core.Placement) []core.Outcome {
	t.Helper()
	out := place(t, st, ps...)
	for i := range out {
		if out[i].Err != nil {
			t.Fatalf("placement %d was refused: %v", i, out[i].Err)
		}
	}
	return out
}

// refused fails the case unless o is a refusal with one of codes.
func refused(t T, o core.Outcome, codes ...core.Code) {
	t.Helper()
	for _, c := range codes {
		if o.Err != nil && o.Err.Code == c {
			return
		}
	}
	if o.Err == nil {
		t.Fatalf("accepted as seq %d (repeated: %v), want %v", o.Seq, o.Repeated, codes)
	}
	t.Fatalf("refused with %v, want %v", o.Err, codes)
}

func headsOf(t T, st *Store) core.Heads {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), t.Patience())
	defer cancel()
	h, err := st.Log.Heads(ctx)
	if err != nil {
		t.Fatalf("Heads: %v", err)
	}
	return h
}

var errEnough = errors.New("enough")

// read returns what Tail gives after from until every shard has reached until.
func read(t T, st *Store, from, until core.Heads) []*core.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), t.Patience())
	defer cancel()
	var all []*core.Record
	reached := from
	if within(until, reached) {
		return nil
	}
	err := st.Log.Tail(ctx, from, func(r *core.Record) error {
		all = append(all, cloneRecord(r))
		reached[r.Shard] = max(reached[r.Shard], r.Last())
		if within(until, reached) {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("Tail ended with %v after %d records, before it had reached the heads", err, len(all))
	}
	return all
}

func readAll(t T, st *Store) []*core.Record {
	t.Helper()
	return read(t, st, core.Heads{}, headsOf(t, st))
}

// A place in the order.
type spot struct {
	shard core.ShardID
	seq   uint64
}

func spotOf(p core.Placement, o core.Outcome) spot { return spot{p.Shard, o.Seq} }

// events checks that records are one order per shard from the blank canvas on,
// without hole or double, and returns the events by their place in it.
func events(t T, s Setup, records []*core.Record) map[spot]core.PastEvent {
	t.Helper()
	var f core.Follower
	var timeMS [core.ShardsMax]int64
	board := core.NewBoard(s.Config.Geometry(), s.Config.Blank)
	found := make(map[spot]core.PastEvent)
	for _, r := range records {
		if r.TimeMS < timeMS[r.Shard] {
			t.Errorf("shard %d: time falls from %d to %d at seq %d", r.Shard, timeMS[r.Shard], r.TimeMS, r.First)
		}
		timeMS[r.Shard] = r.TimeMS
		if r.Canvas == 0 || r.Canvas != records[0].Canvas {
			t.Errorf("shard %d seq %d: canvas %x", r.Shard, r.First, r.Canvas)
		}
		first := r.First
		if r.Kind == core.KindClaim {
			f.Next(r)
			continue
		}
		if v := f.Next(r); v != core.Apply || r.First != first {
			t.Fatalf("shard %d: a record of seq %d to %d comes after %d", r.Shard, first, r.Last(), f.Heads[r.Shard])
		}
		for i, e := range r.Events {
			if old := board.At(r.Shard, e.Offset); e.Old != old {
				t.Errorf("shard %d seq %d: says that it replaced colour %d, it was %d", r.Shard, first+uint64(i), e.Old, old)
			}
			board.Set(r.Shard, e.Offset, e.Color)
			found[spot{r.Shard, first + uint64(i)}] = core.PastEvent{Shard: r.Shard, Seq: first + uint64(i), TimeMS: r.TimeMS, Event: e}
		}
		if len(r.Events) == 0 {
			if err := board.Apply(r); err != nil {
				t.Fatalf("shard %d seq %d does not apply: %v", r.Shard, r.First, err)
			}
		}
	}
	return found
}

// stands checks that the log holds ps exactly as out acknowledged them.
func stands(t T, found map[spot]core.PastEvent, ps []core.Placement, out []core.Outcome) {
	t.Helper()
	for i, p := range ps {
		e, ok := found[spotOf(p, out[i])]
		switch {
		case !ok:
			t.Errorf("placement %d was acknowledged as shard %d seq %d, which the log does not have", i, p.Shard, out[i].Seq)
		case e.Offset != p.Offset || e.Color != p.Color || e.User != p.User || e.Request != p.Request || e.TimeMS != out[i].TimeMS:
			t.Errorf("placement %d %+v at %d is in the log as %+v", i, p, out[i].TimeMS, e)
		}
	}
}

// stored counts how often the log has a request.
func count(found map[spot]core.PastEvent, r core.Request) (n int) {
	for _, e := range found {
		if e.Request == r {
			n++
		}
	}
	return n
}

// virtual skips the case when the store cannot follow the clock.
func virtual(t T, st *Store) {
	t.Helper()
	if st.RealTime {
		t.Skipf("the store has a clock of its own")
	}
}

// crash cuts the power, or skips the case when the store does not offer that.
func crash(t T, st *Store) *Store {
	t.Helper()
	if st.Crash == nil {
		t.Skipf("the store has no Crash")
	}
	return st.Crash()
}
