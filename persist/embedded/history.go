package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"pixelwall/core"
)

type history struct{ x *index }

// Indexed implements core.History.
func (h history) Indexed(context.Context) (core.Heads, error) { return *h.x.applied.Load(), nil }

// Pixel implements core.History.
func (h history) Pixel(_ context.Context, s core.ShardID, off uint32, before uint64, limit int) ([]core.PastEvent, error) {
	if before == 0 {
		before = 1<<64 - 1
	}
	var past []core.PastEvent
	lower := appendPixelKey(nil, s, off, before-1)
	upper := append(appendPixelKey(nil, s, off, 0), 0)
	err := h.each(lower, upper, limit, func(k, v []byte) error {
		if len(k) != 13 || len(v) != 30 {
			return errIndexEntry
		}
		past = append(past, core.PastEvent{
			Shard: s, Seq: ^binary.BigEndian.Uint64(k[5:]), TimeMS: int64(binary.LittleEndian.Uint64(v[2:])),
			Event: core.Event{Offset: off, Color: v[0], Old: v[1], User: binary.LittleEndian.Uint64(v[10:]), Request: core.Request{
				Instance: binary.LittleEndian.Uint64(v[18:]), Number: binary.LittleEndian.Uint32(v[26:]),
			}},
		})
		return nil
	})
	return past, err
}

// User implements core.History.
func (h history) User(_ context.Context, user uint64, cursor *core.PastEvent, limit int) ([]core.PastEvent, error) {
	lower := binary.BigEndian.AppendUint64([]byte{'u'}, user)
	upper := append(appendUserKey(nil, user, 0, 0, 0), 0)
	if cursor != nil {
		lower = append(appendUserKey(nil, user, cursor.TimeMS, cursor.Shard, cursor.Seq), 0)
	}
	var past []core.PastEvent
	err := h.each(lower, upper, limit, func(k, v []byte) error {
		if len(k) != 26 || len(v) != 17 {
			return errIndexEntry
		}
		past = append(past, core.PastEvent{
			Shard: core.ShardID(^k[17]), Seq: ^binary.BigEndian.Uint64(k[18:]), TimeMS: int64(^binary.BigEndian.Uint64(k[9:])),
			Event: core.Event{
				Offset: uint32(v[0]) | uint32(v[1])<<8 | uint32(v[2])<<16, Color: v[3], Old: v[4], User: user,
				Request: core.Request{Instance: binary.LittleEndian.Uint64(v[5:]), Number: binary.LittleEndian.Uint32(v[13:])},
			},
		})
		return nil
	})
	return past, err
}

// HeadsAt implements core.History. What lies before the log is known of its end
// alone.
func (h history) HeadsAt(_ context.Context, timeMS int64) (heads core.Heads, err error) {
	if timeMS < 0 {
		return heads, nil
	}
	it, err := h.iterate(nil)
	if err != nil {
		return heads, err
	}
	floor := h.x.folder.log.floor()
	for s := range heads {
		shard := core.ShardID(s)
		if floor.timeMS <= timeMS {
			heads[s] = floor.heads[s]
		}
		if it.SeekLT(appendTimeKey(nil, shard, timeMS+1)); !it.Valid() || len(it.Key()) != 10 || it.Key()[0] != 't' || it.Key()[1] != byte(s) {
			continue
		}
		if len(it.Value()) != 8 {
			return heads, errors.Join(errIndexEntry, it.Close())
		}
		heads[s] = binary.LittleEndian.Uint64(it.Value())
	}
	return heads, it.Close()
}

// iterate fails with CodeUnavailable while there is no room to open the index.
func (h history) iterate(o *pebble.IterOptions) (*pebble.Iterator, error) {
	db := h.x.db.Load()
	if db == nil {
		return nil, &core.Error{Code: core.CodeUnavailable, Msg: "the history waits for room on the disk", RetryAfter: 5 * time.Second}
	}
	return db.NewIter(o)
}

var errIndexEntry = errors.New("an entry of the index has the wrong length")

// each calls fn with at most limit entries from lower up to before upper.
func (h history) each(lower, upper []byte, limit int, fn func(k, v []byte) error) error {
	it, err := h.iterate(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	n := 0
	for ok := it.First(); ok && n < limit; ok = it.Next() {
		if err := fn(it.Key(), it.Value()); err != nil {
			return errors.Join(err, it.Close())
		}
		n++
	}
	return it.Close()
}

type userCooldowns struct{ q *sequencer }

// Allowance implements core.Cooldowns.
func (c userCooldowns) Allowance(_ context.Context, user uint64, nowMS int64) (core.Allowance, error) {
	c.q.mu.Lock()
	defer c.q.mu.Unlock()
	return c.q.cooldowns.Allowance(user, nowMS), nil
}
