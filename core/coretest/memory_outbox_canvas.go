package coretest

import (
	"context"
	"fmt"

	"pixelwall/core"
)

// Config returns the configuration of s, CodeUnavailable while it has none.
func (o *OutboxPort) Config(ctx context.Context, s core.ShardID) (c *core.Config, err error) {
	err = o.call(ctx, "Config", s, false, func(m *MemoryOutbox) error {
		if m.shards[s].config == nil {
			return core.NewError(core.CodeUnavailable, fmt.Sprintf("shard %d was never built", s))
		}
		c = cloneConfig(m.shards[s].config)
		return nil
	})
	return c, err
}

// Published returns the newest copies of all shards, from which a reader of the
// streams can begin; CodeNotFound while one of them has none.
func (o *OutboxPort) Published(ctx context.Context) (snap *core.Snapshot, err error) {
	err = o.call(ctx, "Published", 0, false, func(m *MemoryOutbox) error {
		snap, err = m.published()
		return err
	})
	if err != nil {
		return nil, err
	}
	return snap, nil
}

func (m *MemoryOutbox) published() (*core.Snapshot, error) {
	first := m.shards[0].copied
	if first == nil {
		return nil, core.NewError(core.CodeNotFound, "nothing is published")
	}
	s := &core.Snapshot{Canvas: first.canvas, Config: *cloneConfig(first.config), TimeMS: m.now()}
	for _, id := range first.config.Geometry().Shards() {
		c := m.shards[id].copied
		if c == nil || c.canvas != first.canvas {
			return nil, core.NewError(core.CodeNotFound, fmt.Sprintf("shard %d is not published", id))
		}
		if c.config.Version > s.Config.Version {
			s.Config = *cloneConfig(c.config)
		}
		s.Heads[id], s.Holders[id], s.Times[id] = c.seq, c.holder, c.timeMS
	}
	for _, id := range first.config.Geometry().Shards() {
		base := core.Base{Config: &s.Config, Pixels: m.shards[id].copied.pixels}
		s.Shards[id] = packed(id, &base)
	}
	return s, nil
}
