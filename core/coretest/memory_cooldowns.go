package coretest

import (
	"context"

	"pixelwall/core"
)

// taken is what a user has used up.
type taken struct {
	tatMS int64        // see core.Cooldown
	last  core.Request // the last one granted
	held  bool         // last has not been refunded
}

func (m *Memory) allowance(user uint64, nowMS int64) core.Allowance {
	return m.config.Cooldown().Allowance(m.users[user].tatMS, nowMS)
}

func (m *Memory) take(user uint64, r core.Request, nowMS int64) (core.Allowance, bool) {
	u := m.users[user]
	if u.held && u.last == r {
		return m.allowance(user, nowMS), true
	}
	tat, ok := m.config.Cooldown().Take(u.tatMS, nowMS)
	if ok {
		m.users[user] = taken{tatMS: tat, last: r, held: true}
	}
	return m.allowance(user, nowMS), ok
}

// charge is take for a placement that is in the log: it was granted, whatever
// the present rules say.
func (m *Memory) charge(user uint64, r core.Request, nowMS int64) {
	m.users[user] = taken{tatMS: max(m.users[user].tatMS, nowMS) + m.config.CooldownMS, last: r, held: true}
}

// memoryCooldowns exists because a Sequencer and Cooldowns both have a verb that
// takes; the state is that of Memory, so a Place and a Take of one user count
// together.
type memoryCooldowns struct{ m *Memory }

func (c memoryCooldowns) Take(ctx context.Context, user uint64, r core.Request, nowMS int64) (core.Allowance, bool, error) {
	if err := c.m.lock(ctx); err != nil {
		return core.Allowance{}, false, err
	}
	defer c.m.mu.Unlock()
	a, ok := c.m.take(user, r, nowMS)
	return a, ok, nil
}

func (c memoryCooldowns) Refund(ctx context.Context, user uint64, r core.Request) error {
	if err := c.m.lock(ctx); err != nil {
		return err
	}
	defer c.m.mu.Unlock()
	if u := c.m.users[user]; u.held && u.last == r {
		c.m.users[user] = taken{tatMS: c.m.config.Cooldown().Refund(u.tatMS)}
	}
	return nil
}

func (c memoryCooldowns) Allowance(ctx context.Context, user uint64, nowMS int64) (core.Allowance, error) {
	if err := c.m.lock(ctx); err != nil {
		return core.Allowance{}, err
	}
	defer c.m.mu.Unlock()
	return c.m.allowance(user, nowMS), nil
}
