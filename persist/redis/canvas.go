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

// A Canvas reads the copies that are published of the canvas, through the cache
// of the connection: a pointer a shard, which Redis takes back when it moves, and
// the immutable copy that it names. However many ask, a copy is fetched once.
type Canvas struct{ c *Client }

// Canvas returns the published canvas.
func (c *Client) Canvas() *Canvas { return &Canvas{c} }

const (
	// pointerTTL bounds how old a pointer is believed when Redis is frozen, and
	// says nothing.
	pointerTTL = 2 * time.Second
	// copyTTL is above how long Redis keeps a copy.
	copyTTL = 2 * time.Minute
)

// A pointer says what a published copy is; see publish in library.lua.
type pointer struct {
	name   string
	holder core.Holder
	seq    uint64
	timeMS int64
	config *core.Config
}

func parsePointer(b []byte) (p pointer, err error) {
	const head = 36
	if len(b) < head {
		return p, core.NewError(core.CodeMalformed, "a pointer to a published copy is too short")
	}
	le := binary.LittleEndian
	p.name = string(b[:8])
	p.holder = core.Holder{Epoch: le.Uint32(b[8:]), Relay: le.Uint64(b[12:])}
	p.seq, p.timeMS = le.Uint64(b[20:]), int64(le.Uint64(b[28:]))
	p.config, err = persist.DecodeConfig(b[head:])
	return p, err
}

// newestPointers are the highest that this process has seen. A lower one comes
// from a server that was put back, and is not believed.
type newestPointers struct {
	mu     sync.Mutex
	shards [core.ShardsMax]pointer
}

func (n *newestPointers) higher(s core.ShardID, p pointer) pointer {
	n.mu.Lock()
	defer n.mu.Unlock()
	if have := &n.shards[s]; p.holder.Epoch > have.holder.Epoch || p.holder.Epoch == have.holder.Epoch && p.seq >= have.seq {
		n.shards[s] = p
	}
	return n.shards[s]
}

// Heads returns the seq of each published copy. CodeUnavailable when a shard has
// none, or Redis does not answer.
func (v *Canvas) Heads(ctx context.Context) (heads core.Heads, err error) {
	pointers, _, err := v.pointers(ctx)
	for s, p := range pointers {
		heads[s] = p.seq
	}
	return heads, err
}

// Snapshot returns the canvas as it is published, each shard at its own moment.
//
// Ownership: the snapshot is the caller's.
func (v *Canvas) Snapshot(ctx context.Context) (*core.Snapshot, error) {
	pointers, config, err := v.pointers(ctx)
	if err != nil {
		return nil, err
	}
	stand, err := v.c.stand(ctx, 0)
	if err != nil {
		return nil, err
	}
	snap := &core.Snapshot{Canvas: stand.Canvas, Config: *config}
	geo := config.Geometry()
	shards := geo.Shards()
	commands := make([]rueidis.CacheableTTL, 0, len(shards))
	blobs, err := v.cached(ctx, func(r rueidis.Client) []rueidis.CacheableTTL {
		for _, s := range shards {
			commands = append(commands, rueidis.CT(r.B().Get().Key(v.c.keys[s].copyKey(pointers[s].name)).Cache(), copyTTL))
		}
		return commands
	})
	if err != nil {
		return nil, err
	}
	for i, s := range shards {
		p := pointers[s]
		if len(blobs[i]) != core.ShardPixels*int(geo.Bits)/8 {
			return nil, core.NewError(core.CodeMalformed, fmt.Sprintf("the published copy of shard %d has %d bytes", s, len(blobs[i])))
		}
		snap.Heads[s], snap.Holders[s], snap.Times[s] = p.seq, p.holder, p.timeMS
		snap.TimeMS = max(snap.TimeMS, p.timeMS)
		snap.Shards[s] = pack(geo, s, blobs[i])
	}
	return snap, nil
}

// pointers returns the pointer of every shard, and the configuration that all of
// them have. While a change of it is on its way, the older one counts.
func (v *Canvas) pointers(ctx context.Context) (pointers [core.ShardsMax]pointer, config *core.Config, err error) {
	newest := v.c.configs.newest.Load()
	if newest == nil {
		if newest, err = v.c.reloadConfig(ctx, 0); err != nil {
			return pointers, nil, err
		}
	}
	shards := newest.Geometry().Shards()
	values, err := v.cached(ctx, func(r rueidis.Client) (commands []rueidis.CacheableTTL) {
		for _, s := range shards {
			commands = append(commands, rueidis.CT(r.B().Get().Key(v.c.keys[s].latest).Cache(), pointerTTL))
		}
		return commands
	})
	if err != nil {
		return pointers, nil, err
	}
	for i, s := range shards {
		p, err := parsePointer(values[i])
		if err != nil {
			return pointers, nil, err
		}
		p = v.c.published.higher(s, p)
		pointers[s] = p
		if config == nil || p.config.Version < config.Version {
			config = p.config
		}
		v.c.configs.sawConfig(p.config)
	}
	return pointers, config, nil
}

// cached asks for values that must all be there, through the client's cache.
func (v *Canvas) cached(ctx context.Context, build func(rueidis.Client) []rueidis.CacheableTTL) (values [][]byte, err error) {
	err = v.c.breakers[0].run(func() error {
		return v.c.link.with(ctx, func(ctx context.Context, r rueidis.Client) error {
			values = values[:0]
			for _, result := range r.DoMultiCache(ctx, build(r)...) {
				b, err := result.AsBytes()
				if err != nil {
					return err
				}
				values = append(values, b)
			}
			return nil
		})
	})
	if rueidis.IsRedisNil(err) {
		return nil, core.NewError(core.CodeUnavailable, "the canvas is not published just now")
	}
	if err != nil {
		return nil, asError(err)
	}
	return values, nil
}
