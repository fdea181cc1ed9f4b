package scylla

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"pixelwall/core"
	"pixelwall/persist"
)

// shardsAtOnce is how many shards one call reads at a time.
const shardsAtOnce = 8

// Tail implements core.Log. At the end it looks again every PollEvery. A record
// that is missing although the archive is complete there is CodeNotFound where
// the reader begins, and CodeInternal behind what it has read.
func (s *Store) Tail(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
	t := &tail{s: s, fn: persist.WithClaims(fn)}
	for shard := range from {
		t.at[shard] = int64(from[shard])
		if from[shard] == 0 {
			t.at[shard] = beforeStart
		}
	}
	for {
		moved, err := t.round(ctx)
		if err != nil {
			return err
		}
		if !moved && !s.waitOr(ctx, s.o.PollEvery) {
			if cause := context.Cause(ctx); cause != nil {
				return cause
			}
		}
	}
}

type tail struct {
	s     *Store
	fn    func(*core.Record) error
	at    [core.ShardsMax]int64
	begun [core.ShardsMax]bool
	rec   core.Record
}

// round reads what there is of each shard up to the end of a bucket.
func (t *tail) round(ctx context.Context) (moved bool, err error) {
	c, err := t.s.connected()
	if err != nil {
		return false, err
	}
	all, err := marks(ctx, c)
	if err != nil {
		return false, failure(ctx, err)
	}
	for _, shard := range slices.Sorted(maps.Keys(all)) {
		m, err := t.shard(ctx, c, shard, all[shard].Seq)
		if err != nil {
			return false, err
		}
		moved = moved || m
	}
	return moved, nil
}

func (t *tail) shard(ctx context.Context, c *session, shard core.ShardID, mark uint64) (bool, error) {
	if !t.begun[shard] && t.at[shard] > 0 {
		at, err := straddled(ctx, c, shard, t.at[shard])
		if err != nil {
			return false, failure(ctx, err)
		}
		t.at[shard] = at
	}
	var mine error
	w := walk{c: c, shard: shard, after: t.at[shard], mark: mark, blobs: true}
	moved, err := w.next(ctx, func(r *row) (bool, error) {
		if err := context.Cause(ctx); err != nil {
			return false, err
		}
		if err := r.decode(shard, t.s.Canvas(), &t.rec); err != nil {
			return false, err
		}
		t.begun[shard] = true
		mine = t.fn(&t.rec)
		return mine == nil, mine
	})
	t.at[shard] = w.after
	switch {
	case mine != nil:
		return false, mine
	case errors.Is(err, errHole) && !t.begun[shard]:
		return false, &core.Error{Code: core.CodeNotFound, Msg: fmt.Sprintf("event_log does not reach back to seq %d of shard %d", max(w.after, 0), shard), Err: err}
	}
	return moved, failure(ctx, err)
}

// straddled returns what the record that has seq from and from+1 follows, or from
// itself when a record ends there or the log does not reach so far.
func straddled(ctx context.Context, c *session, s core.ShardID, from int64) (int64, error) {
	shard := int8(s)
	for bucket := bucketOf(from); bucket >= max(bucketOf(from)-1, 0); bucket-- {
		iter := c.QueryWithContext(ctx, `SELECT first_seq, after_seq, n FROM event_log WHERE shard = ? AND bucket = ? AND first_seq <= ? ORDER BY first_seq DESC LIMIT 1`,
			&shard, &bucket, &from).Iter()
		var r row
		found := iter.Scan(&r.first, &r.after, &r.n)
		if err := iter.Close(); err != nil {
			return 0, err
		}
		if found && r.last() > from {
			return r.after, nil
		}
		if found {
			break
		}
	}
	return from, nil
}

// Heads implements core.Log: where a reader from the watermark would come to. As
// the histories are written before event_log, they reach as far.
func (s *Store) Heads(ctx context.Context) (heads core.Heads, err error) {
	c, err := s.connected()
	if err != nil {
		return heads, err
	}
	all, err := marks(ctx, c)
	if err != nil {
		return heads, failure(ctx, err)
	}
	return s.eachShard(ctx, all, func(ctx context.Context, shard core.ShardID, p core.Position) (uint64, error) {
		w := walkFrom(c, shard, p.Seq)
		err := w.toEnd(ctx, func(*row) (bool, error) { return true, nil })
		return uint64(max(w.after, 0)), err
	})
}

// walkFrom returns a walk from where shard is known to be complete.
func walkFrom(c *session, shard core.ShardID, mark uint64) *walk {
	w := &walk{c: c, shard: shard, after: int64(mark), mark: mark}
	if mark == 0 {
		w.after = beforeStart
	}
	return w
}

// eachShard asks fn for the head of each shard, a few shards at a time.
func (s *Store) eachShard(ctx context.Context, all map[core.ShardID]core.Position, fn func(context.Context, core.ShardID, core.Position) (uint64, error)) (heads core.Heads, err error) {
	group, each := errgroup.WithContext(ctx)
	group.SetLimit(shardsAtOnce)
	for shard, p := range all {
		group.Go(func() (err error) {
			heads[shard], err = fn(each, shard, p)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return core.Heads{}, failure(ctx, err)
	}
	return heads, nil
}
