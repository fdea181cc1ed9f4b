package coretest

import (
	"context"
	"fmt"
	"reflect"
	"sync"

	"pixelwall/core"
)

// MemoryArchive models what keeps the log beyond the topic: core.Archive, the Log
// that it makes up, and Snapshots, on nodes that lose what they have not synced
// when they die. It may be used concurrently; each caller takes a port with a
// Hook of its own, by As.
type MemoryArchive struct {
	mu        sync.Mutex
	now       func() int64
	syncMS    int64 // after which a write is on disk
	rows      [core.ShardsMax]map[rowKey]row
	marks     [core.ShardsMax][]mark
	snapshots []kept
	disturbed uint64
	merged    []string
	changed   chan struct{}
}

// rowKey tells the start canvas, which has seq 0, from what comes after it.
type rowKey struct {
	first uint64
	kind  bool
}

type row struct {
	r      *core.Record
	timeMS int64 // of the first write that is still there
}

type mark struct {
	p      core.Position
	timeMS int64
}

type kept struct {
	s      *core.Snapshot
	timeMS int64
}

// NewMemoryArchive returns an empty archive in which a write is safe after syncMS.
func NewMemoryArchive(now func() int64, syncMS int64) *MemoryArchive {
	m := &MemoryArchive{now: now, syncMS: syncMS, changed: make(chan struct{})}
	for s := range m.rows {
		m.rows[s] = make(map[rowKey]row)
	}
	return m
}

// ArchivePort is one process's way to a MemoryArchive.
type ArchivePort struct {
	m    *MemoryArchive
	hook Hook
}

// As returns a port whose calls go through h, which may be nil.
func (m *MemoryArchive) As(h Hook) *ArchivePort { return &ArchivePort{m: m, hook: h} }

func (a *ArchivePort) call(ctx context.Context, port, method string, s core.ShardID, write bool, effect func(*MemoryArchive) error) error {
	return a.hook.through(ctx, Call{port, method, s, write}, func() error {
		a.m.mu.Lock()
		defer a.m.mu.Unlock()
		return effect(a.m)
	})
}

// Watermark implements core.Archive.
func (a *ArchivePort) Watermark(ctx context.Context, s core.ShardID) (p core.Position, err error) {
	err = a.call(ctx, "archive", "Watermark", s, false, func(m *MemoryArchive) error {
		p = core.Position{}
		if n := len(m.marks[s]); n > 0 {
			p = m.marks[s][n-1].p
		}
		return nil
	})
	return p, err
}

// Write implements core.Archive.
func (a *ArchivePort) Write(ctx context.Context, rs []*core.Record) error {
	if len(rs) == 0 {
		return nil
	}
	var own []*core.Record
	for _, r := range rs {
		own = append(own, cloneRecord(r))
	}
	return a.call(ctx, "archive", "Write", rs[0].Shard, true, func(m *MemoryArchive) error {
		for _, r := range own {
			m.write(r)
		}
		close(m.changed)
		m.changed = make(chan struct{})
		return nil
	})
}

// write stores r. Two different records under one key would become a third that
// nobody wrote, which no run may do.
func (m *MemoryArchive) write(r *core.Record) {
	k := rowKey{r.First, r.Kind == core.KindStart}
	old, ok := m.rows[r.Shard][k]
	if ok && !reflect.DeepEqual(old.r, r) {
		m.merged = append(m.merged, fmt.Sprintf("shard %d seq %d: %+v over %+v", r.Shard, r.First, r, old.r))
	}
	if !ok {
		m.rows[r.Shard][k] = row{r, m.now()}
	}
}

// SetWatermark implements core.Archive.
func (a *ArchivePort) SetWatermark(ctx context.Context, s core.ShardID, p core.Position) error {
	return a.call(ctx, "archive", "SetWatermark", s, true, func(m *MemoryArchive) error {
		if n := len(m.marks[s]); n == 0 || m.marks[s][n-1].p.Seq <= p.Seq {
			m.marks[s] = append(m.marks[s], mark{p, m.now()})
		}
		return nil
	})
}

// Disturbed implements core.Archive.
func (a *ArchivePort) Disturbed() uint64 {
	a.m.mu.Lock()
	defer a.m.mu.Unlock()
	return a.m.disturbed
}

// KillNode loses what is younger than the sync, as far as lost says so, and lets
// everybody know that a node came back.
func (m *MemoryArchive) KillNode(lost func() bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.disturbed++
	young := func(timeMS int64) bool { return m.now()-timeMS < m.syncMS }
	for s := range m.rows {
		for _, r := range m.sorted(core.ShardID(s)) {
			if k := (rowKey{r.First, r.Kind == core.KindStart}); young(m.rows[s][k].timeMS) && lost() {
				delete(m.rows[s], k)
			}
		}
		for n := len(m.marks[s]); n > 0 && young(m.marks[s][n-1].timeMS) && lost(); n-- {
			m.marks[s] = m.marks[s][:n-1]
		}
	}
	for n := len(m.snapshots); n > 0 && young(m.snapshots[n-1].timeMS) && lost(); n-- {
		m.snapshots = m.snapshots[:n-1]
	}
}

// Wipe loses everything: a keyspace that was made again.
func (m *MemoryArchive) Wipe() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.disturbed++
	for s := range m.rows {
		m.rows[s], m.marks[s] = make(map[rowKey]row), nil
	}
	m.snapshots = nil
}

// Merged says which records were written over different ones.
func (m *MemoryArchive) Merged() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]string(nil), m.merged...)
}
