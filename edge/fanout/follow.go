package fanout

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"pixelwall/core"
)

// What ends a Tail that is to begin again from the heads.
var (
	errRefetch = errors.New("a record is missing; fetch from the head again")
	errReload  = errors.New("a shard was loaded anew; go on from there")
)

// errForeign ends the hub: nothing that it shows goes on in this log.
var errForeign = core.NewError(core.CodeMismatch, "the log is of another canvas than this edge shows")

// aim asks what the log has now: the hub is ready when it holds that.
func (h *Hub) aim(ctx context.Context) error {
	again := h.newRetry("the log cannot be asked for its heads")
	for {
		goal, err := h.opt.Log.Heads(ctx)
		if err == nil {
			for s := range goal {
				goal[s] = max(goal[s], h.opt.Base.Heads[s])
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			h.goal = goal
			h.announceIfCaughtUp()
			return nil
		}
		if h.opt.Reload == nil || !again.pause(ctx, err) {
			return err
		}
	}
}

// follow reads the log until ctx ends; without Reload, until the log fails.
func (h *Hub) follow(ctx context.Context) error {
	if h.opt.Reload == nil {
		return h.opt.Log.Tail(ctx, h.begin(nil), h.apply)
	}
	again := h.newRetry("the log cannot be followed")
	for {
		tail, end := context.WithCancelCause(ctx)
		from := h.begin(end)
		before := h.progress()
		err := h.opt.Log.Tail(tail, from, h.apply)
		wanted := tail.Err() != nil || errors.Is(err, errRefetch)
		end(nil)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errForeign):
			return err
		case wanted:
			continue
		}
		if h.progress() != before {
			again.reset()
		}
		if core.CodeOf(err) == core.CodeNotFound {
			if h.loadAhead(ctx) {
				continue
			}
		}
		if !again.pause(ctx, err) {
			return context.Cause(ctx)
		}
	}
}

// begin returns where a Tail has to start. end stops it.
func (h *Hub) begin(end func(error)) core.Heads {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.restart = end
	for s := range h.shards {
		sh := &h.shards[s]
		switch sh.trouble.kind {
		case parked:
			sh.trouble = trouble{}
		case gap:
			// A claim takes no seq, so one from beyond the hole may have been heard
			// already. What is missing was written by the one before it.
			h.follower.Holders[s] = sh.headHolder
		}
	}
	return h.follower.Heads
}

func (h *Hub) progress() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.applied
}

// apply takes one record of the log.
func (h *Hub) apply(r *core.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	sh := &h.shards[r.Shard]
	if sh.trouble.standsStill() {
		return nil
	}
	if h.opt.Reload != nil && r.Kind != core.KindClaim && r.Last() > h.follower.Heads[r.Shard] && h.head.Geometry().Lacks(r) {
		// Shards are read side by side: the configuration by which the canvas grew
		// is still to come, in the log of another one.
		return h.missing(sh, r)
	}
	switch h.follower.Next(r) {
	case core.Duplicate:
		return nil
	case core.Stale:
		h.stats.stale.Add(1)
		return nil
	case core.Gap:
		return h.missing(sh, r)
	case core.Phantom:
		return h.haunted(sh, r)
	}
	if h.opt.Reload != nil && r.Canvas != h.opt.Base.Canvas {
		return errForeign
	}
	if r.Kind == core.KindMarker && sh.base > r.LastOld && sh.base < r.First {
		return h.haunted(sh, r) // the snapshot had more than the log
	}
	sh.trouble, sh.headHolder = trouble{}, r.Holder()
	sh.headMS = max(sh.headMS, r.TimeMS)
	h.applied++
	if err := h.enter(sh, r); err != nil {
		return err
	}
	h.announceIfCaughtUp()
	return nil
}

// enter writes what r says to the head board and the ring.
func (h *Hub) enter(sh *shard, r *core.Record) error {
	switch r.Kind {
	case core.KindPlacements:
		h.enterPlacements(sh, r)
	case core.KindConfig:
		if h.shown == nil {
			h.ringBytes -= sh.ring.clear() // who stood before it may have had a smaller canvas
		}
		h.ringBytes += sh.ring.add(r.First, notAPixel, r.TimeMS)
		h.applyConfig(r.Config)
	case core.KindMarker:
		h.ringBytes += sh.ring.jump(r.LastOld, r.First, r.TimeMS)
		sh.jumped += r.First - r.LastOld - 1
		if h.opt.Armed != nil {
			h.opt.Armed(r.Shard, r.Epoch)
		}
	case core.KindStart:
		if r.Config != nil {
			h.applyConfig(r.Config)
		}
		if !sh.loaded {
			return h.head.Apply(r)
		}
	}
	return nil
}

// enterPlacements writes what the base snapshot does not hold yet; all of it
// goes to the ring.
func (h *Hub) enterPlacements(sh *shard, r *core.Record) {
	if sh.touched == nil {
		sh.touched = new(touched)
	}
	width, height := h.head.Geometry().Area(r.Shard)
	for i := range r.Events {
		e := &r.Events[i]
		seq := r.First + uint64(i)
		if int(e.Offset%core.ShardSide) >= width || int(e.Offset/core.ShardSide) >= height {
			// No sequencer stores this. A batch has no index for it either.
			h.opt.Logger.Error("the log holds a pixel that is not on the canvas", "shard", r.Shard, "seq", seq, "offset", e.Offset)
			h.ringBytes += sh.ring.add(seq, notAPixel, r.TimeMS)
			continue
		}
		if seq > sh.base {
			h.head.Set(r.Shard, e.Offset, e.Color)
			sh.touched.mark(e.Offset)
		}
		h.ringBytes += sh.ring.add(seq, e.Offset, r.TimeMS)
	}
}

const (
	retryFirst = 50 * time.Millisecond
	retryMost  = 2 * time.Second
)

// A retry waits between tries, longer each time, and logs an error when it is
// another one than before.
type retry struct {
	what string
	log  *slog.Logger
	last string
	wait time.Duration
}

func (h *Hub) newRetry(what string) *retry {
	return &retry{what: what, log: h.opt.Logger, wait: retryFirst}
}

func (r *retry) reset() { r.last, r.wait = "", retryFirst }

// pause waits before the next try and reports whether there is to be one.
func (r *retry) pause(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if err != nil && err.Error() != r.last {
		r.last = err.Error()
		r.log.Warn(r.what+"; it is tried again", "err", err)
	}
	timer := time.NewTimer(r.wait)
	defer timer.Stop()
	r.wait = min(2*r.wait, retryMost)
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
