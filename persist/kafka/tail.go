package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"pixelwall/core"
	"pixelwall/persist"
)

// Tail implements core.Log, for every partition that there is or will be. It
// goes on through whatever a restart of Kafka heals, a topic that is not made yet
// among it; LastFetch tells how long that has been.
//
// Each shard begins with the claim in force there. The order is that of the
// partition, so records of deposed relays and records that come twice are given
// as well, but for those that end at or before from: core.Follower judges.
//
// CodeNotFound means that a shard cannot be followed from where it was asked for
// or from where it had come: the records are no longer there, or a partition was
// truncated or made anew. CodeMismatch: the topic is of another canvas.
// CodeMalformed: a value that is no record.
func (t *Topic) Tail(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
	return t.TailShards(ctx, nil, from, fn)
}

// TailShards is Tail for some shards; nil means all.
func (t *Topic) TailShards(ctx context.Context, shards []core.ShardID, from core.Heads, fn func(*core.Record) error) error {
	r := reading{t: t, from: from, fn: fn}
	f := follower{t: t, wanted: allShards, claim: fn, take: r.take}
	f.find = func(ctx context.Context, s core.ShardID) (place, error) { return f.source.seeker(s).seek(ctx, from[s]) }
	if shards != nil {
		f.wanted = 0
	}
	for _, s := range shards {
		f.wanted |= 1 << s
	}
	return f.run(ctx)
}

// A reading turns what a follower takes into records.
type reading struct {
	t      *Topic
	from   core.Heads
	fn     func(*core.Record) error
	record core.Record
	events []core.Event // memory for record.Events, whatever fn did to that
}

func (r *reading) take(k *kgo.Record) error {
	s, rec := core.ShardID(k.Partition), &r.record
	rec.Events = r.events
	if err := persist.DecodeRecord(k.Value, rec); err != nil {
		return malformed(s, k.Offset, err)
	}
	r.events = rec.Events
	if rec.Shard != s {
		return malformed(s, k.Offset, fmt.Errorf("it says that it is of shard %d", rec.Shard))
	}
	if canvas := r.t.o.Canvas(); canvas != 0 && canvas != rec.Canvas && rec.Kind != core.KindClaim {
		return mismatch(s, k.Offset, rec.Canvas, canvas)
	}
	if seen := r.from[s]; seen > 0 && rec.Kind != core.KindClaim && rec.Last() <= seen {
		return nil
	}
	return r.fn(rec)
}

// Heads implements core.Log: for each shard the last seq of whoever may write at
// the end of the partition, 0 where there is none.
func (t *Topic) Heads(ctx context.Context) (core.Heads, error) {
	var heads core.Heads
	l, err := t.source.layoutNow(ctx)
	if err != nil {
		return heads, unavailable(err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(seekersMax)
	for s := range core.ShardID(min(len(l.leaders), core.ShardsMax)) {
		g.Go(func() error {
			return t.source.settled(ctx, func() (err error) {
				heads[s], _, err = t.source.seeker(s).last(ctx)
				return err
			})
		})
	}
	if err := g.Wait(); err != nil {
		return core.Heads{}, unavailable(err)
	}
	return heads, nil
}
