package coretest

import (
	"context"

	"pixelwall/core"
)

// Tail implements core.Log. A reader that is behind costs nothing: the records
// stay in one slice, and each tail keeps its own place in it.
func (m *Memory) Tail(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
	if err := m.lock(ctx); err != nil {
		return err
	}
	for s := range from {
		if from[s] < m.floor[s] {
			m.mu.Unlock()
			return core.NewError(core.CodeNotFound, "the log does not reach back so far")
		}
	}
	m.mu.Unlock()
	for at := 0; ; {
		m.mu.Lock()
		records, changed, closed := m.records[at:], m.changed, m.closed
		m.mu.Unlock()
		for _, r := range records {
			at++
			if r.Last() <= from[r.Shard] && (r.Kind != core.KindStart || from[r.Shard] > 0) {
				continue
			}
			if err := context.Cause(ctx); err != nil {
				return err
			}
			if err := fn(cloneRecord(r)); err != nil {
				return err
			}
		}
		if closed {
			return core.NewError(core.CodeUnavailable, "the store is closed")
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

// Heads implements core.Log.
func (m *Memory) Heads(ctx context.Context) (core.Heads, error) {
	if err := m.lock(ctx); err != nil {
		return core.Heads{}, err
	}
	defer m.mu.Unlock()
	return m.heads, nil
}

// Trim makes the log refuse readers that need a record up to heads. The records
// stay for History and for Crash, which a real store has elsewhere.
func (m *Memory) Trim(heads core.Heads) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for s := range heads {
		m.floor[s] = max(m.floor[s], heads[s])
	}
}

func cloneRecord(r *core.Record) *core.Record {
	c := *r
	c.Events = append([]core.Event(nil), r.Events...)
	c.Pixels = append([]byte(nil), r.Pixels...)
	if r.Config != nil {
		c.Config = cloneConfig(r.Config)
	}
	return &c
}

func cloneConfig(c *core.Config) *core.Config {
	d := *c
	d.Palette = append(core.Palette(nil), c.Palette...)
	return &d
}
