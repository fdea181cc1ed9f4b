package fanout

import (
	"sync"
	"time"

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
	seen     uint64 // resets that are accounted for in followed
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
	first  int // of queue that was not served
	held   int // taken, but waiting, see aheadJoins
	closed bool
}

// Join queues j and reports whether there was room; not when the hub has ended.
func (h *Hub) Join(j Join) bool {
	q := &h.joins
	q.mu.Lock()
	room := !q.closed && len(q.queue)-q.first+q.held < joinsMax
	if room {
		q.queue = append(q.queue, j)
	}
	q.mu.Unlock()
	if room {
		wake(q.ready)
	}
	return room
}

// next takes the oldest join.
func (q *joinQueue) next() (j Join, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.first == len(q.queue) {
		q.queue, q.first = q.queue[:0], 0
		return j, false
	}
	j, q.queue[q.first] = q.queue[q.first], Join{}
	if q.first++; q.first > joinsMax { // a queue that never empties does not grow for ever
		left := copy(q.queue, q.queue[q.first:])
		clear(q.queue[left:])
		q.queue, q.first = q.queue[:left], 0
	}
	return j, true
}

// hold adds n to the joins that wait elsewhere and count all the same.
func (q *joinQueue) hold(n int) {
	q.mu.Lock()
	q.held += n
	q.mu.Unlock()
}

func (q *joinQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.queue, q.first = true, nil, 0
}

// joinsSlice is how long joins are served before a tick may come between.
const joinsSlice = 10 * time.Millisecond

// serveJoins answers the joins that wait. The tail goes on between two of them,
// and a tick comes between when there are many.
func (h *Hub) serveJoins() {
	began := time.Now()
	for time.Since(began) < joinsSlice {
		if a := h.ahead.next(); a != nil {
			h.mu.Lock()
			h.serve(&a.Join)
			h.mu.Unlock()
			continue
		}
		j, ok := h.joins.next()
		if !ok {
			return
		}
		h.mu.Lock()
		h.take(&j)
		h.mu.Unlock()
	}
	wake(h.joins.ready)
}

// wake makes the reader of a one-place channel look, now or when it comes back.
func wake(ready chan struct{}) {
	select {
	case ready <- struct{}{}:
	default:
	}
}

// serve answers one join: per shard a catch-up from exactly the seq that the
// client holds to the boundary, and a check; or a resync. The shared batches
// after this boundary fit then, because this goroutine makes them.
func (h *Hub) serve(j *Join) {
	d := Delivery{Join: *j}
	var lost []uint8
	h.update(j.Sub)
	for _, w := range j.Shards {
		s, bit := core.ShardID(w.Shard), uint64(1)<<w.Shard
		switch {
		case j.Foreign || h.shown == nil || !h.shown.Geometry().Has(s): // or the canvas grows with the next tick
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

// update takes from sub the shards that its client was told to fetch.
func (h *Hub) update(sub *Subscription) {
	now := h.resets.Load()
	if sub.seen == now {
		return
	}
	for s, reset := range h.lastReset {
		if reset > sub.seen {
			sub.followed &^= 1 << s
		}
	}
	sub.seen = now
}

const (
	// catchUpBytes bounds the catch-ups of a shard that are kept within a tick: a
	// crowd joins from the few canvas versions that a CDN holds.
	catchUpBytes = 2 << 20
	// catchUpExact is how far behind a client may be to get a catch-up of its own,
	// in events. Whoever is further behind gets one that begins a little earlier
	// and that many share, so that a crowd that was away costs a few encodings.
	catchUpExact = 16 * blockEvents
)

// A catchUpCache holds the catch-up frames to the present boundary, by the seq
// that they begin at.
type catchUpCache struct {
	frames map[uint64][]byte
	bytes  int
}

func (c *catchUpCache) forget() {
	clear(c.frames)
	c.bytes = 0
}

func (c *catchUpCache) keep(held uint64, frame []byte) {
	if c.bytes+len(frame) > catchUpBytes {
		return
	}
	if c.frames == nil {
		c.frames = make(map[uint64][]byte)
	}
	c.frames[held] = frame
	c.bytes += len(frame)
}

// catchUp returns the frame that brings a copy of shard s at seq held to the
// boundary. False means that the ring does not lead on from there, or that the
// client is ahead of this edge.
func (h *Hub) catchUp(s core.ShardID, held uint64) ([]byte, bool) {
	sh := &h.shards[s]
	if held > sh.shownSeq || sh.reload.on && held != sh.shownSeq {
		return nil, false // ahead, or the ring leads to another board than the shown one
	}
	if sh.shownSeq-held > catchUpExact {
		held = sh.ring.blockBefore(held)
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
	sh.catchUps.keep(held, frame)
	h.stats.catchUps.Add(1)
	return frame, true
}
