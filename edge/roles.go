package main

import (
	"context"
	"time"

	"pixelwall/core"
	"pixelwall/persist"
	"pixelwall/persist/archive"
	"pixelwall/persist/relay"
	"pixelwall/persist/snapshot"
)

// startRoles runs what this process does beside serving clients. Every role may
// run in many processes: leases say who does which shard, and what two do at once
// is the same as what one does.
func (c *cluster) startRoles() {
	c.roles.ctx, c.roles.cancel = context.WithCancel(context.Background())
	run := c.roles.run
	run(c.watchConfig)
	if c.s.roles[roleGateway] {
		run(c.watchArmed)
	}
	if c.alone != nil {
		run(c.alone.Run) // archives as well, where that is a role
	}
	if c.s.roles[roleRelay] {
		run(c.runRelay)
	}
	if c.s.roles[roleArchive] && c.alone == nil {
		run(c.runArchive)
	}
	if c.s.roles[roleSnapshot] {
		run(c.runPublish)
		if c.alone == nil {
			run(c.runSnapshot)
		}
	}
}

// publishEvery is the least time between two published copies of a shard.
const publishEvery = time.Second

func (c *cluster) runRelay(ctx context.Context) {
	o := relay.Options{
		ID: c.id, Outbox: c.redis.Outbox(), Leases: c.redis.Outbox(), Config: c.redis.Outbox().Config,
		Create: c.create, NowMS: nowMS, Logger: c.log,
	}
	if c.alone != nil {
		// The stream is the log, so it keeps what a client may resume from.
		o.TrimAfter, o.Safe = max(10*time.Minute, c.s.RingAge), c.alone.Safe
		o.Snapshots, o.Existed = c.alone.Snapshots(), c.alone.Existed
		c.relay.Store(relay.New(o))
		c.relay.Load().Run(ctx)
		return
	}
	o.Topic, o.Snapshots, o.Safe = c.all, c.store, c.safe
	for told := false; ; told = true {
		err := c.topic.Ensure(ctx)
		if err == nil {
			break
		}
		if !told {
			c.log.Warn("the topic cannot be made yet", "err", err)
		}
		if persist.Pause(ctx, time.Second) != nil {
			return
		}
	}
	c.relay.Store(relay.New(o))
	c.relay.Load().Run(ctx)
}

// safe returns what the newest snapshot holds: whoever lost everything begins there.
func (c *cluster) safe(ctx context.Context) (core.Heads, error) {
	return c.store.LatestHeads(ctx)
}

func (c *cluster) runArchive(ctx context.Context) {
	w := archive.New(archive.Options{
		Owner: c.id, Archive: c.store, Leases: c.redis.Outbox(), Tail: c.topic.TailShards, Shards: c.shards, Logger: c.log,
	})
	c.archive.Store(w)
	w.Run(ctx)
}

func (c *cluster) runSnapshot(ctx context.Context) {
	w := snapshot.New(snapshot.Options{
		Owner: c.id, Log: c.all, Snapshots: c.store, Leases: c.redis.Outbox(), Logger: c.log,
	})
	c.snapshot.Store(w)
	w.Run(ctx)
}

func (c *cluster) runPublish(ctx context.Context) {
	snapshot.Publish(ctx, c.redis.Outbox(), c.shards, publishEvery, c.log)
}
