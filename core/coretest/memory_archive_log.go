package coretest

import (
	"cmp"
	"context"
	"math"
	"slices"

	"pixelwall/core"
)

// sorted returns the rows of s in the order of their seq.
func (m *MemoryArchive) sorted(s core.ShardID) []*core.Record {
	all := make([]*core.Record, 0, len(m.rows[s]))
	for _, row := range m.rows[s] {
		all = append(all, row.r)
	}
	slices.SortFunc(all, func(a, b *core.Record) int {
		return cmp.Or(cmp.Compare(a.First, b.First), -cmp.Compare(a.Kind, b.Kind))
	})
	return all
}

// Records returns the rows of s in the order of their seq.
func (m *MemoryArchive) Records(s core.ShardID) (all []*core.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.sorted(s) {
		all = append(all, cloneRecord(r))
	}
	return all
}

// Heads implements core.Log.
func (a *ArchivePort) Heads(ctx context.Context) (h core.Heads, err error) {
	err = a.call(ctx, "archive", "Heads", 0, false, func(m *MemoryArchive) error {
		for s := range m.rows {
			for _, row := range m.rows[s] {
				h[s] = max(h[s], row.r.Last())
			}
		}
		return nil
	})
	return h, err
}

// Tail implements core.Log. A row that a node lost is missing until it is written
// again, and what comes after it waits for that.
func (a *ArchivePort) Tail(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
	var holders [core.ShardsMax]core.Holder
	at, started := from, [core.ShardsMax]bool{}
	for {
		var found []*core.Record
		var changed chan struct{}
		err := a.call(ctx, "archive", "Tail", 0, false, func(m *MemoryArchive) error {
			found, changed = m.fetch(&at, &started), m.changed
			return nil
		})
		if err != nil {
			return err
		}
		for _, r := range found {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			if err := withClaim(&holders, cloneRecord(r), fn); err != nil {
				return err
			}
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

// fetch returns what follows at without a hole, and moves at past it.
func (m *MemoryArchive) fetch(at *core.Heads, started *[core.ShardsMax]bool) (found []*core.Record) {
	for s := range m.rows {
		for _, r := range m.sorted(core.ShardID(s)) {
			if r.Kind == core.KindStart {
				if at[s] == 0 && !started[s] {
					found = append(found, r)
				}
				started[s] = true
				continue
			}
			if r.Last() <= at[s] {
				continue
			}
			if !follows(r, at[s]) {
				break
			}
			found, at[s] = append(found, r), r.Last()
		}
	}
	return found
}

// follows reports whether r misses nothing after at.
func follows(r *core.Record, at uint64) bool {
	if r.Kind == core.KindMarker {
		return r.LastOld <= at
	}
	return r.First <= at+1
}

// Put implements core.Snapshots.
func (a *ArchivePort) Put(ctx context.Context, s *core.Snapshot) error {
	own := cloneSnapshot(s)
	return a.call(ctx, "snapshots", "Put", 0, true, func(m *MemoryArchive) error {
		m.snapshots = append(m.snapshots, kept{own, m.now()})
		return nil
	})
}

// Latest implements core.Snapshots.
func (a *ArchivePort) Latest(ctx context.Context) (*core.Snapshot, error) {
	return a.newest(ctx, "Latest", math.MaxInt64)
}

// At implements core.Snapshots.
func (a *ArchivePort) At(ctx context.Context, timeMS int64) (*core.Snapshot, error) {
	return a.newest(ctx, "At", timeMS)
}

func (a *ArchivePort) newest(ctx context.Context, method string, timeMS int64) (newest *core.Snapshot, err error) {
	err = a.call(ctx, "snapshots", method, 0, false, func(m *MemoryArchive) error {
		newest = nil
		for _, k := range m.snapshots {
			if k.s.TimeMS <= timeMS && (newest == nil || k.s.TimeMS >= newest.TimeMS) {
				newest = k.s
			}
		}
		if newest == nil {
			return core.NewError(core.CodeNotFound, "no snapshot so old")
		}
		newest = cloneSnapshot(newest)
		return nil
	})
	return newest, err
}
