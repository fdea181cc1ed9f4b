package session

import (
	"fmt"
	"math/bits"
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
	for i := range w.Shards {
		s := &w.Shards[i]
		if !geo.Has(core.ShardID(s.Shard)) {
			cl.refuse(0, core.NewError(core.CodeUnknownShard, fmt.Sprintf("the canvas of %dx%d has no shard %d", geo.Width, geo.Height, s.Shard)))
			return
		}
		if s.Resume {
			cl.srv.stats.resumed.Add(1)
		} else if cl.behind != nil && cl.follow>>s.Shard&1 == 1 {
			s.Resume, s.Held = true, cl.behind[s.Shard] // to go on as before it has to catch up first
		}
	}
	if w.Diverged {
		cl.srv.stats.diverged.Add(1)
		cl.srv.opt.Logger.Warn("a client's canvas differed", "client", cl.conn.RemoteAddr())
	}
	j := &fanout.Join{Client: cl, Sub: &cl.sub, Shards: w.Shards, Foreign: w.Canvas != cl.srv.opt.CanvasID}
	if !cl.greeted {
		cl.wanted = j // the last one counts: it names all that is wanted
		return
	}
	cl.join(j)
}

func (cl *client) join(j *fanout.Join) {
	if !cl.srv.opt.Hub.Join(*j) {
		cl.refuse(0, &core.Error{Code: core.CodeTooMany, Msg: "too many are joining", RetryAfter: time.Second})
	}
}

// Deliver is called by the hub, on its goroutine.
func (cl *client) Deliver(d fanout.Delivery) {
	cl.conn.Post(func(c *gateway.Conn) {
		if cl.behind != nil && d.Follow&^d.Fresh != 0 {
			cl.deliverBehind(d)
			return
		}
		cl.follow, cl.behind = d.Follow, nil
		c.Follow(d.Follow)
		if len(d.Frames) > 0 {
			cl.send(d.Frames)
		}
	})
}

// deliverBehind takes an answer that goes on with shards of which batches were
// left out while it was on its way. The client stays behind; it holds the
// boundary of the shards that the answer brings, and of the others what it held.
func (cl *client) deliverBehind(d fanout.Delivery) {
	held := *cl.behind
	for set := d.Fresh; set != 0; set &= set - 1 {
		s := bits.TrailingZeros64(set)
		held[s] = d.At[s]
	}
	cl.follow, cl.behind = d.Follow, &held
	cl.send(d.Frames)
	if cl.drained {
		cl.catchUp()
	}
}

// catchUp brings a client that was skipped back in step: one catch-up a shard
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
	cl.join(&j)
}
