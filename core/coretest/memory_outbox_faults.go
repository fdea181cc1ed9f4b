package coretest

import (
	"bytes"
	"maps"
	"slices"

	"pixelwall/core"
)

// What a server does to the outbox. Each returns the placements that it made
// undone, which were acknowledged and may be in nobody's log for ever.

// Restart is a process that was killed and lost nothing: its memory is gone, and
// with it what was armed.
func (m *MemoryOutbox) Restart() { m.Lose(0) }

// Lose is a restart from a file that lacks the last writes: stream, pixels, seqs
// and requests go back together.
func (m *MemoryOutbox) Lose(writes int) []core.PastEvent {
	m.mu.Lock()
	defer m.mu.Unlock()
	lost := m.takeBack(writes)
	if m.mistake == StoresArmed {
		for s := range m.shards {
			m.armed[m.server][s].seq = m.shards[s].seq
		}
		return lost
	}
	m.armed[m.server], m.stood[m.server] = [core.ShardsMax]armed{}, [core.ShardsMax]stood{}
	return lost
}

// Failover makes the other server the master, which lacks the last writes. What
// it was armed with when it was the master last, it still is.
func (m *MemoryOutbox) Failover(writes int) []core.PastEvent {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.change()
	lost := m.takeBack(writes)
	m.since = len(m.undo)
	return lost
}

// Return puts the other server back as the master, with all that it held when it
// was left: it was cut off, and never heard of what came after. What the present
// one has stored since is undone. It does nothing unless there was a Failover.
func (m *MemoryOutbox) Return() (lost []core.PastEvent, done bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	back := m.left[1-m.server]
	if back == nil {
		return nil, false
	}
	for _, u := range m.undo[m.since:] {
		lost = append(lost, u.stored...)
	}
	m.change()
	m.shards = back.shards
	m.undo = []undo{{0, back.stored, func() { m.shards = [core.ShardsMax]outboxShard{} }}}
	m.since = 1
	return lost, true
}

// change makes the other server the master. The present one keeps what it holds.
func (m *MemoryOutbox) change() {
	old := &left{shards: m.shards}
	for s := range old.shards {
		old.shards[s].own()
	}
	for _, u := range m.undo {
		old.stored = append(old.stored, u.stored...)
	}
	m.left[m.server], m.left[1-m.server] = old, nil
	m.server = 1 - m.server
}

// own gives sh memory of its own, after it was copied.
func (sh *outboxShard) own() {
	sh.pixels, sh.stream = bytes.Clone(sh.pixels), slices.Clone(sh.stream)
	known := make(map[uint64]map[uint32]answered, len(sh.known))
	for page, numbers := range sh.known {
		known[page] = maps.Clone(numbers)
	}
	sh.known = known
}

// Doubtful returns what was acknowledged after a server had lost a fence: by one
// that was still armed from before, or was armed by a call of long ago. The log
// may have gone on without it.
func (m *MemoryOutbox) Doubtful() []core.PastEvent {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]core.PastEvent(nil), m.doubt...)
}

// Flush empties the server while it runs: FLUSHALL. What is armed is not stored,
// but without its fence it does not count.
func (m *MemoryOutbox) Flush() []core.PastEvent {
	m.mu.Lock()
	defer m.mu.Unlock()
	lost := m.takeBack(len(m.undo))
	m.leases = make(map[leaseKey]lease)
	return lost
}

func (m *MemoryOutbox) takeBack(writes int) (lost []core.PastEvent) {
	for ; writes > 0 && len(m.undo) > 0; writes-- {
		last := len(m.undo) - 1
		m.undo[last].back()
		lost = append(lost, m.undo[last].stored...)
		m.undo = m.undo[:last]
	}
	m.since = min(m.since, len(m.undo))
	return lost
}

// Pixels returns a copy of the pixels of s, as core.Board.Pixels has them.
func (m *MemoryOutbox) Pixels(s core.ShardID) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.shards[s].pixels)
}

// Stand returns where s stands.
func (m *MemoryOutbox) Stand(s core.ShardID) core.Stand {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stand(s)
}

// Copies returns how many copies of s were published.
func (m *MemoryOutbox) Copies(s core.ShardID) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.shards[s].copies
}
