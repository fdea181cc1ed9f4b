package snapshot

import (
	"context"
	"log/slog"
	"time"

	"pixelwall/core"
)

// Publish makes an immutable copy of every shard that changed, once every, until
// ctx ends. Several processes may do so: together they make no more than one.
func Publish(ctx context.Context, o core.Outbox, shards func() []core.ShardID, every time.Duration, logger *slog.Logger) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for failing := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var err error
		for _, s := range shards() {
			if e := o.Publish(ctx, s); e != nil {
				err = e
			}
		}
		if err != nil && !failing && ctx.Err() == nil {
			logger.Warn("the canvas was not published; readers have an older one", "err", err)
		}
		failing = err != nil
	}
}
