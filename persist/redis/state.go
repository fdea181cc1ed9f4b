package redis

import (
	"context"
	"fmt"
	"time"

	"pixelwall/core"
)

// Config returns the configuration of shard s, CodeUnavailable while it has none.
func (o *Outbox) Config(ctx context.Context, s core.ShardID) (*core.Config, error) {
	config, err := o.c.readConfig(ctx, s)
	if err == nil && config == nil {
		err = core.NewError(core.CodeUnavailable, fmt.Sprintf("shard %d of the canvas has not been built yet", s))
	}
	return config, err
}

// Refusing tells how many shards refuse placements just now, and why, as far as
// the last commands told; of is how many shards the canvas has, 0 while that is
// not known.
func (s *Sequencer) Refusing() (refusing, of int, why string) {
	config := s.c.configs.newest.Load()
	if config == nil {
		if s.c.link.client.Load() == nil {
			return 0, 0, "Redis was never reached"
		}
		return 0, 0, ""
	}
	for _, shard := range config.Geometry().Shards() {
		of++
		q := s.queues[shard]
		q.mu.Lock()
		unarmed := !q.unarmedAt.IsZero() && time.Since(q.unarmedAt) >= q.c.opts.HoldFor
		q.mu.Unlock()
		switch {
		case !s.c.breakers[shard].closed():
			refusing, why = refusing+1, "Redis does not answer"
		case unarmed:
			refusing, why = refusing+1, "no relay has taken the shard over since Redis was started"
		}
	}
	return refusing, of, why
}

// LimiterHealth says whether cooldowns lie where they should: "ok" or "down".
func (c *Client) LimiterHealth() string {
	if c.limiterBreaker.closed() && c.limiter.client.Load() != nil {
		return "ok"
	}
	return "down"
}
