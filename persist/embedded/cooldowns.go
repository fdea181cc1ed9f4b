package embedded

import "pixelwall/core"

// cooldowns is the arrival time of every user who has not rested fully, with the
// Request that was charged last.
//
// It has two generations. Whoever is charged lives in the young one; every
// spanMS the old one is dropped and the young one becomes old. spanMS is no less
// than a full rest, so whoever is dropped has rested. No sweep, no allocation per
// placement. The caller serializes.
type cooldowns struct {
	rule       core.Cooldown
	spanMS     int64
	turnedMS   int64
	young, old map[uint64]charge
}

// A charge is what is kept of one user.
type charge struct {
	tat  int64
	last core.Request
}

const cooldownSpanMSMin = 10 * 1000

func newCooldowns(rule core.Cooldown) *cooldowns {
	c := &cooldowns{young: make(map[uint64]charge), old: make(map[uint64]charge)}
	c.setRule(rule, 0)
	return c
}

// setRule changes the cooldown at nowMS: whoever has longer to wait than it can
// make anybody wait, waits that.
func (c *cooldowns) setRule(rule core.Cooldown, nowMS int64) {
	shorter := c.rest() > int64(rule.Max)*rule.EveryMS
	c.rule = rule
	c.spanMS = max(c.rest(), cooldownSpanMSMin)
	if !shorter {
		return
	}
	for _, users := range []map[uint64]charge{c.young, c.old} {
		for user, e := range users {
			e.tat = min(e.tat, nowMS+c.rest())
			users[user] = e
		}
	}
}

// rest is how long a user rests who has placed as often as possible.
func (c *cooldowns) rest() int64 { return int64(c.rule.Max) * c.rule.EveryMS }

// turn drops a generation when it is time.
func (c *cooldowns) turn(nowMS int64) {
	if nowMS < c.turnedMS+c.spanMS && nowMS >= c.turnedMS {
		return
	}
	if nowMS < c.turnedMS { // the clock was set back: wait a whole span from here
		c.turnedMS = nowMS
		return
	}
	clear(c.old)
	c.young, c.old = c.old, c.young
	c.turnedMS = nowMS
}

// get returns what is kept of user. An arrival time further away than a full rest
// is from a clock that was set back since; the user waits a full rest from here.
func (c *cooldowns) get(user uint64, nowMS int64) (charge, bool) {
	e, ok := c.young[user]
	if !ok {
		e, ok = c.old[user]
	}
	if latest := nowMS + c.rest(); ok && e.tat > latest {
		e.tat = latest
		c.young[user] = e
	}
	return e, ok
}

// take charges user for r, or tells how long to wait. before is what put takes
// back with.
func (c *cooldowns) take(user uint64, r core.Request, nowMS int64) (a core.Allowance, before charge, ok bool) {
	if c.rule.EveryMS == 0 {
		return c.rule.Allowance(0, nowMS), charge{}, true
	}
	before, _ = c.get(user, nowMS)
	tat, ok := c.rule.Take(before.tat, nowMS)
	if ok {
		c.young[user] = charge{tat: tat, last: r}
	}
	return c.rule.Allowance(tat, nowMS), before, ok
}

// put sets what is kept of user to e, as take found it.
func (c *cooldowns) put(user uint64, e charge) { c.young[user] = e }

// allowance returns what user may do.
func (c *cooldowns) allowance(user uint64, nowMS int64) core.Allowance {
	e, _ := c.get(user, nowMS)
	return c.rule.Allowance(e.tat, nowMS)
}
