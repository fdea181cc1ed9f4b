package relay

import (
	"context"
	"fmt"
	"slices"
	"time"

	"pixelwall/core"
)

// takeOver makes us the holder of the shard and lets placements in again. Each
// step answers an interleaving that would lose or fork otherwise; a step that
// fails is tried again from the first one, and under a new epoch from the fence
// on: what was appended or armed under the old one may still come about, and the
// outbox may have lost it meanwhile. The new claim makes an end of it.
//
// The steps are those of ARCHITECTURE.md, "A take-over".
func (sh *shard) takeOver(ctx context.Context, stand *core.Stand) error {
	began := time.Now()
	before, err := sh.becomeHolder(ctx, stand)
	if err != nil {
		return err
	}
	o := &sh.relay.o
	sh.tried, sh.fenced = true, sh.epoch
	seq, err := o.Outbox.Fence(ctx, sh.id, sh.epoch)
	if err != nil {
		return err
	}
	if err := sh.begin(ctx); err != nil {
		return err
	}
	last, err := sh.publishAgain(ctx, before)
	if err != nil {
		return err
	}
	recalled, err := sh.rebuild(ctx, last, seq)
	if err != nil {
		return err
	}
	// What was left out stays in the outbox for a while, below the seqs of our epoch.
	sh.carried, sh.marks = max(last, core.EpochSeq(sh.epoch)), nil
	if err := o.Outbox.Arm(ctx, sh.id, core.Holder{Epoch: sh.epoch, Relay: o.ID}, core.EpochSeq(sh.epoch), last); err != nil {
		return err // the next stand tells whether it was done
	}
	sh.armed = true
	sh.relay.stats.takeOvers.Add(1)
	o.Logger.Info("a shard was taken over", "shard", sh.id, "epoch", sh.epoch, "after_seq", last, "recalled", recalled, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// becomeHolder claims the shard and reads the log up to that claim. It returns
// the last seq before it. Who finds another one to be the holder stands down.
func (sh *shard) becomeHolder(ctx context.Context, stand *core.Stand) (last uint64, err error) {
	o, v := &sh.relay.o, sh.relay.view
	if err := sh.readToEnd(ctx); err != nil {
		return 0, err
	}
	waitCtx, cancel := context.WithTimeout(ctx, 10*o.StandEvery)
	defer cancel()
	if err := sh.sameCanvas(ctx, stand); err != nil {
		return 0, err
	}
	if sh.epoch == 0 || sh.tried || stand.Epoch > sh.epoch {
		sh.epoch = max(stand.Epoch, core.SeqEpoch(stand.Seen), sh.holder().Epoch, sh.fenced) + 1
		sh.tried = false
	}
	if sh.holder() != (core.Holder{Epoch: sh.epoch, Relay: o.ID}) {
		if err := sh.claim(ctx); err != nil {
			return 0, err
		}
	}
	if !v.wait(waitCtx, func(v *view) bool { return v.fold != nil && v.fold.Holders[sh.id].Epoch >= sh.epoch }) {
		return 0, core.NewError(core.CodeUnavailable, "our claim has not come back from the log yet")
	}
	if h := sh.holder(); h != (core.Holder{Epoch: sh.epoch, Relay: o.ID}) {
		sh.epoch = 0
		return 0, core.NewError(core.CodeMismatch, fmt.Sprintf("relay %016x claimed the shard with epoch %d", h.Relay, h.Epoch))
	}
	return v.heads()[sh.id], nil
}

// readToEnd waits until the log was read to where the shard ends in it. From our claim
// on, edges that follow the streams take nothing there until we have armed, so we do
// not claim long before we can. A head that stands still for Patience before the end,
// or without anybody telling it, is as near as we come.
func (sh *shard) readToEnd(ctx context.Context) error {
	o, v := &sh.relay.o, sh.relay.view
	ctx, cancel := context.WithTimeout(ctx, 10*o.StandEvery)
	defer cancel()
	if !v.wait(ctx, func(v *view) bool { return v.fold != nil }) {
		return core.NewError(core.CodeUnavailable, "the log has not been read yet")
	}
	if reading := v.reading(); reading != sh.reading {
		sh.reading, sh.atEnd, sh.movedAt = reading, false, time.Now()
	}
	if sh.atEnd || v.wait(ctx, func(v *view) bool { return v.isAtEnd(sh.id) }) {
		sh.atEnd = true
		return nil
	}
	if head := v.heads()[sh.id]; head != sh.head {
		sh.head, sh.movedAt = head, time.Now()
	}
	if sh.atEnd = time.Since(sh.movedAt) >= o.Patience; !sh.atEnd {
		return core.NewError(core.CodeUnavailable, "the log has not been read to its end yet")
	}
	return nil
}

// sameCanvas keeps a relay off a log that is of another canvas than its outbox.
func (sh *shard) sameCanvas(ctx context.Context, stand *core.Stand) error {
	r := sh.relay
	if r.canvas() == 0 {
		heads, err := r.o.Topic.Heads(ctx)
		if err != nil {
			return err
		}
		if heads != (core.Heads{}) || stand.Canvas != 0 {
			err := sh.await(ctx, func(f *core.Fold) bool { return f.Canvas != 0 })
			if err != nil && heads == (core.Heads{}) {
				return sh.logIsLost(ctx, stand.Canvas)
			}
			if err != nil {
				return err
			}
		}
	}
	if canvas := r.canvas(); canvas != 0 && stand.Canvas != 0 && canvas != stand.Canvas {
		return core.NewError(core.CodeMismatch, fmt.Sprintf("the log is of canvas %016x, the outbox of canvas %016x: they are not of one cluster", canvas, stand.Canvas))
	}
	return nil
}

// logIsLost has the log read again from the newest snapshot, because it knows of no
// canvas and the outbox does: an outbox is built from a log.
func (sh *shard) logIsLost(ctx context.Context, canvas uint64) error {
	if s, err := sh.newest(ctx); err != nil {
		return err
	} else if s == nil {
		return core.NewError(core.CodeUnavailable, fmt.Sprintf("the outbox is of canvas %016x, of which the log knows nothing, and there is no snapshot", canvas))
	}
	sh.relay.view.readAgain(errLacks)
	return errLacks
}

// newest returns the newest snapshot, nil when there is none.
func (sh *shard) newest(ctx context.Context) (*core.Snapshot, error) {
	if sh.relay.o.Snapshots == nil {
		return nil, nil
	}
	s, err := sh.relay.o.Snapshots.Latest(ctx)
	if err != nil && core.CodeOf(err) == core.CodeNotFound {
		return nil, nil
	}
	return s, err
}

func (sh *shard) holder() core.Holder {
	v := sh.relay.view
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.fold == nil {
		return core.Holder{}
	}
	return v.fold.Holders[sh.id]
}

// begin writes the start of a shard that has none: a new canvas, or one that
// grew. The holder of shard 0 makes the canvas; others follow its start.
func (sh *shard) begin(ctx context.Context) error {
	o, v := &sh.relay.o, sh.relay.view
	v.mu.Lock()
	known, begun := v.fold != nil && v.fold.Board != nil, false
	canvas, config := o.Create.Canvas, o.Create.Config
	if known {
		begun = v.fold.Begun>>sh.id&1 == 1
		canvas, config = v.fold.Canvas, v.fold.Config
	}
	v.mu.Unlock()
	if begun {
		return nil
	}
	r := &core.Record{Kind: core.KindStart, Canvas: canvas, Epoch: sh.epoch, Relay: o.ID, Shard: sh.id, TimeMS: o.NowMS(), Config: &config}
	if start := o.startOf(&config); start != nil {
		r.Pixels = start.AppendPacked(nil, sh.id)
	}
	if err := o.Topic.Append(ctx, []*core.Record{r}); err != nil {
		return err
	}
	return sh.await(ctx, func(f *core.Fold) bool { return f.Begun>>sh.id&1 == 1 })
}

// await waits until the log was read up to where cond holds.
func (sh *shard) await(ctx context.Context, cond func(*core.Fold) bool) error {
	o := &sh.relay.o
	waitCtx, cancel := context.WithTimeout(ctx, 10*o.StandEvery)
	defer cancel()
	if !sh.relay.view.wait(waitCtx, func(v *view) bool { return v.fold != nil && cond(v.fold) }) {
		return core.NewError(core.CodeUnavailable, "what was appended has not come back from the log yet")
	}
	return nil
}

// publishAgain brings what the frozen outbox holds beyond last to the topic, as
// the new holder and with the same boundaries, and returns the last seq of it.
//
// What is contiguous with the log is right, whatever earlier epoch its header names: one
// epoch is armed once, and every copy of its outbox begins with the same entries. A
// later epoch is that of a relay that has gone on since our fence, while we slept.
// Entries that an earlier take-over left out may lie before a marker that joins.
func (sh *shard) publishAgain(ctx context.Context, last uint64) (uint64, error) {
	o := &sh.relay.o
	us := core.Holder{Epoch: sh.epoch, Relay: o.ID}
	var f core.Follower
	f.GoTo(sh.id, core.Position{Holder: us, Seq: last})
	for at, read := last, o.BatchMax; read == o.BatchMax; {
		var batch []*core.Record
		read = 0
		err := o.Outbox.Read(ctx, sh.id, at, o.BatchMax, func(r *core.Record) error {
			if r.Epoch > us.Epoch { // the outbox may have been trimmed of what joins
				return core.NewError(core.CodeMismatch, fmt.Sprintf("the outbox went on without us, under epoch %d", r.Epoch))
			}
			read++
			at = r.Last()
			c := r.Clone()
			c.Epoch, c.Relay = us.Epoch, us.Relay
			if f.Next(c) == core.Apply {
				batch = append(batch, c)
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		if len(batch) > 0 {
			if err := o.Topic.Append(ctx, batch); err != nil {
				return 0, err
			}
			sh.lease.move()
			sh.relay.stats.republished.Add(int64(len(batch)))
		}
		if read < o.BatchMax && at > f.Heads[sh.id] {
			if err := sh.leaveOut(ctx, f.Heads[sh.id], at); err != nil {
				return 0, err
			}
		}
	}
	last = f.Heads[sh.id]
	return last, sh.await(ctx, func(f *core.Fold) bool { return f.Heads[sh.id] >= last })
}

// leaveOut decides about entries up to top that do not join the log, which ends at
// last. The topic lost what the outbox was trimmed of, which the newest snapshot
// holds, so the log is read again from there if we began with an older one. Without
// it, the pixels of what follows cannot be told from those of what is missing.
func (sh *shard) leaveOut(ctx context.Context, last, top uint64) error {
	r := sh.relay
	s, err := sh.newest(ctx)
	if err != nil {
		return err
	}
	if s != nil && s.Heads[sh.id] > last {
		r.view.readAgain(errLacks)
		return errLacks
	}
	r.stats.holes.Add(1)
	r.o.Logger.Error("the outbox does not join the log: what it holds is left out", "shard", sh.id, "log_ends", last, "outbox_ends", top)
	return nil
}

// recallMax is how many requests go to the outbox in one call.
const recallMax = 512

// rebuild gives the outbox, which was fenced at seq, the pixels that the log leads
// to, and those of its requests that it may lack. It returns how many these were.
func (sh *shard) rebuild(ctx context.Context, last, seq uint64) (recalled int, err error) {
	o, v := &sh.relay.o, sh.relay.view
	v.mu.Lock()
	if v.fold == nil || v.fold.Heads[sh.id] != last || v.fold.Holders[sh.id] != (core.Holder{Epoch: sh.epoch, Relay: o.ID}) {
		v.mu.Unlock()
		return 0, core.NewError(core.CodeMismatch, "the log went on without us")
	}
	config := v.fold.Config
	b := core.Base{Canvas: v.fold.Canvas, Config: &config, TimeMS: v.fold.Times[sh.id]}
	b.Pixels = append([]byte(nil), v.fold.Board.Pixels(sh.id)...)
	b.Jumps = append(slices.Clone(v.jumps[sh.id]), core.Jump{From: last, To: core.EpochSeq(sh.epoch) + 1})
	if !v.armed(sh.id, core.SeqEpoch(seq)) {
		seq = 0 // the log went on from elsewhere than the outbox
	}
	stored := v.recent[sh.id].after(seq, o.NowMS())
	v.mu.Unlock()
	if err := o.Outbox.Rebuild(ctx, sh.id, sh.epoch, b); err != nil {
		return 0, err
	}
	for some := range slices.Chunk(stored, recallMax) {
		if err := o.Outbox.Recall(ctx, sh.id, sh.epoch, some); err != nil {
			return 0, err
		}
		sh.lease.move()
	}
	return len(stored), nil
}
