package coretest

import (
	"context"
	"sync"

	"pixelwall/core"
)

func sequencerConfigure(t T, open func(T, Setup) *Store) {
	configure := func(t T, st *Store, c core.Config) error {
		ctx, cancel := context.WithTimeout(t.Context(), t.Patience())
		defer cancel()
		return st.Sequencer.Configure(ctx, c)
	}
	t.Run("a change has its place in each shard's order", func(t T) {
		s := setup()
		st := open(t, s)
		pg := newPage(1)
		before := pg.taps(100)
		out := mustPlace(t, st, before...)
		refused(t, place(t, st, pg.tap(1, 1, 12))[0], core.CodeUnknownColor)
		refused(t, place(t, st, pg.tap(1200, 1, 1))[0], core.CodeOutOfCanvas, core.CodeUnknownShard)
		c := s.Config
		p, _ := core.NamedPalette("place2017")
		c.Version, c.Palette, c.Width = 2, p[:14:14], 1300
		if err := configure(t, st, c); err != nil {
			t.Fatalf("Configure: %v", err)
		}
		p[12].Name = "the caller's own again"
		after := []core.Placement{pg.tap(1, 1, 12), pg.tap(1200, 1, 13), pg.tap(599, 519, 2)}
		out = append(out, mustPlace(t, st, after...)...)
		records := readAll(t, st)
		changed := make(map[core.ShardID]int)
		for _, r := range records {
			if r.Kind != core.KindConfig {
				continue
			}
			changed[r.Shard]++
			if r.Config == nil || r.Config.Version != 2 || r.Config.Width != 1300 || len(r.Config.Palette) != 14 || r.Config.Palette[12].Name != "blue" {
				t.Errorf("shard %d: %+v", r.Shard, r.Config)
			}
		}
		for _, shard := range s.Config.Geometry().Shards() {
			if changed[shard] != 1 {
				t.Errorf("shard %d has %d configuration records", shard, changed[shard])
			}
		}
		stands(t, events(t, s, records), append(before, after...), out)
	})
	t.Run("a change that does not follow is refused and leaves no trace", func(t T) {
		s := setup()
		st := open(t, s)
		before := headsOf(t, st)
		stale, smaller := s.Config, s.Config
		smaller.Version, smaller.Width = 2, 500
		if err := configure(t, st, stale); err == nil || core.CodeOf(err) != core.CodeMismatch {
			t.Errorf("the same version again: %v, want %v", err, core.CodeMismatch)
		}
		if err := configure(t, st, smaller); err == nil || core.CodeOf(err) != core.CodeInvalid {
			t.Errorf("a smaller canvas: %v, want %v", err, core.CodeInvalid)
		}
		if headsOf(t, st) != before {
			t.Errorf("the log went on")
		}
		mustPlace(t, st, newPage(1).tap(599, 1, 1))
	})
	t.Run("of two changes at once one counts, everywhere", func(t T) {
		s := setup()
		st := open(t, s)
		for version := uint32(2); version < 12; version++ {
			var errs [2]error
			var done sync.WaitGroup
			for k := range errs {
				c := s.Config
				c.Version, c.CooldownMS = version, int64(1+k)
				done.Go(func() { errs[k] = configure(t, st, c) })
			}
			done.Wait()
			first := 0
			if errs[first] != nil {
				first = 1
			}
			if errs[first] != nil || errs[1-first] == nil || core.CodeOf(errs[1-first]) != core.CodeMismatch {
				t.Fatalf("version %d: %v and %v, want one nil and one %v", version, errs[0], errs[1], core.CodeMismatch)
			}
			for _, r := range readAll(t, st) {
				if r.Kind == core.KindConfig && r.Config.Version == version && r.Config.CooldownMS != int64(1+first) {
					t.Fatalf("shard %d has the version %d that was refused", r.Shard, version)
				}
			}
		}
	})
}

func sequencerCrash(t T, open func(T, Setup) *Store) {
	t.Run("what was acknowledged survives a crash", func(t T) {
		s := setupCooldown(60_000, 100)
		st := open(t, s)
		pg := newPage(1)
		ps := pg.taps(60)
		out := mustPlace(t, st, ps[:40]...)
		for _, p := range ps[40:] { // the last acknowledgements each have their own call
			out = append(out, mustPlace(t, st, p)...)
		}
		st = crash(t, st)
		stands(t, events(t, s, readAll(t, st)), ps, out)
		for i, p := range ps {
			if o := place(t, st, p)[0]; o.Err != nil || !o.Repeated || o.Seq != out[i].Seq || o.TimeMS != out[i].TimeMS {
				t.Fatalf("placement %d sent again after the crash: %+v, it was %+v", i, o, out[i])
			}
		}
		next := mustPlace(t, st, newPage(2).tap(1, 1, 1))[0]
		if want := headsOf(t, st)[0]; next.Seq != want {
			t.Errorf("the order goes on at %d, want %d", next.Seq, want)
		}
	})
	t.Run("a cooldown survives a crash", func(t T) {
		st := open(t, setupCooldown(60_000, 1))
		pg := newPage(1)
		mustPlace(t, st, pg.tap(1, 1, 1))
		st = crash(t, st)
		refused(t, place(t, st, pg.tap(2, 2, 2))[0], core.CodeCooldown)
	})
	t.Run("a configuration survives a crash", func(t T) {
		s := setup()
		st := open(t, s)
		c := s.Config
		c.Version, c.Width = 2, 1300
		if err := st.Sequencer.Configure(t.Context(), c); err != nil {
			t.Fatalf("Configure: %v", err)
		}
		st = crash(t, st)
		mustPlace(t, st, newPage(1).tap(1299, 1, 1))
	})
}
