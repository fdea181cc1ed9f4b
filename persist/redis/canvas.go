package redis

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"pixelwall/core"
	"pixelwall/persist"
)

const (
	// A frozen Redis sends no invalidation, so a pointer is believed for so long at most.
	pointerTTL = 2 * time.Second
	// A copy never changes; Redis caps this at the time that it still keeps the copy.
	copyTTL      = 10 * time.Minute
	pointerBytes = 36
)

// Canvas is the published canvas, as the client's cache of Redis has it. Who wants
// it while Redis does not answer takes it from elsewhere.
type Canvas struct {
	c       *Client
	breaker *breaker

	mu   sync.Mutex // protects seen; never held while Redis is asked
	seen [core.ShardsMax]*published
}

// published is the newest copy of a shard that we know of.
type published struct {
	name   string
	holder core.Holder
	seq    uint64
	timeMS int64
	canvas uint64
	config *core.Config

	packed   []byte        // set once, when it was fetched
	geometry core.Geometry // that it was packed by
}

// Canvas returns the published canvas; there is one.
func (c *Client) Canvas() *Canvas { return c.canvas }

// Heads returns the last seq of each shard in the newest published copies, as
// Snapshot would give them now.
func (v *Canvas) Heads(ctx context.Context) (h core.Heads, err error) {
	newest, _, err := v.pointers(ctx)
	for s, p := range newest {
		if p != nil {
			h[s] = p.seq
		}
	}
	return h, err
}

// Snapshot returns the newest published copies of all shards, each as of its own
// seq. CodeUnavailable while Redis cannot be asked or lacks one of them.
//
// Ownership: the bytes of the shards belong to v, callers only read them.
func (v *Canvas) Snapshot(ctx context.Context) (*core.Snapshot, error) {
	newest, config, err := v.pointers(ctx)
	if err != nil {
		return nil, err
	}
	g := config.Geometry()
	if err := v.fetch(ctx, &newest, g); err != nil {
		return nil, err
	}
	snap := &core.Snapshot{Config: *config}
	snap.Config.Palette = append(core.Palette(nil), config.Palette...)
	for _, s := range g.Shards() {
		p := newest[s]
		if snap.Canvas != 0 && snap.Canvas != p.canvas {
			return nil, unavailable(fmt.Errorf("shard %d is of canvas %016x, others of %016x", s, p.canvas, snap.Canvas))
		}
		snap.Canvas, snap.Heads[s], snap.Holders[s], snap.Times[s] = p.canvas, p.seq, p.holder, p.timeMS
		snap.TimeMS = max(snap.TimeMS, p.timeMS)
		snap.Shards[s] = p.packed
	}
	return snap, nil
}

func (v *Canvas) run(ctx context.Context, f func(context.Context, rueidis.Client) error) error {
	return v.breaker.run(func() error { return v.c.link.with(ctx, f) })
}

// pointers returns what is the newest copy of each shard, and the newest
// configuration among them.
func (v *Canvas) pointers(ctx context.Context) (newest [core.ShardsMax]*published, config *core.Config, err error) {
	known, err := v.c.configOf(ctx, 0)
	if err != nil {
		return newest, nil, err
	}
	for {
		shards := known.Geometry().Shards()
		if err := v.readPointers(ctx, shards, &newest); err != nil {
			return newest, nil, err
		}
		config = known
		for _, s := range shards {
			if newest[s].config.Version > config.Version {
				config = newest[s].config
			}
		}
		if len(config.Geometry().Shards()) == len(shards) {
			return newest, config, nil
		}
		known = config // it grew: once more with the new shards
	}
}

func (v *Canvas) readPointers(ctx context.Context, shards []core.ShardID, newest *[core.ShardsMax]*published) error {
	texts, err := v.cached(ctx, shards, pointerTTL, func(r rueidis.Client, s core.ShardID) rueidis.Cacheable {
		return r.B().Get().Key(v.c.keys[s].latest).Cache()
	})
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for i, s := range shards {
		if newest[s], err = v.newer(s, texts[i]); err != nil {
			return err
		}
	}
	return nil
}

// newer returns the copy that a pointer names, or the one that we have seen if
// that is newer: a replica or a cache may be behind, the canvas never goes back.
func (v *Canvas) newer(s core.ShardID, text string) (*published, error) {
	seen := v.seen[s]
	if len(text) < pointerBytes {
		return nil, &core.Error{Code: core.CodeMalformed, Msg: fmt.Sprintf("the pointer to shard %d in Redis", s)}
	}
	b := []byte(text)
	if seen != nil && seen.name == text[:8] {
		return seen, nil
	}
	p := &published{
		name: text[:8], holder: core.Holder{Epoch: binary.LittleEndian.Uint32(b[8:]), Relay: binary.LittleEndian.Uint64(b[12:])},
		seq: binary.LittleEndian.Uint64(b[20:]), timeMS: int64(binary.LittleEndian.Uint64(b[28:])),
	}
	if seen != nil && (p.holder.Epoch < seen.holder.Epoch || p.holder.Epoch == seen.holder.Epoch && p.seq < seen.seq) {
		return seen, nil
	}
	var err error
	if p.canvas, p.config, err = decodePointed(b[pointerBytes:]); err != nil {
		return nil, &core.Error{Code: core.CodeMalformed, Msg: fmt.Sprintf("the pointer to shard %d in Redis", s), Err: err}
	}
	if seen != nil && seen.seq == p.seq && seen.holder == p.holder {
		p.packed, p.geometry = seen.packed, seen.geometry // the same copy, made again before it expired
	}
	v.seen[s] = p
	return p, nil
}

// decodePointed reads canvas (8) and the configuration.
func decodePointed(b []byte) (canvas uint64, config *core.Config, err error) {
	if len(b) < 8 {
		return 0, nil, errEntry
	}
	config, err = persist.DecodeConfig(b[8:])
	return binary.LittleEndian.Uint64(b), config, err
}

// fetch fills in the pixels that we do not have.
func (v *Canvas) fetch(ctx context.Context, newest *[core.ShardsMax]*published, g core.Geometry) error {
	var lack []core.ShardID
	v.mu.Lock()
	for _, s := range g.Shards() {
		if p := newest[s]; p.packed == nil || p.geometry != g {
			lack = append(lack, s)
		}
	}
	v.mu.Unlock()
	if len(lack) == 0 {
		return nil
	}
	texts, err := v.cached(ctx, lack, copyTTL, func(r rueidis.Client, s core.ShardID) rueidis.Cacheable {
		return r.B().Get().Key(v.c.keys[s].copyKey(newest[s].name)).Cache()
	})
	if err != nil {
		return err
	}
	for i, s := range lack {
		if len(texts[i]) != core.ShardPixels*int(g.Bits)/8 {
			return &core.Error{Code: core.CodeMalformed, Msg: fmt.Sprintf("the copy of shard %d in Redis has %d bytes", s, len(texts[i]))}
		}
		// Others may have p, so it is replaced and not changed.
		p := *newest[s]
		p.packed, p.geometry = pack(g, s, []byte(texts[i])), g
		newest[s] = &p
		v.mu.Lock()
		if v.seen[s].name == p.name {
			v.seen[s] = &p
		}
		v.mu.Unlock()
	}
	return nil
}

// cached reads one value of each shard through the client's cache. Several
// callers that miss the same key wait for one GET.
func (v *Canvas) cached(ctx context.Context, shards []core.ShardID, ttl time.Duration, build func(rueidis.Client, core.ShardID) rueidis.Cacheable) ([]string, error) {
	texts := make([]string, len(shards))
	err := v.run(ctx, func(ctx context.Context, r rueidis.Client) error {
		cmds := make([]rueidis.CacheableTTL, len(shards))
		for i, s := range shards {
			cmds[i] = rueidis.CT(build(r, s), ttl)
		}
		for i, m := range r.DoMultiCache(ctx, cmds...) {
			text, err := m.ToString()
			if err != nil && !rueidis.IsRedisNil(err) {
				return err
			}
			texts[i] = text
		}
		return nil
	})
	if err != nil {
		return nil, unavailable(err)
	}
	for i, text := range texts {
		if text == "" {
			return nil, unavailable(fmt.Errorf("shard %d is not published", shards[i]))
		}
	}
	return texts, nil
}
