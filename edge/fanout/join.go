package fanout

import (
	"sync"

	"pixelwall/core"
	"pixelwall/wire"
)

// A Client is the receiving end of a Join.
type Client interface {
	// Deliver takes the answer to a Join: d.Frames go out first, and from the
	// next broadcast on the client gets the shards in d.Follow. It is called on
	// the hub's goroutine and must not wait.
	//
	// Ownership: d belongs to the client from now on.
	Deliver(d Delivery)
}

// A Delivery answers a Join.
type Delivery struct {
	Join   Join   // as it was asked
	Follow uint64 // shards that are followed now
	Frames []byte // whole WebSocket frames
}

// A Subscription is what the hub knows of one client. The zero Subscription
// follows nothing. Its fields belong to the hub's goroutine.
type Subscription struct {
	followed uint64 // shards
	growth   uint64 // how often the canvas had grown when they were followed
}

// A Join asks for shards on behalf of a client. Shards that are not named are
// given up.
type Join struct {
	Client Client
	Sub    *Subscription
	Shards []wire.WatchShard // belongs to the hub from now on
	Ticket uint32            // for the client; comes back with the answer
	// Foreign says that the client's copy is of another canvas, or that its view
	// is of no use for another reason: every shard is answered by a resync.
	Foreign bool
}

// joinsMax bounds the joins that wait for the hub. Beyond it a client is told to
// try again in a moment, which a crowd of that size does anyway.
const joinsMax = 1 << 16

// A joinQueue hands joins from the event loops to the hub's goroutine.
type joinQueue struct {
	ready  chan struct{} // has room for one: a wake-up
	mu     sync.Mutex
	queue  []Join
	spare  []Join
	closed bool
}

// Join queues j and reports whether there was room; not when the hub has ended.
func (h *Hub) Join(j Join) bool {
	q := &h.joins
	q.mu.Lock()
	room := !q.closed && len(q.queue) < joinsMax
	if room {
		q.queue = append(q.queue, j)
	}
	q.mu.Unlock()
	if room {
		select {
		case q.ready <- struct{}{}:
		default:
		}
	}
	return room
}

func (q *joinQueue) take() []Join {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.queue
	q.queue, q.spare = q.spare[:0], taken
	return taken
}

func (q *joinQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.queue = true, nil
}

// serveJoins answers all joins that wait.
func (h *Hub) serveJoins() {
	joins := h.joins.take()
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range joins {
		h.serve(&joins[i])
		joins[i] = Join{}
	}
}

// serve answers one join: per shard a catch-up from exactly the seq that the
// client holds to the boundary, and a check; or a resync. The shared batches
// after this boundary fit then, because this goroutine makes them.
func (h *Hub) serve(j *Join) {
	d := Delivery{Join: *j}
	var lost []uint8
	if j.Sub.growth != h.growth {
		*j.Sub = Subscription{growth: h.growth}
	}
	for _, w := range j.Shards {
		s, bit := core.ShardID(w.Shard), uint64(1)<<w.Shard
		switch {
		case h.shown == nil || !h.shown.Geometry().Has(s):
			continue // the session refuses shards that the canvas does not have
		case j.Foreign:
			lost = append(lost, w.Shard)
		case !w.Resume && j.Sub.followed&bit != 0:
			d.Follow |= bit
		case !w.Resume:
			lost = append(lost, w.Shard)
		default:
			frame, ok := h.catchUp(s, w.Held)
			if !ok {
				lost = append(lost, w.Shard)
				continue
			}
			d.Follow |= bit
			d.Frames = append(d.Frames, frame...)
			d.Frames = wire.AppendFrame(d.Frames, h.check(s))
		}
	}
	if len(lost) > 0 {
		reason := wire.ResyncTooOld
		if j.Foreign {
			reason = wire.ResyncOtherCanvas
		}
		h.stats.resyncs.Add(int64(len(lost)))
		d.Frames = wire.AppendFrame(d.Frames, wire.Resync{Reason: reason, Shards: lost})
	}
	j.Sub.followed = d.Follow
	j.Client.Deliver(d)
}

// catchUpMax is how many catch-ups of a shard are kept within a tick: a crowd
// joins from the few canvas versions that a CDN holds.
const catchUpMax = 64

// A catchUpCache holds the catch-up frames to the present boundary, by the seq
// that they begin at.
type catchUpCache struct{ frames map[uint64][]byte }

func (c *catchUpCache) forget() { clear(c.frames) }

// catchUp returns the frame that brings a copy of shard s at seq held to the
// boundary. False means that the ring does not reach back that far, or that the
// client is ahead of this edge.
func (h *Hub) catchUp(s core.ShardID, held uint64) ([]byte, bool) {
	sh := &h.shards[s]
	if held > sh.shownSeq {
		return nil, false
	}
	if frame, ok := sh.catchUps.frames[held]; ok {
		return frame, true
	}
	canvas := view(h.shown, s)
	marks := &h.marks
	if !sh.ring.visit(held, sh.shownSeq, marks.mark) {
		return nil, false
	}
	h.pixels = h.pixels[:0]
	marks.drain(func(off uint32) {
		h.pixels = append(h.pixels, wire.Pixel{Index: index(off, canvas.Width), Color: h.shown.At(s, off)})
	})
	up := wire.CatchUp{Shard: uint8(s), From: held, To: sh.shownSeq, TimeTenths: tenths(sh.shownMS)}
	up.Payload, up.Param = h.encoder.AppendRice(h.payload[:0], canvas, h.pixels)
	h.payload = up.Payload
	frame := wire.AppendFrame(nil, up)
	if sh.catchUps.frames == nil {
		sh.catchUps.frames = make(map[uint64][]byte)
	}
	if len(sh.catchUps.frames) < catchUpMax {
		sh.catchUps.frames[held] = frame
	}
	h.stats.catchUps.Add(1)
	return frame, true
}
