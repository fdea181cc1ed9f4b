package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"pixelwall/core"
	"pixelwall/edge/fanout"
	"pixelwall/persist/redis"
)

// pictures is the canvas that the edges of a cluster serve over HTTP: the copy
// that is published in Redis, so that every origin has the same bytes under the
// same name. While Redis does not answer, or nobody publishes, or this edge is behind
// what is published, it is this edge's own board.
type pictures struct {
	hub    *fanout.Hub
	canvas *redis.Canvas

	published, board atomic.Int64 // snapshots taken from each

	mu    sync.Mutex           // protects following
	stale [core.ShardsMax]rift // the published canvas is behind the board
	ahead [core.ShardsMax]rift // the board is behind the published canvas
}

// A rift is where one was at a time when another one was behind it.
type rift struct {
	ahead uint64
	since time.Time
}

// lasts reports whether behind has not come to where ahead was, for apartAfter.
func (r *rift) lasts(behind, ahead uint64, now time.Time) bool {
	if behind >= r.ahead {
		*r = rift{ahead, now}
	}
	return behind < r.ahead && now.Sub(r.since) >= apartAfter
}

// picturesTimeout bounds how long a request waits for Redis before the board is
// served.
const picturesTimeout = 500 * time.Millisecond

// apartAfter is how long a published copy and the board may stay apart. A shard that
// nobody has armed is not published: its copy would grow older than what an edge
// remembers. And who fetched a copy from ahead of its edge's board would wait there for
// what does not come. In both cases clients would fetch again and again.
const apartAfter = 5 * time.Second

func newPictures(h *fanout.Hub, c *redis.Canvas) *pictures { return &pictures{hub: h, canvas: c} }

// apart reports whether published, the heads of the published canvas, and the board
// have not come together for apartAfter.
func (p *pictures) apart(published *core.Heads) bool {
	board, now := p.hub.Heads(), time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	apart := false
	for s, seq := range published {
		stale, ahead := p.stale[s].lasts(seq, board[s], now), p.ahead[s].lasts(board[s], seq, now)
		apart = apart || stale || ahead
	}
	return apart
}

// Config implements api.Canvas.
func (p *pictures) Config() *core.Config { return p.hub.Config() }

// Heads implements api.Canvas.
func (p *pictures) Heads() core.Heads {
	ctx, cancel := context.WithTimeout(context.Background(), picturesTimeout)
	defer cancel()
	heads, err := p.canvas.Heads(ctx)
	if err != nil || p.apart(&heads) {
		return p.hub.Heads()
	}
	return heads
}

// Snapshot implements api.Canvas.
func (p *pictures) Snapshot() *core.Snapshot {
	ctx, cancel := context.WithTimeout(context.Background(), picturesTimeout)
	defer cancel()
	s, err := p.canvas.Snapshot(ctx)
	if err != nil || p.apart(&s.Heads) {
		p.board.Add(1)
		return p.hub.Snapshot()
	}
	p.published.Add(1)
	return s
}

// Resets implements api.Resetter.
func (p *pictures) Resets() uint64 { return p.hub.Resets() }
