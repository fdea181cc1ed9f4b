package redis

import (
	"context"

	"github.com/redis/rueidis"

	"pixelwall/core"
)

// HeadsAt returns, per shard, the last seq with a time of at most timeMS, or the
// one before which the stream begins when it does not reach back so far. A tail
// from there sees everything that came later.
func (st *Stream) HeadsAt(ctx context.Context, timeMS int64) (core.Heads, error) {
	heads, err := st.Heads(ctx)
	if err != nil {
		return heads, err
	}
	var search [core.ShardsMax]struct{ low, high uint64 } // the last seq of the first later entry is in [low, high]
	open := uint64(0)
	for s, seq := range heads {
		if seq > 0 {
			search[s].high = seq + 1 // that there is none
			open |= 1 << s
		}
	}
	for open != 0 {
		// Each step halves every shard's range, in one pipeline.
		err := st.c.all(ctx, open, func(r rueidis.Client, s core.ShardID) rueidis.Completed {
			at := &search[s]
			return r.B().Xrange().Key(st.c.keys[s].out).Start(decimal(at.low + (at.high-at.low)/2)).End("+").Count(1).Build()
		}, func(s core.ShardID, m rueidis.RedisResult) error {
			at := &search[s]
			middle := at.low + (at.high-at.low)/2
			entries, err := m.ToArray()
			if err != nil {
				return err
			}
			var r core.Record
			if len(entries) > 0 {
				if err := decodeEntry(s, &entries[0], &r); err != nil {
					return err
				}
			}
			switch {
			case len(entries) == 0:
				at.high = middle
			case r.TimeMS > timeMS:
				heads[s], at.high = before(&r), middle
			default:
				at.low = r.Last() + 1
			}
			if at.low >= at.high {
				open &^= 1 << s
			}
			return nil
		})
		if err != nil {
			return heads, asError(err)
		}
	}
	return heads, nil
}

// before returns the seq that a reader holds who sees r next.
func before(r *core.Record) uint64 {
	switch r.Kind {
	case core.KindMarker:
		return r.LastOld
	case core.KindStart:
		return 0
	}
	return r.First - 1
}
