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
// same name. While Redis does not answer, or nobody publishes, it is this edge's own board.
type pictures struct {
	hub    *fanout.Hub
	canvas *redis.Canvas

	published, board atomic.Int64 // snapshots taken from each

	mu    sync.Mutex                // protects following
	heads core.Heads                // of the published canvas
	since [core.ShardsMax]time.Time // when they were first found behind the board's; zero: they are not
}

// picturesTimeout bounds how long a request waits for Redis before the board is
// served.
const picturesTimeout = 500 * time.Millisecond

// staleAfter is how long a published copy may lag behind the board without moving.
// A shard that nobody has armed is not published; its copy would grow older than what
// an edge remembers, and clients would fetch it again and again.
const staleAfter = 5 * time.Second

func newPictures(h *fanout.Hub, c *redis.Canvas) *pictures { return &pictures{hub: h, canvas: c} }

// stale reports whether published, the heads of the published canvas, stand still
// while the board goes on.
func (p *pictures) stale(published *core.Heads) bool {
	board, now := p.hub.Heads(), time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	stale := false
	for s, seq := range published {
		switch {
		case seq >= board[s]:
			p.since[s] = time.Time{}
		case p.since[s].IsZero() || seq != p.heads[s]:
			p.heads[s], p.since[s] = seq, now
		default:
			stale = stale || now.Sub(p.since[s]) >= staleAfter
		}
	}
	return stale
}

// Config implements api.Canvas.
func (p *pictures) Config() *core.Config { return p.hub.Config() }

// Heads implements api.Canvas.
func (p *pictures) Heads() core.Heads {
	ctx, cancel := context.WithTimeout(context.Background(), picturesTimeout)
	defer cancel()
	heads, err := p.canvas.Heads(ctx)
	if err != nil || p.stale(&heads) {
		return p.hub.Heads()
	}
	return heads
}

// Snapshot implements api.Canvas.
func (p *pictures) Snapshot() *core.Snapshot {
	ctx, cancel := context.WithTimeout(context.Background(), picturesTimeout)
	defer cancel()
	s, err := p.canvas.Snapshot(ctx)
	if err != nil || p.stale(&s.Heads) {
		p.board.Add(1)
		return p.hub.Snapshot()
	}
	p.published.Add(1)
	return s
}

// Resets implements api.Resetter.
func (p *pictures) Resets() uint64 { return p.hub.Resets() }
