package alone

import (
	"context"
	"sync/atomic"
	"time"

	"pixelwall/core"
	"pixelwall/persist"
)

// seen is the highest seq of each shard that this process knows of. It is the only
// memory of what Redis has lost: a relay must not give such a seq again, and not
// take a shard that was there for one that never was.
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
func (m *Memory) reportSeen(ctx context.Context) {
	for round := 0; ; round++ {
		if round%10 == 0 {
			if heads, n, err := m.o.Redis.Outbox().EverywhereArchived(ctx); err == nil && n > 0 {
				m.seen.sawAll(&heads)
			}
		}
		if persist.Pause(ctx, lookEvery) != nil {
			return
		}
		heads, err := m.o.Redis.Stream().Heads(ctx)
		if err != nil {
			continue // it is away
		}
		for s := range heads {
			if seq := m.seen[s].Load(); seq > heads[s] {
				_ = m.o.Redis.Outbox().Report(ctx, core.ShardID(s), seq) // the next look tries again
			}
		}
		m.seen.sawAll(&heads)
	}
}
