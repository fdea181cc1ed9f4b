package embedded

import "pixelwall/core"

// A memory is what a repeated request or the same user may ask about, read from
// the log at a start.
type memory struct {
	now       int64
	requests  *requests
	cooldowns *core.Charges
	// Requests are remembered from records later than this.
	requestsFromMS int64
}

// newMemory returns one that knows the floors only.
func newMemory(o *Options, canvas uint64) *memory {
	m := &memory{now: o.Clock(), cooldowns: core.NewCharges(core.Cooldown{}), requests: newRequests()}
	if err := m.requests.loadFloors(o.FS, o.Dir, canvas); err != nil {
		o.Logger.Warn("floors passed over: a request from before the last window may be stored again", "err", err)
	}
	return m
}

// begin says where the fold begins. Without a snapshot the whole log is read, and
// every floor found.
func (m *memory) begin(base *core.Snapshot) {
	if base != nil {
		m.cooldowns.SetRule(base.Config.Cooldown(), m.now)
		m.requestsFromMS = m.requestsMS()
	}
}

// needMS is from when on the log has something to remember.
func (m *memory) needMS(c *core.Config) int64 {
	return min(m.requestsMS(), m.now-int64(c.BurstMax)*c.CooldownMS)
}

// requestsMS is from when on requests are read from the log: a window before now,
// or before the floors were written, which know everything before that.
func (m *memory) requestsMS() int64 {
	if m.requests.expiredMS == 0 {
		return m.now - core.ResendWindowMS
	}
	return min(m.now, m.requests.expiredMS) - core.ResendWindowMS
}

func (m *memory) add(r *core.Record) {
	resend := r.TimeMS > m.requestsFromMS
	rule := m.cooldowns.Rule()
	rest := rule.EveryMS > 0 && r.TimeMS+int64(rule.Max)*rule.EveryMS > m.now
	if resend {
		m.requests.expire(m.now, 0)
	}
	for i := range r.Events {
		e := &r.Events[i]
		if resend {
			m.requests.add(e.Request, r.Shard, r.First+uint64(i), r.TimeMS)
		}
		if rest {
			m.cooldowns.Stored(e.User, e.Request, r.TimeMS)
		}
	}
}
