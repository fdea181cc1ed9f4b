package core

import "fmt"

// A Verdict is what a follower must do with a record.
type Verdict uint8

const (
	Apply     Verdict = iota // it is the next one
	Duplicate                // it was seen before: drop it
	Gap                      // something is missing before it: fetch that first
)

// A Follower is the rule by which every consumer of the log (board, archive,
// snapshot) goes through one canvas: each event once, in order, none skipped.
// The zero Follower has seen nothing.
type Follower struct {
	Heads Heads
}

// Next judges r and, when the verdict is Apply, moves past it. A record that
// begins before the head and ends after it is cut in place to what is new.
func (f *Follower) Next(r *Record) Verdict {
	head := &f.Heads[r.Shard]
	switch {
	case r.Kind == KindStart:
		if *head > 0 {
			return Duplicate
		}
		return Apply
	case r.Kind == KindMarker:
		return f.jump(r, head)
	case r.Kind == KindClaim || r.Last() <= *head:
		return Duplicate
	case r.First > *head+1:
		return Gap
	}
	if seen := *head + 1 - r.First; seen > 0 {
		r.Events = r.Events[seen:]
		r.First += seen
	}
	*head = r.Last()
	return Apply
}

// jump follows a marker: seq goes on at First, one above what the marker takes.
func (f *Follower) jump(r *Record, head *uint64) Verdict {
	switch {
	case r.First <= *head:
		return Duplicate
	case *head != r.LastOld:
		return Gap
	}
	*head = r.First
	return Apply
}

// GapError describes a Gap for the log.
func (f *Follower) GapError(r *Record) error {
	return NewError(CodeInternal, fmt.Sprintf("shard %d: record begins at seq %d after %d", r.Shard, r.First, f.Heads[r.Shard]))
}
