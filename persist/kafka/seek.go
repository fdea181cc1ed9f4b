package kafka

import (
	"context"
	"fmt"
	"slices"

	"pixelwall/core"
)

const (
	// seekBack is how many records before a place tell who was right there. What a
	// deposed relay had under way, or a relay appended twice, is one or two Appends;
	// this is four.
	seekBack = 4 * AppendMax

	probeBytes = 64 << 10
	rangeBytes = 1 << 20
)

// A seeker finds the place of a seq in a partition. Offsets say nothing about
// seqs, records of deposed relays may lie anywhere behind the claim that deposed
// them, and the beginning may be gone.
type seeker struct {
	log   partition
	shard core.ShardID
	back  int64 // seekBack
}

// A place is where a reader begins.
type place struct {
	offset int64
	known  int64        // of the last record before it that counts, or the beginning
	claim  *core.Record // in force at offset, nil when nobody claimed before it
}

// seek returns the place of the first record that a reader who holds from has
// not seen. All of these hold for what begins there: a follower that stands at
// from and hears the claim first goes through the same events as one that
// followed the log from its beginning.
//
// What it answers when the log is not whole:
//   - it begins with a record that follows a seq above from: CodeNotFound;
//   - from is 0 and the beginning is gone: CodeNotFound, as the start canvas was there;
//   - it holds nothing, or claims only: its beginning. What is written next says
//     by its own seq whether the reader misses anything, and a relay that stands on
//     an archive can take over a topic that lost everything or slept for long;
//   - it ends below from (the reader followed the sequencer itself): its end.
func (k *seeker) seek(ctx context.Context, from uint64) (place, error) {
	begin, end, err := k.log.bounds(ctx)
	if err != nil {
		return place{}, err
	}
	if from == 0 && begin > 0 {
		return place{}, k.gone("its start canvas")
	}
	cross := begin
	if from > 0 {
		if cross, err = k.cross(ctx, from, begin, end); err != nil {
			return place{}, err
		}
	}
	s := stretch{at: cross, to: cross}
	if err := k.forward(ctx, &s, end); err != nil {
		return place{}, err
	}
	j, err := k.widen(ctx, &s, from, begin, end)
	if err != nil {
		return place{}, err
	}
	if j.known < 0 || from == 0 {
		return k.beginning(ctx, &s, from, end)
	}
	return place{offset: s.offsetOf(j.next), known: s.offsetOf(j.known), claim: k.record(j.right)}, nil
}

// cross returns an offset near which from is passed, or which lies before that.
func (k *seeker) cross(ctx context.Context, from uint64, begin, end int64) (int64, error) {
	for end-begin > k.back {
		mid := begin + (end-begin)/2
		before, err := k.liesBefore(ctx, mid, end, from)
		if err != nil {
			return 0, err
		}
		if before {
			begin = mid
		} else {
			end = mid
		}
	}
	return end, nil
}

// liesBefore reports whether offset o is before the place of from, going by the
// first record from there on that bears a seq and the highest epoch around.
func (k *seeker) liesBefore(ctx context.Context, o, end int64, from uint64) (bool, error) {
	for o < end {
		es, next, err := k.log.read(ctx, o, probeBytes)
		if err != nil {
			return false, err
		}
		var first *entry
		for i := range es {
			e := &es[i]
			if e.kind != core.KindClaim && (first == nil || e.holder.Epoch > first.holder.Epoch) {
				first = e
			}
		}
		if first != nil {
			return first.last <= from, nil
		}
		o = next
	}
	return false, nil
}

// forward adds what lies behind s.
func (k *seeker) forward(ctx context.Context, s *stretch, end int64) error {
	if s.to >= end {
		return nil
	}
	es, next, err := k.log.read(ctx, s.to, probeBytes)
	if err != nil {
		return err
	}
	s.entries, s.to = append(s.entries, es...), next
	return nil
}

// widen adds to s what lies before it until that tells with certainty who was right
// where from is passed, and that nothing beyond from lies earlier. Where the log
// begins behind the claim that deposed a relay, whose records look right then, only
// what comes behind them tells, so that it is added too.
func (k *seeker) widen(ctx context.Context, s *stretch, from uint64, begin, end int64) (judgement, error) {
	for step := k.back; ; step *= 2 {
		j := s.judge(from)
		if j.known >= 0 && s.offsetOf(j.next)-s.at >= k.back {
			return j, nil
		}
		if s.at == begin {
			if begin == 0 || s.to >= min(end, s.offsetOf(j.next)+k.back) {
				return j, nil
			}
			if err := k.forward(ctx, s, end); err != nil {
				return judgement{}, err
			}
			continue
		}
		if err := k.backward(ctx, s, max(begin, s.at-step)); err != nil {
			return judgement{}, err
		}
	}
}

// backward adds what lies between offset at and s.
func (k *seeker) backward(ctx context.Context, s *stretch, at int64) error {
	var earlier []entry
	for o := at; o < s.at; {
		es, next, err := k.log.read(ctx, o, rangeBytes)
		if err != nil {
			return err
		}
		earlier = append(earlier, es...)
		o = next
	}
	n, _ := slices.BinarySearchFunc(earlier, s.at, func(e entry, o int64) int { return int(e.offset - o) })
	s.entries = append(earlier[:n], s.entries...)
	s.at = at
	return nil
}

// beginning returns the beginning of the log, which s starts at, unless what it
// begins with follows a later seq than from.
func (k *seeker) beginning(ctx context.Context, s *stretch, from uint64, end int64) (place, error) {
	for {
		j := s.judge(from)
		if j.first < len(s.entries) {
			if s.entries[j.first].follows > from {
				return place{}, k.gone(fmt.Sprintf("what follows seq %d", from))
			}
			return place{offset: s.at, known: s.at, claim: k.record(j.start)}, nil
		}
		if s.to >= end {
			return place{offset: s.at, known: s.at, claim: k.record(j.start)}, nil
		}
		if err := k.forward(ctx, s, end); err != nil {
			return place{}, err
		}
	}
}

// last returns the seq that the log leads to, 0 when it tells none, and who may
// write there.
func (k *seeker) last(ctx context.Context) (uint64, claim, error) {
	begin, end, err := k.log.bounds(ctx)
	if err != nil {
		return 0, claim{}, err
	}
	s := stretch{at: end, to: end}
	j, err := k.widen(ctx, &s, 1<<64-1, begin, end)
	return j.head, j.right, err
}

func (k *seeker) gone(what string) error {
	return core.NewError(core.CodeNotFound, fmt.Sprintf("shard %d: the log does not hold %s any more", k.shard, what))
}

// record returns the claim c as a record, nil when nobody claimed.
func (k *seeker) record(c claim) *core.Record {
	if c.Holder == (core.Holder{}) {
		return nil
	}
	return &core.Record{Kind: core.KindClaim, Canvas: c.canvas, Epoch: c.Epoch, Relay: c.Relay, Shard: k.shard, TimeMS: c.timeMS}
}
