package redis

import (
	"context"

	"pixelwall/core"
)

// Cooldowns implements core.Cooldowns on the keys that the sequencer charges.
// While the limiter's Redis cannot be reached, memory grants and counts.
type Cooldowns struct{ g *charger }

// Cooldowns returns c's cooldowns.
func (c *Client) Cooldowns() *Cooldowns { return &Cooldowns{c.charger} }

// noShard stands for the shard of a charge that no placement was made for.
const noShard = 0xff

// Take implements core.Cooldowns.
func (k *Cooldowns) Take(ctx context.Context, user uint64, r core.Request, nowMS int64) (core.Allowance, bool, error) {
	a, err := k.ask(ctx, ask{user: user, request: r, nowMS: nowMS})
	return a.allowance, a.granted, err
}

func (k *Cooldowns) ask(ctx context.Context, a ask) (ask, error) {
	rule, err := k.g.c.rule(ctx)
	if err != nil {
		return a, unavailable(err)
	}
	a.shard, a.rule = noShard, rule
	asks := []ask{a}
	k.g.charge(ctx, asks)
	if a = asks[0]; a.err != nil {
		return a, unavailable(a.err)
	}
	return a, nil
}

// Refund implements core.Cooldowns.
func (k *Cooldowns) Refund(ctx context.Context, user uint64, r core.Request) error {
	rule, err := k.g.c.rule(ctx)
	if err != nil {
		return unavailable(err)
	}
	if rule.EveryMS == 0 {
		return nil
	}
	ch := charge{rule: rule, user: user, key: k.g.c.userKey(rule, user), id: chargeID(r, noShard)}
	k.g.mu.Lock()
	k.g.memory.Refund(user, k.g.remembered(ch.id))
	k.g.mu.Unlock()
	_, err = k.g.giveBack(ctx, []charge{ch})
	return asError(err)
}

// Allowance implements core.Cooldowns.
func (k *Cooldowns) Allowance(ctx context.Context, user uint64, nowMS int64) (core.Allowance, error) {
	a, err := k.ask(ctx, ask{user: user, nowMS: nowMS, peek: true})
	return a.allowance, err
}
