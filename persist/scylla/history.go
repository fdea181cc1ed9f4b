package scylla

import (
	"context"
	"errors"
	"math"

	"github.com/gocql/gocql"

	"pixelwall/core"
)

// A pastRow is a row of pixel_history or user_history.
type pastRow struct {
	Shard    int8
	Px       int32
	Seq      int64
	Color    int8
	Old      int8
	UID      int64 `db:"uid"`
	TS       int64 `db:"ts"`
	Instance int64
	Number   int32
}

func (r *pastRow) event() core.PastEvent {
	return core.PastEvent{
		Shard: core.ShardID(r.Shard), Seq: uint64(r.Seq), TimeMS: r.TS,
		Event: core.Event{
			Offset: uint32(r.Px), Color: uint8(r.Color), Old: uint8(r.Old), User: uint64(r.UID),
			Request: core.Request{Instance: uint64(r.Instance), Number: uint32(r.Number)},
		},
	}
}

const (
	pastColumns = `SELECT shard, px, seq, color, old, uid, ts, instance, number FROM `
	selectPixel = pastColumns + `pixel_history WHERE shard = ? AND px = ? AND seq < ? LIMIT ?`
	selectUser  = pastColumns + `user_history WHERE uid = ? LIMIT ?`
	selectOlder = pastColumns + `user_history WHERE uid = ? AND (ts, shard, seq) < (?, ?, ?) LIMIT ?`
)

// Pixel implements core.History.
func (s *Store) Pixel(ctx context.Context, shard core.ShardID, off uint32, before uint64, limit int) ([]core.PastEvent, error) {
	if before == 0 || before > math.MaxInt64 {
		before = math.MaxInt64
	}
	return s.past(ctx, limit, selectPixel, int8(shard), int32(off), int64(before), limit)
}

// User implements core.History.
func (s *Store) User(ctx context.Context, user uint64, cursor *core.PastEvent, limit int) ([]core.PastEvent, error) {
	if cursor == nil {
		return s.past(ctx, limit, selectUser, int64(user), limit)
	}
	return s.past(ctx, limit, selectOlder, int64(user), cursor.TimeMS, int8(cursor.Shard), int64(cursor.Seq), limit)
}

func (s *Store) past(ctx context.Context, limit int, statement string, values ...any) (past []core.PastEvent, err error) {
	if limit <= 0 {
		return nil, nil
	}
	err = s.read(ctx, func(ctx context.Context, c *session) error {
		var rows []pastRow
		if err := c.x.ContextQuery(ctx, statement, nil).Bind(values...).SelectRelease(&rows); err != nil {
			return err
		}
		for i := range rows {
			past = append(past, rows[i].event())
		}
		return nil
	})
	return past, err
}

// Indexed implements core.History.
func (s *Store) Indexed(ctx context.Context) (core.Heads, error) { return s.Heads(ctx) }

// HeadsAt implements core.History: from the first record of the last minute that
// had one, it goes on to the last record in time.
func (s *Store) HeadsAt(ctx context.Context, timeMS int64) (heads core.Heads, err error) {
	c, err := s.connected()
	if err != nil || timeMS < 0 {
		return heads, err
	}
	all, err := marks(ctx, c)
	if err != nil {
		return heads, failure(ctx, err)
	}
	return s.eachShard(ctx, all, func(ctx context.Context, shard core.ShardID, p core.Position) (uint64, error) {
		after, found, err := minuteAt(ctx, c, shard, timeMS)
		if err != nil || !found {
			return 0, err
		}
		w := walk{c: c, shard: shard, after: after, mark: p.Seq}
		err = w.toEnd(ctx, func(r *row) (bool, error) { return r.ms <= timeMS, nil })
		return uint64(max(w.after, 0)), err
	})
}

// minuteAt returns the seq before the first record of the last minute that has
// one and does not begin after timeMS.
func minuteAt(ctx context.Context, c *session, s core.ShardID, timeMS int64) (after int64, found bool, err error) {
	shard, minute := int8(s), timeMS/minuteMS
	last := int32(min(minute/dayMinutes, math.MaxInt32))
	var day int32
	err = c.QueryWithContext(ctx, `SELECT day FROM log_days WHERE shard = ? AND day <= ? LIMIT 1`, &shard, &last).Scan(&day)
	if err != nil {
		return 0, false, ignoreNotFound(err)
	}
	upTo := int16(minute % dayMinutes)
	if day < last {
		upTo = dayMinutes
	}
	const statement = `SELECT after_seq FROM log_index WHERE shard = ? AND day = ? AND minute <= ? LIMIT 1`
	err = c.QueryWithContext(ctx, statement, &shard, &day, &upTo).Scan(&after)
	if !errors.Is(err, gocql.ErrNotFound) {
		return after, err == nil, err
	}
	if day < last { // the day is written behind its minutes
		return 0, false, nil
	}
	return minuteAt(ctx, c, s, int64(day)*dayMinutes*minuteMS-1)
}

func ignoreNotFound(err error) error {
	if errors.Is(err, gocql.ErrNotFound) {
		return nil
	}
	return err
}
