package redis

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"pixelwall/core"
)

// configs are the configurations that the shards had when we last asked.
type configs struct {
	shards [core.ShardsMax]atomic.Pointer[core.Config]
	newest atomic.Pointer[core.Config]

	mu     sync.Mutex
	readAt time.Time // when newest was read
}

// configAge is how old the newest configuration may be for a cooldown.
const configAge = 2 * time.Second

// of returns the configuration of s, and reads it the first time. A shard that
// was never built has that of shard 0: a canvas that grew is built in a moment.
func (c *Client) configOf(ctx context.Context, s core.ShardID) (*core.Config, error) {
	if config := c.configs.shards[s].Load(); config != nil {
		return config, nil
	}
	return c.reloadConfig(ctx, s)
}

// reloadConfig reads the configuration of s.
func (c *Client) reloadConfig(ctx context.Context, s core.ShardID) (*core.Config, error) {
	config, err := c.readConfig(ctx, s)
	if err != nil {
		return nil, err
	}
	if config != nil {
		c.configs.shards[s].Store(config)
		c.configs.sawConfig(config)
		return config, nil
	}
	if s == 0 {
		return nil, core.NewError(core.CodeUnavailable, "there is no canvas yet")
	}
	return c.reloadConfig(ctx, 0)
}

func (k *configs) sawConfig(config *core.Config) {
	for {
		newest := k.newest.Load()
		if newest != nil && newest.Version >= config.Version {
			return
		}
		if k.newest.CompareAndSwap(newest, config) {
			return
		}
	}
}

// rule returns the present cooldown, as of a moment ago. Without Redis it is the
// last one known.
func (c *Client) rule(ctx context.Context) (core.Cooldown, error) {
	k := &c.configs
	k.mu.Lock()
	fresh := time.Since(k.readAt) < configAge
	if !fresh {
		k.readAt = time.Now() // one caller asks
	}
	k.mu.Unlock()
	newest := k.newest.Load()
	if !fresh || newest == nil {
		config, err := c.reloadConfig(ctx, 0)
		if err != nil && newest == nil {
			return core.Cooldown{}, err
		}
		if err == nil {
			newest = config
		}
	}
	return newest.Cooldown(), nil
}
