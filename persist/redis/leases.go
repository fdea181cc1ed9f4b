package redis

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"pixelwall/core"
)

// Hold implements core.Leases.
func (o *Outbox) Hold(ctx context.Context, s core.ShardID, role string, owner uint64, ttl time.Duration) (bool, error) {
	n, err := o.lease(ctx, s, holdScript, role, bytes8(owner), decimal(max(1, ttl.Milliseconds())))
	return n == 1, asError(err)
}

// Release implements core.Leases.
func (o *Outbox) Release(ctx context.Context, s core.ShardID, role string, owner uint64) error {
	_, err := o.lease(ctx, s, releaseScript, role, bytes8(owner))
	return asError(err)
}

func (o *Outbox) lease(ctx context.Context, s core.ShardID, script *script, role string, args ...string) (n int64, err error) {
	if s >= core.ShardsMax {
		return 0, core.NewError(core.CodeUnknownShard, fmt.Sprintf("there is no shard %d", s))
	}
	err = o.c.breakers[s].run(func() error {
		return o.c.link.with(ctx, func(ctx context.Context, r rueidis.Client) error {
			n, err = evalAll(ctx, r, 1, func(int) eval { return eval{script, o.c.keys[s].leaseKey(role), args} })[0].AsInt64()
			return err
		})
	})
	return n, err
}
