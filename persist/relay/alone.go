package relay

import (
	"context"
	"errors"
	"sync"
	"time"

	"pixelwall/core"
	"pixelwall/persist"
)

// Where there is no topic, the outbox is the log: nothing is carried, and a
// take-over only says where seq goes on. What an epoch gave out before the
// outbox was put back to an earlier state is in a range that no later epoch uses.

// reportTime is how long edges have to report what they have seen, once a shard
// that was in use stands still.
const reportTime = 500 * time.Millisecond

// errLost keeps a relay from painting a shard over that was lost.
var errLost = core.NewError(core.CodeUnavailable, "the outbox has lost the shard, and this relay has no snapshot to build it from")

// runAlone serves the shards that shard 0's configuration names.
func (r *Relay) runAlone(ctx context.Context) {
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { r.watchSafe(ctx) })
	started := uint64(0)
	for {
		shards := []core.ShardID{0}
		if c, err := r.o.Config(ctx, 0); err == nil {
			shards = c.Geometry().Shards()
		}
		for _, s := range shards {
			if started>>s&1 == 0 {
				started |= 1 << s
				sh := newShard(r, s)
				parts.Go(func() { sh.loop(ctx, sh.stepAlone) })
			}
		}
		if persist.Pause(ctx, r.o.StandEvery) != nil {
			return
		}
	}
}

// stepAlone does what is next and returns how long nothing will be.
func (sh *shard) stepAlone(ctx context.Context) (time.Duration, error) {
	o := &sh.relay.o
	if ours, err := sh.leased(); !ours {
		return o.StandEvery / 4, err
	}
	stand, err := o.Outbox.Stand(ctx, sh.id)
	if err != nil {
		return o.StandEvery, err
	}
	// An edge that has seen what this outbox never gave out was not heard in time
	// when the shard was armed. It waits for a seq that is higher still.
	if !stand.Armed || stand.Seen > stand.Seq {
		err := sh.takeOverAlone(ctx, &stand)
		if errors.Is(err, errLost) {
			sh.lease.giveUp() // to a relay that has what this one lacks
			return o.LeaseTTL, err
		}
		return o.StandEvery / 4, err
	}
	sh.epoch, sh.carried = stand.Epoch, stand.Seq
	sh.trim(ctx)
	if sh.id == 0 {
		return o.StandEvery, nil
	}
	if c, err := o.Config(ctx, 0); err != nil || c.Version <= stand.Version {
		return o.StandEvery, err
	} else {
		return o.StandEvery, o.Outbox.Configure(ctx, sh.id, c)
	}
}

// takeOverAlone lets placements in again after the outbox restarted or failed
// over. Its pixels and its order were written in one step, so they agree; an
// outbox that holds nothing is given the newest snapshot, or a new canvas.
//
// What counts is how the shard stands behind the fence: before it, the outbox may
// have been put back, and another relay may have made the canvas and armed it.
func (sh *shard) takeOverAlone(ctx context.Context, stand *core.Stand) error {
	o := &sh.relay.o
	if stand.Canvas == 0 { // each fence uses up an epoch
		if _, _, err := sh.baseAlone(ctx); err != nil {
			return err
		}
	}
	epoch := sh.epochAlone(max(stand.Epoch, core.SeqEpoch(stand.Seen)))
	last, err := o.Outbox.Fence(ctx, sh.id, epoch)
	if err != nil {
		return err
	}
	if stand.Canvas != 0 {
		_ = persist.Pause(ctx, reportTime)
	}
	now, err := o.Outbox.Stand(ctx, sh.id)
	if err != nil {
		return err
	}
	if now.Canvas == 0 {
		if epoch, last, err = sh.buildAlone(ctx, epoch); err != nil {
			return err
		}
		if now, err = o.Outbox.Stand(ctx, sh.id); err != nil {
			return err
		}
	}
	// The next try begins above what this one finds.
	if core.SeqEpoch(now.Seen) >= epoch {
		return core.NewError(core.CodeMismatch, "an edge has seen a later epoch")
	}
	if core.SeqEpoch(max(last, now.Seq)) >= epoch {
		return core.NewError(core.CodeMismatch, "another relay has armed the shard meanwhile")
	}
	if err := o.Outbox.Arm(ctx, sh.id, core.Holder{Epoch: epoch, Relay: o.ID}, core.EpochSeq(epoch), last); err != nil {
		return err
	}
	sh.relay.stats.takeOvers.Add(1)
	o.Logger.Info("a shard was taken over", "shard", sh.id, "epoch", epoch, "after_seq", last)
	return nil
}

// epochsBetween is how many relays can choose epochs without ever choosing the same.
const epochsBetween = 16

// epochAlone returns the next epoch above after that this relay has not had and,
// most likely, no other one chooses. Nobody claims here, and an outbox that was put
// back to before a fence does not know of it, so it would be given out again, and
// with it its seqs.
func (sh *shard) epochAlone(after uint32) uint32 {
	after = max(after, sh.fenced)
	class := uint32(sh.relay.o.ID >> 1 % epochsBetween) // the lowest bit of an id is always set
	sh.fenced = after + 1 + (class-after-1)%epochsBetween
	return sh.fenced
}

// buildAlone gives an empty outbox what it begins with. It returns the epoch,
// which rises above that of a snapshot, and the seq to go on from.
func (sh *shard) buildAlone(ctx context.Context, epoch uint32) (uint32, uint64, error) {
	o := &sh.relay.o
	b, at, err := sh.baseAlone(ctx)
	if err != nil {
		return epoch, 0, err
	}
	if core.SeqEpoch(at) >= epoch {
		epoch = sh.epochAlone(core.SeqEpoch(at))
		if _, err := o.Outbox.Fence(ctx, sh.id, epoch); err != nil {
			return epoch, 0, err
		}
	}
	return epoch, at, o.Outbox.Rebuild(ctx, sh.id, epoch, *b)
}

// baseAlone returns what an empty outbox begins with, and the seq of it.
func (sh *shard) baseAlone(ctx context.Context) (*core.Base, uint64, error) {
	o := &sh.relay.o
	if o.Snapshots != nil {
		s, err := o.Snapshots.Latest(ctx)
		if err == nil && s.Shards[sh.id] != nil {
			fold, err := core.NewFold(s)
			if err != nil {
				return nil, 0, err
			}
			return &core.Base{Canvas: s.Canvas, Config: &s.Config, Pixels: fold.Board.Pixels(sh.id), TimeMS: s.Times[sh.id]}, s.Heads[sh.id], nil
		}
		if err != nil && core.CodeOf(err) != core.CodeNotFound {
			return nil, 0, err
		}
	}
	if o.Existed != nil && o.Existed(sh.id) {
		return nil, 0, errLost
	}
	b := &core.Base{Canvas: o.Create.Canvas, Config: &o.Create.Config, TimeMS: o.NowMS()}
	if sh.id != 0 { // whoever holds shard 0 makes the canvas
		first, err := o.Outbox.Stand(ctx, 0)
		if err != nil {
			return nil, 0, err
		}
		if b.Canvas = first.Canvas; b.Canvas == 0 {
			return nil, 0, core.NewError(core.CodeUnavailable, "shard 0 has no canvas yet")
		}
		if b.Config, err = o.Config(ctx, 0); err != nil {
			return nil, 0, err
		}
	}
	board := o.startOf(b.Config)
	if board == nil {
		board = core.NewBoard(b.Config.Geometry(), b.Config.Blank)
	}
	b.Pixels = board.Pixels(sh.id)
	return b, 0, nil
}
