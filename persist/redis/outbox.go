package redis

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"pixelwall/core"
	"pixelwall/persist"
	"pixelwall/wire"
)

// Outbox implements core.Outbox.
type Outbox struct{ c *Client }

// Outbox returns the relay's and publisher's side of the shards.
func (c *Client) Outbox() *Outbox { return &Outbox{c} }

// Stand implements core.Outbox. It loads the library where it is missing, as on a
// server that is new or was emptied.
func (o *Outbox) Stand(ctx context.Context, s core.ShardID) (core.Stand, error) {
	st, err := o.c.stand(ctx, s)
	if noFunction(err) {
		if err := o.c.load(ctx); err != nil {
			return st, asError(err)
		}
		st, err = o.c.stand(ctx, s)
	}
	return st, asError(err)
}

func (c *Client) stand(ctx context.Context, s core.ShardID) (st core.Stand, err error) {
	if s >= core.ShardsMax {
		return st, core.NewError(core.CodeUnknownShard, fmt.Sprintf("there is no shard %d", s))
	}
	k := &c.keys[s]
	m, err := c.do(ctx, s, func(r rueidis.Client) rueidis.Completed {
		return r.B().FcallRo().Function(fnStand).Numkeys(2).Key(k.meta, k.out).Build()
	})
	if err != nil {
		return st, err
	}
	f, err := m.AsStrSlice()
	if err != nil || len(f) != 10 || len(f[3]) != 8 || len(f[4]) != 8 {
		return st, errors.Join(err, core.NewError(core.CodeMalformed, "Redis gives another stand than we know"))
	}
	return core.Stand{
		Epoch: uint32(number(f[0])), Armed: f[1] == "1", Seq: number(f[2]),
		Relay: binary.LittleEndian.Uint64([]byte(f[3])), Canvas: binary.LittleEndian.Uint64([]byte(f[4])),
		Version: uint32(number(f[5])), Seen: number(f[6]), Bottom: entrySeq(f[8]), Top: entrySeq(f[9]),
	}, nil
}

// number reads what library.lua wrote.
func number(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

// entrySeq reads the last seq from an entry's id.
func entrySeq(id string) uint64 {
	ms, _, _ := strings.Cut(id, "-")
	return number(ms)
}

// Fence implements core.Outbox.
func (o *Outbox) Fence(ctx context.Context, s core.ShardID, epoch uint32) (uint64, error) {
	m, err := o.ask(ctx, s, fnFence, func(k *shardKeys) []string { return []string{k.meta} }, decimal(epoch))
	if err != nil {
		return 0, err
	}
	seq, err := m.ToString()
	return number(seq), asError(err)
}

// call is ask for what answers nothing.
func (o *Outbox) call(ctx context.Context, s core.ShardID, function string, keys func(*shardKeys) []string, args ...string) error {
	_, err := o.ask(ctx, s, function, keys, args...)
	return err
}

// ask is fcall for what a relay does, with its errors.
func (o *Outbox) ask(ctx context.Context, s core.ShardID, function string, keys func(*shardKeys) []string, args ...string) (m rueidis.RedisMessage, err error) {
	if s >= core.ShardsMax {
		return m, core.NewError(core.CodeUnknownShard, fmt.Sprintf("there is no shard %d", s))
	}
	m, err = o.c.fcall(ctx, s, function, keys(&o.c.keys[s]), args...)
	if noFunction(err) {
		if err := o.c.load(ctx); err != nil {
			return m, asError(err)
		}
		m, err = o.c.fcall(ctx, s, function, keys(&o.c.keys[s]), args...)
	}
	return m, asError(err)
}

func bytes8(n uint64) string {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	return string(b[:])
}

// Rebuild implements core.Outbox.
func (o *Outbox) Rebuild(ctx context.Context, s core.ShardID, epoch uint32, b core.Base) error {
	if b.Canvas == 0 || b.Config == nil || len(b.Pixels) != core.ShardPixels*int(b.Config.Bits)/8 {
		return core.NewError(core.CodeInvalid, fmt.Sprintf("a base of %d bytes for shard %d", len(b.Pixels), s))
	}
	config := persist.AppendConfig(nil, b.Config)
	return o.call(ctx, s, fnRebuild, func(k *shardKeys) []string { return []string{k.bmp, k.meta, k.out} },
		decimal(epoch), bytes8(b.Canvas), decimal(b.Config.Version), decimal(b.Config.Bits), string(config),
		string(b.Pixels), decimal(b.TimeMS), string(startBody(s, &b)), string(appendJumps(nil, b.Jumps)))
}

// startBody returns what follows the header of the record that begins a canvas
// with b.
func startBody(s core.ShardID, b *core.Base) []byte {
	r := core.Record{Kind: core.KindStart, Canvas: b.Canvas, Shard: s, Config: b.Config}
	blank := b.Config.Blank
	if b.Config.Bits == 4 {
		blank |= blank << 4
	}
	if len(bytes.TrimRight(b.Pixels, string([]byte{blank}))) > 0 {
		r.Pixels = pack(b.Config.Geometry(), s, b.Pixels)
	}
	return persist.AppendRecord(nil, &r)[wire.RecordHeaderBytes:]
}

// Recall implements core.Outbox.
func (o *Outbox) Recall(ctx context.Context, s core.ShardID, epoch uint32, stored []core.PastEvent) error {
	for len(stored) > 0 {
		n := min(len(stored), batchMax)
		blob := make([]byte, 0, n*recallBytes)
		for i := range stored[:n] {
			blob = appendRecalled(blob, &stored[i])
		}
		err := o.call(ctx, s, fnRecall, func(k *shardKeys) []string { return []string{k.meta, k.requests[0], k.requests[1]} },
			decimal(epoch), string(blob))
		if err != nil {
			return err
		}
		stored = stored[n:]
	}
	return nil
}

// Arm implements core.Outbox.
func (o *Outbox) Arm(ctx context.Context, s core.ShardID, h core.Holder, minSeq, lastOld uint64) error {
	return o.call(ctx, s, fnArm, func(k *shardKeys) []string { return []string{k.meta, k.out, k.requests[0], k.requests[1]} },
		decimal(h.Epoch), bytes8(h.Relay), decimal(uint8(s)), decimal(minSeq), decimal(lastOld))
}

// Configure implements core.Outbox.
func (o *Outbox) Configure(ctx context.Context, s core.ShardID, c *core.Config) error {
	present, err := o.c.readConfig(ctx, s)
	if err != nil {
		return err
	}
	if present == nil {
		return unavailable(errors.New("the shard was never built"))
	}
	if c.Version <= present.Version {
		return nil
	}
	if err := c.Replaces(present); err != nil {
		return err
	}
	return o.call(ctx, s, fnConfigure, func(k *shardKeys) []string { return []string{k.meta, k.out} },
		decimal(c.Version), string(persist.AppendConfig(nil, c)))
}

// Read implements core.Outbox.
func (o *Outbox) Read(ctx context.Context, s core.ShardID, after uint64, limit int, fn func(*core.Record) error) error {
	m, err := o.c.do(ctx, s, func(r rueidis.Client) rueidis.Completed {
		return r.B().Xrange().Key(o.c.keys[s].out).Start(decimal(after + 1)).End("+").Count(int64(limit)).Build()
	})
	if err != nil {
		return asError(err)
	}
	entries, err := m.ToArray()
	if err != nil {
		return asError(err)
	}
	var r core.Record
	for i := range entries {
		if err := decodeEntry(s, &entries[i], &r); err != nil {
			return err
		}
		if err := fn(&r); err != nil {
			return err
		}
	}
	return nil
}

// Trim implements core.Outbox.
func (o *Outbox) Trim(ctx context.Context, s core.ShardID, epoch uint32, seq uint64) error {
	return o.call(ctx, s, fnTrim, func(k *shardKeys) []string { return []string{k.meta, k.out} }, decimal(epoch), decimal(seq))
}

// Report implements core.Outbox.
func (o *Outbox) Report(ctx context.Context, s core.ShardID, seq uint64) error {
	return o.call(ctx, s, fnReport, func(k *shardKeys) []string { return []string{k.meta} }, decimal(seq))
}

// Publish implements core.Outbox. Each copy has a name of its own, so that what a
// reader has cached under it is right for ever.
func (o *Outbox) Publish(ctx context.Context, s core.ShardID) error {
	name := bytes8(rand.Uint64())
	return o.call(ctx, s, fnPublish, func(k *shardKeys) []string { return []string{k.bmp, k.meta, k.latest, k.copyKey(name)} }, name)
}

// readConfig returns the configuration of shard s, nil when it was never built.
func (c *Client) readConfig(ctx context.Context, s core.ShardID) (*core.Config, error) {
	m, err := c.do(ctx, s, func(r rueidis.Client) rueidis.Completed {
		return r.B().Hget().Key(c.keys[s].meta).Field("config").Build()
	})
	if rueidis.IsRedisNil(err) {
		return nil, nil
	}
	if err != nil {
		return nil, asError(err)
	}
	text, err := m.ToString()
	if err != nil {
		return nil, asError(err)
	}
	config, err := persist.DecodeConfig([]byte(text))
	if err != nil {
		return nil, &core.Error{Code: core.CodeMalformed, Msg: fmt.Sprintf("the configuration of shard %d in Redis", s), Err: err}
	}
	return config, nil
}
