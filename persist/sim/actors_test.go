package sim

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"pixelwall/core"
	"pixelwall/persist"
	"pixelwall/persist/archive"
	"pixelwall/persist/relay"
	"pixelwall/persist/snapshot"
)

// startActors starts two or three of each who share the work, and one who
// changes the configuration.
func (w *world) startActors() {
	r := rand.New(rand.NewPCG(w.seed, 3))
	for i := range 2 + r.IntN(2) {
		w.processes("relay"+string(rune('a'+i)), w.relay)
	}
	for i := range 1 + r.IntN(2) {
		if w.alone {
			w.processes("publisher"+string(rune('a'+i)), w.publisher)
			continue
		}
		w.processes("archive"+string(rune('a'+i)), w.archiver)
		w.processes("snapshot"+string(rune('a'+i)), w.snapshots)
	}
	for i := range 2 + r.IntN(2) {
		e := &edge{w: w}
		w.edges = append(w.edges, e)
		w.processes("edge"+string(rune('a'+i)), e.run)
	}
	w.processes("admin", w.admin)
}

// relay is one life of a relay. Its id is of this life alone, and so is the canvas
// that it would make.
func (w *world) relay(p *process) {
	start := core.NewBoard(w.config.Geometry(), 0)
	for _, s := range start.Geometry().Shards() {
		start.Set(s, 3, 7)
	}
	outbox, kept := w.plant.outbox(p, w.outbox.As(p.hook)), w.archive.As(p.hook)
	o := relay.Options{
		ID: p.relayID(), Outbox: outbox, Leases: w.outbox.As(p.hook), Topic: w.plant.topic(p, twice{w.topic.As(p.hook), p}),
		Create: core.Create{Canvas: p.id("canvas"), Config: w.config, Start: start},
		NowMS:  nowMS, Snapshots: w.plant.snapshots(p, w.kept(p, kept)), Logger: p.logger(),
		Safe: func(ctx context.Context) (core.Heads, error) {
			s, err := kept.Latest(ctx)
			if err != nil {
				return core.Heads{}, err
			}
			return s.Heads, nil
		},
		StandEvery: 200 * time.Millisecond, CarryEvery: 40 * time.Millisecond, ClaimEvery: 5 * time.Second,
		LeaseTTL: 3 * time.Second, TrimAfter: 2 * time.Second, BatchMax: 8,
	}
	if w.alone {
		o.Topic, o.Snapshots, o.Config = nil, nil, w.outbox.As(p.hook).Config
		o.Safe = func(context.Context) (core.Heads, error) {
			return core.Heads{}, core.NewError(core.CodeUnavailable, "nothing is archived")
		}
	}
	r := relay.New(o)
	r.Run(p.ctx)
	st := r.Stats()
	w.count("carried", st.Carried)
	w.count("taken over", st.TakeOvers)
	w.count("published again", st.Republished)
	w.count("holes", st.Holes)
	w.count("stale", st.Stale)
}

// kept is where a relay's fold begins. A run is shorter than requests are kept, so
// no snapshot is that old. Where the outbox remembers them all, one of just now does
// as well, and every other life has it.
func (w *world) kept(p *process, s core.Snapshots) core.Snapshots {
	if w.empties && p.life%2 == 0 {
		return youngOf{s}
	}
	return s
}

// relayID is random but for what keeps its epochs apart from those of the lives
// before and beside it, which chance alone does most of the time.
func (p *process) relayID() uint64 {
	slot := uint64(p.name[len(p.name)-1] - 'a')
	return p.id("relay")&^31 | (slot*5+p.life)%16<<1
}

// archiver is one life of an archive worker.
func (w *world) archiver(p *process) {
	topic := w.topic.As(p.hook)
	settle := syncMS*time.Millisecond + 200*time.Millisecond
	if w.plant.unsettled {
		settle = 10 * time.Millisecond
	}
	a := archive.New(archive.Options{
		Owner: p.id("owner"), Archive: w.plant.archive(p, w.archive.As(p.hook)), Leases: w.outbox.As(p.hook), Logger: p.logger(),
		Tail: func(ctx context.Context, shards []core.ShardID, from core.Heads, fn func(*core.Record) error) error {
			return w.plant.tail(p, topic).Tail(ctx, from, fn)
		},
		Shards: w.shards,
		Settle: settle, LeaseTTL: 3 * time.Second, RetryEach: 100 * time.Millisecond, EventsMax: 8,
	})
	a.Run(p.ctx)
	w.count("archived again", a.Stats().Restarts)
}

// snapshots is one life of a snapshot worker, which publishes as well.
func (w *world) snapshots(p *process) {
	var parts waits
	parts.Go(func() {
		snapshot.Publish(p.ctx, w.outbox.As(p.hook), w.shards, time.Second, p.logger())
	})
	s := snapshot.New(snapshot.Options{
		Owner: p.id("owner"), Log: w.plant.tail(p, w.topic.As(p.hook)), Snapshots: w.archive.As(p.hook), Leases: w.outbox.As(p.hook), Logger: p.logger(),
		Every: time.Second, LeaseTTL: 3 * time.Second,
	})
	s.Run(p.ctx)
	parts.Wait()
	w.count("snapshots", s.Stats().Put)
}

// publisher publishes the canvas for readers.
func (w *world) publisher(p *process) {
	snapshot.Publish(p.ctx, w.outbox.As(p.hook), w.shards, time.Second, p.logger())
}

// admin adds a colour now and then, and perhaps a shard, in one shard; the relays
// bring it to others.
func (w *world) admin(p *process) {
	r := rand.New(rand.NewPCG(w.seed, 4+p.life))
	outbox := w.outbox.As(p.hook)
	for persist.Pause(p.ctx, time.Second+time.Duration(r.IntN(1e6))) == nil {
		if w.isCalm() || r.Float64() >= w.rates.configure {
			continue
		}
		shards := w.shards()
		s := shards[r.IntN(len(shards))]
		if w.alone {
			s = 0 // from which the others take it
		}
		stand, err := outbox.Stand(p.ctx, s)
		if err != nil || !stand.Armed || stand.Version == versionMax {
			continue
		}
		c := w.version(stand.Version + 1)
		if outbox.Configure(p.ctx, s, &c) == nil {
			w.note("configured")
		}
	}
}

// versionMax is that of the last colour.
const versionMax = 5

// version returns a configuration of the canvas.
func (w *world) version(v uint32) core.Config {
	c := w.config
	palette, _ := core.NamedPalette("place2017")
	c.Version, c.Palette = v, palette[:len(c.Palette)+int(v)-1]
	if w.grows && v > 1 {
		c.Width, c.Height = core.ShardSide+8, core.ShardSide+2
	}
	return c
}

// present returns the configuration that shard 0 has just now.
func (w *world) present() *core.Config {
	c := w.version(max(1, w.outbox.Stand(0).Version))
	return &c
}

func (w *world) shards() []core.ShardID { return w.present().Geometry().Shards() }

func (p *process) logger() *slog.Logger {
	if !*verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(writer{}, nil)).With("process", p.name, "life", p.life)
}
