package redis

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"pixelwall/core"
	"pixelwall/persist"
)

// Stream is the streams of all shards as a core.Log. Nobody claims in them, so it
// says itself who writes, see persist.WithClaims.
type Stream struct{ c *Client }

// Stream returns the log that the shards' streams are.
func (c *Client) Stream() *Stream { return &Stream{c} }

const (
	entriesMax  = 64 // of one shard in one fetch
	absentEvery = 8  // fetches: how often a shard without a stream is asked for
	pauseAfter  = 200 * time.Millisecond
)

// Heads implements core.Log.
func (st *Stream) Heads(ctx context.Context) (h core.Heads, err error) {
	err = st.c.all(ctx, ^uint64(0), func(r rueidis.Client, s core.ShardID) rueidis.Completed {
		return r.B().Hget().Key(st.c.keys[s].meta).Field("seq").Build()
	}, func(s core.ShardID, m rueidis.RedisResult) error {
		text, err := m.ToString()
		if rueidis.IsRedisNil(err) {
			return nil
		}
		h[s] = number(text)
		return err
	})
	return h, asError(err)
}

// all runs one command for each shard of set in one pipeline. It is not behind
// the shards' breakers: one server that is down does not keep it from the others.
func (c *Client) all(ctx context.Context, set uint64, build func(rueidis.Client, core.ShardID) rueidis.Completed, each func(core.ShardID, rueidis.RedisResult) error) error {
	return c.link.with(ctx, func(ctx context.Context, r rueidis.Client) error {
		cmds := make(rueidis.Commands, 0, core.ShardsMax)
		shards := make([]core.ShardID, 0, core.ShardsMax)
		for s := range core.ShardID(core.ShardsMax) {
			if set>>s&1 == 1 {
				cmds, shards = append(cmds, build(r, s)), append(shards, s)
			}
		}
		for i, m := range r.DoMulti(ctx, cmds...) {
			if err := each(shards[i], m); err != nil {
				return err
			}
		}
		return nil
	})
}

// A tail is one call of Tail.
type tail struct {
	st      *Stream
	at      core.Heads // what fn was given
	checked uint64     // set of shards whose beginning was compared with at
	present uint64     // set of shards that have a stream
	round   int
	record  core.Record
	fn      func(*core.Record) error
	ended   error // what fn failed with, or what the stream cannot give
}

// Tail implements core.Log. While Redis cannot be reached it waits.
func (st *Stream) Tail(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
	t := &tail{st: st, at: from, fn: persist.WithClaims(fn)}
	poll := time.NewTicker(st.c.opts.PollEvery)
	defer poll.Stop()
	warned := ""
	for {
		full, err := t.fetch(ctx)
		if t.ended != nil {
			return t.ended
		}
		if text := errorText(err); text != warned && ctx.Err() == nil {
			if warned = text; err != nil {
				st.c.opts.Logger.Warn("the streams cannot be read; it is tried again", "err", err)
			}
		}
		if err != nil {
			_ = persist.Pause(ctx, pauseAfter)
		}
		if full {
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-st.c.ctx.Done():
			return core.NewError(core.CodeUnavailable, "the store is closed")
		case <-poll.C:
		}
	}
}

// fetch gives fn what is new. full says that there is more.
func (t *tail) fetch(ctx context.Context) (full bool, err error) {
	set := ^uint64(0)
	if t.round%absentEvery != 0 {
		set = t.present
	}
	t.round++
	var failed error
	heads, err := t.headsOf(ctx, set&^t.checked)
	if err != nil {
		return false, err
	}
	err = t.st.c.all(ctx, set, func(r rueidis.Client, s core.ShardID) rueidis.Completed {
		start := "0-1"
		if t.at[s] > 0 || t.checked>>s&1 == 1 {
			start = decimal(t.at[s] + 1)
		}
		return r.B().Xrange().Key(t.st.c.keys[s].out).Start(start).End("+").Count(entriesMax).Build()
	}, func(s core.ShardID, m rueidis.RedisResult) error {
		entries, err := m.ToArray()
		if err != nil {
			failed = err // a shard of another server may go on
			return nil
		}
		full = full || len(entries) == entriesMax
		if t.ended == nil {
			t.ended = t.give(ctx, s, entries, heads[s])
		}
		return nil
	})
	if err == nil {
		err = failed
	}
	return full && err == nil, err
}

// headsOf returns the last seqs of the shards in set. They are read before the
// entries are: what they count and the entries lack was trimmed.
func (t *tail) headsOf(ctx context.Context, set uint64) (h core.Heads, err error) {
	if set == 0 {
		return h, nil
	}
	return t.st.Heads(ctx)
}

// give brings the entries of one shard to fn.
func (t *tail) give(ctx context.Context, s core.ShardID, entries []rueidis.RedisMessage, head uint64) error {
	if len(entries) == 0 {
		if t.checked>>s&1 == 0 && head > t.at[s] {
			return t.behind(s)
		}
		return nil
	}
	t.present |= 1 << s
	t.checked |= 1 << s
	if err := t.reaches(s, entries); err != nil {
		return err
	}
	for i := range entries {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := decodeEntry(s, &entries[i], &t.record); err != nil {
			return err
		}
		r := &t.record
		at, last, marker := t.at[s], r.Last(), r.Kind == core.KindMarker
		if marker && at < r.LastOld || !marker && r.First > at+1 {
			return t.behind(s)
		}
		t.at[s] = max(at, last)
		if err := t.fn(r); err != nil {
			return err
		}
	}
	return nil
}

// reaches tells a reader from the beginning that the start is there but not what
// came after it, before it sees anything.
func (t *tail) reaches(s core.ShardID, entries []rueidis.RedisMessage) error {
	if len(entries) < 2 || t.at[s] > 0 {
		return nil
	}
	if err := decodeEntry(s, &entries[0], &t.record); err != nil || t.record.Kind != core.KindStart {
		return err
	}
	if err := decodeEntry(s, &entries[1], &t.record); err != nil {
		return err
	}
	if r := &t.record; r.Kind == core.KindMarker && r.LastOld > 0 || r.Kind != core.KindMarker && r.First > 1 {
		return t.behind(s)
	}
	return nil
}

func (t *tail) behind(s core.ShardID) error {
	return core.NewError(core.CodeNotFound, fmt.Sprintf("shard %d: the stream does not reach back to seq %d", s, t.at[s]))
}
