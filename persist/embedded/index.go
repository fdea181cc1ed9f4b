package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"pixelwall/core"
	"pixelwall/persist"
)

// An index answers who painted what and when. It follows the log like any other
// reader, on a goroutine of its own, and nothing waits for it. It has no
// write-ahead log: after a crash it goes on from what was flushed, and when it is
// damaged it begins again, because the log holds everything.
//
//	key, numbers big endian                               value, numbers little endian
//	'a'                                                   canvas id (8), head of each shard (512)
//	'p' shard (1) offset (3) ^seq (8)                     colour, old, time (8), user (8), instance (8), number (4)
//	't' shard (1) time (8)                                last seq of that time (8)
//	'u' user (8) ^time (8) ^shard (1) ^seq (8)            offset (3), colour, old, instance (8), number (4)
//
// What is inverted sorts newest first.
type index struct {
	folder  *folder
	db      atomic.Pointer[pebble.DB]  // nil until it is open
	applied atomic.Pointer[core.Heads] // what db holds
	waiting atomic.Bool                // for room on the disk
	logger  *slog.Logger
	dir     string
}

const (
	// indexBatchEvents is how many events the index applies at once.
	indexBatchEvents = 8192
	indexVersion     = 1
)

// newIndex opens the index at once where the disk has room for what that writes.
// Where it has not, loop does so later: a store on a full disk can be opened.
func newIndex(d *folder) (*index, error) {
	x := &index{folder: d, logger: d.options.Logger, dir: filepath.Join(d.options.Dir, indexName)}
	x.applied.Store(&d.log.floor().heads)
	free, err := d.options.FS.FreeBytes(d.options.Dir)
	if err != nil || free < d.options.IndexSpareBytes {
		return x, err
	}
	return x, x.openOrRebuild()
}

// openOrRebuild opens the index, or begins a new one where the old one cannot be used.
func (x *index) openOrRebuild() error {
	err := x.open()
	if err == nil {
		return nil
	}
	x.logger.Warn("the index is made anew from the log", "err", err)
	if err := x.folder.options.IndexFS.RemoveAll(x.dir); err != nil {
		return err
	}
	return x.open()
}

func (x *index) open() error {
	db, err := pebble.Open(x.dir, x.pebbleOptions())
	if err != nil {
		return fmt.Errorf("%s: %w", x.dir, err)
	}
	applied, err := x.readApplied(db)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	x.applied.Store(applied)
	x.db.Store(db)
	return nil
}

func (x *index) pebbleOptions() *pebble.Options {
	o := &pebble.Options{
		FS:                          vfs.OnDiskFull(x.folder.options.IndexFS, x.awaitRoom),
		DisableWAL:                  true,
		FormatMajorVersion:          pebble.FormatNewest,
		MemTableSize:                32 << 20,
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       32,
		Logger:                      pebbleLogger{x.logger},
	}
	o.CacheSize = 32 << 20
	return o
}

// awaitRoom is called by Pebble when the disk is full, on the goroutine that
// writes; what did not fit is tried again when it returns. Pebble would do so at
// once and for ever.
func (x *index) awaitRoom() {
	x.waiting.Store(true)
	defer x.waiting.Store(false)
	x.awaitBytes(x.folder.options.IndexSpareBytes)
}

// awaitBytes waits until the disk has n free bytes, or the store closes.
func (x *index) awaitBytes(n uint64) bool {
	for warned := false; ; warned = true {
		free, err := x.folder.options.FS.FreeBytes(x.folder.options.Dir)
		if err == nil && free >= n {
			return true
		}
		if !warned {
			x.logger.Warn("the index waits for room on the disk", "free_bytes", free, "err", err)
		}
		select {
		case <-x.folder.closing:
			return false
		case <-time.After(x.folder.options.ProbeEvery):
		}
	}
}

// readApplied tells how far db is; an index of something else is an error.
func (x *index) readApplied(db *pebble.DB) (*core.Heads, error) {
	v, closer, err := db.Get([]byte{'a', indexVersion})
	if errors.Is(err, pebble.ErrNotFound) {
		it, err := db.NewIter(nil)
		if err != nil {
			return nil, err
		}
		if it.First() {
			return nil, errors.Join(errors.New("an index without its heads"), it.Close())
		}
		return &x.folder.log.floor().heads, it.Close()
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	if len(v) != 8+8*core.ShardsMax || binary.LittleEndian.Uint64(v) != x.folder.meta.canvas {
		return nil, errors.New("an index of another canvas")
	}
	h := new(core.Heads)
	for i := range h {
		h[i] = binary.LittleEndian.Uint64(v[8+8*i:])
	}
	log, _ := x.folder.Heads(context.Background())
	if !log.Reach(h) {
		return nil, errors.New("an index ahead of its log")
	}
	return h, nil
}

// loop follows the log until the store closes.
func (x *index) loop() {
	for {
		err := x.follow()
		select {
		case <-x.folder.closing:
			return
		default:
		}
		x.logger.Error("the index stopped and goes on in a while", "err", err)
		select {
		case <-x.folder.closing:
			return
		case <-time.After(10 * x.folder.options.ProbeEvery):
		}
	}
}

func (x *index) follow() error {
	if x.db.Load() == nil {
		if !x.awaitBytes(x.folder.options.IndexSpareBytes) {
			return errClosing
		}
		if err := x.openOrRebuild(); err != nil {
			return err
		}
	}
	db := x.db.Load()
	follower := core.Follower{Heads: *x.applied.Load()}
	c, err := x.folder.log.open(&follower.Heads)
	if err != nil {
		return err
	}
	defer c.close()
	flush := time.NewTicker(x.folder.options.IndexFlushEvery)
	defer flush.Stop()
	b := db.NewBatchWithSize(1 << 20)
	defer b.Close()
	var r core.Record
	events, dirty := 0, false
	for {
		rec, more, err := c.next()
		if err != nil && err != io.EOF {
			return err
		}
		if err == io.EOF || events >= indexBatchEvents {
			if events > 0 {
				if err := x.commit(b, &follower.Heads); err != nil {
					return err
				}
				events, dirty = 0, true
			}
		}
		if err == io.EOF {
			select {
			case <-x.folder.closing:
				return nil
			case <-flush.C:
				if dirty {
					if _, err := db.AsyncFlush(); err != nil {
						return err
					}
					dirty = false
				}
			case <-more:
			}
			continue
		}
		if err := persist.DecodeRecord(rec, &r); err != nil {
			return err
		}
		follower.Trust(&r)
		switch follower.Next(&r) {
		case core.Gap:
			return follower.GapError(&r)
		case core.Phantom:
			if err := x.takeBack(b, &r); err != nil {
				return err
			}
			follower.GoTo(r.Shard, core.Position{Holder: r.Holder(), Seq: r.First})
			events++
		case core.Apply:
			if err := addRecord(b, &r); err != nil {
				return err
			}
			events += max(1, len(r.Events))
		}
	}
}

// commit applies b and what it leads to in one step.
func (x *index) commit(b *pebble.Batch, heads *core.Heads) error {
	if !x.awaitBytes(x.folder.options.IndexSpareBytes) {
		return errClosing
	}
	v := binary.LittleEndian.AppendUint64(make([]byte, 0, 8+8*core.ShardsMax), x.folder.meta.canvas)
	for _, seq := range heads {
		v = binary.LittleEndian.AppendUint64(v, seq)
	}
	if err := b.Set([]byte{'a', indexVersion}, v, nil); err != nil {
		return err
	}
	if err := x.db.Load().Apply(b, pebble.NoSync); err != nil {
		return err
	}
	b.Reset()
	h := *heads
	x.applied.Store(&h)
	return nil
}

var errClosing = errors.New("the store is being closed")

// addRecord adds the keys of r to b.
func addRecord(b *pebble.Batch, r *core.Record) error {
	t := b.SetDeferred(10, 8)
	appendTimeKey(t.Key[:0], r.Shard, r.TimeMS)
	binary.LittleEndian.PutUint64(t.Value, r.Last())
	if err := t.Finish(); err != nil {
		return err
	}
	for i := range r.Events {
		e := &r.Events[i]
		seq := r.First + uint64(i)
		p := b.SetDeferred(13, 30)
		appendPixelKey(p.Key[:0], r.Shard, e.Offset, seq)
		v := append(p.Value[:0], e.Color, e.Old)
		v = binary.LittleEndian.AppendUint64(v, uint64(r.TimeMS))
		v = binary.LittleEndian.AppendUint64(v, e.User)
		v = binary.LittleEndian.AppendUint64(v, e.Request.Instance)
		binary.LittleEndian.AppendUint32(v, e.Request.Number)
		if err := p.Finish(); err != nil {
			return err
		}
		u := b.SetDeferred(26, 17)
		appendUserKey(u.Key[:0], e.User, r.TimeMS, r.Shard, seq)
		v = append(u.Value[:0], byte(e.Offset), byte(e.Offset>>8), byte(e.Offset>>16), e.Color, e.Old)
		v = binary.LittleEndian.AppendUint64(v, e.Request.Instance)
		binary.LittleEndian.AppendUint32(v, e.Request.Number)
		if err := u.Finish(); err != nil {
			return err
		}
	}
	return nil
}

// takeBack removes what marker r does not know, and adds r.
func (x *index) takeBack(b *pebble.Batch, r *core.Record) error {
	lost, kept, err := x.folder.log.takenBack(r.Shard, r.LastOld, r.First)
	if err != nil {
		return err
	}
	for _, old := range lost {
		err = errors.Join(err, b.Delete(appendTimeKey(nil, old.Shard, old.TimeMS), nil))
		for i := range old.Events {
			e, seq := &old.Events[i], old.First+uint64(i)
			err = errors.Join(err, b.Delete(appendPixelKey(nil, old.Shard, e.Offset, seq), nil),
				b.Delete(appendUserKey(nil, e.User, old.TimeMS, old.Shard, seq), nil))
		}
	}
	if err == nil && kept != nil { // it may have the time of one that went
		err = addRecord(b, kept)
	}
	return errors.Join(err, addRecord(b, r))
}

func appendTimeKey(dst []byte, s core.ShardID, timeMS int64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, 't', byte(s)), uint64(timeMS))
}

func appendPixelKey(dst []byte, s core.ShardID, off uint32, seq uint64) []byte {
	dst = append(dst, 'p', byte(s), byte(off>>16), byte(off>>8), byte(off))
	return binary.BigEndian.AppendUint64(dst, ^seq)
}

func appendUserKey(dst []byte, user uint64, timeMS int64, s core.ShardID, seq uint64) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, 'u'), user)
	dst = binary.BigEndian.AppendUint64(dst, ^uint64(timeMS))
	return binary.BigEndian.AppendUint64(append(dst, ^byte(s)), ^seq)
}

// close flushes, so that the next start has less to read, where there is room.
// What fails here costs time at the next start and nothing else.
func (x *index) close() {
	db := x.db.Load()
	if db == nil {
		return
	}
	free, err := x.folder.options.FS.FreeBytes(x.folder.options.Dir)
	if err == nil && free >= x.folder.options.IndexSpareBytes {
		err = db.Flush()
	}
	if err = errors.Join(err, db.Close()); err != nil {
		x.logger.Warn("the index was not closed well; the next start may make it anew", "err", err)
	}
}

// A pebbleLogger hands on what goes wrong. Pebble also tells of every job.
type pebbleLogger struct{ logger *slog.Logger }

func (pebbleLogger) Infof(string, ...any) {}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.logger.Error("index", "err", fmt.Sprintf(format, args...))
}

// Fatalf must not return, says Pebble. It is called when the index' own files
// make no sense any more, and everything acknowledged is in the log.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	panic("index: " + fmt.Sprintf(format, args...))
}
