package scylla

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/gocql/gocql"
	"golang.org/x/sync/errgroup"

	"pixelwall/core"
	"pixelwall/persist"
	"pixelwall/wire"
)

const (
	snapshotsNewest = 4 // stay whatever their time; of the older ones, the first of each hour
	hourMS          = 3_600_000
	headsBytes      = 8 * core.ShardsMax

	insertShard    = `INSERT INTO snapshot_shards (ts, id, shard, data) VALUES (?, ?, ?, ?)`
	insertSnapshot = `INSERT INTO snapshots (part, ts, id, heads, config, shards) VALUES (0, ?, ?, ?, ?, ?)`
	selectShard    = `SELECT data FROM snapshot_shards WHERE ts = ? AND id = ? AND shard = ?`
	selectPresent  = `SELECT shard FROM snapshot_shards WHERE ts = ? AND id = ? AND shard = ?`
	selectSnapshot = `SELECT ts, id, heads, config, shards FROM snapshots WHERE part = 0 AND ts <= ?`
	selectLadder   = `SELECT ts, id, shards FROM snapshots WHERE part = 0`
	deleteSnapshot = `DELETE FROM snapshots WHERE part = 0 AND ts = ? AND id = ?`
	deleteShard    = `DELETE FROM snapshot_shards WHERE ts = ? AND id = ? AND shard = ?`
)

// A stored is the row of a snapshot. id is the sum of its heads, so that the same
// snapshot overwrites itself.
type stored struct {
	TS     int64 `db:"ts"`
	ID     int64 `db:"id"`
	Heads  []byte
	Config []byte
	Shards int64 // the set of shards that it has, shard 0 in the lowest bit
}

func (r *stored) each(fn func(core.ShardID)) {
	for set := uint64(r.Shards); set != 0; set &= set - 1 {
		fn(core.ShardID(bits.TrailingZeros64(set)))
	}
}

func storedOf(s *core.Snapshot) *stored {
	r := &stored{TS: s.TimeMS, Config: persist.AppendConfig(nil, &s.Config)}
	for i, seq := range s.Heads {
		r.ID += int64(seq)
		r.Heads = binary.BigEndian.AppendUint64(r.Heads, seq)
		if s.Shards[i] != nil {
			r.Shards |= 1 << i
		}
	}
	return r
}

// Put implements core.Snapshots. Afterwards it forgets the snapshots that are too
// many; when that fails, the next Put tries again.
func (s *Store) Put(ctx context.Context, snap *core.Snapshot) error {
	c, err := s.connected()
	if err != nil {
		return err
	}
	if err := s.claim(ctx, c, snap.Canvas); err != nil {
		return failure(ctx, err)
	}
	r := storedOf(snap)
	group, each := errgroup.WithContext(ctx)
	group.SetLimit(shardsAtOnce)
	r.each(func(shard core.ShardID) { group.Go(func() error { return putShard(each, c, r, snap, shard) }) })
	if err := group.Wait(); err != nil {
		return failure(ctx, err)
	}
	err = c.QueryWithContext(ctx, insertSnapshot, &r.TS, &r.ID, &r.Heads, &r.Config, &r.Shards).Exec()
	if err != nil {
		return failure(ctx, err)
	}
	if err := forgetOld(ctx, c); err != nil {
		s.o.Logger.Warn("old snapshots stay for now", "err", err)
	}
	return nil
}

func putShard(ctx context.Context, c *session, r *stored, s *core.Snapshot, shard core.ShardID) error {
	g := s.Config.Geometry()
	if want := g.PackedBytes(shard); len(s.Shards[shard]) != want {
		return core.NewError(core.CodeMalformed, fmt.Sprintf("snapshot: shard %d has %d bytes, want %d", shard, len(s.Shards[shard]), want))
	}
	w, h := g.Area(shard)
	file := wire.ShardSnapshot{
		Canvas: s.Canvas, Shard: uint8(shard), Epoch: s.Holders[shard].Epoch, Relay: s.Holders[shard].Relay, Next: s.Heads[shard] + 1,
		TimeMS: s.Times[shard], Bits: g.Bits, Width: uint16(w), Height: uint16(h), Packed: s.Shards[shard],
	}
	data := file.AppendTo(make([]byte, 0, wire.ShardSnapshotHeaderBytes+len(file.Packed)))
	id := int8(shard)
	return c.QueryWithContext(ctx, insertShard, &r.TS, &r.ID, &id, &data).Exec()
}

// forgetOld removes what the ladder does not keep: the row last, so that one that is
// half gone, which every reader passes over, is found again.
func forgetOld(ctx context.Context, c *session) error {
	var rows []stored // newest first
	if err := c.x.ContextQuery(ctx, selectLadder, nil).SelectRelease(&rows); err != nil {
		return err
	}
	hour := int64(math.MinInt64)
	for i := len(rows) - 1; i >= snapshotsNewest; i-- {
		r := &rows[i]
		if h := r.TS / hourMS; h != hour {
			hour = h
			continue
		}
		var failed error
		r.each(func(shard core.ShardID) {
			id := int8(shard)
			if err := c.QueryWithContext(ctx, deleteShard, &r.TS, &r.ID, &id).Exec(); err != nil && failed == nil {
				failed = err
			}
		})
		if failed != nil {
			return failed
		}
		if err := c.QueryWithContext(ctx, deleteSnapshot, &r.TS, &r.ID).Exec(); err != nil {
			return err
		}
	}
	return nil
}

// Latest implements core.Snapshots.
func (s *Store) Latest(ctx context.Context) (*core.Snapshot, error) {
	return s.At(ctx, math.MaxInt64)
}

// LatestHeads returns the heads of the snapshot that Latest returns, without its
// shards. It only looks whether all of them are there: each is one cell, which is
// written whole.
func (s *Store) LatestHeads(ctx context.Context) (core.Heads, error) {
	snap, err := s.newest(ctx, math.MaxInt64, findShard)
	if err != nil {
		return core.Heads{}, err
	}
	return snap.Heads, nil
}

// At implements core.Snapshots; the log is event_log.
func (s *Store) At(ctx context.Context, timeMS int64) (*core.Snapshot, error) {
	return s.newest(ctx, timeMS, loadShard)
}

// perShard does what is to be done about one shard of a snapshot. It fails with
// CodeMalformed when the snapshot is of no use.
type perShard func(context.Context, *session, *stored, *core.Snapshot, core.ShardID) error

// newest returns the newest snapshot of at most timeMS, of whose shards each was
// good. One that cannot be read is passed over: an older one is as good, it only
// takes more of the log.
func (s *Store) newest(ctx context.Context, timeMS int64, shard perShard) (*core.Snapshot, error) {
	c, err := s.connected()
	if err != nil {
		return nil, err
	}
	iter := c.x.ContextQuery(ctx, selectSnapshot, nil).Bind(timeMS).PageSize(snapshotsNewest).Iter()
	defer iter.Close() // again, after an early end
	var r stored
	for iter.StructScan(&r) {
		snap, err := s.load(ctx, c, &r, shard)
		if err != nil {
			return nil, failure(ctx, err)
		}
		if snap != nil {
			return snap, nil
		}
	}
	if err := iter.Close(); err != nil {
		return nil, failure(ctx, err)
	}
	return nil, core.NewError(core.CodeNotFound, "no such snapshot")
}

// load returns the snapshot of r, nil when it is of no use.
func (s *Store) load(ctx context.Context, c *session, r *stored, shard perShard) (*core.Snapshot, error) {
	if c.canvas.Load() == 0 { // another process has named it since we connected
		if err := s.checkCanvas(ctx, c); err != nil {
			return nil, err
		}
	}
	snap, err := r.decode(c.canvas.Load())
	if err != nil {
		s.o.Logger.Warn("snapshot passed over", "time", r.TS, "err", err)
		return nil, nil
	}
	reached, err := s.reaches(ctx, c, &snap.Heads)
	if err != nil || !reached {
		return nil, err
	}
	group, each := errgroup.WithContext(ctx)
	group.SetLimit(shardsAtOnce)
	r.each(func(id core.ShardID) { group.Go(func() error { return shard(each, c, r, snap, id) }) })
	if err = group.Wait(); err != nil && core.CodeOf(err) == core.CodeMalformed {
		s.o.Logger.Warn("snapshot passed over", "time", r.TS, "err", err)
		return nil, nil
	}
	return snap, err
}

func (r *stored) decode(canvas uint64) (*core.Snapshot, error) {
	config, err := persist.DecodeConfig(r.Config)
	if err != nil {
		return nil, err
	}
	if err := config.Validate(); err != nil {
		return nil, err
	}
	if len(r.Heads) != headsBytes {
		return nil, core.NewError(core.CodeMalformed, fmt.Sprintf("heads of %d bytes", len(r.Heads)))
	}
	s := &core.Snapshot{Canvas: canvas, Config: *config, TimeMS: r.TS}
	for i := range s.Heads {
		s.Heads[i] = binary.BigEndian.Uint64(r.Heads[8*i:])
	}
	return s, nil
}

func loadShard(ctx context.Context, c *session, r *stored, s *core.Snapshot, shard core.ShardID) error {
	var data []byte
	id := int8(shard)
	err := ignoreNotFound(c.QueryWithContext(ctx, selectShard, &r.TS, &r.ID, &id).Scan(&data))
	if err != nil {
		return err
	}
	file, err := wire.ParseShardSnapshot(data)
	if err != nil {
		return &core.Error{Code: core.CodeMalformed, Msg: fmt.Sprintf("snapshot: shard %d", shard), Err: err}
	}
	w, h := s.Config.Geometry().Area(shard)
	if file.Canvas != s.Canvas || file.Shard != uint8(shard) || file.Next != s.Heads[shard]+1 || file.Bits != s.Config.Bits || int(file.Width) != w || int(file.Height) != h {
		return core.NewError(core.CodeMalformed, fmt.Sprintf("snapshot: shard %d is of another snapshot", shard))
	}
	s.Holders[shard] = core.Holder{Epoch: file.Epoch, Relay: file.Relay}
	s.Times[shard], s.Shards[shard] = file.TimeMS, file.Packed
	return nil
}

// findShard looks whether a shard is there, and reads nothing of it.
func findShard(ctx context.Context, c *session, r *stored, _ *core.Snapshot, shard core.ShardID) error {
	id := int8(shard)
	err := c.QueryWithContext(ctx, selectPresent, &r.TS, &r.ID, &id).Scan(&id)
	if errors.Is(err, gocql.ErrNotFound) {
		return core.NewError(core.CodeMalformed, fmt.Sprintf("snapshot: shard %d is missing", shard))
	}
	return err
}

// reaches reports whether the log holds everything up to heads.
func (s *Store) reaches(ctx context.Context, c *session, heads *core.Heads) (bool, error) {
	all, err := marks(ctx, c)
	if err != nil {
		return false, err
	}
	for shard, want := range heads {
		mark := all[core.ShardID(shard)].Seq
		if want <= mark {
			continue
		}
		w := walkFrom(c, core.ShardID(shard), mark)
		if err := w.toEnd(ctx, func(*row) (bool, error) { return w.after < int64(want), nil }); err != nil {
			return false, err
		}
		if w.after < int64(want) {
			return false, nil
		}
	}
	return true, nil
}
