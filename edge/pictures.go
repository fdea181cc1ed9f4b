package main

import (
	"context"
	"sync/atomic"
	"time"

	"pixelwall/core"
	"pixelwall/edge/fanout"
	"pixelwall/persist/redis"
)

// pictures is the canvas that the edges of a cluster serve over HTTP: the copy
// that is published in Redis, so that every origin has the same bytes under the
// same name. While Redis does not answer it is this edge's own board.
type pictures struct {
	hub    *fanout.Hub
	canvas *redis.Canvas

	published, board atomic.Int64 // snapshots taken from each
}

// picturesTimeout bounds how long a request waits for Redis before the board is
// served.
const picturesTimeout = 500 * time.Millisecond

func newPictures(h *fanout.Hub, c *redis.Canvas) *pictures { return &pictures{hub: h, canvas: c} }

// Config implements api.Canvas.
func (p *pictures) Config() *core.Config { return p.hub.Config() }

// Heads implements api.Canvas.
func (p *pictures) Heads() core.Heads {
	ctx, cancel := context.WithTimeout(context.Background(), picturesTimeout)
	defer cancel()
	heads, err := p.canvas.Heads(ctx)
	if err != nil {
		return p.hub.Heads()
	}
	return heads
}

// Snapshot implements api.Canvas.
func (p *pictures) Snapshot() *core.Snapshot {
	ctx, cancel := context.WithTimeout(context.Background(), picturesTimeout)
	defer cancel()
	s, err := p.canvas.Snapshot(ctx)
	if err != nil {
		p.board.Add(1)
		return p.hub.Snapshot()
	}
	p.published.Add(1)
	return s
}

// Resets implements api.Resetter.
func (p *pictures) Resets() uint64 { return p.hub.Resets() }
