package coretest

import (
	"context"
	"time"

	"pixelwall/core"
)

type leaseKey struct {
	shard core.ShardID
	role  string
}

type lease struct {
	owner   uint64
	untilMS int64
}

// Hold implements core.Leases.
func (o *OutboxPort) Hold(ctx context.Context, s core.ShardID, role string, owner uint64, ttl time.Duration) (held bool, err error) {
	var got bool
	err = o.leaseCall(ctx, "Hold", s, false, func(m *MemoryOutbox) error {
		k, now := leaseKey{s, role}, m.now()
		if l := m.leases[k]; l.owner != owner && l.untilMS > now {
			return nil
		}
		m.leases[k] = lease{owner, now + ttl.Milliseconds()}
		got = true
		return nil
	})
	return got && err == nil, err
}

// Release implements core.Leases.
func (o *OutboxPort) Release(ctx context.Context, s core.ShardID, role string, owner uint64) error {
	return o.leaseCall(ctx, "Release", s, true, func(m *MemoryOutbox) error {
		if k := (leaseKey{s, role}); m.leases[k].owner == owner {
			delete(m.leases, k)
		}
		return nil
	})
}

func (o *OutboxPort) leaseCall(ctx context.Context, method string, s core.ShardID, write bool, effect func(*MemoryOutbox) error) error {
	return o.hook.through(ctx, Call{"leases", method, s, write}, func() error {
		o.m.mu.Lock()
		defer o.m.mu.Unlock()
		return effect(o.m)
	})
}
