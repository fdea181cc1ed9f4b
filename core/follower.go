package core

import "fmt"

// A Holder is who may write the log of a shard: the fence, and the relay that
// claimed it. The zero Holder is the embedded log's, where nobody claims.
type Holder struct {
	Epoch uint32
	Relay uint64
}

// A Position is how far a consumer has come in the log of one shard.
type Position struct {
	Holder
	Seq uint64 // last seq that was applied
}

// A Verdict is what a follower must do with a record.
type Verdict uint8

const (
	Apply     Verdict = iota // it is the next one
	Duplicate                // it was seen before, or changes nothing: drop it
	Gap                      // something is missing before it: fetch that first
	Stale                    // written by somebody who was deposed: drop and count it
	Phantom                  // what was applied after LastOld is in nobody's log: reload the shard
)

// A Follower is the rule by which every consumer of the log (board, archive,
// snapshot, relay) goes through one canvas: each event once, in order, none
// skipped, and from the relay only that the log itself names. The zero Follower
// has seen nothing.
type Follower struct {
	Heads   Heads
	Holders [ShardsMax]Holder
	writers [ShardsMax]Holder // of what was applied last
}

// Next judges r and, when the verdict is Apply, moves past it. A record that
// begins before the head and ends after it is cut in place to what is new.
func (f *Follower) Next(r *Record) Verdict {
	head, holder := &f.Heads[r.Shard], &f.Holders[r.Shard]
	if r.Kind == KindClaim {
		// The first claim of an epoch counts: a second one's author reads that and
		// stands down.
		if r.Epoch > holder.Epoch {
			*holder = r.Holder()
		}
		return Duplicate
	}
	switch {
	case r.Holder() != *holder:
		return Stale
	case r.Kind == KindStart:
		if *head > 0 {
			return Duplicate
		}
		f.writers[r.Shard] = *holder
		return Apply
	case r.Kind == KindMarker:
		return f.jump(r, head)
	case r.Last() <= *head:
		return Duplicate
	case r.First > *head+1:
		return Gap
	}
	if seen := *head + 1 - r.First; seen > 0 {
		r.Events = r.Events[seen:]
		r.First += seen
	}
	*head, f.writers[r.Shard] = r.Last(), *holder
	return Apply
}

// jump follows a marker: seq goes on behind First, which the marker takes. A
// head beyond LastOld was led there by events that the sequencer lost.
func (f *Follower) jump(r *Record, head *uint64) Verdict {
	switch {
	case r.First <= *head:
		return Duplicate
	case *head > r.LastOld:
		return Phantom
	case *head < r.LastOld:
		return Gap
	}
	*head, f.writers[r.Shard] = r.First, r.Holder()
	return Apply
}

// Trust makes r's holder the holder of its shard, for a log that holds accepted
// records only: whoever wrote it asked the rule already, and no claim says so.
func (f *Follower) Trust(r *Record) { f.Holders[r.Shard] = r.Holder() }

// Position returns how far f has come in shard s.
func (f *Follower) Position(s ShardID) Position { return Position{f.Holders[s], f.Heads[s]} }

// GoTo makes p the place of f in shard s, as after loading a snapshot of it.
func (f *Follower) GoTo(s ShardID, p Position) {
	f.Heads[s], f.Holders[s], f.writers[s] = p.Seq, p.Holder, p.Holder
}

// Rewind readies f to be given again what follows its head in shard s, after a Gap. A
// claim takes no seq, so one from beyond the hole may have been heard already, and
// what is missing was written by the holder before it.
func (f *Follower) Rewind(s ShardID) { f.Holders[s] = f.writers[s] }

// GapError describes a Gap for the log.
func (f *Follower) GapError(r *Record) error {
	return NewError(CodeInternal, fmt.Sprintf("shard %d: record begins at seq %d after %d", r.Shard, r.First, f.Heads[r.Shard]))
}
