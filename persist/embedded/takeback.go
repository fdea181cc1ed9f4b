package embedded

import (
	"fmt"
	"io"

	"pixelwall/core"
	"pixelwall/persist"
)

// A stream that is the only log may lose its end when its server dies, after an
// archive has stored it. The marker of the next epoch says so by naming an earlier
// seq as the last one before it. The archive stores that marker like any record;
// what it takes back stays in the log and counts nowhere: the fold and the index
// find it there and undo it.

// takenBack reads the records of shard s behind seq last, up to the marker that
// takes seq until or the end of the log, and the one that ends at last. What an
// earlier marker took back is not among them.
func (l *segmentLog) takenBack(s core.ShardID, last, until uint64) (lost []*core.Record, kept *core.Record, err error) {
	c := &cursor{log: l, number: l.segmentBefore(s, last)}
	defer c.close()
	for {
		b, _, err := c.next()
		if err == io.EOF {
			return lost, kept, nil
		}
		var r core.Record
		if err == nil {
			err = persist.DecodeRecord(b, &r)
		}
		switch {
		case err != nil:
			return nil, nil, err
		case r.Shard != s:
			continue
		case r.Kind == core.KindMarker && r.First == until:
			return lost, kept, nil
		case r.Kind == core.KindMarker && r.LastOld < last && last < r.First:
			return nil, nil, core.NewError(core.CodeMismatch, fmt.Sprintf("shard %d: seq %d was taken back before, and counts again", s, last))
		case r.Kind == core.KindMarker:
			for len(lost) > 0 && lost[len(lost)-1].Last() > r.LastOld {
				lost = lost[:len(lost)-1]
			}
		}
		switch {
		case r.First > last:
			lost = append(lost, r.Clone())
		case r.Last() > last:
			return nil, nil, core.NewError(core.CodeMismatch, fmt.Sprintf("shard %d: seq %d lies within a record", s, last))
		case r.Last() == last:
			kept = r.Clone()
		}
	}
}

// segmentBefore returns the number of the last segment that begins before seq of s.
func (l *segmentLog) segmentBefore(s core.ShardID, seq uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := len(l.segments) - 1
	for i > 0 && l.segments[i].heads[s] >= seq {
		i--
	}
	return l.segments[i].number
}

// canTakeBack reports why the archive cannot follow marker r, which names a place
// before its own end.
func (l *segmentLog) canTakeBack(r *core.Record) error {
	if begins := l.floor().heads[r.Shard]; r.LastOld < begins {
		return core.NewError(core.CodeMismatch, fmt.Sprintf("shard %d: seq goes on behind %d, and this archive begins behind %d", r.Shard, r.LastOld, begins))
	}
	_, _, err := l.takenBack(r.Shard, r.LastOld, r.First)
	return err
}

// takeBack undoes what marker r does not know. A configuration stays: canvases
// do not shrink.
func (f *fold) takeBack(r *core.Record) error {
	lost, _, err := f.log.takenBack(r.Shard, r.LastOld, r.First)
	if err != nil {
		return err
	}
	undo := core.Record{Kind: core.KindPlacements, Shard: r.Shard}
	for i := len(lost) - 1; i >= 0; i-- {
		for j := len(lost[i].Events) - 1; j >= 0; j-- {
			e := lost[i].Events[j]
			e.Color = e.Old
			undo.Events = append(undo.Events, e)
		}
	}
	f.GoTo(r.Shard, core.Position{Holder: r.Holder(), Seq: r.First})
	f.Times[r.Shard] = max(f.Times[r.Shard], r.TimeMS)
	f.owed = true
	return f.Board.Apply(&undo)
}
