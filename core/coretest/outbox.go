package coretest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pixelwall/core"
)

// A Placer is an outbox with the edges' way to place, see OutboxPort.PlaceBatch.
type Placer interface {
	core.Outbox
	core.Leases
	PlaceBatch(ctx context.Context, s core.ShardID, epoch, version uint32, events []core.Event, asked []core.Request) (Placed, error)
}

// An OutboxStore is an outbox under test.
type OutboxStore struct {
	Placer

	// Pixels returns the pixels of a shard that was built, as core.Board.Pixels.
	Pixels func(ctx context.Context, s core.ShardID) ([]byte, error)

	// Restart kills the store and returns when it answers again, having lost
	// nothing that it acknowledged. Nil: it is not restarted.
	Restart func()
}

const (
	outboxSeeds = 12
	outboxSteps = 400
)

// TestOutbox checks that what open returns does what MemoryOutbox does, step by
// step, whatever is asked of it.
func TestOutbox(t *testing.T, open func(*testing.T) *OutboxStore) {
	for seed := range uint64(outboxSeeds) {
		t.Run(fmt.Sprintf("it does what the model does, seed %d", seed), func(t *testing.T) {
			if err := compareOutbox(t.Context(), open(t), seed, outboxSteps); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
		})
	}
	t.Run("a lease is one owner's until it is given up", func(t *testing.T) {
		if err := compareLeases(t.Context(), open(t)); err != nil {
			t.Error(err)
		}
	})
}

func compareLeases(ctx context.Context, st *OutboxStore) error {
	const long = time.Hour
	type try struct {
		shard core.ShardID
		role  string
		owner uint64
		want  bool
	}
	hold := func(tries ...try) error {
		for _, h := range tries {
			got, err := st.Hold(ctx, h.shard, h.role, h.owner, long)
			if err != nil {
				return err
			}
			if got != h.want {
				return fmt.Errorf("Hold by %d of %s of shard %d is %v", h.owner, h.role, h.shard, got)
			}
		}
		return nil
	}
	if err := hold(try{0, "a", 1, true}, try{0, "a", 2, false}, try{0, "a", 1, true}, try{0, "b", 2, true}, try{1, "a", 2, true}); err != nil {
		return err
	}
	if err := st.Release(ctx, 0, "a", 2); err != nil {
		return err
	}
	if err := hold(try{0, "a", 2, false}); err != nil {
		return fmt.Errorf("after a release by somebody else: %w", err)
	}
	if err := st.Release(ctx, 0, "a", 1); err != nil {
		return err
	}
	if err := hold(try{0, "a", 2, true}, try{0, "a", 1, false}); err != nil {
		return fmt.Errorf("after a release: %w", err)
	}
	return nil
}
