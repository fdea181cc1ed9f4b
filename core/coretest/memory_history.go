package coretest

import (
	"cmp"
	"context"
	"slices"

	"pixelwall/core"
)

// past returns the events for which keep says yes, newest first: by time, then
// by shard, then by seq, which is an order without ties.
func (m *Memory) past(keep func(core.PastEvent) bool) []core.PastEvent {
	var all []core.PastEvent
	for _, r := range m.records {
		for i, e := range r.Events {
			if p := (core.PastEvent{Shard: r.Shard, Seq: r.First + uint64(i), TimeMS: r.TimeMS, Event: e}); keep(p) {
				all = append(all, p)
			}
		}
	}
	slices.SortFunc(all, newestFirst)
	return all
}

func newestFirst(a, b core.PastEvent) int {
	return cmp.Or(cmp.Compare(b.TimeMS, a.TimeMS), cmp.Compare(b.Shard, a.Shard), cmp.Compare(b.Seq, a.Seq))
}

// Pixel implements core.History.
func (m *Memory) Pixel(ctx context.Context, s core.ShardID, off uint32, before uint64, limit int) ([]core.PastEvent, error) {
	if err := m.lock(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	found := m.past(func(p core.PastEvent) bool {
		return p.Shard == s && p.Offset == off && (before == 0 || p.Seq < before)
	})
	return found[:min(limit, len(found))], nil
}

// User implements core.History.
func (m *Memory) User(ctx context.Context, user uint64, cursor *core.PastEvent, limit int) ([]core.PastEvent, error) {
	if err := m.lock(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	found := m.past(func(p core.PastEvent) bool {
		return p.User == user && (cursor == nil || newestFirst(*cursor, p) < 0)
	})
	return found[:min(limit, len(found))], nil
}

// HeadsAt implements core.History.
func (m *Memory) HeadsAt(ctx context.Context, timeMS int64) (core.Heads, error) {
	if err := m.lock(ctx); err != nil {
		return core.Heads{}, err
	}
	defer m.mu.Unlock()
	var heads core.Heads
	for _, r := range m.records {
		if r.TimeMS <= timeMS {
			heads[r.Shard] = r.Last()
		}
	}
	return heads, nil
}

// Indexed implements core.History: the records are the index.
func (m *Memory) Indexed(ctx context.Context) (core.Heads, error) { return m.Heads(ctx) }
