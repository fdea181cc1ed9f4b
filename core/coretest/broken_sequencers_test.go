package coretest

import (
	"context"
	"slices"
	"sync"
	"time"

	"pixelwall/core"
)

var brokenSequencers = []broken{
	{"drops placements that it acknowledged", onPlace(func(m *Memory, ctx context.Context, ps []core.Placement, out []core.Outcome) error {
		n := (len(ps) + 1) / 2
		if err := m.Place(ctx, ps[:n], out[:n]); err != nil {
			return err
		}
		h, err := m.Heads(ctx)
		for i := n; i < len(ps); i++ {
			h[ps[i].Shard]++
			out[i] = core.Outcome{Shard: ps[i].Shard, Seq: h[ps[i].Shard], TimeMS: out[0].TimeMS}
		}
		return err
	}), []string{"the log has exactly what was acknowledged", "concurrent callers share one order"}},

	{"reorders a call", onPlace(func(m *Memory, ctx context.Context, ps []core.Placement, out []core.Outcome) error {
		ps = slices.Clone(ps)
		slices.Reverse(ps)
		err := m.Place(ctx, ps, out)
		slices.Reverse(out)
		return err
	}), []string{"each shard has an order of its own without holes"}},

	{"numbers all shards together", onPlace(func(m *Memory, ctx context.Context, ps []core.Placement, out []core.Outcome) error {
		err := m.Place(ctx, ps, out)
		for i := range out {
			out[i].Seq += uint64(ps[i].Shard)
		}
		return err
	}), []string{"each shard has an order of its own without holes", "the log has exactly what was acknowledged"}},

	{"stores twice", onPlace(func(m *Memory, ctx context.Context, ps []core.Placement, out []core.Outcome) error {
		if err := m.Place(ctx, ps, out); err != nil {
			return err
		}
		again := slices.Clone(ps)
		for i := range again {
			again[i].Request.Number |= 1 << 31
		}
		return m.Place(ctx, again, make([]core.Outcome, len(ps)))
	}), []string{"the log has exactly what was acknowledged", "concurrent callers share one order"}},

	{"stores a call that it gives up, and then again", onPlace(func(m *Memory, ctx context.Context, ps []core.Placement, out []core.Outcome) error {
		if ctx.Err() != nil {
			ps = slices.Clone(ps)
			for i := range ps {
				ps[i].Request.Number |= 1 << 31
			}
			_ = m.Place(context.WithoutCancel(ctx), ps, out)
			return ctx.Err()
		}
		return m.Place(ctx, ps, out)
	}), []string{"a call that was given up can be made again under the same request"}},

	{"lets time fall", func(m *Memory, st *Store, s Setup) {
		beforePlace(func(m *Memory) { clear(m.timeMS[:]) })(m, st, s)
	}, []string{"a clock that goes back does not take the log's time back"}},

	{"keeps the caller's memory", keepCallersMemory, []string{"the caller's memory is its own again after Place"}},

	{"forgets requests", beforePlace(func(m *Memory) { clear(m.requests) }), []string{
		"a request sent again has its first outcome and is stored once",
		"a request sent again is answered before any cooldown is looked at",
		"a request is known for two minutes",
		"a request of a busy page is expired later",
		"a request of a silent page is expired later",
	}},

	{"forgets requests within a call", onPlace(func(m *Memory, ctx context.Context, ps []core.Placement, out []core.Outcome) error {
		for i := range ps {
			m.mu.Lock()
			clear(m.requests)
			m.mu.Unlock()
			if err := m.Place(ctx, ps[i:i+1], out[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}), []string{"a request sent twice at once is stored once"}},

	{"refuses what it does not know", onPlace(func(m *Memory, ctx context.Context, ps []core.Placement, out []core.Outcome) error {
		err := m.Place(ctx, ps, out)
		for i := range out {
			out[i].Unknown = out[i].Unknown && i == len(out)-1
		}
		return err
	}), []string{"what is unknown is told when it is placed again"}},

	{"looks at the cooldown first", onPlace(func(m *Memory, ctx context.Context, ps []core.Placement, out []core.Outcome) error {
		for i := range ps {
			if a, _ := m.Allowance(ctx, ps[i].User, m.clock.Now()); a.Available == 0 {
				out[i] = core.Outcome{Err: core.NewError(core.CodeCooldown, "wait"), Allowance: a}
			} else if err := m.Place(ctx, ps[i:i+1], out[i:i+1]); err != nil {
				return err
			}
		}
		return nil
	}), []string{"a request sent again is answered before any cooldown is looked at"}},

	{"knows requests by their number alone", onPlace(func(m *Memory, ctx context.Context, ps []core.Placement, out []core.Outcome) error {
		ps = slices.Clone(ps)
		for i := range ps {
			ps[i].Request.Instance = 1
		}
		return m.Place(ctx, ps, out)
	}), []string{"the same number of another page is another request"}},

	{"answers old requests for ever", beforePlace(func(m *Memory) {
		for r, s := range m.requests {
			s.timeMS = m.clock.Now()
			m.requests[r] = s
		}
	}), []string{"a request of a busy page is expired later", "a request of a silent page is expired later"}},

	{"charges for a refusal", onPlace(func(m *Memory, ctx context.Context, ps []core.Placement, out []core.Outcome) error {
		err := m.Place(ctx, ps, out)
		m.mu.Lock()
		for i := range out {
			if out[i].Err != nil {
				m.charge(ps[i].User, m.clock.Now())
			}
		}
		m.mu.Unlock()
		return err
	}), []string{
		"a user who has to wait is told how long and stored when it is over",
		"what the canvas can never take is refused without a charge",
	}},

	{"has no cooldown", beforePlace(func(m *Memory) { clear(m.users) }), []string{
		"a user who has to wait is told how long and stored when it is over",
	}},

	{"has no burst", beforePlace(func(m *Memory) { m.config.BurstMax = 1 }), []string{"a rested user has a burst, within one call too"}},

	{"has one cooldown for everybody", onPlace(func(m *Memory, ctx context.Context, ps []core.Placement, out []core.Outcome) error {
		ps = slices.Clone(ps)
		for i := range ps {
			ps[i].User = 1
		}
		return m.Place(ctx, ps, out)
	}), []string{"users wait each for themselves"}},

	{"swallows a configuration", func(m *Memory, st *Store, _ Setup) {
		st.Sequencer = placer{Sequencer: m, configure: func(context.Context, core.Config) error { return nil }}
	}, []string{
		"a change has its place in each shard's order",
		"a change that does not follow is refused and leaves no trace",
		"a configuration survives a crash",
	}},

	{"takes any configuration", func(m *Memory, st *Store, _ Setup) {
		st.Sequencer = placer{Sequencer: m, configure: func(ctx context.Context, c core.Config) error {
			m.mu.Lock()
			c.Version = m.config.Version + 1
			c.Width = max(c.Width, m.config.Width)
			m.mu.Unlock()
			return m.Configure(ctx, c)
		}}
	}, []string{"a change that does not follow is refused and leaves no trace"}},

	{"takes two changes at once", func(m *Memory, st *Store, _ Setup) {
		st.Sequencer = placer{Sequencer: m, configure: func(ctx context.Context, c core.Config) error {
			m.mu.Lock()
			err := c.Follows(&m.config)
			m.mu.Unlock()
			if err != nil {
				return err
			}
			time.Sleep(time.Millisecond) // both have looked by then
			if err = m.Configure(ctx, c); core.CodeOf(err) == core.CodeMismatch {
				return nil
			}
			return err
		}}
	}, []string{"of two changes at once one counts, everywhere"}},

	{"acknowledges before it is durable", forgetRecords, []string{"what was acknowledged survives a crash"}},

	{"forgets requests in a crash", onCrash(func(m *Memory) { clear(m.requests) }), []string{"what was acknowledged survives a crash"}},

	{"forgets cooldowns in a crash", onCrash(func(m *Memory) { clear(m.users) }), []string{"a cooldown survives a crash"}},

	{"forgets configurations in a crash", onCrash(func(m *Memory) { m.config = *m.records[0].Config }), []string{"a configuration survives a crash"}},

	{"begins its order again after a crash", onCrash(func(m *Memory) { m.heads = core.Heads{} }), []string{"what was acknowledged survives a crash"}},
}

// keepCallersMemory is a store that writes later what the caller's slice says by
// then.
func keepCallersMemory(m *Memory, st *Store, _ Setup) {
	var mu sync.Mutex
	kept := make(map[core.Request]*core.Placement)
	st.Sequencer = placer{Sequencer: m, place: func(ctx context.Context, ps []core.Placement, out []core.Outcome) error {
		mu.Lock()
		for i := range ps {
			kept[ps[i].Request] = &ps[i]
		}
		mu.Unlock()
		return m.Place(ctx, ps, out)
	}}
	onRecord(func(r *core.Record, _ core.Heads) []*core.Record {
		mu.Lock()
		defer mu.Unlock()
		for i := range r.Events {
			if p := kept[r.Events[i].Request]; p != nil {
				r.Events[i].Color = p.Color
			}
		}
		return []*core.Record{r}
	})(m, st, Setup{})
}
