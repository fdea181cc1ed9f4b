package embedded

import (
	"math/bits"

	"pixelwall/core"
)

// decide answers every placement of jobs, stages what is to be stored, and lays
// out the group. It returns the number of placements that are to be stored.
func (q *sequencer) decide(jobs []*job) (stored int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.clock()
	for rest := q.touched; rest != 0; rest &= rest - 1 {
		s := bits.TrailingZeros64(rest)
		q.staged[s] = q.staged[s][:0]
	}
	q.touched, q.undo = 0, q.undo[:0]
	q.cooldowns.Turn(now)
	swept := 0
	for _, j := range jobs {
		swept += len(j.ps)
		for i := range j.ps {
			if q.decideOne(&j.ps[i], &j.out[i], now) {
				stored++
			}
		}
	}
	q.requests.expire(now, 4+2*swept)
	if stored > 0 {
		q.seal()
	}
	return stored
}

// decideOne answers p, and reports whether it is staged.
func (q *sequencer) decideOne(p *core.Placement, out *core.Outcome, now int64) bool {
	*out = core.Outcome{}
	switch a, standing := q.requests.find(p.Request); {
	case standing == answered && a.timeMS+core.ResendWindowMS > now:
		*out = core.Outcome{Shard: a.shard(), Seq: a.seq(), TimeMS: a.timeMS, Repeated: true, Allowance: q.cooldowns.Allowance(p.User, now)}
		if q.log.unsure != 0 && a.timeMS >= q.log.timeMS { // of the last group, which a power loss may still take
			*out = core.Outcome{Unknown: true, Err: errReadOnly, Allowance: out.Allowance}
		}
		return false
	case standing != unknown:
		out.Allowance = q.cooldowns.Allowance(p.User, now)
		out.Err = core.ErrExpired
		return false
	}
	if out.Err = q.config.Judge(p); out.Err == nil && q.full != nil {
		out.Err = errReadOnly
	}
	if out.Err != nil {
		out.Allowance = q.cooldowns.Allowance(p.User, now)
		return false
	}
	allowance, before, ok := q.cooldowns.Take(p.User, p.Request, now)
	out.Allowance = allowance
	if !ok {
		out.Err = allowance.Refusal(now)
		return false
	}
	if q.cooldowns.Rule().EveryMS != 0 {
		q.undo = append(q.undo, undoCharge{p.User, before})
	}
	q.heads[p.Shard]++
	// Every event of a group has the time of its record, which is the group's.
	q.times[p.Shard] = max(q.times[p.Shard], now)
	q.staged[p.Shard] = append(q.staged[p.Shard], core.Event{
		Offset: p.Offset, Color: p.Color, Old: q.board.Set(p.Shard, p.Offset, p.Color), User: p.User, Request: p.Request,
	})
	q.touched |= 1 << p.Shard
	out.Shard, out.Seq, out.TimeMS = p.Shard, q.heads[p.Shard], q.times[p.Shard]
	q.requests.add(p.Request, p.Shard, out.Seq, out.TimeMS)
	return true
}

// takeBack makes a group of stored placements that could not be written undone.
func (q *sequencer) takeBack(stored int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for rest := q.touched; rest != 0; rest &= rest - 1 {
		s := core.ShardID(bits.TrailingZeros64(rest))
		for i := len(q.staged[s]) - 1; i >= 0; i-- {
			q.board.Set(s, q.staged[s][i].Offset, q.staged[s][i].Old)
		}
		// Times may stay: they only may not fall.
		q.heads[s] -= uint64(len(q.staged[s]))
	}
	for i := len(q.undo) - 1; i >= 0; i-- {
		q.cooldowns.Put(q.undo[i].user, q.undo[i].before)
	}
	q.requests.undo(stored)
}
