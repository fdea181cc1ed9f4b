package kafka

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"pixelwall/core"
)

// copyWindow bounds the records of a copy that are under way.
const copyWindow = 4096

// A Copy brings the records of one topic to another, at least once and in the
// order of each partition. It keeps no notes: where it goes on follows from the
// last seq that the copy holds, so it may be killed at any time, and what it then
// copies again is dropped by readers as everything that comes twice.
//
// Records of deposed relays and repeated claims are copied like all others. A
// copy always goes on at or before the end of what it copied last, and so a
// follower that goes through it never meets a hole.
type Copy struct {
	From, To *Topic
	Recopy   int64 // records to begin earlier than needed

	copied atomic.Int64
}

// Copied returns how many records were copied.
func (c *Copy) Copied() int64 { return c.copied.Load() }

// Run copies until ctx ends or a copy fails, and returns that cause. To must be
// made already; CodeNotFound means that the source no longer holds what the copy
// lacks.
func (c *Copy) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	window := make(chan struct{}, copyWindow)
	promise := func(_ *kgo.Record, err error) {
		<-window
		if err != nil {
			cancel(unavailable(err))
			return
		}
		c.copied.Add(1)
	}
	f := follower{t: c.From, wanted: allShards}
	f.find = func(ctx context.Context, s core.ShardID) (place, error) { return c.find(ctx, f.source.seeker(s)) }
	f.claim = func(*core.Record) error { return nil } // what was claimed is copied
	f.take = func(r *kgo.Record) error {
		if _, err := parseEntry(r.Value, core.ShardID(r.Partition), r.Offset, c.From.o.Canvas()); err != nil {
			return err
		}
		select {
		case window <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		// Under the life of the topic, not of this copy: see lane.
		c.To.cl.Produce(c.To.ctx, &kgo.Record{Topic: c.To.o.Topic, Partition: r.Partition, Timestamp: r.Timestamp, Value: r.Value}, promise)
		return nil
	}
	err := f.run(ctx)
	flush, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	_ = c.To.cl.Flush(flush) // what does not arrive is copied again by the next run
	return err
}

// find returns where the copy of a partition goes on: at the last record that it
// has for certain.
func (c *Copy) find(ctx context.Context, from *seeker) (place, error) {
	if err := c.To.reach(ctx, from.shard); err != nil {
		return place{}, err
	}
	var last uint64
	var right claim
	err := c.To.source.settled(ctx, func() (err error) {
		last, right, err = c.To.source.seeker(from.shard).last(ctx)
		return err
	})
	if err != nil {
		return place{}, err
	}
	begin, end, err := from.log.bounds(ctx)
	if err != nil {
		return place{}, err
	}
	if last == 0 {
		return place{offset: begin}, nil
	}
	p, err := from.seek(ctx, last)
	if err != nil && core.CodeOf(err) == core.CodeNotFound {
		return place{}, &core.Error{Code: core.CodeNotFound, Msg: fmt.Sprintf("shard %d: the copy ends at seq %d, and the source does not go back to there", from.shard, last), Err: err}
	}
	if err != nil {
		return place{}, err
	}
	if p.claim != nil && p.claim.Canvas != right.canvas {
		return place{}, core.NewError(core.CodeMismatch, fmt.Sprintf("shard %d: the copy is of canvas %016x, the source of %016x", from.shard, right.canvas, p.claim.Canvas))
	}
	return place{offset: max(begin, min(p.known, end)-c.Recopy)}, nil
}
