package redis

import (
	"sync"
	"sync/atomic"
	"time"

	"pixelwall/core"
)

const (
	// batchSize is how many placements go to Redis at once: 128 hold it up for less
	// than 0.2 ms.
	batchSize = 128
	// pendingMax bounds a shard's queue; beyond it placements are refused.
	pendingMax = 1 << 15
	retryEvery = 25 * time.Millisecond
)

// A queue is one shard's placements, of which one batch is with Redis. What comes
// meanwhile is the next batch.
type queue struct {
	c     *Client
	shard core.ShardID

	mu        sync.Mutex // protects pending, running and unarmedAt
	pending   []*item
	running   bool
	unarmedAt time.Time // since when the shard is known to be armed by nobody

	heard atomic.Uint32 // the highest fence that the log has told of

	// Of the goroutine that runs.
	epoch uint32 // the highest fence that we have seen
	buf   []byte
}

// closedFor tells why q takes nothing just now.
func (q *queue) closedFor() *core.Error {
	if !q.c.breakers[q.shard].closed() {
		return unavailable(errDown)
	}
	return nil
}

// add queues items and starts the queue where it rests.
func (q *queue) add(items []*item) {
	q.mu.Lock()
	room := min(len(items), pendingMax-len(q.pending))
	q.pending = append(q.pending, items[:room]...)
	start := !q.running && len(q.pending) > 0
	q.running = q.running || start
	q.mu.Unlock()
	for _, it := range items[room:] {
		q.refuse(it, &core.Error{Code: core.CodeTooMany, Msg: "too many placements wait for the shard", RetryAfter: retryAfter})
	}
	if start {
		q.run()
	}
}

// run serves the queue in a goroutine until it is empty.
func (q *queue) run() {
	serve := func(settle func([]*item)) {
		for batch := q.take(); batch != nil; batch = q.take() {
			settle(batch)
		}
	}
	if !q.c.start(func() { serve(q.settle) }) {
		serve(q.abandon) // the client is closed
	}
}

// take returns the next batch, nil when the queue rests from here on.
func (q *queue) take() []*item {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(batchSize, len(q.pending))
	if n == 0 {
		q.running = false
		return nil
	}
	batch := append([]*item(nil), q.pending[:n]...)
	rest := copy(q.pending, q.pending[n:])
	clear(q.pending[rest:])
	q.pending = q.pending[:rest]
	return batch
}

// refuseWaiting refuses what was not in any batch yet.
func (q *queue) refuseWaiting(err *core.Error) {
	q.mu.Lock()
	waiting := q.pending
	q.pending = nil
	q.mu.Unlock()
	for _, it := range waiting {
		q.refuse(it, err)
	}
}

// refuse tells it's caller that it is not stored, and takes its charge back.
func (q *queue) refuse(it *item, err *core.Error) {
	it.out = core.Outcome{Err: err, Allowance: it.charge.allowance}
	q.c.charger.refund(it)
	it.finish()
}

// abandon ends a batch whose outcome nobody will learn any more.
func (q *queue) abandon(batch []*item) {
	for _, it := range batch {
		if it.sent {
			it.out = core.Outcome{Unknown: true, Err: unavailable(errNoAnswer), Allowance: it.charge.allowance}
			q.c.stats.unknown.Add(1)
			it.finish()
			continue
		}
		q.refuse(it, unavailable(errDown))
	}
}
