package scylla

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"pixelwall/core"
	"pixelwall/persist"
)

const (
	insertPixel = `INSERT INTO pixel_history (shard, px, seq, color, old, uid, ts, instance, number) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?`
	insertUser  = `INSERT INTO user_history (uid, ts, shard, seq, px, color, old, instance, number) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?`
	insertLog   = `INSERT INTO event_log (shard, bucket, first_seq, after_seq, n, epoch, relay, ts, blob) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?`
	insertDay   = `INSERT INTO log_days (shard, day) VALUES (?, ?) USING TIMESTAMP ?`
	insertIndex = `INSERT INTO log_index (shard, day, minute, after_seq) VALUES (?, ?, ?, ?) USING TIMESTAMP ?`
	insertMark  = `INSERT INTO watermark (part, shard, position) VALUES (0, ?, ?) USING TIMESTAMP ?`
)

// A table says which row of a record a job writes.
type table uint8

const (
	toPixel table = iota
	toUser
	toLog
)

// A job is one row on its way.
type job struct {
	call  *call
	r     *core.Record
	event int32 // index in r.Events, unless the row is of the record itself
	to    table
}

// A call is one Write. It ends early when a row fails, or when none gets through
// for as long as one may take.
type call struct {
	c     *session
	ctx   context.Context
	rows  sync.WaitGroup
	watch *time.Timer
	limit time.Duration

	failed atomic.Bool
	once   sync.Once
	err    error
}

var errStill = errors.New("no row was written within the time for one")

func (k *call) fail(err error) {
	k.once.Do(func() { k.err = err })
	k.failed.Store(true)
}

// Write implements core.Archive. The rows of the placements come first, then the
// records, then the index of times: whoever finds a row in event_log finds what it
// stands for in the histories, and whoever finds a minute finds its records. A
// claim is no record of a shard's order and is left out.
func (s *Store) Write(ctx context.Context, rs []*core.Record) error {
	c, err := s.connected()
	if err != nil {
		return err
	}
	for _, r := range rs {
		if err := s.claim(ctx, c, r.Canvas); err != nil {
			return s.writeFailure(ctx, err)
		}
	}
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	k := &call{c: c, ctx: limited, limit: s.o.Timeout}
	k.watch = time.AfterFunc(k.limit, func() { cancel(errStill) })
	defer k.watch.Stop()
	for _, r := range rs {
		for i := range r.Events {
			s.submit(job{k, r, int32(i), toPixel})
			s.submit(job{k, r, int32(i), toUser})
		}
	}
	k.rows.Wait()
	for _, r := range rs {
		if r.Kind != core.KindClaim {
			s.submit(job{call: k, r: r, to: toLog})
		}
	}
	k.rows.Wait()
	if err := k.err; err != nil {
		return s.writeFailure(ctx, err)
	}
	return s.writeFailure(ctx, k.index(rs))
}

// writeFailure translates err; nodes that do not answer may have lost rows.
func (s *Store) writeFailure(ctx context.Context, err error) error {
	if err = failure(ctx, err); core.CodeOf(err) == core.CodeUnavailable && err != nil && !answered(err) {
		s.life.disturbed.Add(1)
	}
	return err
}

// submit hands j to the pool, unless its call has failed.
func (s *Store) submit(j job) {
	if j.call.failed.Load() {
		return
	}
	j.call.rows.Add(1)
	select {
	case s.jobs <- j:
		return
	case <-s.ctx.Done():
		j.call.fail(core.NewError(core.CodeUnavailable, "the history is closed"))
	case <-j.call.ctx.Done():
		j.call.fail(context.Cause(j.call.ctx))
	}
	j.call.rows.Done()
}

// writeJobs is one of the goroutines of the pool.
func (s *Store) writeJobs() {
	b := newBound()
	for {
		select {
		case j := <-s.jobs:
			if err := b.write(j); err != nil {
				j.call.fail(err)
			}
			j.call.rows.Done()
		case <-s.ctx.Done():
			return
		}
	}
}

// bound is where a goroutine of the pool keeps what it binds, so that a row
// allocates nothing of ours: the driver takes pointers.
type bound struct {
	shard, color, old              int8
	px, number, n                  int32
	seq, after, bucket, uid        int64
	instance, epoch, relay, ms, at int64
	blob                           []byte

	pixel, user, log []any
}

func newBound() *bound {
	b := &bound{}
	b.pixel = []any{&b.shard, &b.px, &b.seq, &b.color, &b.old, &b.uid, &b.ms, &b.instance, &b.number, &b.at}
	b.user = []any{&b.uid, &b.ms, &b.shard, &b.seq, &b.px, &b.color, &b.old, &b.instance, &b.number, &b.at}
	b.log = []any{&b.shard, &b.bucket, &b.seq, &b.after, &b.n, &b.epoch, &b.relay, &b.ms, &b.blob, &b.at}
	return b
}

// write writes one row, with the record's time as its write time: it is the same
// whoever writes it and when.
func (b *bound) write(j job) error {
	r := j.r
	b.shard, b.ms, b.at = int8(r.Shard), r.TimeMS, r.TimeMS*1000
	if j.to == toLog {
		b.seq, b.after, b.n = int64(r.First), afterOf(r), int32(len(r.Events))
		b.bucket, b.epoch, b.relay = bucketOf(b.after), int64(r.Epoch), int64(r.Relay)
		b.blob = persist.AppendRecord(b.blob[:0], r)
		return j.call.exec(insertLog, b.log)
	}
	e := &r.Events[j.event]
	b.px, b.seq, b.color, b.old = int32(e.Offset), int64(r.First)+int64(j.event), int8(e.Color), int8(e.Old)
	b.uid, b.instance, b.number = int64(e.User), int64(e.Request.Instance), int32(e.Request.Number)
	if j.to == toUser {
		return j.call.exec(insertUser, b.user)
	}
	return j.call.exec(insertPixel, b.pixel)
}

func (k *call) exec(statement string, values []any) error {
	q := k.c.QueryWithContext(k.ctx, statement, values...)
	err := q.Exec()
	q.Release()
	if err == nil {
		k.watch.Reset(k.limit)
	} else if k.ctx.Err() != nil {
		return context.Cause(k.ctx)
	}
	return err
}

// indexed is the minute of a shard that log_index was told of last.
type indexed struct {
	known  bool
	minute int64
	first  uint64
}

// index tells log_index and log_days of the minutes that begin in rs. The first
// record of a minute must stay whatever is written again and in which order, so
// its row's write time falls as seq grows.
func (k *call) index(rs []*core.Record) error {
	for _, r := range rs {
		minute := r.TimeMS / minuteMS
		if told := k.c.told(r.Shard); r.Kind == core.KindClaim || told.known && told.minute == minute && told.first < r.First {
			continue
		}
		shard, day, of := int8(r.Shard), int32(minute/dayMinutes), int16(minute%dayMinutes)
		after, falling, rising := afterOf(r), -int64(r.First), minute*minuteMS*1000
		if err := k.exec(insertIndex, []any{&shard, &day, &of, &after, &falling}); err != nil {
			return err
		}
		if err := k.exec(insertDay, []any{&shard, &day, &rising}); err != nil {
			return err
		}
		if r.First <= 1 { // the shard exists: readers look for it from now on
			if err := setMark(k.ctx, k.c, r.Shard, core.Position{}); err != nil {
				return err
			}
		}
		k.c.tell(r.Shard, indexed{true, minute, r.First})
	}
	return nil
}

func (c *session) told(s core.ShardID) indexed {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.minutes[s]
}

func (c *session) tell(s core.ShardID, to indexed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.minutes[s] = to
}

// Watermark implements core.Archive.
func (s *Store) Watermark(ctx context.Context, shard core.ShardID) (p core.Position, err error) {
	err = s.read(ctx, func(ctx context.Context, c *session) error {
		all, err := marks(ctx, c)
		p = all[shard]
		return err
	})
	return p, err
}

// SetWatermark implements core.Archive. One that is below the present one changes
// nothing, so that a worker that lost its lease and does not know it does no harm.
func (s *Store) SetWatermark(ctx context.Context, shard core.ShardID, p core.Position) error {
	if shard >= core.ShardsMax {
		return core.NewError(core.CodeUnknownShard, fmt.Sprintf("no shard %d", shard))
	}
	return s.read(ctx, func(ctx context.Context, c *session) error { return setMark(ctx, c, shard, p) })
}

// setMark writes p with its seq as write time: the highest seq stays, and of two
// with the same seq the one with the higher epoch, since CQL keeps the greater cell.
func setMark(ctx context.Context, c *session, s core.ShardID, p core.Position) error {
	shard, position, at := int8(s), appendPosition(nil, p), int64(p.Seq)
	return c.QueryWithContext(ctx, insertMark, &shard, &position, &at).Exec()
}
