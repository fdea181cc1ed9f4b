package sim

import (
	"context"

	"pixelwall/core"
	"pixelwall/core/coretest"
)

// A plant wraps the ports of production code, so that it does one thing wrong.
// The zero plant wraps nothing.
type plant struct {
	name string // reads on from "a cluster that"

	wrapOutbox  func(*process, placer) placer
	wrapTopic   func(*process, core.Topic) core.Topic // of relays
	wrapKept    func(*process, core.Snapshots) core.Snapshots
	wrapArchive func(*process, core.Archive) core.Archive
	wrapTail    func(*process, core.Log) core.Log // of edges and workers
	mistake     coretest.Mistake                  // of the sequencer's library
	unsettled   bool                              // the archive trusts what was written just now
	skipGaps    bool                              // edges go on behind what they miss
	noPhantoms  bool                              // edges follow a marker from wherever they are
	weather     func(*rates)                      // in which it shows
	alone       bool                              // without a topic
}

func wrapped[T any](p *process, wrap func(*process, T) T, inner T) T {
	if wrap == nil {
		return inner
	}
	return wrap(p, inner)
}

func (p *plant) outbox(pr *process, o placer) placer        { return wrapped(pr, p.wrapOutbox, o) }
func (p *plant) topic(pr *process, t core.Topic) core.Topic { return wrapped(pr, p.wrapTopic, t) }
func (p *plant) tail(pr *process, l core.Log) core.Log      { return wrapped(pr, p.wrapTail, l) }
func (p *plant) archive(pr *process, a core.Archive) core.Archive {
	return wrapped(pr, p.wrapArchive, a)
}
func (p *plant) snapshots(pr *process, s core.Snapshots) core.Snapshots {
	return wrapped(pr, p.wrapKept, s)
}

// outboxOf is an outbox but for what it replaces.
type outboxOf struct {
	placer
	fence   func(ctx context.Context, s core.ShardID, epoch uint32) (uint64, error)
	rebuild func(ctx context.Context, s core.ShardID, epoch uint32, b core.Base) error
	recall  func(ctx context.Context, s core.ShardID, epoch uint32, stored []core.PastEvent) error
	arm     func(ctx context.Context, s core.ShardID, h core.Holder, minSeq, lastOld uint64) error
	read    func(ctx context.Context, s core.ShardID, after uint64, limit int, fn func(*core.Record) error) error
	trim    func(ctx context.Context, s core.ShardID, epoch uint32, seq uint64) error
	stand   func(ctx context.Context, s core.ShardID) (core.Stand, error)
}

func (o *outboxOf) Fence(ctx context.Context, s core.ShardID, epoch uint32) (uint64, error) {
	if o.fence == nil {
		return o.placer.Fence(ctx, s, epoch)
	}
	return o.fence(ctx, s, epoch)
}

func (o *outboxOf) Rebuild(ctx context.Context, s core.ShardID, epoch uint32, b core.Base) error {
	if o.rebuild == nil {
		return o.placer.Rebuild(ctx, s, epoch, b)
	}
	return o.rebuild(ctx, s, epoch, b)
}

func (o *outboxOf) Recall(ctx context.Context, s core.ShardID, epoch uint32, stored []core.PastEvent) error {
	if o.recall == nil {
		return o.placer.Recall(ctx, s, epoch, stored)
	}
	return o.recall(ctx, s, epoch, stored)
}

func (o *outboxOf) Arm(ctx context.Context, s core.ShardID, h core.Holder, minSeq, lastOld uint64) error {
	if o.arm == nil {
		return o.placer.Arm(ctx, s, h, minSeq, lastOld)
	}
	return o.arm(ctx, s, h, minSeq, lastOld)
}

func (o *outboxOf) Read(ctx context.Context, s core.ShardID, after uint64, limit int, fn func(*core.Record) error) error {
	if o.read == nil {
		return o.placer.Read(ctx, s, after, limit, fn)
	}
	return o.read(ctx, s, after, limit, fn)
}

func (o *outboxOf) Trim(ctx context.Context, s core.ShardID, epoch uint32, seq uint64) error {
	if o.trim == nil {
		return o.placer.Trim(ctx, s, epoch, seq)
	}
	return o.trim(ctx, s, epoch, seq)
}

func (o *outboxOf) Stand(ctx context.Context, s core.ShardID) (core.Stand, error) {
	if o.stand == nil {
		return o.placer.Stand(ctx, s)
	}
	return o.stand(ctx, s)
}

// topicOf is a topic but for what it replaces.
type topicOf struct {
	core.Topic
	append func(ctx context.Context, rs []*core.Record) error
	tail   func(ctx context.Context, from core.Heads, fn func(*core.Record) error) error
}

func (t *topicOf) Append(ctx context.Context, rs []*core.Record) error {
	if t.append == nil {
		return t.Topic.Append(ctx, rs)
	}
	return t.append(ctx, rs)
}

func (t *topicOf) Tail(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
	if t.tail == nil {
		return t.Topic.Tail(ctx, from, fn)
	}
	return t.tail(ctx, from, fn)
}

// logOf is a log whose Tail goes through each.
type logOf struct {
	core.Log
	each func() func(r *core.Record, fn func(*core.Record) error) error // one for each Tail
}

func (l *logOf) Tail(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
	each := l.each()
	return l.Log.Tail(ctx, from, func(r *core.Record) error { return each(r, fn) })
}

type archiveOf struct{ core.Archive }

func (archiveOf) Disturbed() uint64 { return 0 }

// youngOf takes a snapshot of 3 s ago for one that is older than any request.
type youngOf struct{ core.Snapshots }

func (y youngOf) At(ctx context.Context, timeMS int64) (*core.Snapshot, error) {
	return y.Snapshots.At(ctx, timeMS+core.ResendWindowMS-3000)
}

type keptOf struct{ core.Snapshots }

func (k keptOf) At(ctx context.Context, _ int64) (*core.Snapshot, error) { return k.Latest(ctx) }
