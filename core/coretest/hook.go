package coretest

import (
	"context"

	"pixelwall/core"
)

// A Call is one call of a port on its way to the store that a model stands for.
type Call struct {
	Port   string // "outbox", "leases", "topic", "archive", "snapshots"
	Method string
	Shard  core.ShardID
	Write  bool // it changes the store
}

// A Hook stands between a caller and a model, as the network does. It may call
// effect never, at once, or after anything else; what it returns is what the
// caller hears. A Write's effect may even come after the Hook has returned: a
// packet that was on its way when its sender gave up. It must come once at most.
type Hook func(ctx context.Context, c Call, effect func() error) error

// through calls effect by way of h, which may be nil.
func (h Hook) through(ctx context.Context, c Call, effect func() error) error {
	if h == nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		return effect()
	}
	return h(ctx, c, effect)
}
