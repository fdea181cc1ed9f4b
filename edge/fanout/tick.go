package fanout

import (
	"context"
	"time"

	"pixelwall/core"
	"pixelwall/edge/gateway"
	"pixelwall/wire"
)

// Classes of encodings, as gateway.Conn.SetClass takes them.
const (
	ClassAll  = 0 // the smaller of all codings
	ClassRice = 1 // Rice only
)

// tickUntil ticks and serves joins on this goroutine until ctx ends. One
// goroutine hands everything to the gateway, so there is one order: a client
// that joins after a tick gets the next one, and nobody gets one twice.
func (h *Hub) tickUntil(ctx context.Context) {
	due := time.Now().Add(h.Tick())
	timer := time.NewTimer(h.Tick())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			h.joins.close()
			return
		case <-h.joins.ready:
			h.serveJoins()
		case <-timer.C:
			h.tick()
			due = due.Add(h.Tick())
			if now := time.Now(); due.Before(now) {
				due = now // ticks that were missed are not made up for
			}
			timer.Reset(time.Until(due))
		}
	}
}

// tick moves the boundary to the head: it encodes every shard that changed and
// hands the lot to the gateway.
func (h *Hub) tick() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.shown == nil {
		return
	}
	defer h.ripen()
	if !h.opt.Room() {
		h.stats.postponed.Add(1)
		return
	}
	if h.changed || h.grown {
		h.switchConfig()
	}
	h.showReloaded()
	h.say(h.opt.Say())
	if b := h.encode(); b != nil {
		h.opt.Broadcast(b)
	}
	h.trimRings(h.opt.NowMS())
	h.ageRecent()
}

// switchConfig lets a new configuration take its place between two ticks. A
// canvas that grew is not described by batches: everybody fetches it.
func (h *Hub) switchConfig() {
	grown := h.grown
	if grown {
		h.shown = h.head.Clone()
		for s := range h.shards {
			h.ringBytes -= h.shards[s].ring.clear()
		}
		h.moveAll(allShards)
	}
	h.changed, h.grown = false, false
	h.say(h.opt.Changed(h.Config()))
	if grown {
		h.opt.Reset(allShards, wire.ResyncGrown)
	}
}

// say hands frames to everybody.
func (h *Hub) say(frames []byte) {
	if len(frames) > 0 {
		b := &gateway.Broadcast{All: true, From: h.boundary.Load()}
		b.Buf[ClassAll] = frames
		h.opt.Broadcast(b)
	}
}

// moveTo makes the present head of shard s its boundary.
func (h *Hub) moveTo(s core.ShardID) {
	sh := &h.shards[s]
	sh.shownSeq, sh.shownMS, sh.shownHolder = h.follower.Heads[s], sh.headMS, h.follower.Holders[s]
	sh.jumped = 0
	sh.crcKnown = false
	sh.catchUps.forget()
}

// forgetTouched unmarks what was touched since the boundary.
func (sh *shard) forgetTouched() {
	if sh.touched != nil {
		sh.touched.drain(func(uint32) {})
	}
}

// tenths is a batch's unit of time: a byte of its header says up to 12.7 s.
func tenths(ms int64) uint64 { return uint64(ms) / 100 }

// encode writes the frames of every shard that changed since the last boundary,
// once per class, and moves the boundary. It returns nil when nothing changed.
//
// Ownership: the buffers are new in each tick, because sockets may still hold
// the last one's; they go with the broadcast.
func (h *Hub) encode() *gateway.Broadcast {
	began := time.Now()
	b := &gateway.Broadcast{}
	plain := h.plain.Load() > 0
	for s := range h.shards {
		sh := &h.shards[s]
		checked := h.checkDue(sh)
		if h.follower.Heads[s] != sh.shownSeq && !sh.reload.on {
			h.encodeShard(b, core.ShardID(s), plain)
			b.Active |= 1 << s
		}
		if checked && sh.shownSeq > 0 {
			h.appendCheck(b, core.ShardID(s), plain)
			b.Active |= 1 << s
		}
		b.Off[ClassAll][s+1] = uint32(len(b.Buf[ClassAll]))
		b.Off[ClassRice][s+1] = uint32(len(b.Buf[ClassRice]))
	}
	if b.Active == 0 {
		return nil
	}
	b.From = h.boundary.Load()
	h.setBoundary()
	h.stats.encodeNS.Add(int64(time.Since(began)))
	h.stats.ticks.Add(1)
	return b
}

// encodeShard appends the batch of one shard to the buffers of b and moves the
// shard's boundary.
func (h *Hub) encodeShard(b *gateway.Broadcast, s core.ShardID, plain bool) {
	sh := &h.shards[s]
	canvas := view(h.shown, s)
	h.pixels = h.pixels[:0]
	if sh.touched != nil {
		sh.touched.drain(func(off uint32) {
			if c := h.head.At(s, off); c != h.shown.At(s, off) {
				h.pixels = append(h.pixels, wire.Pixel{Index: index(off, canvas.Width), Color: c})
			}
		})
	}
	batch := wire.Batch{
		Shard:   uint8(s),
		Advance: h.follower.Heads[s] - sh.shownSeq,
		TimeAdv: tenths(sh.headMS) - tenths(sh.shownMS),
	}
	h.payload, batch.Coding, batch.Param = h.encoder.Append(h.payload[:0], canvas, h.pixels, wire.AllCodings)
	b.Buf[ClassAll] = h.appendBatch(b.Buf[ClassAll], batch)
	if plain {
		if batch.Coding != wire.CodingRice {
			h.payload, batch.Param = h.encoder.AppendRice(h.payload[:0], canvas, h.pixels)
			batch.Coding = wire.CodingRice
		}
		b.Buf[ClassRice] = h.appendBatch(b.Buf[ClassRice], batch)
	}
	h.stats.pixels.Add(int64(len(h.pixels)))
	h.stats.events.Add(int64(batch.Advance - sh.jumped))
	canvas.Apply(h.pixels)
	h.moveTo(s)
}

func (h *Hub) appendBatch(dst []byte, batch wire.Batch) []byte {
	batch.Payload = h.payload
	before := len(dst)
	dst = wire.AppendFrame(dst, batch)
	h.stats.batchBytes.Add(int64(len(dst) - before))
	return dst
}

// checkDue reports whether the shard's regular check comes with this tick.
func (h *Hub) checkDue(sh *shard) bool {
	now := h.opt.NowMS()
	if now < sh.nextCheckMS {
		return false
	}
	sh.nextCheckMS = now + h.opt.CheckEach.Milliseconds()
	return true
}

func (h *Hub) appendCheck(b *gateway.Broadcast, s core.ShardID, plain bool) {
	check := h.check(s)
	b.Buf[ClassAll] = wire.AppendFrame(b.Buf[ClassAll], check)
	if plain {
		b.Buf[ClassRice] = wire.AppendFrame(b.Buf[ClassRice], check)
	}
}

// check returns the check of shard s at the boundary.
func (h *Hub) check(s core.ShardID) wire.Check {
	sh := &h.shards[s]
	if !sh.crcKnown {
		sh.crc, h.packed = h.shown.Checksum(s, h.packed)
		sh.crcKnown = true
	}
	return wire.Check{Shard: uint8(s), Seq: sh.shownSeq, CRC: sh.crc}
}

// trimRings forgets events that are too old or too many: whoever is further
// behind than that fetches the canvas.
func (h *Hub) trimRings(nowMS int64) {
	for s := range h.shards {
		r := &h.shards[s].ring
		for {
			oldest, ok := r.oldestMS()
			if !ok || nowMS-oldest <= h.opt.RingAge.Milliseconds() {
				break
			}
			h.ringBytes -= r.drop()
		}
	}
	for h.ringBytes > h.opt.RingBytes {
		oldest, at := int64(0), -1
		for s := range h.shards {
			if ms, ok := h.shards[s].ring.oldestMS(); ok && (at < 0 || ms < oldest) {
				oldest, at = ms, s
			}
		}
		if at < 0 {
			return // one block a shard is the least there is
		}
		h.ringBytes -= h.shards[at].ring.drop()
	}
}
