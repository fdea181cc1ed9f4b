package coretest

import (
	"context"
	"slices"
	"sync"

	"pixelwall/core"
)

// MemoryTopic models the log that relays write: one partition a shard, to which
// anybody may append anything at any time, late and twice as well. What counts is
// for the consumer rule to say. It may be used concurrently; each caller takes a
// port with a Hook of its own, by As.
type MemoryTopic struct {
	mu      sync.Mutex
	parts   [core.ShardsMax]partition
	early   int
	made    int           // times that it was emptied
	changed chan struct{} // closed and replaced by each append
}

type partition struct {
	records []*core.Record   // never changed
	after   []core.Position  // where a follower of all stands after each record
	floor   int              // records before it were deleted by retention
	lost    [][]*core.Record // what was here each time that it was emptied
	cuts    []int            // to how many records it was truncated each time
	follows uint64           // where who reads from the first record must stand, after that
	rule    core.Follower
}

// NewMemoryTopic returns an empty topic. early is how many records before the
// first that it needs a reader may be given, which a search by seq may do.
func NewMemoryTopic(early int) *MemoryTopic {
	return &MemoryTopic{early: early, changed: make(chan struct{})}
}

// TopicPort is one process's way to a MemoryTopic.
type TopicPort struct {
	m    *MemoryTopic
	hook Hook
	saw  int                 // 1 + made, when it was followed last
	cuts [core.ShardsMax]int // that it was told of
	read [core.ShardsMax]int // records that it has read
}

// As returns a port whose calls go through h, which may be nil.
func (m *MemoryTopic) As(h Hook) *TopicPort { return &TopicPort{m: m, hook: h} }

// Append implements core.Topic. A long one is two calls, so that the first half
// may be stored without the second.
func (t *TopicPort) Append(ctx context.Context, rs []*core.Record) error {
	for len(rs) > 0 {
		n := (len(rs) + 1) / 2
		if len(rs) <= 2 {
			n = len(rs)
		}
		var own []*core.Record
		for _, r := range rs[:n] {
			own = append(own, cloneRecord(r))
		}
		err := t.hook.through(ctx, Call{"topic", "Append", rs[0].Shard, true}, func() error {
			t.m.append(own)
			return nil
		})
		if err != nil {
			return err
		}
		rs = rs[n:]
	}
	return nil
}

func (m *MemoryTopic) append(rs []*core.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.store(rs)
	close(m.changed)
	m.changed = make(chan struct{})
}

// store puts rs behind what there is. m.mu is held.
func (m *MemoryTopic) store(rs []*core.Record) {
	for _, r := range rs {
		p := &m.parts[r.Shard]
		p.records = append(p.records, r)
		if p.rule.Next(cloneRecord(r)) == core.Gap && len(p.lost)+len(p.cuts) > 0 {
			p.goOn(r)
		}
		p.after = append(p.after, p.rule.Position(r.Shard))
	}
}

// goOn lets a partition that lost something go on with r, whatever is missing before it.
func (p *partition) goOn(r *core.Record) {
	head := r.First - 1
	if r.Kind == core.KindMarker {
		head = r.LastOld
	}
	if p.follows == 0 && len(p.lost) > 0 {
		p.follows = head
	}
	p.rule.Heads[r.Shard] = head
	p.rule.Next(cloneRecord(r))
}

// Heads implements core.Log.
func (t *TopicPort) Heads(ctx context.Context) (h core.Heads, err error) {
	err = t.hook.through(ctx, Call{"topic", "Heads", 0, false}, func() error {
		t.m.mu.Lock()
		defer t.m.mu.Unlock()
		for s := range h {
			h[s] = t.m.parts[s].rule.Heads[s]
		}
		return nil
	})
	return h, err
}

// Tail implements core.Log. Each fetch is a call of its own; one that fails ends
// the Tail. Who follows the topic when it is made anew is told so, also if it cannot
// be reached just then.
func (t *TopicPort) Tail(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
	var at [core.ShardsMax]int
	var found []*core.Record
	for first := true; ; first = false {
		var changed chan struct{}
		lost := false
		err := t.hook.through(ctx, Call{"topic", "Tail", 0, false}, func() error {
			t.m.mu.Lock()
			defer t.m.mu.Unlock()
			changed = t.m.changed
			before := t.saw
			if t.saw = 1 + t.m.made; before != 0 && before != t.saw {
				return core.NewError(core.CodeNotFound, "the topic was made anew")
			}
			if lost = t.lost(); lost {
				return nil
			}
			if first {
				var err error
				if at, found, err = t.m.seek(from); err != nil {
					return err
				}
			} else {
				found = found[:0]
			}
			for s := range at {
				p := &t.m.parts[s]
				found = append(found, p.records[at[s]:]...)
				at[s] = len(p.records)
			}
			t.read = at
			return nil
		})
		if err != nil {
			return err
		}
		if lost {
			t.read = [core.ShardsMax]int{}
			return core.NewError(core.CodeNotFound, "the topic lost records that were read")
		}
		for _, r := range found {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			if err := fn(cloneRecord(r)); err != nil {
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

// lost reports whether records that this port has read were cut off since. m.mu is held.
func (t *TopicPort) lost() (lost bool) {
	for s := range t.m.parts {
		cuts := t.m.parts[s].cuts
		for _, n := range cuts[min(t.cuts[s], len(cuts)):] {
			lost = lost || t.read[s] > n
		}
		if !lost {
			t.cuts[s] = len(cuts)
		}
	}
	return lost
}

// seek finds where readers who hold from begin, and the claims in force there.
func (m *MemoryTopic) seek(from core.Heads) (at [core.ShardsMax]int, claims []*core.Record, err error) {
	for s := range m.parts {
		p := &m.parts[s]
		n := 0
		if from[s] > 0 {
			for n < len(p.after) && p.after[n].Seq <= from[s] {
				n++
			}
		}
		if n < p.floor || from[s] == 0 && p.floor > 0 || from[s] < p.follows {
			return at, nil, core.NewError(core.CodeNotFound, "the topic does not reach back so far")
		}
		n = max(p.floor, n-m.early)
		at[s] = n
		if n > 0 && p.after[n-1].Epoch > 0 {
			h := p.after[n-1].Holder
			claims = append(claims, &core.Record{Kind: core.KindClaim, Canvas: p.records[n-1].Canvas, Epoch: h.Epoch, Relay: h.Relay, Shard: core.ShardID(s), TimeMS: p.records[n-1].TimeMS})
		}
	}
	return at, claims, nil
}

// Retain deletes what a reader who holds heads does not need.
func (m *MemoryTopic) Retain(heads core.Heads) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for s := range m.parts {
		p := &m.parts[s]
		for p.floor < len(p.after) && p.after[p.floor].Seq <= heads[s] {
			p.floor++
		}
	}
}

// Empty loses everything, as a topic that was made anew.
func (m *MemoryTopic) Empty() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.made++
	for s := range m.parts {
		p := &m.parts[s]
		*p = partition{lost: append(p.lost, p.records)}
	}
	close(m.changed)
	m.changed = make(chan struct{})
}

// Truncate loses the newest records of s but the first n, as a broker does that lost
// power. Who has read them is told so once, also if the topic cannot be reached just then.
func (m *MemoryTopic) Truncate(s core.ShardID, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := &m.parts[s]
	if n >= len(p.records) {
		return
	}
	kept := p.records[:n:n]
	p.records, p.after, p.rule = nil, nil, core.Follower{}
	p.cuts = append(p.cuts, n)
	m.store(kept)
	close(m.changed)
	m.changed = make(chan struct{})
}

// Records returns everything that was ever appended to s and not cut off, in order.
func (m *MemoryTopic) Records(s core.ShardID) []*core.Record { return slices.Concat(m.Lives(s)...) }

// Lives is Records by when the topic was made.
func (m *MemoryTopic) Lives(s core.ShardID) (all [][]*core.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, rs := range append(slices.Clip(m.parts[s].lost), m.parts[s].records) {
		var own []*core.Record
		for _, r := range rs {
			own = append(own, cloneRecord(r))
		}
		all = append(all, own)
	}
	return all
}
