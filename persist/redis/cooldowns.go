package redis

import (
	"context"

	"pixelwall/core"
)

// Cooldowns implements core.Cooldowns on the keys that the sequencer charges.
// While the limiter's Redis cannot be reached, it tells what memory knows.
type Cooldowns struct{ g *charger }

// Cooldowns returns c's cooldowns.
func (c *Client) Cooldowns() *Cooldowns { return &Cooldowns{c.charger} }

// Allowance implements core.Cooldowns.
func (k *Cooldowns) Allowance(ctx context.Context, user uint64, nowMS int64) (core.Allowance, error) {
	rule, err := k.g.c.rule(ctx)
	if err != nil {
		return core.Allowance{}, unavailable(err)
	}
	asks := []ask{{user: user, rule: rule, nowMS: nowMS, peek: true}}
	k.g.charge(ctx, asks)
	if err := asks[0].err; err != nil {
		return core.Allowance{}, unavailable(err)
	}
	return asks[0].allowance, nil
}
