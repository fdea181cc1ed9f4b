package embedded

import (
	"context"
	"fmt"
	"io"

	"pixelwall/core"
	"pixelwall/persist"
)

// A cursor goes through the log from some place on, over all segments, and sees
// nothing that is not durable. It reads files only: a slow one costs the writer
// nothing, and one that keeps up reads what the page cache still holds.
type cursor struct {
	log    *segmentLog
	number uint64 // of the open segment
	file   File
	frames frameReader
}

// open places a cursor before the first record that a reader who holds from has
// not seen. There may be records before it that the reader has seen.
func (l *segmentLog) open(from *core.Heads) (*cursor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for s, seq := range from {
		if seq > l.heads[s] {
			return nil, core.NewError(core.CodeMismatch, fmt.Sprintf("shard %d: seq %d is beyond the log, which ends at %d", s, seq, l.heads[s]))
		}
	}
	i := len(l.segments) - 1
	if *from == (core.Heads{}) { // start canvases lie at seq 0, so no seq tells where they are
		i = 0
	}
	for ; i >= 0; i-- {
		if s := &l.segments[i]; from.Reach(&s.heads) {
			return &cursor{log: l, number: s.number}, nil
		}
	}
	return nil, errTrimmed
}

// errTrimmed is shared, and nobody writes to it.
var errTrimmed = core.NewError(core.CodeNotFound, "the log does not reach back that far")

func (c *cursor) close() {
	if c.file != nil {
		c.file.Close() // only read: nothing can be lost
	}
}

// next returns the next durable record, or io.EOF and a channel that is closed
// when there may be more.
//
// Ownership: the record is valid until the next call.
func (c *cursor) next() (rec []byte, more <-chan struct{}, err error) {
	for {
		if c.file != nil {
			rec, err := c.frames.next()
			if err == nil {
				return rec, nil, nil
			}
			if err != io.EOF {
				return nil, nil, fmt.Errorf("%s: damaged %w", c.log.path(c.number), err)
			}
		}
		moved, more, err := c.advance()
		if err != nil {
			return nil, nil, err
		}
		if !moved {
			return nil, more, io.EOF
		}
	}
}

// advance learns how far the log has become, and goes on to the next segment
// when this one is done.
func (c *cursor) advance() (moved bool, more <-chan struct{}, err error) {
	l := c.log
	l.mu.Lock()
	more = l.changed
	if c.number < l.segments[0].number {
		l.mu.Unlock()
		return false, nil, errTrimmed
	}
	i := int(c.number - l.segments[0].number)
	last := i == len(l.segments)-1
	limit := l.segments[i].bytes
	if last {
		limit = l.durable
	}
	l.mu.Unlock()
	switch {
	case c.file == nil:
		if c.file, err = l.fs.Open(l.path(c.number)); err != nil {
			c.file = nil
			return false, nil, err
		}
		c.frames = frameReader{file: c.file, at: segmentHeaderBytes, limit: limit, buf: c.frames.buf[:0]}
		return true, nil, nil
	case limit > c.frames.limit:
		c.frames.limit = limit
		return true, nil, nil
	case last:
		return false, more, nil
	}
	c.close()
	c.file = nil
	c.number++
	return true, nil, nil
}

// Tail implements core.Log. A Tail from the zero Heads begins with the start
// canvas of every shard, or is told that the log begins later.
func (d *folder) Tail(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
	c, err := d.log.open(&from)
	if err != nil {
		return err
	}
	defer c.close()
	fn = persist.WithClaims(fn)
	var r core.Record
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		rec, more, err := c.next()
		if err == io.EOF {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-d.closing:
				return core.NewError(core.CodeUnavailable, "the store is closed")
			case <-more:
			}
			continue
		}
		if err == nil {
			err = persist.DecodeRecord(rec, &r)
		}
		if err != nil {
			return err
		}
		if seen := from[r.Shard]; r.Last() <= seen && !(r.Kind == core.KindStart && seen == 0) {
			continue
		}
		if err := fn(&r); err != nil {
			return err
		}
	}
}

// Heads implements core.Log.
func (d *folder) Heads(context.Context) (core.Heads, error) { return d.log.ends(), nil }
