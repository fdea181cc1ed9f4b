package redis

import (
	"time"

	"pixelwall/core"
	"pixelwall/persist"
)

// settle brings a batch to its outcome: it is sent until Redis has answered it,
// under whatever fence then holds. That is exact, because the shard remembers the
// requests of the last minutes in the step that stores them, and a new fence begins
// with those of the log.
//
// What was never sent is refused as soon as that is the honest answer; what was
// sent without an answer is never refused, only given up after ResendFor.
func (q *queue) settle(batch []*item) {
	for len(batch) > 0 {
		if q.c.ctx.Err() != nil {
			q.abandon(batch)
			return
		}
		use := q.c.link.uses.Load()
		err := q.send(batch)
		switch conclude(err) {
		case done:
			return
		case notSent, refused:
			batch = q.turnAway(batch, unavailable(err))
			q.refuseWaitingUnlessClosed()
		case unknown:
			q.c.stats.ambiguous.Add(1)
			for _, it := range batch {
				it.sent = true
			}
			q.refuseWaitingUnlessClosed()
		case otherConfig:
			q.c.stats.reconfigured.Add(1)
			batch = q.judgeAgain(batch)
			continue
		case unfenced:
			q.c.stats.unfenced.Add(1)
			batch = q.awaitFence(batch, err, use)
			batch = q.giveUp(batch)
			continue
		}
		batch = q.giveUp(batch)
		if len(batch) > 0 {
			_ = persist.Pause(q.c.ctx, retryEvery)
		}
	}
}

// send sends batch once. When it returns nil, every item of it is finished.
func (q *queue) send(batch []*item) error {
	if q.epoch == 0 {
		if err := q.askEpoch(); err != nil {
			return unsent(err)
		}
	}
	q.epoch = max(q.epoch, q.heard.Load())
	config := q.c.configs.shards[q.shard].Load()
	if config == nil {
		var err error
		if config, err = q.c.reloadConfig(q.c.ctx, q.shard); err != nil {
			return unsent(err)
		}
	}
	for _, it := range batch {
		if it.asked != nil && it.asked.Code != core.CodeCooldown && it.judged < config.Version {
			return errJudgedBefore
		}
	}
	k := &q.c.keys[q.shard]
	events, asked := q.encode(batch)
	m, err := q.c.fcall(q.c.ctx, q.shard, fnPlace, []string{k.bmp, k.meta, k.out, k.requests[0], k.requests[1]},
		decimal(q.epoch), decimal(config.Version), events, asked)
	if err != nil {
		return err
	}
	text, err := m.ToString()
	if err != nil {
		return err
	}
	return q.deliver(batch, text)
}

// encode returns the events and the asked requests of batch. Redis may read them
// after a time-out, so they are never written again.
func (q *queue) encode(batch []*item) (events, asked string) {
	q.buf = q.buf[:0]
	for _, it := range batch {
		if it.asked == nil {
			q.buf = appendEvent(q.buf, &it.p)
		}
	}
	n := len(q.buf)
	for _, it := range batch {
		if it.asked != nil {
			q.buf = appendAsked(q.buf, it.p.Request)
		}
	}
	text := string(q.buf)
	return text[:n], text[n:]
}

// deliver tells every caller what became of its placement.
func (q *queue) deliver(batch []*item, text string) error {
	a, err := parseAnswer(text)
	if err != nil {
		return err
	}
	q.armed()
	q.c.stats.batches.Add(1)
	now := time.Now()
	for pass := range 2 { // events come first in the answer
		for _, it := range batch {
			if (it.asked != nil) != (pass == 1) {
				continue
			}
			st, seq, timeMS, err := a.one()
			if err != nil {
				return err
			}
			q.tell(it, st, seq, timeMS, agoMS(a.timeMS, now.Sub(it.charge.began)))
		}
	}
	for _, it := range batch {
		it.finish()
	}
	return nil
}

// agoMS returns a time that is not after what was d before the millisecond timeMS:
// with d cut to whole milliseconds a charge looked younger than what another edge had
// stored by it, and was given back.
func agoMS(timeMS int64, d time.Duration) int64 {
	return timeMS - int64((d+time.Millisecond-1)/time.Millisecond)
}

// tell enters the outcome of it. chargedMS is when its charge began, in the time
// of the shard.
func (q *queue) tell(it *item, st status, seq uint64, timeMS, chargedMS int64) {
	it.out = core.Outcome{Allowance: it.charge.allowance}
	switch st {
	case statusStored:
		it.out.Shard, it.out.Seq, it.out.TimeMS = q.shard, seq, timeMS
		q.c.stats.placements.Add(1)
	case statusRepeated:
		it.out.Shard, it.out.Seq, it.out.TimeMS, it.out.Repeated = q.shard, seq, timeMS, true
		q.c.stats.repeats.Add(1)
		if it.sent {
			chargedMS -= clocksApartMS // we may have stored it ourselves, by another master's clock
		}
		if timeMS < chargedMS { // it was paid for when it was stored
			q.c.charger.refund(it)
			it.out.Allowance = it.charge.allowance
		}
	case statusExpired: // it may have been stored, and paid for by this charge
		it.out.Err = core.ErrExpired
	case statusNotStored:
		it.out.Err = it.asked
	}
}

// clocksApartMS is how far the clocks of two masters may be apart.
const clocksApartMS = 5000

// turnAway refuses what was never sent, and returns the rest.
func (q *queue) turnAway(batch []*item, err *core.Error) (rest []*item) {
	for _, it := range batch {
		if it.sent {
			rest = append(rest, it)
		} else {
			q.refuse(it, err)
		}
	}
	return rest
}

// giveUp ends what has waited too long, and returns the rest.
func (q *queue) giveUp(batch []*item) (rest []*item) {
	var late []*item
	for _, it := range batch {
		if time.Since(it.first) >= q.c.opts.ResendFor {
			late = append(late, it)
		} else {
			rest = append(rest, it)
		}
	}
	q.abandon(late)
	return rest
}

// refuseWaitingUnlessClosed refuses what waits behind a batch that Redis does not
// answer, once the breaker says so.
func (q *queue) refuseWaitingUnlessClosed() {
	if err := q.closedFor(); err != nil {
		q.refuseWaiting(err)
	}
}

// judgeAgain judges batch by the configuration that the shard has now. What was
// good stays good, since a canvas only grows.
func (q *queue) judgeAgain(batch []*item) []*item {
	config, err := q.c.reloadConfig(q.c.ctx, q.shard)
	if err != nil {
		batch = q.turnAway(q.giveUp(batch), unavailable(err))
		_ = persist.Pause(q.c.ctx, retryEvery)
		return batch
	}
	var good []*item
	for _, it := range batch {
		if it.asked == nil || it.asked.Code == core.CodeCooldown {
			continue
		}
		it.judged = config.Version
		if it.asked = config.Judge(&it.p); it.asked == nil {
			good = append(good, it)
		}
	}
	if len(good) == 0 {
		return batch
	}
	q.c.charger.take(q.c.ctx, good)
	rest := batch[:0:0]
	for _, it := range batch {
		if it.out.Err != nil {
			it.finish()
		} else {
			rest = append(rest, it)
		}
	}
	return rest
}

// askEpoch learns which fence the shard is armed by.
func (q *queue) askEpoch() error {
	st, err := q.c.stand(q.c.ctx, q.shard)
	if err == nil {
		q.epoch = max(st.Epoch, 1) // an epoch that is not armed is answered so
	}
	return err
}

// awaitFence waits a moment for a shard that is not armed. Who has waited for
// HoldFor, or comes to a shard that was not for so long, is refused.
//
// A fence below one that we have seen is none: the server was put back to before
// it, and what it would acknowledge is in nobody's log. Its relay will see that too. use
// is the client of the link that err came by.
func (q *queue) awaitFence(batch []*item, err error, use int64) []*item {
	if epoch, armed := stance(err); armed && epoch >= q.epoch {
		q.epoch = epoch
		return batch
	} else if armed {
		q.c.link.lookElsewhere(use)
	}
	since := q.unarmedSince()
	for {
		if time.Since(since) >= q.c.opts.HoldFor {
			refusal := unavailable(err)
			q.refuseWaiting(refusal)
			batch = q.turnAway(batch, refusal)
		}
		if batch = q.giveUp(batch); len(batch) == 0 || q.c.ctx.Err() != nil {
			return batch
		}
		_ = persist.Pause(q.c.ctx, 2*retryEvery)
		use = q.c.link.uses.Load()
		st, err := q.c.stand(q.c.ctx, q.shard)
		switch {
		case err != nil || !st.Armed:
		case st.Epoch < q.epoch:
			q.c.link.lookElsewhere(use)
		default:
			q.epoch = st.Epoch
			q.armed()
			return batch
		}
	}
}

// unarmedSince notes that the shard takes no placements, and returns since when.
func (q *queue) unarmedSince() time.Time {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.unarmedAt.IsZero() {
		q.unarmedAt = time.Now()
	}
	return q.unarmedAt
}

// armed notes that the shard takes placements.
func (q *queue) armed() {
	q.mu.Lock()
	q.unarmedAt = time.Time{}
	q.mu.Unlock()
}
