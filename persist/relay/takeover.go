package relay

import (
	"context"
	"fmt"
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
	if err := o.Outbox.Fence(ctx, sh.id, sh.epoch); err != nil {
		return err
	}
	sh.tried = true
	if err := sh.begin(ctx); err != nil {
		return err
	}
	last, err := sh.publishAgain(ctx, before)
	if err != nil {
		return err
	}
	if err := sh.rebuild(ctx, last); err != nil {
		return err
	}
	sh.carried, sh.marks = last, nil
	if err := o.Outbox.Arm(ctx, sh.id, core.Holder{Epoch: sh.epoch, Relay: o.ID}, core.EpochSeq(sh.epoch), last); err != nil {
		return err // the next stand tells whether it was done
	}
	sh.armed = true
	sh.relay.stats.takeOvers.Add(1)
	o.Logger.Info("a shard was taken over", "shard", sh.id, "epoch", sh.epoch, "after_seq", last, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// becomeHolder claims the shard and reads the log up to that claim. It returns
// the last seq before it. Who finds another one to be the holder stands down.
func (sh *shard) becomeHolder(ctx context.Context, stand *core.Stand) (last uint64, err error) {
	o, v := &sh.relay.o, sh.relay.view
	waitCtx, cancel := context.WithTimeout(ctx, 10*o.StandEvery)
	defer cancel()
	if !v.wait(waitCtx, func(v *view) bool { return v.fold != nil }) {
		return 0, core.NewError(core.CodeUnavailable, "the log has not been read yet")
	}
	if err := sh.sameCanvas(waitCtx, stand); err != nil {
		return 0, err
	}
	if sh.epoch == 0 || sh.tried || stand.Epoch > sh.epoch {
		sh.epoch = max(stand.Epoch, core.SeqEpoch(stand.Seen), sh.holder().Epoch) + 1
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

// sameCanvas keeps a relay off a log that is of another canvas than its outbox.
func (sh *shard) sameCanvas(ctx context.Context, stand *core.Stand) error {
	r := sh.relay
	if r.canvas() == 0 {
		heads, err := r.o.Topic.Heads(ctx)
		if err != nil {
			return err
		}
		if heads != (core.Heads{}) && !r.view.wait(ctx, func(v *view) bool { return v.fold != nil && v.fold.Canvas != 0 }) {
			return core.NewError(core.CodeUnavailable, "the log has not been read yet")
		}
	}
	if canvas := r.canvas(); canvas != 0 && stand.Canvas != 0 && canvas != stand.Canvas {
		return core.NewError(core.CodeMismatch, fmt.Sprintf("the log is of canvas %016x, the outbox of canvas %016x: they are not of one cluster", canvas, stand.Canvas))
	}
	return nil
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
	if start := o.Create.startOf(&config); start != nil {
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
// What is contiguous with the log is right, whatever epoch its header names: one
// epoch is armed once, and every copy of its outbox begins with the same entries.
func (sh *shard) publishAgain(ctx context.Context, last uint64) (uint64, error) {
	o := &sh.relay.o
	us := core.Holder{Epoch: sh.epoch, Relay: o.ID}
	var f core.Follower
	f.GoTo(sh.id, core.Position{Holder: us, Seq: last})
	for {
		var batch []*core.Record
		read, at := 0, f.Heads[sh.id]
		hole := false
		err := o.Outbox.Read(ctx, sh.id, at, o.BatchMax, func(r *core.Record) error {
			read++
			c := clone(r)
			c.Epoch, c.Relay = us.Epoch, us.Relay
			switch f.Next(c) {
			case core.Apply:
				batch = append(batch, c)
			case core.Gap, core.Phantom:
				hole = true
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		if hole {
			// The topic lost what the outbox was trimmed of; the pixels of what follows
			// cannot be told from those of what is missing.
			sh.relay.stats.holes.Add(1)
			o.Logger.Error("the outbox does not join the log: what lies between is lost", "shard", sh.id, "log_ends", at)
		}
		if len(batch) > 0 {
			if err := o.Topic.Append(ctx, batch); err != nil {
				return 0, err
			}
			sh.relay.stats.republished.Add(int64(len(batch)))
		}
		if hole || read < o.BatchMax {
			break
		}
	}
	last = f.Heads[sh.id]
	return last, sh.await(ctx, func(f *core.Fold) bool { return f.Heads[sh.id] >= last })
}

// recallMax is how many requests go to the outbox in one call.
const recallMax = 256

// rebuild gives the outbox the pixels and the requests that the log leads to.
func (sh *shard) rebuild(ctx context.Context, last uint64) error {
	o, v := &sh.relay.o, sh.relay.view
	v.mu.Lock()
	if v.fold == nil || v.fold.Heads[sh.id] != last || v.fold.Holders[sh.id] != (core.Holder{Epoch: sh.epoch, Relay: o.ID}) {
		v.mu.Unlock()
		return core.NewError(core.CodeMismatch, "the log went on without us")
	}
	config := v.fold.Config
	b := core.Base{Canvas: v.fold.Canvas, Config: &config, TimeMS: v.fold.Times[sh.id]}
	b.Pixels = append([]byte(nil), v.fold.Board.Pixels(sh.id)...)
	stored := v.recent[sh.id].all(o.NowMS())
	v.mu.Unlock()
	if err := o.Outbox.Rebuild(ctx, sh.id, sh.epoch, b); err != nil {
		return err
	}
	for len(stored) > 0 {
		n := min(recallMax, len(stored))
		if err := o.Outbox.Recall(ctx, sh.id, sh.epoch, stored[:n]); err != nil {
			return err
		}
		stored = stored[n:]
	}
	return nil
}
