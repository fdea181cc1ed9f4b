package fanout

import (
	"time"

	"pixelwall/core"
	"pixelwall/wire"
)

// aheadPatience is how long a join waits for this edge to get as far as the
// client. Other edges and the shared canvas are ahead by some milliseconds; who
// is ahead of everybody holds what does not exist, and fetches the canvas.
const aheadPatience = 5 * time.Second

// An aheadJoin waits for the boundary to pass what its client holds.
type aheadJoin struct {
	Join
	until time.Time
	ticks int  // since it waits
	done  bool // a newer join of the client took its place
}

// aheadJoins are the joins that wait, at most one a client, so that the order
// of a client's joins is kept. They count for joinsMax.
type aheadJoins struct {
	waiting []*aheadJoin // oldest first
	ripe    []*aheadJoin // to be served now
	of      map[*Subscription]*aheadJoin
}

// isAhead reports whether j holds a seq that this edge has not shown yet. The
// embedded log is the only one, so that nobody can be ahead of it for a reason.
func (h *Hub) isAhead(j *Join) bool {
	if h.opt.Reload == nil || h.shown == nil || j.Foreign {
		return false
	}
	for _, w := range j.Shards {
		if w.Resume && w.Held > h.shards[w.Shard].shownSeq && w.Held <= wire.VarintMax && h.shown.Geometry().Has(core.ShardID(w.Shard)) {
			return true
		}
	}
	return false
}

// take serves j, or lets it wait.
func (h *Hub) take(j *Join) {
	until := h.opt.Now().Add(aheadPatience)
	if old := h.ahead.of[j.Sub]; old != nil {
		h.forgetAhead(old)
		old.done = true
		if old.Ticket == j.Ticket {
			j.goOnFrom(&old.Join)
			until = old.until
		} else {
			h.serve(&old.Join) // its client has to know what became of it
		}
	}
	if !h.isAhead(j) {
		h.serve(j)
		return
	}
	a := &aheadJoin{Join: *j, until: until}
	if h.ahead.of == nil {
		h.ahead.of = make(map[*Subscription]*aheadJoin)
	}
	h.ahead.of[j.Sub] = a
	h.ahead.waiting = append(h.ahead.waiting, a)
	h.joins.hold(1)
	h.stats.aheadJoins.Add(1)
}

func (h *Hub) forgetAhead(a *aheadJoin) {
	delete(h.ahead.of, a.Sub)
	h.joins.hold(-1)
}

// goOnFrom lets j, which names all that its client wants, begin where old would
// have: the client counts on what it asked for before.
func (j *Join) goOnFrom(old *Join) {
	for i, w := range j.Shards {
		for _, before := range old.Shards {
			if !w.Resume && before.Shard == w.Shard {
				j.Shards[i] = before
			}
		}
	}
}

// ripen looks, after each tick, which joins need not wait any longer.
func (h *Hub) ripen() {
	a := &h.ahead
	if len(a.waiting) == 0 {
		return
	}
	now, left := h.opt.Now(), a.waiting[:0]
	for _, j := range a.waiting {
		j.ticks++
		late := j.ticks > 1 && !now.Before(j.until)
		switch {
		case j.done:
		case late || !h.isAhead(&j.Join):
			h.forgetAhead(j)
			a.ripe = append(a.ripe, j)
		default:
			left = append(left, j)
		}
	}
	clear(a.waiting[len(left):])
	a.waiting = left
	if len(a.ripe) > 0 {
		wake(h.joins.ready)
	}
}

// next takes the oldest join that is ripe.
func (a *aheadJoins) next() *aheadJoin {
	if len(a.ripe) == 0 {
		a.ripe = nil
		return nil
	}
	j := a.ripe[0]
	a.ripe[0] = nil
	a.ripe = a.ripe[1:]
	return j
}
