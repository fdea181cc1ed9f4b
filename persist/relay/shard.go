package relay

import (
	"context"
	"sync"
	"time"

	"pixelwall/core"
	"pixelwall/persist"
)

// A shard is one shard's way from the outbox to the topic. All of it but the lease
// belongs to one goroutine.
type shard struct {
	relay *Relay
	id    core.ShardID
	lease lease

	epoch   uint32    // claimed by us, 0: none
	reading int       // of the log that it was claimed in
	atEnd   bool      // the reading had come to the shard's end, or was given up to
	head    uint64    // that it had come to when we looked last
	movedAt time.Time // when that rose
	tried   bool      // to take over under epoch, from the fence on: the next try needs another one
	fenced  uint32    // the highest epoch that we fenced with, or tried to
	armed   bool      // under epoch, as far as we know
	carried uint64    // every entry up to here is in the topic, or was left out by a take-over
	marks   []mark
	claimAt time.Time // when the claim was last said
	standAt time.Time
	warned  string // the error that was logged last
}

// A mark says that everything up to seq was in the topic at a time.
type mark struct {
	seq uint64
	at  time.Time
}

// loop serves the shard, a step at a time, until ctx ends. The lease is kept until
// the last step has ended.
func (sh *shard) loop(ctx context.Context, step func(context.Context) (time.Duration, error)) {
	sh.lease.move()
	keep, end := context.WithCancel(context.WithoutCancel(ctx))
	var keeper sync.WaitGroup
	defer keeper.Wait()
	defer end()
	keeper.Go(func() { sh.keepLease(keep) })
	for ctx.Err() == nil {
		sh.lease.move()
		wait, err := step(ctx)
		sh.tell(err)
		if wait > 0 {
			_ = persist.Pause(ctx, wait)
		}
	}
}

// tell logs an error once until another one comes.
func (sh *shard) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != sh.warned && text != "" {
		sh.relay.o.Logger.Warn("the relay of a shard waits", "shard", sh.id, "err", err)
	}
	sh.warned = text
}

// step does what is next and returns how long nothing will be.
func (sh *shard) step(ctx context.Context) (time.Duration, error) {
	o := &sh.relay.o
	if ours, err := sh.leased(); !ours {
		return o.StandEvery / 4, err
	}
	// A log that had to be read from a base again may be another one, which has neither
	// our claim nor what we carried.
	if reading := sh.relay.view.reading(); reading != 0 && reading != sh.reading {
		sh.epoch, sh.armed = 0, false
	}
	// Who claimed after us has made void what we carry, also when it went no further.
	if sh.armed && sh.holder() != (core.Holder{Epoch: sh.epoch, Relay: o.ID}) {
		sh.armed = false
	}
	if sh.armed && sh.lacks() {
		sh.epoch, sh.armed = 0, false
	}
	if !sh.armed || time.Since(sh.standAt) >= o.StandEvery {
		stand, err := o.Outbox.Stand(ctx, sh.id)
		if err != nil {
			return o.StandEvery, err
		}
		sh.standAt = time.Now()
		us := core.Holder{Epoch: sh.epoch, Relay: o.ID}
		sh.armed = sh.epoch != 0 && stand.Armed && stand.Epoch == sh.epoch && stand.Relay == o.ID && sh.holder() == us
		if !sh.armed {
			err := sh.takeOver(ctx, &stand)
			if err != nil && core.CodeOf(err) == core.CodeMismatch {
				sh.relay.stats.stoodDown.Add(1)
			}
			return o.StandEvery / 4, err
		}
		if err := sh.configure(ctx, &stand); err != nil {
			return o.StandEvery, err
		}
	}
	n, err := sh.carry(ctx)
	if err != nil {
		return o.StandEvery, err
	}
	if err := sh.sayAgain(ctx); err != nil {
		return o.StandEvery, err
	}
	sh.trim(ctx)
	if n == o.BatchMax {
		return 0, nil
	}
	return o.CarryEvery, nil
}

// lacks reports whether the log lost records before some that we carried. Nobody can
// read on there until the outbox is published again, under another epoch.
func (sh *shard) lacks() bool {
	v := sh.relay.view
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.lacking(sh.id) == sh.epoch
}

// leased reports whether the lease stands. What another relay has held meanwhile has
// to be taken over from it.
func (sh *shard) leased() (bool, error) {
	ours, taken, err := sh.lease.stands()
	if taken {
		sh.epoch, sh.armed = 0, false
	}
	return ours, err
}

// carry brings what is new in the outbox to the topic and returns how many
// entries that were.
func (sh *shard) carry(ctx context.Context) (int, error) {
	o := &sh.relay.o
	var batch []*core.Record
	err := o.Outbox.Read(ctx, sh.id, sh.carried, o.BatchMax, func(r *core.Record) error {
		batch = append(batch, r.Clone())
		return nil
	})
	if err != nil || len(batch) == 0 {
		return 0, err
	}
	for _, r := range batch {
		// Whatever is in the outbox but not of our epoch means that we were deposed,
		// or that it was put back to an earlier state; the next stand tells which.
		if r.Holder() != (core.Holder{Epoch: sh.epoch, Relay: o.ID}) {
			sh.armed = false
			return 0, core.NewError(core.CodeMismatch, "the outbox holds entries of another epoch")
		}
	}
	if err := o.Topic.Append(ctx, batch); err != nil {
		return 0, err
	}
	sh.carried = batch[len(batch)-1].Last()
	sh.relay.stats.carried.Add(int64(len(batch)))
	return len(batch), nil
}

// sayAgain repeats the claim, so that a reader who begins near the end finds it soon.
func (sh *shard) sayAgain(ctx context.Context) error {
	if time.Since(sh.claimAt) < sh.relay.o.ClaimEvery {
		return nil
	}
	return sh.claim(ctx)
}

func (sh *shard) claim(ctx context.Context) error {
	o := &sh.relay.o
	canvas := sh.relay.canvas()
	if canvas == 0 {
		canvas = o.Create.Canvas
	}
	r := &core.Record{Kind: core.KindClaim, Canvas: canvas, Epoch: sh.epoch, Relay: o.ID, Shard: sh.id, TimeMS: o.NowMS()}
	if err := o.Topic.Append(ctx, []*core.Record{r}); err != nil {
		return err
	}
	sh.claimAt = time.Now()
	return nil
}

// canvas returns the id that the log names, 0 when it names none.
func (r *Relay) canvas() uint64 {
	r.view.mu.Lock()
	defer r.view.mu.Unlock()
	if r.view.fold == nil {
		return 0
	}
	return r.view.fold.Canvas
}

// trim forgets entries that are in the topic, old enough, and covered by a
// snapshot: what a consumer falls back to must join what it can begin from.
func (sh *shard) trim(ctx context.Context) {
	o := &sh.relay.o
	now := time.Now()
	if n := len(sh.marks); n == 0 || now.Sub(sh.marks[n-1].at) >= o.TrimAfter/16 {
		sh.marks = append(sh.marks, mark{sh.carried, now})
	}
	upTo := uint64(0)
	for len(sh.marks) > 0 && now.Sub(sh.marks[0].at) >= o.TrimAfter {
		upTo = sh.marks[0].seq
		sh.marks = sh.marks[1:]
	}
	upTo = min(upTo, sh.relay.safe.Load()[sh.id])
	if upTo > 0 {
		sh.tell(o.Outbox.Trim(ctx, sh.id, sh.epoch, upTo)) // the next mark tries again
	}
}

// configure brings a shard up to the configuration that others have: a change
// that was cut short is completed here.
func (sh *shard) configure(ctx context.Context, stand *core.Stand) error {
	r := sh.relay
	r.view.mu.Lock()
	if r.view.fold == nil || r.view.fold.Config.Version <= stand.Version {
		r.view.mu.Unlock()
		return nil
	}
	c := r.view.fold.Config
	r.view.mu.Unlock()
	return r.o.Outbox.Configure(ctx, sh.id, &c)
}
