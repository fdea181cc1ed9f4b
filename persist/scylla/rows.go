package scylla

import (
	"context"
	"encoding/binary"
	"fmt"

	"pixelwall/core"
	"pixelwall/persist"
)

const (
	beforeStart = -1 // where a reader is that has not seen the start canvas
	bucketBits  = 17
	minuteMS    = 60_000
	dayMinutes  = 24 * 60
)

// bucketOf is where the record lies that follows seq after.
func bucketOf(after int64) int64 { return (after + 1) >> bucketBits }

// afterOf returns the seq that r follows.
func afterOf(r *core.Record) int64 {
	if r.Kind == core.KindMarker {
		return int64(r.LastOld)
	}
	return int64(r.First) - 1
}

// A row is one record in event_log.
type row struct {
	first, after int64
	n            int
	ms           int64
	blob         []byte // when it was asked for
}

func (r *row) last() int64 { return r.first + int64(max(r.n, 1)) - 1 }

// decode sets rec to the record of r, which must be what r says that it is.
func (r *row) decode(s core.ShardID, canvas uint64, rec *core.Record) error {
	if err := persist.DecodeRecord(r.blob, rec); err != nil {
		return &core.Error{Code: core.CodeInternal, Msg: fmt.Sprintf("event_log: shard %d, seq %d cannot be read", s, r.first), Err: err}
	}
	if canvas != 0 && rec.Canvas != canvas {
		return mismatch(rec.Canvas, canvas)
	}
	if rec.Shard != s || int64(rec.First) != r.first || afterOf(rec) != r.after || len(rec.Events) != r.n || rec.TimeMS != r.ms {
		return core.NewError(core.CodeInternal, fmt.Sprintf("event_log: the row of shard %d, seq %d holds another record, of shard %d, seq %d", s, r.first, rec.Shard, rec.First))
	}
	return nil
}

const (
	selectRows = `SELECT first_seq, after_seq, n, ts FROM event_log WHERE shard = ? AND bucket = ? AND first_seq > ?`
	selectLog  = `SELECT first_seq, after_seq, n, ts, blob FROM event_log WHERE shard = ? AND bucket = ? AND first_seq > ?`
	rowsPage   = 1000
	logPage    = 100
)

// A walk goes through the records of one shard, each following the one before.
type walk struct {
	c     *session
	shard core.ShardID
	after int64  // it has come so far
	mark  uint64 // the log is complete up to here at least
	blobs bool
}

// next calls fn with the rows that follow in one bucket, until it wants no more:
// then the walk stands before that row. It reports whether there may be others.
// None means the end of what is complete: a row that is missing below the mark is
// an error, one above it may still be on its way.
func (w *walk) next(ctx context.Context, fn func(*row) (goOn bool, err error)) (moved bool, err error) {
	shard, bucket, after := int8(w.shard), bucketOf(w.after), w.after
	statement, page := selectRows, rowsPage
	if w.blobs {
		statement, page = selectLog, logPage
	}
	iter := w.c.QueryWithContext(ctx, statement, &shard, &bucket, &after).PageSize(page).Iter()
	var r row
	dest := []any{&r.first, &r.after, &r.n, &r.ms, &r.blob}
	if !w.blobs {
		dest = dest[:4]
	}
	goOn := true
	for goOn && iter.Scan(dest...) {
		if err = w.follows(&r); err != nil {
			break
		}
		if r.after != w.after {
			break // what is between may still be on its way
		}
		if goOn, err = fn(&r); err != nil || !goOn {
			break
		}
		w.after, moved = r.last(), true
	}
	if closed := iter.Close(); err == nil {
		err = closed
	}
	if err == nil && !moved && goOn && uint64(max(w.after, 0)) < w.mark {
		err = hole(w.shard, w.after, fmt.Sprintf("nothing, and everything up to %d was written", w.mark))
	}
	return moved && goOn, err
}

// follows fails unless r is the next record, or comes after one that may yet appear.
func (w *walk) follows(r *row) error {
	switch {
	case r.after == w.after:
		return nil
	case w.after == beforeStart && r.after == 0 && r.n == 0 && w.mark > 0:
		w.after = 0 // a shard that came with a larger canvas begins with its configuration
		return nil
	case r.after < w.after:
		return hole(w.shard, w.after, fmt.Sprintf("a record that begins before it, at seq %d", r.first))
	case uint64(max(w.after, 0)) < w.mark:
		return hole(w.shard, w.after, fmt.Sprintf("the record of seq %d, which follows %d", r.first, r.after))
	}
	return nil
}

// toEnd walks until fn has had enough or nothing more follows.
func (w *walk) toEnd(ctx context.Context, fn func(*row) (bool, error)) error {
	for {
		moved, err := w.next(ctx, fn)
		if err != nil || !moved {
			return err
		}
	}
}

// marks returns the watermark of every shard that has one.
func marks(ctx context.Context, c *session) (map[core.ShardID]core.Position, error) {
	iter := c.QueryWithContext(ctx, `SELECT shard, position FROM watermark WHERE part = 0`).Iter()
	found := make(map[core.ShardID]core.Position)
	var shard int8
	var b []byte
	for iter.Scan(&shard, &b) {
		p, err := decodePosition(b)
		if err != nil || uint8(shard) >= core.ShardsMax {
			_ = iter.Close()
			return nil, core.NewError(core.CodeInternal, fmt.Sprintf("watermark of shard %d cannot be read", shard))
		}
		found[core.ShardID(shard)] = p
	}
	return found, iter.Close()
}

func appendPosition(dst []byte, p core.Position) []byte {
	be := binary.BigEndian
	return be.AppendUint64(be.AppendUint32(be.AppendUint64(dst, p.Seq), p.Epoch), p.Relay)
}

func decodePosition(b []byte) (p core.Position, err error) {
	if len(b) != 20 {
		return p, fmt.Errorf("%d bytes", len(b))
	}
	be := binary.BigEndian
	return core.Position{Seq: be.Uint64(b), Holder: core.Holder{Epoch: be.Uint32(b[8:]), Relay: be.Uint64(b[12:])}}, nil
}
