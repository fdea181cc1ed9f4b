package coretest

import (
	"context"
	"math"

	"pixelwall/core"
)

// Put implements core.Snapshots.
func (m *Memory) Put(ctx context.Context, s *core.Snapshot) error {
	if err := m.lock(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	m.snapshots = append(m.snapshots, cloneSnapshot(s))
	return nil
}

// Latest implements core.Snapshots.
func (m *Memory) Latest(ctx context.Context) (*core.Snapshot, error) {
	return m.At(ctx, math.MaxInt64)
}

// At implements core.Snapshots.
func (m *Memory) At(ctx context.Context, timeMS int64) (*core.Snapshot, error) {
	if err := m.lock(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var newest *core.Snapshot
	for _, s := range m.snapshots {
		if s.TimeMS <= timeMS && (newest == nil || s.TimeMS >= newest.TimeMS) && within(s.Heads, m.heads) {
			newest = s
		}
	}
	if newest == nil {
		return nil, core.NewError(core.CodeNotFound, "no snapshot so old")
	}
	return cloneSnapshot(newest), nil
}

// within reports whether everything in h is in the log that reaches to log.
func within(h, log core.Heads) bool {
	for s := range h {
		if h[s] > log[s] {
			return false
		}
	}
	return true
}

func cloneSnapshot(s *core.Snapshot) *core.Snapshot {
	c := *s
	c.Config = *cloneConfig(&s.Config)
	for i, b := range s.Shards {
		c.Shards[i] = append([]byte(nil), b...)
	}
	return &c
}
