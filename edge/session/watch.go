package session

import (
	"fmt"
	"math/bits"
	"net/netip"
	"time"

	"pixelwall/core"
	"pixelwall/edge/fanout"
	"pixelwall/edge/gateway"
	"pixelwall/wire"
)

// watch asks the hub for shards, from what the client holds of each.
func (cl *client) watch(payload []byte) {
	w, err := wire.ParseWatch(payload, nil)
	if err != nil {
		cl.malformed(err)
		return
	}
	geo := cl.srv.opt.Hub.Config().Geometry()
	resumed := 0
	for _, s := range w.Shards {
		if !geo.Has(core.ShardID(s.Shard)) {
			cl.refuse(0, core.NewError(core.CodeUnknownShard, fmt.Sprintf("the canvas of %dx%d has no shard %d", geo.Width, geo.Height, s.Shard)))
			return
		}
		if s.Resume {
			resumed++
		}
	}
	cl.srv.stats.resumed.Add(int64(resumed))
	cl.limitResumes(w.Shards)
	if w.Diverged {
		cl.diverged()
	}
	j := &fanout.Join{Client: cl, Sub: &cl.sub, Shards: w.Shards, Foreign: w.Canvas != cl.srv.opt.CanvasID}
	switch {
	case !cl.greeted:
		cl.want(j)
	case cl.behind != nil:
		cl.owe(j)
	default:
		cl.join(j)
	}
}

// unknown is a seq that no boundary reaches: the answer to it is a resync.
const unknown = ^uint64(0)

// limitResumes charges the client's network for catch-ups, which cost the hub up to a
// millisecond each. Those that its network has no budget for become resyncs, which
// cost nothing: the canvas comes over HTTP, from a cache.
//
// What was just fetched that way has a budget of its own, and each connection a share of
// that, or a few connections that take all of the other one would send everybody else of
// their network round in a circle.
func (cl *client) limitResumes(shards []wire.WatchShard) {
	if !cl.conn.Limited() {
		return
	}
	addr, now := cl.conn.RemoteAddr(), time.UnixMilli(cl.srv.opt.NowMS())
	var charged uint64 // shards
	for _, w := range shards {
		if w.Resume && !(cl.srv.opt.Hub.Recent(core.ShardID(w.Shard), w.Held) && cl.takeFresh(addr, now)) {
			charged |= 1 << w.Shard
		}
	}
	n := bits.OnesCount64(charged)
	if n == 0 || cl.srv.opt.Resumes.Take(addr, n, now) == 0 {
		return
	}
	cl.srv.stats.denied.Add(int64(n))
	for i, w := range shards {
		if charged>>w.Shard&1 == 1 {
			shards[i].Held = unknown
		}
	}
}

// takeFresh takes one of the shards that a connection may resume in a minute right
// after it fetched them: all of the largest canvas.
func (cl *client) takeFresh(addr netip.Addr, now time.Time) bool {
	if minute := now.Unix() / 60; minute != cl.freshMinute {
		cl.freshMinute, cl.fresh = minute, core.ShardsMax
	}
	if cl.fresh == 0 || cl.srv.opt.Fresh.Take(addr, 1, now) > 0 {
		return false
	}
	cl.fresh--
	return true
}

// want keeps what a client asks for before it was greeted. The last watch counts,
// because it names all that is wanted; what it goes on with, an earlier one began.
func (cl *client) want(j *fanout.Join) {
	if cl.wanted != nil {
		for i, w := range j.Shards {
			for _, before := range cl.wanted.Shards {
				if !w.Resume && before.Shard == w.Shard {
					j.Shards[i] = before
				}
			}
		}
	}
	cl.wanted = j
}

func (cl *client) join(j *fanout.Join) {
	j.Ticket = cl.ticket
	if !cl.srv.opt.Hub.Join(*j) {
		cl.conn.Close(closeTryLater, "too many are joining") // without an answer it would wait for ever
	}
}

// Deliver is called by the hub, on its goroutine.
func (cl *client) Deliver(d fanout.Delivery) {
	cl.conn.Post(func(c *gateway.Conn) {
		if cl.behind != nil && d.Join.Ticket != cl.ticket {
			// Batches were left out while this was on its way, so it is too late to
			// say it; unless it was said again since, it is owed.
			if !cl.restated {
				cl.owe(&d.Join)
			}
			return
		}
		cl.follow, cl.behind = d.Follow, nil
		c.Follow(d.Follow)
		if len(d.Frames) > 0 {
			cl.send(d.Frames)
		}
	})
}

// owe notes what a client that is behind wants: as soon as it has read
// everything, one join brings it all.
func (cl *client) owe(j *fanout.Join) {
	held, follow := *cl.behind, uint64(0)
	for _, w := range j.Shards {
		follow |= 1 << w.Shard
		switch {
		case w.Resume && !j.Foreign:
			held[w.Shard] = w.Held
		case j.Foreign || cl.follow>>w.Shard&1 == 0:
			held[w.Shard] = unknown
		}
	}
	cl.follow, cl.behind, cl.restated = follow, &held, true
	cl.ticket++
	if cl.drained {
		cl.catchUp()
	}
}

// catchUp brings a client that was left out back in step: one catch-up a shard
// from what it holds.
func (cl *client) catchUp() {
	held := cl.behind
	if held == nil {
		return
	}
	cl.send(cl.srv.ConfigFrame(cl.srv.opt.Hub.Config())) // a change of it may have been left out
	j := fanout.Join{Client: cl, Sub: &cl.sub}
	for set := cl.follow; set != 0; set &= set - 1 {
		s := bits.TrailingZeros64(set)
		j.Shards = append(j.Shards, wire.WatchShard{Shard: uint8(s), Resume: true, Held: held[s]})
	}
	if j.Ticket = cl.ticket; !cl.srv.opt.Hub.Join(j) {
		cl.conn.Close(closeTryLater, "too many are joining") // nothing else would bring it back in step
	}
}
