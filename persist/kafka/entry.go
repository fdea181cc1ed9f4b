package kafka

import (
	"context"
	"fmt"
	"slices"

	"pixelwall/core"
	"pixelwall/wire"
)

// An entry is what the search needs to know of a record.
type entry struct {
	offset  int64
	kind    core.Kind
	holder  core.Holder
	canvas  uint64
	timeMS  int64
	last    uint64 // seq that a follower has after it
	follows uint64 // seq that a follower must have before it
}

// A partition is the log of one shard as the search sees it.
type partition interface {
	// bounds returns the first offset that is there and the one behind the last.
	bounds(ctx context.Context) (begin, end int64, err error)
	// read returns some of the entries from offset on, at least one where there
	// are any, and the offset behind them.
	read(ctx context.Context, offset int64, bytesMax int32) (es []entry, next int64, err error)
}

// parseEntry reads the value of the record of shard s at offset. It fails with
// CodeMalformed, or with CodeMismatch when the record is of another canvas than
// canvas, which is 0 when any will do.
func parseEntry(value []byte, s core.ShardID, offset int64, canvas uint64) (entry, error) {
	r, err := wire.ParseRecord(value)
	if err != nil {
		return entry{}, malformed(s, offset, err)
	}
	if core.ShardID(r.Shard) != s {
		return entry{}, malformed(s, offset, fmt.Errorf("it says that it is of shard %d", r.Shard))
	}
	if canvas != 0 && r.Canvas != canvas && core.Kind(r.Kind) != core.KindClaim { // see judge
		return entry{}, mismatch(s, offset, r.Canvas, canvas)
	}
	e := entry{offset: offset, kind: core.Kind(r.Kind), holder: core.Holder{Epoch: r.Epoch, Relay: r.Relay}, canvas: r.Canvas, timeMS: r.TimeMS}
	switch e.kind {
	case core.KindPlacements:
		e.follows, e.last = r.First-1, r.First+uint64(r.N)-1
	case core.KindConfig:
		e.follows, e.last = r.First-1, r.First
	case core.KindMarker:
		e.follows, e.last = r.LastOld, r.First
	}
	return e, nil
}

func malformed(s core.ShardID, offset int64, err error) error {
	return &core.Error{Code: core.CodeMalformed, Msg: fmt.Sprintf("partition %d offset %d holds no record of ours", s, offset), Err: err}
}

func mismatch(s core.ShardID, offset int64, is, want uint64) error {
	return core.NewError(core.CodeMismatch, fmt.Sprintf("partition %d offset %d is of canvas %016x, not %016x", s, offset, is, want))
}

// A stretch is all entries of a partition from offset at up to offset to.
type stretch struct {
	at, to  int64
	entries []entry
}

// A claim says who may write, and what a record that says so would bear.
type claim struct {
	core.Holder
	canvas uint64
	timeMS int64
}

func (e *entry) claim() claim { return claim{e.holder, e.canvas, e.timeMS} }

// A judgement is what the entries of a stretch tell together. An entry counts
// when a follower of the whole log lets it through or knows it already.
type judgement struct {
	start claim // in force before the first entry; zero when nothing tells or nobody claimed
	first int   // first entry that counts; len(entries) when none does
	next  int   // first entry that counts and leads beyond the seq; len(entries) when none does
	known int   // last entry before next that counts and does not lead beyond it; -1 when none does
	right claim // in force just before next
	head  uint64
}

// judge says which entries a follower of the whole log would have gone through,
// though it sees a part only, and where among them seq is passed.
func (s *stretch) judge(seq uint64) judgement {
	writers, start := s.writers()
	j := judgement{start: start, first: len(s.entries), next: len(s.entries), known: -1}
	right := start
	for i := range s.entries {
		e := &s.entries[i]
		switch {
		case e.kind == core.KindClaim:
			if e.holder.Epoch > right.Epoch {
				right = e.claim()
				if w, ok := writers[right.Epoch]; ok {
					right.Holder = w
				}
			}
			continue
		case e.holder != right.Holder:
			continue
		}
		j.first = min(j.first, i)
		j.head = max(j.head, e.last)
		switch past := j.next < len(s.entries); {
		case !past && e.last > seq:
			j.next, j.right = i, right
		case !past:
			j.known = i
		}
	}
	if j.next == len(s.entries) {
		j.right = right
	}
	// A claim may be written before its author has read which canvas it is.
	if i := slices.IndexFunc(s.entries, func(e entry) bool { return e.kind != core.KindClaim }); i >= 0 {
		j.start.canvas, j.right.canvas = s.entries[i].canvas, s.entries[i].canvas
	}
	return j
}

// writers returns who wrote data in each epoch, and who was right before the
// first entry. Of two who claimed one epoch only the first ever writes data, so
// data tells which one that was.
func (s *stretch) writers() (writers map[uint32]core.Holder, start claim) {
	type taken struct {
		by   core.Holder // first claim that is seen
		head uint64      // of what was written before it; meaningless unless some
		some bool
	}
	writers = make(map[uint32]core.Holder)
	claims := make(map[uint32]taken)
	head, some, claimed := uint64(0), false, uint32(0)
	for i := range s.entries {
		e := &s.entries[i]
		epoch := e.holder.Epoch
		if e.kind == core.KindClaim {
			claimed = max(claimed, epoch)
			if _, known := claims[epoch]; !known {
				claims[epoch] = taken{e.holder, head, some}
			}
			continue
		}
		if _, known := writers[epoch]; !known {
			writers[epoch] = e.holder
			// A take-over joins what it found. What does not was claimed earlier, and
			// whatever lower epochs wrote here is void.
			c := claims[epoch]
			joins := c.by == e.holder && (!c.some || e.follows == c.head || e.follows < c.head && e.kind != core.KindMarker)
			if !joins && epoch >= start.Epoch {
				start = e.claim()
			}
		}
		if epoch >= claimed { // else it was void when it was written, and no take-over joins it
			head, some = max(head, e.last), true
		}
	}
	if s.at == 0 { // nobody can have claimed before the first record of all
		start = claim{}
	}
	return writers, start
}

// offsetOf returns the offset of entry i, or the end of the stretch.
func (s *stretch) offsetOf(i int) int64 {
	if i == len(s.entries) {
		return s.to
	}
	return s.entries[i].offset
}
