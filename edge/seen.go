package main

import (
	"context"
	"sync/atomic"
	"time"

	"pixelwall/core"
	"pixelwall/persist"
)

// seen is the highest seq of each shard that this process knows of. Where the
// streams of Redis are the log, it is the only memory of what Redis has lost: a
// relay must not give such a seq again, and not take a shard that was there for one
// that never was.
type seen [core.ShardsMax]atomic.Uint64

func (n *seen) saw(s core.ShardID, seq uint64) {
	for {
		old := n[s].Load()
		if old >= seq || n[s].CompareAndSwap(old, seq) {
			return
		}
	}
}

func (n *seen) sawAll(heads *core.Heads) {
	for s, seq := range heads {
		n.saw(core.ShardID(s), seq)
	}
}

// existed reports whether s was ever built.
func (n *seen) existed(s core.ShardID) bool { return n[s].Load() > 0 }

// A seenLog notes what its readers are given.
type seenLog struct {
	core.Log
	seen *seen
}

// Tail implements core.Log.
func (l seenLog) Tail(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
	return l.Log.Tail(ctx, from, func(r *core.Record) error {
		if r.Kind != core.KindClaim {
			l.seen.saw(r.Shard, r.Last())
		}
		return fn(r)
	})
}

// lookEvery is how often Redis is compared with what was seen. It is well below
// the time that a relay gives edges to report.
const lookEvery = 200 * time.Millisecond

// reportSeen tells Redis what was seen whenever it knows less than that. What the
// archives say that they hold counts as seen.
func (c *cluster) reportSeen(ctx context.Context) {
	for round := 0; ; round++ {
		if round%10 == 0 {
			if heads, n, err := c.redis.Outbox().EverywhereArchived(ctx); err == nil && n > 0 {
				c.seen.sawAll(&heads)
			}
		}
		if persist.Pause(ctx, lookEvery) != nil {
			return
		}
		heads, err := c.redis.Stream().Heads(ctx)
		if err != nil {
			continue // it is away
		}
		for s := range heads {
			if seq := c.seen[s].Load(); seq > heads[s] {
				_ = c.redis.Outbox().Report(ctx, core.ShardID(s), seq) // the next look tries again
			}
		}
		c.seen.sawAll(&heads)
	}
}
