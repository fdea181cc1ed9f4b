package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"pixelwall/core"
	"pixelwall/edge/api"
	"pixelwall/edge/fanout"
	"pixelwall/persist"
	"pixelwall/persist/alone"
	"pixelwall/persist/archive"
	"pixelwall/persist/failover"
	"pixelwall/persist/kafka"
	"pixelwall/persist/redis"
	"pixelwall/persist/relay"
	"pixelwall/persist/scylla"
	"pixelwall/persist/snapshot"
)

// A cluster is one process' part of a canvas that lies in Redis, Kafka and CQL,
// or in Redis alone.
//
//	sequencer, cooldowns, published canvas   persist/redis
//	log                                      persist/kafka, the streams of Redis while it is down or not there
//	history, snapshots                       persist/scylla, a folder where it is not there: persist/alone
//	roles                                    persist/relay, archive, snapshot: see roles.go
type cluster struct {
	s      *settings
	log    *slog.Logger
	id     uint64 // random, of this process: relay id and owner of leases
	create core.Create

	redis  *redis.Client
	topic  *kafka.Topic  // nil: Redis alone
	all    core.Topic    // the topic, and history for what it does not retain any more
	store  *scylla.Store // nil: Redis alone
	alone  *alone.Memory // nil: Kafka and CQL are there
	follow *failover.Log // what the hub follows; nil: Redis alone

	config   atomic.Pointer[core.Config] // as Redis had it last
	unarmed  atomic.Int64                // shards that take no placements until a relay comes
	canvas   atomic.Uint64
	pictures atomic.Pointer[pictures]

	roles    roleRunner
	relay    atomic.Pointer[relay.Relay]
	archive  atomic.Pointer[archive.Worker]
	snapshot atomic.Pointer[snapshot.Worker]
}

// openCluster connects to the services, which may all be down at this moment, and
// starts the roles. A canvas that does not exist yet is made by a relay.
func (e *edge) openCluster(ctx context.Context) (*cluster, error) {
	create, err := e.s.newCanvas()
	if err != nil {
		return nil, err
	}
	c := &cluster{s: &e.s, log: e.log, id: randomID(), create: create}
	if err := c.connect(ctx); err != nil {
		return nil, errors.Join(err, c.close())
	}
	c.startRoles()
	return c, nil
}

func (c *cluster) connect(ctx context.Context) (err error) {
	s := c.s
	if c.redis, err = redis.Open(ctx, redis.Options{
		Addrs: s.Redis, Username: s.RedisUser, Password: s.RedisPassword, Limiter: s.LimiterRedis, Prefix: s.RedisPrefix, Logger: c.log,
	}); err != nil {
		return fmt.Errorf("--redis: %w", err)
	}
	if len(s.Kafka) == 0 {
		o := alone.Options{Redis: c.redis, Shards: c.shards, Logger: c.log}
		if s.roles[roleArchive] {
			o.Dir = filepath.Join(s.Data, "archive")
		}
		c.alone = alone.New(o)
		return nil
	}
	if c.topic, err = kafka.Open(kafka.Options{
		Brokers: s.Kafka, Topic: s.topic(), Canvas: c.canvas.Load, Logger: c.log,
		Partitions: partitions(c.create.Config.Geometry()),
	}); err != nil {
		return fmt.Errorf("--kafka: %w", err)
	}
	if c.store, err = scylla.Open(ctx, scylla.Options{
		Hosts: s.Scylla, Keyspace: s.ScyllaKeyspace, Username: s.ScyllaUser, Password: s.ScyllaPassword, Migrate: true, Logger: c.log,
	}); err != nil {
		return fmt.Errorf("--scylla: %w", err)
	}
	c.all = persist.Backed(c.topic, c.store)
	c.follow = failover.New(failover.Options{
		Main: c.all, Fallback: c.redis.Stream(), LastFetch: c.topic.LastFetch, Failing: c.topic.Failing, Patience: s.KafkaPatience,
		OnSwitch: func(fallback bool, why error) {
			if fallback {
				c.log.Warn("the streams of Redis are followed instead of Kafka", "why", why)
			} else {
				c.log.Info("Kafka is followed again")
			}
		},
	})
	return nil
}

// partitions returns how many partitions a canvas of g needs: shard ids have gaps
// where it is not a square.
func partitions(g core.Geometry) int {
	shards := g.Shards()
	return int(shards[len(shards)-1]) + 1
}

// backend waits for a state of the canvas to begin with, and returns what the
// edge needs of this cluster.
func (c *cluster) backend(ctx context.Context) (*backend, error) {
	base, ringFrom, err := c.base(ctx)
	if err != nil {
		return nil, err
	}
	c.canvas.Store(base.Canvas)
	want := core.Want{Width: c.s.width, Height: c.s.height, Palette: c.s.palette, CooldownMS: c.s.cooldownMS}
	if c.create.Start != nil {
		want.Width, want.Height = c.create.Config.Width, c.create.Config.Height
	}
	if err := c.reconcile(ctx, base, want); err != nil {
		return nil, err
	}
	b := &backend{
		canvas: base.Canvas, sequencer: c.redis.Sequencer(), cooldowns: c.redis.Cooldowns(), history: c.history(),
		base: base, ringFrom: ringFrom, reload: c.reload, lanes: core.ShardsMax, gather: time.Millisecond,
		pictures: func(h *fanout.Hub) api.Canvas {
			c.pictures.Store(newPictures(h, c.redis.Canvas()))
			return c.pictures.Load()
		},
		state: c.state, health: c.health, readings: c.readings(), place: c.place(), close: c.close,
	}
	if c.alone != nil {
		b.log = c.alone.Log()
	} else {
		b.log, b.stored, b.armed = c.follow, c.store.Latest, c.redis.Sequencer().Armed
	}
	return b, nil
}

// reconcile makes the canvas what the flags say, as far as a canvas can change.
// While it takes no change, as during a take-over, it is tried again in the
// background: whoever watches need not wait for that.
func (c *cluster) reconcile(ctx context.Context, base *core.Snapshot, want core.Want) error {
	err := c.change(ctx, base, want)
	if core.CodeOf(err) != core.CodeUnavailable {
		return err
	}
	c.log.Warn("the canvas cannot be made what the flags say yet", "err", err)
	c.roles.run(func(ctx context.Context) {
		for core.CodeOf(err) == core.CodeUnavailable {
			if persist.Pause(ctx, 200*time.Millisecond) != nil {
				return
			}
			err = c.change(ctx, base, want)
		}
		switch {
		case ctx.Err() != nil:
		case err != nil:
			c.log.Error("the canvas cannot be made what the flags say", "err", err)
		default:
			c.log.Info("the canvas is what the flags say")
		}
	})
	return nil
}

// change is one try of reconcile. When the change is another edge's at the same
// moment, theirs counts.
func (c *cluster) change(ctx context.Context, base *core.Snapshot, want core.Want) error {
	have := base.Config
	now, unread := c.redis.Outbox().Config(ctx, 0)
	if unread == nil && now.Version > have.Version {
		have = *now
	}
	change, err := want.Against(have, "", c.place())
	switch {
	case err != nil || change == nil:
		return err
	case unread != nil: // base may be from before it was changed
		return unread
	}
	err = c.redis.Sequencer().Configure(ctx, *change)
	if core.CodeOf(err) == core.CodeMismatch {
		return nil
	}
	return err
}

// base returns what the hub begins with, and where its ring of events does. It asks
// until there is something: the services may come later than this process, and the
// canvas may not exist yet.
func (c *cluster) base(ctx context.Context) (base *core.Snapshot, ringFrom core.Heads, err error) {
	told := ""
	for {
		base, ringFrom, err = c.findBase(ctx)
		if err == nil || core.CodeOf(err) == core.CodeMismatch {
			return base, ringFrom, err
		}
		if told != err.Error() {
			told = err.Error()
			c.log.Info("the canvas is waited for", "err", err)
		}
		if persist.Pause(ctx, 200*time.Millisecond) != nil {
			return nil, ringFrom, context.Cause(ctx)
		}
	}
}

// ringTries is how often the streams are asked: one slow answer must not cost every
// client of this edge a fetch.
const ringTries = 5

// findBase returns a state from which, or a ring's beginning from where, the log
// holds what clients may resume from: a restart costs nobody a reload.
func (c *cluster) findBase(ctx context.Context) (*core.Snapshot, core.Heads, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	since := nowMS() - c.s.RingAge.Milliseconds()
	var errs []error
	if c.store != nil {
		s, err := c.oldBase(ctx, since)
		if err == nil {
			return s, s.Heads, nil
		}
		errs = append(errs, err)
	}
	s, err := c.reload(ctx)
	if err != nil {
		return nil, core.Heads{}, errors.Join(append(errs, err)...)
	}
	// The published canvas is new; the streams say what led to it.
	ringFrom, err := c.redis.Stream().HeadsAt(ctx, since)
	for tries := 1; err != nil && tries < ringTries && persist.Pause(ctx, 200*time.Millisecond) == nil; tries++ {
		ringFrom, err = c.redis.Stream().HeadsAt(ctx, since)
	}
	if err != nil {
		c.log.Warn("the streams do not tell what led to the canvas: clients fetch the shards that have changed while they were away", "err", err)
		return s, s.Heads, nil
	}
	for id := range ringFrom {
		ringFrom[id] = min(ringFrom[id], s.Heads[id])
	}
	return s, ringFrom, nil
}

// oldBase returns a state from before since that the log in Kafka goes on from.
func (c *cluster) oldBase(ctx context.Context, since int64) (*core.Snapshot, error) {
	short, cancel := context.WithTimeout(ctx, 4*c.s.KafkaPatience)
	defer cancel()
	if _, err := c.topic.Heads(short); err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	s, err := c.store.At(ctx, since)
	if core.CodeOf(err) == core.CodeNotFound { // the canvas is younger than that
		return beginning(ctx, c.all)
	}
	return s, err
}

// reload returns the newest state that can be had: the published canvas, or the
// newest snapshot.
func (c *cluster) reload(ctx context.Context) (*core.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	s, err := c.redis.Canvas().Snapshot(ctx)
	if err == nil {
		return s, nil
	}
	err = fmt.Errorf("published canvas: %w", err)
	if c.store == nil {
		return nil, err
	}
	s, err2 := c.store.Latest(ctx)
	if err2 == nil {
		return s, nil
	}
	return nil, errors.Join(err, fmt.Errorf("history: %w", err2))
}

// refusing tells how many shards take no placements, of how many, and why.
func (c *cluster) refusing() (refusing, of int, why string) {
	refusing, of, why = c.redis.Sequencer().Refusing()
	if unarmed := int(c.unarmed.Load()); unarmed > refusing {
		refusing, why = min(unarmed, of), "no relay has taken the shard over since Redis was started"
	}
	return refusing, of, why
}

// state says whether placements are taken.
func (c *cluster) state() (api.Status, string) {
	refusing, of, why := c.refusing()
	switch {
	case of == refusing && why != "":
		return api.StatusReadOnly, why
	case refusing > 0:
		return api.StatusDegraded, fmt.Sprintf("%d of %d shards take no placements: %s", refusing, of, why)
	}
	for name, word := range c.health() {
		if word != ok {
			return api.StatusDegraded, name + ": " + word
		}
	}
	return api.StatusOK, ""
}

// ok is what health says of a dependency that does its work.
const ok = "ok"

func (c *cluster) health() map[string]string {
	h := map[string]string{"redis": c.redis.Health()}
	if len(c.s.LimiterRedis) > 0 {
		h["limiter"] = c.redis.LimiterHealth()
	}
	if c.topic != nil {
		h["kafka"], h["history"] = ok, c.store.Health()
		switch why := c.follow.Why(); {
		case errors.Is(why, failover.ErrStalled):
			h["kafka"] = "stands still behind Redis: no relay, or too few brokers"
		case why != nil || !c.topic.Healthy(10*c.s.KafkaPatience) && c.s.roles[roleGateway]:
			h["kafka"] = "down"
		}
	}
	return h
}

// place names the services.
func (c *cluster) place() string {
	place := "Redis " + strings.Join(c.s.Redis, ",")
	if c.topic != nil {
		place += ", Kafka " + strings.Join(c.s.Kafka, ",") + " (" + c.s.topic() + "), CQL " + strings.Join(c.s.Scylla, ",") + " (" + c.s.ScyllaKeyspace + ")"
	}
	return place
}

// shards returns the shards of the canvas, none while it is not known.
func (c *cluster) shards() []core.ShardID {
	if config := c.config.Load(); config != nil {
		return config.Geometry().Shards()
	}
	return nil
}

// watchConfig keeps config at what Redis says.
func (c *cluster) watchConfig(ctx context.Context) {
	for {
		if config, err := c.redis.Outbox().Config(ctx, 0); err == nil {
			c.config.Store(config)
		}
		every := 2 * time.Second
		if c.config.Load() == nil {
			every = 100 * time.Millisecond
		}
		if persist.Pause(ctx, every) != nil {
			return
		}
	}
}

// unarmedAfter is how long a shard must stand still before it is told: a take-over
// takes less.
const unarmedAfter = 3 * time.Second

// watchArmed counts the shards that nobody has armed, also while nobody paints.
func (c *cluster) watchArmed(ctx context.Context) {
	var since [core.ShardsMax]time.Time // when it was first found unarmed; zero: it is armed
	for persist.Pause(ctx, time.Second) == nil {
		unarmed := int64(0)
		for _, s := range c.shards() {
			stand, err := c.redis.Outbox().Stand(ctx, s)
			switch {
			case err != nil: // the breaker tells
			case stand.Armed:
				since[s] = time.Time{}
			case since[s].IsZero():
				since[s] = time.Now()
			}
			if !since[s].IsZero() && time.Since(since[s]) >= unarmedAfter {
				unarmed++
			}
		}
		c.unarmed.Store(unarmed)
	}
}

// close ends the roles and then the connections.
func (c *cluster) close() error {
	c.roles.stop()
	var errs []error
	if c.topic != nil {
		c.topic.Close()
	}
	if c.store != nil {
		errs = append(errs, c.store.Close())
	}
	if c.redis != nil {
		c.redis.Close()
	}
	return errors.Join(errs...)
}

// A roleRunner runs what a process does beside serving clients.
type roleRunner struct {
	ctx    context.Context // ends with stop
	cancel context.CancelFunc
	parts  sync.WaitGroup
}

func (r *roleRunner) run(f func(context.Context)) { r.parts.Go(func() { f(r.ctx) }) }

func (r *roleRunner) stop() {
	if r.cancel != nil {
		r.cancel()
		r.parts.Wait()
	}
}
