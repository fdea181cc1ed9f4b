package coretest

import (
	"context"

	"pixelwall/core"
)

// OutboxLog is the streams of an outbox as a core.Log: what is followed while
// there is no topic. Nobody claims in it, so it says itself who writes.
type OutboxLog struct{ o *OutboxPort }

// Log returns the streams that o reaches.
func (o *OutboxPort) Log() OutboxLog { return OutboxLog{o} }

// Heads implements core.Log.
func (l OutboxLog) Heads(ctx context.Context) (h core.Heads, err error) {
	err = l.o.call(ctx, "Heads", 0, false, func(m *MemoryOutbox) error {
		for s := range m.shards {
			if n := len(m.shards[s].stream); n > 0 {
				h[s] = m.shards[s].stream[n-1].Last()
			}
		}
		return nil
	})
	return h, err
}

// Tail implements core.Log. Each fetch is a call of its own; one that fails ends
// the Tail.
func (l OutboxLog) Tail(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
	var holders [core.ShardsMax]core.Holder
	at, started, first := from, [core.ShardsMax]bool{}, true
	for {
		var found []*core.Record
		var changed chan struct{}
		err := l.o.call(ctx, "Tail", 0, false, func(m *MemoryOutbox) (err error) {
			changed = m.changed
			found, err = m.fetch(at, &started, first)
			return err
		})
		if err != nil {
			return err
		}
		first = false
		for _, r := range found {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			if err := withClaim(&holders, cloneRecord(r), fn); err != nil {
				return err
			}
			at[r.Shard] = max(at[r.Shard], r.Last())
			started[r.Shard] = true
		}
		if len(found) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

// fetch returns every entry after at. The first time it refuses a place that the
// streams do not reach back to.
func (m *MemoryOutbox) fetch(at core.Heads, started *[core.ShardsMax]bool, first bool) (found []*core.Record, err error) {
	for s := range m.shards {
		n := len(found)
		for _, r := range m.shards[s].stream {
			if r.Last() > at[s] || at[s] == 0 && !started[s] && r.Kind == core.KindStart {
				found = append(found, r)
			}
		}
		if first && !m.shards[s].reaches(at[s], found[n:]) {
			return nil, core.NewError(core.CodeNotFound, "the stream does not reach back so far")
		}
	}
	return found, nil
}

// reaches reports whether after, the entries behind seq at, miss none.
func (sh *outboxShard) reaches(at uint64, after []*core.Record) bool {
	switch {
	case len(after) == 0:
		return sh.seq <= at
	case at == 0:
		return after[0].Kind == core.KindStart
	case after[0].Kind == core.KindMarker:
		return at >= after[0].LastOld
	default:
		return after[0].First <= at+1
	}
}

// withClaim calls fn with r, and with a claim before it where r's holder is new.
func withClaim(holders *[core.ShardsMax]core.Holder, r *core.Record, fn func(*core.Record) error) error {
	if h := r.Holder(); r.Kind != core.KindClaim && h != holders[r.Shard] {
		holders[r.Shard] = h
		if err := fn(claimOf(r)); err != nil {
			return err
		}
	}
	return fn(r)
}

// claimOf returns the claim by which r's holder may write.
func claimOf(r *core.Record) *core.Record {
	return &core.Record{Kind: core.KindClaim, Canvas: r.Canvas, Epoch: r.Epoch, Relay: r.Relay, Shard: r.Shard, TimeMS: r.TimeMS}
}
