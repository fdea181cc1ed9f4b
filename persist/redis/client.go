package redis

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"pixelwall/core"
)

// A Client is this process's way to Redis: Outbox, Stream, Sequencer, Cooldowns
// and Canvas stand on it. It may be used concurrently.
type Client struct {
	opts    Options
	link    *link
	limiter *link // link itself, or the cooldowns' own
	keys    [core.ShardsMax]shardKeys

	breakers       [core.ShardsMax]*breaker
	limiterBreaker *breaker

	ctx   context.Context // ends with Close
	end   context.CancelFunc
	mu    sync.Mutex // protects parts against a Close meanwhile
	parts sync.WaitGroup
	links sync.WaitGroup     // which the parts use to their end
	cut   context.CancelFunc // ends the links

	configs   configs
	charger   *charger
	sequencer *Sequencer
	canvas    *Canvas
	stats     counters
}

type counters struct {
	batches, placements, repeats           atomic.Int64
	ambiguous, unfenced, reconfigured      atomic.Int64
	unknown                                atomic.Int64
	refunds, refundsDropped, failOpenGrant atomic.Int64
}

// Stats is what a Client did since it was opened.
type Stats struct {
	Batches       int64 // calls of place that were answered
	Placements    int64 // placements stored
	Repeats       int64 // placements that were stored before
	Ambiguous     int64 // batches without an answer, which were sent again
	Unfenced      int64 // batches that came to a shard without the fence they named
	Reconfigured  int64 // batches that were judged again under a newer configuration
	Unknown       int64 // placements whose outcome stayed unknown
	Refunds       int64 // charges taken back
	RefundsLost   int64 // charges that should have been taken back
	FailOpen      int64 // placements granted by memory, because the limiter was down
	BreakersOpen  int   // shards whose breaker is open just now
	Openings      int64 // times that a shard's breaker opened
	LimiterOpen   bool
	Invalidations int64 // keys that Redis took out of the client's cache
}

// Open returns a client. Redis need not be there: it is tried until Close, and
// everything is CodeUnavailable meanwhile. The first try has been made when Open
// returns, or ctx has ended.
func Open(ctx context.Context, o Options) (*Client, error) {
	o.ensureDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	c := &Client{opts: o, keys: makeKeys(o.Prefix)}
	c.ctx, c.end = context.WithCancel(context.WithoutCancel(ctx))
	c.link = newLink(&c.opts, o.Addrs)
	links := []*link{c.link}
	if c.limiter = c.link; o.Limiter != nil {
		c.limiter = newLink(&c.opts, o.Limiter)
		links = append(links, c.limiter)
	}
	for s := range c.breakers {
		c.breakers[s] = c.newBreaker(c.link, c.keys[s].meta)
	}
	c.limiterBreaker = c.newBreaker(c.limiter, c.opts.Prefix+":cd")
	c.canvas = &Canvas{c: c, breaker: c.newBreaker(c.link, c.keys[0].latest)}
	c.charger = newCharger(c)
	c.sequencer = newSequencer(c)
	c.start(func() { c.charger.refundAll(c.ctx) })
	c.start(c.listen)
	linked, cut := context.WithCancel(context.WithoutCancel(ctx))
	c.cut = cut
	for _, l := range links {
		c.links.Go(func() { l.keep(linked) })
	}
	for _, l := range links {
		select {
		case <-l.tried:
		case <-ctx.Done():
		}
	}
	return c, nil
}

// listen asks the servers once a second whether they answer, so that an edge at
// which nobody paints knows it too.
func (c *Client) listen() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		_ = c.canvas.breaker.run(func() error { return c.exists(c.ctx, c.link, c.keys[0].latest) })
		if c.limiter != c.link {
			_ = c.limiterBreaker.run(func() error { return c.exists(c.ctx, c.limiter, c.opts.Prefix+":cd") })
		}
	}
}

func (c *Client) exists(ctx context.Context, l *link, key string) error {
	return l.with(ctx, func(ctx context.Context, r rueidis.Client) error {
		return r.Do(ctx, r.B().Exists().Key(key).Build()).Error()
	})
}

// newBreaker returns a breaker that asks the server of key whether it answers.
func (c *Client) newBreaker(l *link, key string) *breaker {
	return newBreaker(c.ctx, &c.opts, func(ctx context.Context) error { return c.exists(ctx, l, key) }, c.start)
}

// start runs f in a goroutine that Close waits for, and reports whether c was open.
func (c *Client) start(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return false
	}
	c.parts.Go(f)
	return true
}

// Close ends everything that stands on c. What waits for an answer fails.
func (c *Client) Close() error {
	c.mu.Lock()
	c.end()
	c.mu.Unlock()
	c.parts.Wait()
	c.charger.refundRest()
	c.cut()
	c.links.Wait()
	return nil
}

// do runs one command of shard s behind its breaker.
func (c *Client) do(ctx context.Context, s core.ShardID, build func(rueidis.Client) rueidis.Completed) (m rueidis.RedisMessage, err error) {
	if s >= core.ShardsMax {
		return m, core.NewError(core.CodeUnknownShard, fmt.Sprintf("there is no shard %d", s))
	}
	err = c.breakers[s].run(func() error {
		return c.link.with(ctx, func(ctx context.Context, r rueidis.Client) error {
			m, err = r.Do(ctx, build(r)).ToMessage()
			return err
		})
	})
	return m, err
}

// Health says in one word and a reason whether placements can be taken, as far as
// the last commands told: "ok", "degraded: ..." or "down: ...".
func (c *Client) Health() string {
	st := c.Stats()
	r, err := c.link.get()
	switch {
	case err != nil:
		return "down: never reached"
	case !c.canvas.breaker.closed() && r.Mode() != rueidis.ClientModeCluster:
		return "down: no answer"
	case !c.canvas.breaker.closed():
		return "degraded: no answer for the canvas"
	case st.BreakersOpen > 0:
		return fmt.Sprintf("degraded: no answer for %d shards", st.BreakersOpen)
	case st.LimiterOpen:
		return "degraded: cooldowns are kept in memory"
	}
	return "ok"
}

// Stats returns the counters.
func (c *Client) Stats() Stats {
	n := &c.stats
	st := Stats{
		Batches: n.batches.Load(), Placements: n.placements.Load(), Repeats: n.repeats.Load(), Ambiguous: n.ambiguous.Load(),
		Unfenced: n.unfenced.Load(), Reconfigured: n.reconfigured.Load(), Unknown: n.unknown.Load(), Refunds: n.refunds.Load(),
		RefundsLost: n.refundsDropped.Load(), FailOpen: n.failOpenGrant.Load(), Invalidations: c.link.invalidations.Load(),
		LimiterOpen: !c.limiterBreaker.closed(),
	}
	for _, b := range c.breakers {
		st.Openings += b.openings.Load()
		if !b.closed() {
			st.BreakersOpen++
		}
	}
	return st
}
