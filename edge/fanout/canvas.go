package fanout

import (
	"sync/atomic"
	"time"

	"pixelwall/core"
)

// Heads returns the boundary: the last seq of each shard that went out. It
// never waits.
func (h *Hub) Heads() core.Heads { return *h.boundary.Load() }

// setBoundary publishes where the shards stand now.
func (h *Hub) setBoundary() {
	heads := new(core.Heads)
	for s := range h.shards {
		heads[s] = h.shards[s].shownSeq
	}
	h.boundary.Store(heads)
}

// recentFor is for how long a copy of the canvas that was fetched is recent: some
// seconds longer than a version can be fetched.
const recentFor = 70 * time.Second

// Recent reports whether who holds seq of shard s may just have fetched it. It
// never waits.
func (h *Hub) Recent(s core.ShardID, seq uint64) bool { return seq >= h.recent.Load()[s] }

// ageRecent moves what is recent when it is time. h.mu is held.
func (h *Hub) ageRecent() {
	now := h.opt.Now()
	if now.Before(h.recentAt) {
		return
	}
	h.recent.Store(h.toRecent)
	h.toRecent, h.recentAt = h.boundary.Load(), now.Add(recentFor)
}

// Snapshot returns a copy of the canvas at the boundary, or nil before the hub
// is ready.
func (h *Hub) Snapshot() *core.Snapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.shown == nil {
		return nil
	}
	snap := &core.Snapshot{Canvas: h.opt.Base.Canvas, Config: *h.Config(), TimeMS: h.opt.NowMS()}
	snap.Config.Width, snap.Config.Height = h.shown.Geometry().Width, h.shown.Geometry().Height
	for _, s := range h.shown.Geometry().Shards() {
		snap.Heads[s] = h.shards[s].shownSeq
		snap.Holders[s] = h.shards[s].shownHolder
		snap.Times[s] = h.shards[s].shownMS
		snap.Shards[s] = h.shown.AppendPacked(make([]byte, 0, h.shown.Geometry().PackedBytes(s)), s)
	}
	return snap
}

// counters are only ever added to.
type counters struct {
	ticks, postponed, events, pixels, batchBytes, encodeNS, catchUps, resyncs atomic.Int64
	stale, gaps, phantoms, reloads, aheadJoins                                atomic.Int64
}

// Stats is what a hub did since it was made.
type Stats struct {
	Ticks      int64 // with something to say
	Postponed  int64 // because a loop's queue was full
	Events     int64 // that batches stood for
	Pixels     int64 // that batches held
	BatchBytes int64 // WebSocket headers included, each frame once
	EncodeNS   int64
	CatchUps   int64 // encoded; a crowd shares one
	Resyncs    int64 // shards that a client had to fetch
	RingBytes  int64

	Stale      int64 // records of somebody who was deposed, dropped
	Gaps       int64 // times that the log was fetched again because something was missing
	Phantoms   int64 // times that a shard held what is in nobody's log
	Reloads    int64 // shards that were loaded anew
	AheadJoins int64 // joins that waited until this edge was as far as the client
}

// Stats returns the counters.
func (h *Hub) Stats() Stats {
	c := &h.stats
	h.mu.Lock()
	ring := h.ringBytes
	h.mu.Unlock()
	return Stats{
		Ticks: c.ticks.Load(), Postponed: c.postponed.Load(), Events: c.events.Load(), Pixels: c.pixels.Load(),
		BatchBytes: c.batchBytes.Load(), EncodeNS: c.encodeNS.Load(), CatchUps: c.catchUps.Load(),
		Resyncs: c.resyncs.Load(), RingBytes: int64(ring),
		Stale: c.stale.Load(), Gaps: c.gaps.Load(), Phantoms: c.phantoms.Load(), Reloads: c.reloads.Load(), AheadJoins: c.aheadJoins.Load(),
	}
}
