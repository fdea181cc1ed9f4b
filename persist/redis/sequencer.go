package redis

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"pixelwall/core"
	"pixelwall/persist"
)

// Sequencer implements core.Sequencer. Each shard decides by itself, so a request
// belongs to one shard: under another shard it is another request.
type Sequencer struct {
	c      *Client
	queues [core.ShardsMax]*queue
}

// Sequencer returns c's sequencer; there is one.
func (c *Client) Sequencer() *Sequencer { return c.sequencer }

func newSequencer(c *Client) *Sequencer {
	s := &Sequencer{c: c}
	for i := range s.queues {
		s.queues[i] = &queue{c: c, shard: core.ShardID(i)}
	}
	return s
}

// An item is a placement on its way.
type item struct {
	p      core.Placement
	out    core.Outcome
	charge charge
	asked  *core.Error // it cannot be stored, for this reason; only what it was is asked for
	judged uint32      // version of the configuration that says so
	call   *call
	first  time.Time // when it came to the queue
	sent   bool      // in a batch without an answer: it may be stored
}

// A call is one Place.
type call struct {
	left atomic.Int64
	done chan struct{}
}

func (it *item) finish() {
	if it.call.left.Add(-1) == 0 {
		close(it.call.done)
	}
}

// Place implements core.Sequencer. It returns when all of ps are decided: one
// shard that is taken over holds the others of the same call, not other calls.
func (s *Sequencer) Place(ctx context.Context, ps []core.Placement, out []core.Outcome) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if len(ps) == 0 {
		return nil
	}
	items, all := make([]item, len(ps)), make([]*item, len(ps))
	cl := &call{done: make(chan struct{})}
	cl.left.Store(int64(len(ps)))
	for i := range items {
		items[i].p, items[i].call, all[i] = ps[i], cl, &items[i]
		s.admit(ctx, &items[i])
	}
	s.c.charger.take(s.c.ctx, all)
	s.enqueue(all)
	select {
	case <-cl.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	for i := range items {
		out[i] = items[i].out
	}
	return nil
}

// admit judges it. What is decided at once has an Err afterwards.
func (s *Sequencer) admit(ctx context.Context, it *item) {
	if it.p.Shard >= core.ShardsMax {
		it.out.Err = core.NewError(core.CodeUnknownShard, fmt.Sprintf("the canvas has no shard %d", it.p.Shard))
		return
	}
	q := s.queues[it.p.Shard]
	if err := q.closedFor(); err != nil {
		it.out.Err = err
		return
	}
	config, err := s.c.configOf(ctx, it.p.Shard)
	if err != nil {
		it.out.Err = unavailable(err)
		return
	}
	it.asked, it.judged = config.Judge(&it.p), config.Version
	if it.asked != nil && it.asked.Code == core.CodeUnknownShard {
		it.out.Err = it.asked // there is nothing to ask
	}
}

// Armed tells that the log has shard s armed under epoch. A master that does not know
// of that was deposed: what it acknowledges is in nobody's log, so the queue of the
// shard takes no answer of it, and another one is looked for.
func (s *Sequencer) Armed(shard core.ShardID, epoch uint32) {
	heard := &s.queues[shard].heard
	for was := heard.Load(); epoch > was; was = heard.Load() {
		if heard.CompareAndSwap(was, epoch) {
			s.c.link.look()
		}
	}
}

// enqueue brings items to the queues of their shards, in order.
func (s *Sequencer) enqueue(items []*item) {
	now := time.Now()
	groups := make(map[core.ShardID][]*item)
	for _, it := range items {
		if it.out.Err != nil {
			it.finish()
			continue
		}
		it.first = now
		groups[it.p.Shard] = append(groups[it.p.Shard], it)
	}
	for shard, group := range groups {
		s.queues[shard].add(group)
	}
}

// Configure implements core.Sequencer. A shard that was never built is left to
// its relay. When it is CodeUnavailable, some shards may have c: call it again.
func (s *Sequencer) Configure(ctx context.Context, c core.Config) error {
	built, err := s.follows(ctx, &c)
	if err != nil {
		return err
	}
	return s.configure(ctx, built, &c)
}

// follows returns the shards that are built, shard 0 first, when c follows what
// they have.
func (s *Sequencer) follows(ctx context.Context, c *core.Config) (built []core.ShardID, err error) {
	behind, newest := false, uint32(0)
	for _, shard := range c.Geometry().Shards() {
		present, err := s.c.readConfig(ctx, shard)
		switch {
		case err != nil:
			return nil, err
		case present == nil && shard == 0:
			return nil, core.NewError(core.CodeUnavailable, "there is no canvas yet")
		case present == nil:
			continue
		case present.Version < c.Version:
			behind = true
			if err := c.Follows(present); err != nil {
				return nil, err
			}
		case present.Version == c.Version && !sameConfig(present, c):
			return nil, anotherConfig(shard, present)
		}
		built, newest = append(built, shard), max(newest, present.Version)
	}
	if !behind {
		return nil, core.NewError(core.CodeMismatch, fmt.Sprintf("configuration version %d does not follow %d", c.Version, newest))
	}
	return built, nil
}

// configure gives c to shards. Of two changes at the same moment the one that comes
// to the first of them first counts, and the other one ends there: it must not get
// to a later one before the first.
func (s *Sequencer) configure(ctx context.Context, shards []core.ShardID, c *core.Config) error {
	for _, shard := range shards {
		if err := s.c.Outbox().Configure(ctx, shard, c); err != nil {
			return err
		}
		present, err := s.c.reloadConfig(ctx, shard)
		if err != nil {
			return err
		}
		if !sameConfig(present, c) {
			return anotherConfig(shard, present)
		}
	}
	return nil
}

func anotherConfig(shard core.ShardID, c *core.Config) error {
	return core.NewError(core.CodeMismatch, fmt.Sprintf("shard %d has another configuration of version %d", shard, c.Version))
}

func sameConfig(a, b *core.Config) bool {
	return string(persist.AppendConfig(nil, a)) == string(persist.AppendConfig(nil, b))
}
