package coretest

import (
	"context"

	"pixelwall/core"
)

// Allowance implements core.Cooldowns.
func (m *Memory) Allowance(ctx context.Context, user uint64, nowMS int64) (core.Allowance, error) {
	if err := m.lock(ctx); err != nil {
		return core.Allowance{}, err
	}
	defer m.mu.Unlock()
	return m.allowance(user, nowMS), nil
}

func (m *Memory) allowance(user uint64, nowMS int64) core.Allowance {
	return m.config.Cooldown().Allowance(m.users[user], nowMS)
}

func (m *Memory) take(user uint64, nowMS int64) (core.Allowance, bool) {
	tat, ok := m.config.Cooldown().Take(m.users[user], nowMS)
	if ok {
		m.users[user] = tat
	}
	return m.allowance(user, nowMS), ok
}

// charge is take for a placement that is in the log: it was granted, whatever
// the present rules say.
func (m *Memory) charge(user uint64, nowMS int64) {
	m.users[user] = max(m.users[user], nowMS) + m.config.CooldownMS
}
