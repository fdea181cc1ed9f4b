package main

import (
	"context"
	"errors"
	"fmt"

	"pixelwall/core"
)

// A spot is a place in the order of a shard.
type spot struct {
	shard core.ShardID
	seq   uint64
}

var errEnough = errors.New("enough")

// foldTo folds log from base (nil: from its first record) until every spot that
// is claimed was passed, and returns the checksum at each of them. A spot at which
// no record ends has none.
func foldTo(ctx context.Context, log core.Log, base *core.Snapshot, claims []claim) (map[spot]uint32, error) {
	fold, err := core.NewFold(base)
	if err != nil {
		return nil, err
	}
	wanted, goal := make(map[spot]bool), core.Heads{}
	for _, c := range claims {
		wanted[spot{c.shard, c.seq}] = true
		goal[c.shard] = max(goal[c.shard], c.seq)
	}
	crcs := make(map[spot]uint32)
	var scratch []byte
	note := func(s core.ShardID) {
		at := spot{s, fold.Heads[s]}
		if wanted[at] && fold.Board != nil && fold.Begun>>s&1 == 1 {
			crcs[at], scratch = fold.Board.Checksum(s, scratch)
		}
	}
	if base != nil {
		for _, s := range base.Config.Geometry().Shards() {
			note(s)
		}
	}
	left := func() int {
		n := 0
		for s, seq := range goal {
			if fold.Heads[s] < seq {
				n++
			}
		}
		return n
	}
	if left() == 0 {
		return crcs, nil
	}
	err = log.Tail(ctx, fold.Heads, func(r *core.Record) error {
		verdict, err := fold.Next(r)
		switch {
		case err != nil:
			return err
		case verdict == core.Gap || verdict == core.Phantom:
			return fmt.Errorf("a record is missing: %w", fold.GapError(r))
		case verdict != core.Apply:
			return nil
		}
		note(r.Shard)
		if fold.Heads[r.Shard] >= goal[r.Shard] && left() == 0 {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return crcs, nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%d shards did not come to what others hold in time", left())
	}
	return crcs, err
}
