package core

// Charges is the arrival time of every user who has not rested fully, with the
// Request that was charged last.
//
// It has two generations. Whoever is charged lives in the young one; every
// spanMS the old one is dropped and the young one becomes old. spanMS is no less
// than a full rest, so whoever is dropped has rested. No sweep, no allocation per
// placement. It is not safe for concurrent use.
type Charges struct {
	rule       Cooldown
	spanMS     int64
	turnedMS   int64
	young, old map[uint64]Charge
}

// A Charge is what is kept of one user.
type Charge struct {
	TatMS int64   // theoretical arrival time, see Cooldown
	Last  Request // the last one that was charged
}

const chargesSpanMSMin = 10 * 1000

// NewCharges returns an empty table for rule.
func NewCharges(rule Cooldown) *Charges {
	c := &Charges{young: make(map[uint64]Charge), old: make(map[uint64]Charge)}
	c.SetRule(rule, 0)
	return c
}

// Rule returns the present cooldown.
func (c *Charges) Rule() Cooldown { return c.rule }

// Len returns how many users are kept.
func (c *Charges) Len() int { return len(c.young) + len(c.old) }

// SetRule changes the cooldown at nowMS: whoever has longer to wait than it can
// make anybody wait, waits that.
func (c *Charges) SetRule(rule Cooldown, nowMS int64) {
	shorter := c.rest() > int64(rule.Max)*rule.EveryMS
	c.rule = rule
	c.spanMS = max(c.rest(), chargesSpanMSMin)
	if !shorter {
		return
	}
	for _, users := range []map[uint64]Charge{c.young, c.old} {
		for user, e := range users {
			e.TatMS = min(e.TatMS, nowMS+c.rest())
			users[user] = e
		}
	}
}

// rest is how long a user rests who has placed as often as possible.
func (c *Charges) rest() int64 { return int64(c.rule.Max) * c.rule.EveryMS }

// Turn drops a generation when it is time.
func (c *Charges) Turn(nowMS int64) {
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

// Get returns what is kept of user. An arrival time further away than a full rest
// is from a clock that was set back since; the user waits a full rest from here.
func (c *Charges) Get(user uint64, nowMS int64) (Charge, bool) {
	e, ok := c.young[user]
	if !ok {
		e, ok = c.old[user]
	}
	if latest := nowMS + c.rest(); ok && e.TatMS > latest {
		e.TatMS = latest
		c.young[user] = e
	}
	return e, ok
}

// Take charges user for r, or tells how long to wait. before is what Put takes
// back with.
func (c *Charges) Take(user uint64, r Request, nowMS int64) (a Allowance, before Charge, ok bool) {
	if c.rule.EveryMS == 0 {
		return c.rule.Allowance(0, nowMS), Charge{}, true
	}
	before, _ = c.Get(user, nowMS)
	tat, ok := c.rule.Take(before.TatMS, nowMS)
	if ok {
		c.young[user] = Charge{TatMS: tat, Last: r}
	}
	return c.rule.Allowance(tat, nowMS), before, ok
}

// Put sets what is kept of user to e, as Take found it.
func (c *Charges) Put(user uint64, e Charge) { c.young[user] = e }

// Stored charges user for r, which was stored at timeMS whatever the rule says.
func (c *Charges) Stored(user uint64, r Request, timeMS int64) {
	e, ok := c.young[user]
	if !ok {
		e = c.old[user]
	}
	c.young[user] = Charge{TatMS: max(e.TatMS, timeMS) + c.rule.EveryMS, Last: r}
}

// Refund takes the charge for r back, if it was the last one of user.
func (c *Charges) Refund(user uint64, r Request) {
	// At the end of time no arrival time is further away than a full rest.
	if e, ok := c.Get(user, 1<<62); ok && e.Last == r {
		c.young[user] = Charge{TatMS: c.rule.Refund(e.TatMS)}
	}
}

// Allowance returns what user may do.
func (c *Charges) Allowance(user uint64, nowMS int64) Allowance {
	e, _ := c.Get(user, nowMS)
	return c.rule.Allowance(e.TatMS, nowMS)
}
