package fanout

import (
	"context"
	"fmt"
	"math/bits"
	"time"

	"pixelwall/core"
	"pixelwall/wire"
)

// What may be wrong with a shard.
const (
	gap     troubleKind = 1 + iota // a record is missing; it may come when it is fetched again
	phantom                        // the head has events that are in nobody's log
	parked                         // it was loaded anew; the Tail that runs is not for it
)

type troubleKind uint8

// A trouble is why the head of one shard stands still while the others go on.
// The zero trouble is none.
type trouble struct {
	kind  troubleKind
	since time.Time // when it was first seen
	again time.Time // gap: when to fetch next
	wait  time.Duration
	head  uint64 // gap: where the shard stands
	need  uint64 // seq from which on a snapshot helps
	epoch uint32 // phantom: of the marker that told it
	last  uint64 // phantom: the last seq that is in the log
}

func (t *trouble) standsStill() bool {
	return t.kind == phantom || t.kind == parked
}

// A reload is a head that was loaded anew and is not shown yet.
type reload struct {
	on    bool
	goal  uint64    // what the log had when it began
	until time.Time // shown then, even if the goal was not reached
}

const (
	gapPatience    = 2 * time.Second        // a gap that is older is a reason to reload
	refetchFirst   = 200 * time.Millisecond // between two fetches because of the same gap, and twice as much each time
	mendEvery      = 200 * time.Millisecond // between two looks at what is in trouble
	storedEvery    = 5 * time.Second        // between two readings of the stored snapshot, which is the whole canvas
	goalPatience   = 2 * time.Second        // for the log to say what it has
	reloadPatience = 10 * time.Second       // for the log to give what it had
)

const allShards = ^uint64(0)

// missing notes that something comes before r. The first time the log is asked
// again at once, and the other shards go on if that did not help.
func (h *Hub) missing(sh *shard, r *core.Record) error {
	if h.opt.Reload == nil {
		return h.follower.GapError(r)
	}
	t, head := &sh.trouble, h.follower.Heads[r.Shard]
	need := r.First - 1
	if r.Kind == core.KindMarker {
		need = r.LastOld
	}
	if t.kind == gap && t.head == head {
		t.need = need
		return nil
	}
	now := h.opt.Now()
	*t = trouble{kind: gap, since: now, again: now.Add(refetchFirst), wait: refetchFirst, head: head, need: need}
	h.stats.gaps.Add(1)
	wake(h.troubled)
	return errRefetch
}

// haunted notes that the shard holds events that marker r does not know.
func (h *Hub) haunted(sh *shard, r *core.Record) error {
	if h.opt.Reload == nil {
		return core.NewError(core.CodeInternal, fmt.Sprintf("shard %d: the log ends at seq %d before an event that was applied", r.Shard, r.LastOld))
	}
	sh.trouble = trouble{kind: phantom, since: h.opt.Now(), need: r.First, epoch: r.Epoch, last: r.LastOld}
	h.stats.phantoms.Add(1)
	h.opt.Logger.Warn("a shard holds events that the log lost; it is loaded anew", "shard", r.Shard, "last", r.LastOld, "epoch", r.Epoch)
	wake(h.troubled)
	return nil
}

// helps reports whether s goes on rightly from snap.
func (h *Hub) helps(s core.ShardID, snap *core.Snapshot) bool {
	switch t := &h.shards[s].trouble; t.kind {
	case gap:
		return snap.Heads[s] >= t.need && snap.Shards[s] != nil
	case phantom:
		return snap.Holders[s].Epoch >= t.epoch || snap.Heads[s] <= t.last
	}
	return false
}

// mend looks after shards in trouble until ctx ends.
func (h *Hub) mend(ctx context.Context) {
	again := h.newRetry("no shard can be loaded anew")
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.troubled:
		case <-timer.C:
		}
		left, err := h.heal(ctx)
		switch {
		case err != nil:
			if !again.pause(ctx, err) {
				return
			}
			timer.Reset(0)
		case left:
			timer.Reset(mendEvery)
		default:
			again.reset()
		}
	}
}

// heal does what is due now and reports whether a shard is still in trouble.
func (h *Hub) heal(ctx context.Context) (left bool, err error) {
	sick, left := h.examine()
	if sick == 0 {
		return left, nil
	}
	loaded, err := h.loadShards(ctx, sick, h.opt.Reload, h.helps)
	now := h.opt.Now()
	if rest := sick &^ loaded; rest != 0 && h.opt.Stored != nil && now.Sub(h.storedAt) >= storedEvery {
		h.storedAt = now
		var more uint64
		more, err = h.loadShards(ctx, rest, h.opt.Stored, h.helps)
		loaded |= more
	}
	return loaded != sick || left, err
}

// examine fetches again where a gap's time for it has come, and returns the
// shards that only a snapshot can help.
func (h *Hub) examine() (sick uint64, left bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now, refetch := h.opt.Now(), false
	for s := range h.shards {
		t := &h.shards[s].trouble
		switch {
		case t.kind == phantom:
			sick |= 1 << s
		case t.kind == gap && now.Sub(t.since) >= gapPatience:
			sick |= 1 << s
			fallthrough
		case t.kind == gap:
			left = true
			if !now.Before(t.again) {
				t.wait = min(2*t.wait, retryMost)
				t.again = now.Add(t.wait)
				refetch = true
			}
		}
	}
	if refetch {
		h.stats.gaps.Add(1)
		h.endTail(errRefetch)
	}
	return sick, left || sick != 0
}

func (h *Hub) endTail(cause error) {
	if h.restart != nil {
		h.restart(cause)
	}
}

// loadAhead loads every shard that a snapshot has more of, because the log does
// not reach back to where this hub stands.
func (h *Hub) loadAhead(ctx context.Context) bool {
	loaded, err := h.loadShards(ctx, allShards, h.opt.Reload, func(s core.ShardID, snap *core.Snapshot) bool {
		return snap.Heads[s] > h.follower.Heads[s]
	})
	if err != nil && ctx.Err() == nil {
		h.opt.Logger.Warn("the log begins behind this edge, and there is no snapshot to go on from", "err", err)
	}
	return loaded != 0
}

// loadShards loads those of shards that the snapshot of reload helps, and returns
// which. Whatever is slow happens without the lock.
func (h *Hub) loadShards(
	ctx context.Context, shards uint64, reload func(context.Context) (*core.Snapshot, error), helps func(core.ShardID, *core.Snapshot) bool,
) (loaded uint64, err error) {
	asked, cancel := context.WithTimeout(ctx, goalPatience)
	goal, err := h.opt.Log.Heads(asked)
	cancel()
	if err != nil {
		goal = core.Heads{} // then what the snapshot has must do
	}
	snap, err := reload(ctx)
	if err != nil {
		return 0, err
	}
	fresh, err := h.unpack(snap, shards)
	if err != nil {
		return 0, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for rest := shards; rest != 0; rest &= rest - 1 {
		s := core.ShardID(bits.TrailingZeros64(rest))
		if !helps(s, snap) {
			continue
		}
		if loaded == 0 {
			h.applyConfig(&snap.Config)
			if err := fresh.Grow(h.head.Geometry().Width, h.head.Geometry().Height); err != nil {
				return 0, err
			}
		}
		h.load(s, snap, fresh, goal[s])
		loaded |= 1 << s
	}
	if loaded != 0 {
		h.announceIfCaughtUp()
		h.endTail(errReload)
	}
	return loaded, nil
}

// unpack returns a board with the shards of snap.
func (h *Hub) unpack(snap *core.Snapshot, shards uint64) (*core.Board, error) {
	if base := h.opt.Base; snap.Canvas != base.Canvas || snap.Config.Bits != base.Config.Bits {
		return nil, core.NewError(core.CodeMismatch, fmt.Sprintf("the snapshot is of canvas %x, this edge shows %x", snap.Canvas, base.Canvas))
	}
	if err := snap.Config.Validate(); err != nil {
		return nil, err
	}
	fresh := core.NewBoard(snap.Config.Geometry(), snap.Config.Blank)
	for s, packed := range snap.Shards {
		if packed == nil || shards>>s&1 == 0 {
			continue
		}
		if err := fresh.LoadPacked(core.ShardID(s), packed); err != nil {
			return nil, err
		}
	}
	return fresh, nil
}

// load makes shard s of snap, which is in fresh, the head. What is shown stays
// until the log has led the head to where it was.
func (h *Hub) load(s core.ShardID, snap *core.Snapshot, fresh *core.Board, goal uint64) {
	sh := &h.shards[s]
	copy(h.head.Pixels(s), fresh.Pixels(s))
	h.ringBytes -= sh.ring.clear()
	h.follower.GoTo(s, core.Position{Holder: snap.Holders[s], Seq: snap.Heads[s]})
	sh.headHolder, sh.headMS, sh.jumped = snap.Holders[s], snap.Times[s], 0
	sh.base, sh.loaded = snap.Heads[s], snap.Shards[s] != nil
	if sh.trouble.kind == phantom {
		goal = max(goal, sh.trouble.need) // the marker is in the log, whatever Heads says
	}
	sh.trouble = trouble{kind: parked}
	if h.shown != nil {
		sh.reload = reload{on: true, goal: goal, until: h.opt.Now().Add(reloadPatience)}
	}
	h.stats.reloads.Add(1)
}

// showReloaded moves the boundary of shards that were loaded anew and have
// caught up. No batch leads there from what clients hold, so they fetch it.
func (h *Hub) showReloaded() {
	var ready uint64
	for s := range h.shards {
		sh := &h.shards[s]
		if !sh.reload.on || sh.trouble.kind == phantom || sh.trouble.kind == parked {
			continue
		}
		if h.follower.Heads[s] >= sh.reload.goal || h.opt.Now().After(sh.reload.until) {
			copy(h.shown.Pixels(core.ShardID(s)), h.head.Pixels(core.ShardID(s)))
			ready |= 1 << s
		}
	}
	if ready != 0 {
		h.moveAll(ready)
		h.opt.Reset(ready, wire.ResyncTooOld)
	}
}

// moveAll makes the heads of shards, which are shown already, their boundary,
// to which no batch leads: nobody follows them any more.
func (h *Hub) moveAll(shards uint64) {
	resets := h.resets.Add(1)
	for s := range h.shards {
		if shards>>s&1 == 1 {
			h.shards[s].forgetTouched()
			h.moveTo(core.ShardID(s))
			h.shards[s].reload = reload{}
			h.lastReset[s] = resets
		}
	}
	h.setBoundary()
}

// Resets returns how often clients were told to fetch shards. A copy of the
// canvas that was made before the last one is not to be handed out any more.
func (h *Hub) Resets() uint64 { return h.resets.Load() }
