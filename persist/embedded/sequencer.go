package embedded

import (
	"math/bits"
	"sync"
	"time"

	"pixelwall/core"
	"pixelwall/persist"
)

// recordEventsMax is how many placements a record of ours holds at most. A
// reader decodes a record at once, so this bounds what a reader needs.
const recordEventsMax = 4096

// A sequencer decides placements in the order in which they came. One goroutine
// goes round: take what waits, decide, write, fdatasync, publish, answer. What
// comes meanwhile is the next group.
type sequencer struct {
	logWriter // of the goroutine alone
	queue     *queue
	clock     func() int64
	canvas    uint64

	mu        sync.Mutex // protects following; held to decide a group, not to write it
	config    core.Config
	board     *core.Board
	heads     core.Heads
	times     [core.ShardsMax]int64
	requests  *requests
	cooldowns *core.Charges

	// Of the goroutine alone.
	staged   [core.ShardsMax][]core.Event
	touched  uint64 // shards with something in staged
	undo     []undoCharge
	snaps    *snapshots
	floorsMS int64 // time of the last offer with floors

	onCommit func(placements int) // after publish, between two groups
}

// An undoCharge is what a user's cooldown was before this group.
type undoCharge struct {
	user   uint64
	before core.Charge
}

func (q *sequencer) setConfig(c *core.Config, nowMS int64) {
	q.config = *c
	q.cooldowns.SetRule(c.Cooldown(), nowMS)
}

// loop runs until closing is closed and what waits then is answered.
func (q *sequencer) loop(closing <-chan struct{}, probeEvery time.Duration) {
	probe := time.NewTicker(probeEvery)
	defer probe.Stop()
	var spare []*job
	for {
		select {
		case <-q.queue.wake:
			jobs := q.queue.take(spare)
			q.work(jobs)
			clear(jobs)
			spare = jobs
		case <-probe.C:
			if q.full != nil {
				q.prepare(0)
			}
		case <-closing:
			q.work(q.queue.close(core.NewError(core.CodeUnavailable, "the store is closed")))
			return
		}
	}
}

// work answers jobs in order. Placements that follow one another are one group;
// a configuration is a group of its own.
func (q *sequencer) work(jobs []*job) {
	for len(jobs) > 0 {
		n := 1
		if jobs[0].config != nil {
			jobs[0].err = q.configure(jobs[0].config)
		} else {
			for n < len(jobs) && jobs[n].config == nil {
				n++
			}
			q.commit(jobs[:n])
		}
		for _, j := range jobs[:n] {
			j.finish()
		}
		jobs = jobs[n:]
	}
}

// commit decides a group and makes it durable. When the disk turns out to be
// full, the group is taken back and decided again by a store that takes nothing.
func (q *sequencer) commit(jobs []*job) {
	if q.stopped() {
		q.fail(jobs)
		return
	}
	placements := 0
	for _, j := range jobs {
		placements += len(j.ps)
	}
	shards := min(placements, core.ShardsMax)
	room := placements*(persist.RecordBytes(1)-persist.RecordBytes(0)) +
		(shards+placements/recordEventsMax)*(persist.RecordBytes(0)+frameHeaderBytes)
	if !q.prepare(int64(room)) && q.stopped() {
		q.fail(jobs)
		return
	}
	for {
		stored := q.decide(jobs)
		if stored == 0 {
			return
		}
		if q.write() {
			q.log.publish(&q.heads, q.latest())
			q.onCommit(stored)
			return
		}
		if q.stopped() {
			q.fail(jobs)
			return
		}
		q.takeBack(stored)
	}
}

// fail tells the callers that nothing is known.
func (q *sequencer) fail(jobs []*job) {
	err := core.NewError(core.CodeUnavailable, "the store has stopped")
	for _, j := range jobs {
		j.err = err
	}
}

func (q *sequencer) latest() (ms int64) {
	for _, t := range q.times {
		ms = max(ms, t)
	}
	return ms
}

// seal turns what is staged into records, in the order of the shards.
func (q *sequencer) seal() {
	q.group.begin(q.log.end)
	for rest := q.touched; rest != 0; rest &= rest - 1 {
		s := core.ShardID(bits.TrailingZeros64(rest))
		r := core.Record{Kind: core.KindPlacements, Canvas: q.canvas, Shard: s, TimeMS: q.times[s]}
		r.First = q.heads[s] + 1 - uint64(len(q.staged[s]))
		for events := q.staged[s]; len(events) > 0; {
			n := min(len(events), recordEventsMax)
			r.Events = events[:n]
			q.record(&r)
			events, r.First = events[n:], r.First+uint64(n)
		}
	}
}

// configure stores c in the log of every shard, and then follows it.
func (q *sequencer) configure(c *core.Config) error {
	if q.stopped() {
		return core.NewError(core.CodeUnavailable, "the store has stopped")
	}
	if err := c.Follows(&q.config); err != nil {
		return err
	}
	now := q.clock()
	heads, times := q.heads, q.times
	room := int64(0)
	for pass := range 2 { // the second one knows where the group will lie
		heads, times = q.heads, q.times
		q.group.begin(q.log.end)
		for _, s := range c.Geometry().Shards() {
			times[s] = max(now, times[s])
			if !q.board.Geometry().Has(s) { // the canvas grew: a shard begins with its start
				q.record(&core.Record{Kind: core.KindStart, Canvas: q.canvas, Shard: s, TimeMS: times[s], Config: c})
			}
			heads[s]++
			q.record(&core.Record{Kind: core.KindConfig, Canvas: q.canvas, Shard: s, First: heads[s], TimeMS: times[s], Config: c})
		}
		if room = int64(len(q.group.buf)); pass == 0 && !q.prepare(room) {
			return q.refusal()
		}
	}
	if !q.write() {
		return q.refusal()
	}
	q.mu.Lock()
	q.heads, q.times = heads, times
	err := q.board.Grow(c.Width, c.Height)
	q.setConfig(c, now)
	q.mu.Unlock()
	q.log.publish(&q.heads, q.latest())
	return err
}

// refusal is what a caller hears while nothing can be stored.
func (q *sequencer) refusal() error {
	if q.stopped() {
		return core.NewError(core.CodeUnavailable, "the store has stopped")
	}
	return errReadOnly
}

// errReadOnly is every refusal of a store that is read-only; it is shared, and nobody writes to it.
var errReadOnly = &core.Error{Code: core.CodeReadOnly, Msg: "nothing can be stored at the moment; the canvas can be watched", RetryAfter: 5 * time.Second}

// snapshot offers the present state when it is time.
func (q *sequencer) snapshot(o *Options, placements int) {
	q.snaps.events += placements
	now := q.clock()
	if !q.snaps.due(o, now) {
		return
	}
	next := offer{snapshot: q.copy(now)}
	if now-q.floorsMS >= floorsEveryMS {
		next.floors, q.floorsMS = q.requests.appendFloors(nil, q.canvas), now
	}
	q.snaps.offer(next, now)
}

// lastOffer returns what is to be kept when the loop has ended.
func (q *sequencer) lastOffer() *offer {
	if q.snaps.events == 0 || q.stopped() {
		return nil
	}
	return &offer{q.copy(q.clock()), q.requests.appendFloors(nil, q.canvas)}
}

func (q *sequencer) copy(now int64) *core.Snapshot {
	s := &core.Snapshot{Canvas: q.canvas, Config: q.config, TimeMS: max(now, q.latest()), Heads: q.heads, Times: q.times}
	for _, id := range q.config.Geometry().Shards() {
		s.Shards[id] = q.board.AppendPacked(make([]byte, 0, q.config.Geometry().PackedBytes(id)), id)
	}
	return s
}
