package persist

import "pixelwall/core"

// WithClaims returns fn for a log in which nobody claims, because whoever wrote
// it let only the right records in: before the first record of each holder of a
// shard, fn gets the claim that makes it the holder.
func WithClaims(fn func(*core.Record) error) func(*core.Record) error {
	var holders [core.ShardsMax]core.Holder
	return func(r *core.Record) error {
		if h := r.Holder(); r.Kind != core.KindClaim && h != holders[r.Shard] {
			holders[r.Shard] = h
			claim := core.Record{Kind: core.KindClaim, Canvas: r.Canvas, Shard: r.Shard, Epoch: h.Epoch, Relay: h.Relay, TimeMS: r.TimeMS}
			if err := fn(&claim); err != nil {
				return err
			}
		}
		return fn(r)
	}
}
