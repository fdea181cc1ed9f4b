package chaos

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"pixelwall/core"
	"pixelwall/loadtest/client"
)

// A result is what judge found.
type result struct {
	acked, stored, unknown, lost, duplicates int
	early, late                              int // placements inside a cooldown: without a reason, and because one of two was stored late
	refusals                                 map[string]int
	faults                                   []string
}

// judge compares what painters were told with what is stored.
func judge(painters []*painter, events []entry, cooldown time.Duration) (r result) {
	r.refusals = map[string]int{}
	r.stored = len(events)
	faults := map[string]int{}
	by := make(map[core.Request]entry, len(events))
	for _, e := range events {
		// The instance that is stored is the client's mixed with its user.
		asked := core.Request{Instance: e.Request.Instance ^ e.User, Number: e.Request.Number}
		if _, twice := by[asked]; twice {
			r.duplicates++
			continue
		}
		by[asked] = e
	}
	known := 0
	for _, pt := range painters {
		pt.mu.Lock()
		var mine []own
		seqs := map[[2]uint64]bool{}
		for i, s := range pt.strokes {
			e, stored := by[core.Request{Instance: pt.instance, Number: uint32(i + 1)}]
			if stored {
				known++
				mine = append(mine, own{e, s.sent})
				if e.shard != core.ShardID(s.shard) || e.Offset != s.offset || e.Color != s.color {
					faults["are stored with other values than were sent"]++
				}
				if e.timeMS < s.denied {
					faults["were stored when they were said to be not, and to be sent again"]++
				}
			}
			switch s.fate {
			case placed:
				r.acked++
				switch {
				case !stored:
					r.lost++
				case e.seq != s.seq:
					faults["are stored under another seq than was acknowledged"]++
				}
				if at := [2]uint64{uint64(s.shard), s.seq}; seqs[at] {
					faults["were acknowledged under a seq of their painter's earlier one"]++
				} else {
					seqs[at] = true
				}
			case refused:
				r.refusals[client.CodeName(s.code)]++
				if stored {
					faults["are stored although they were refused"]++
				}
			case unsent:
				if stored {
					faults["are stored although they were never sent"]++
				}
			case unknown:
				r.unknown++
			}
		}
		pt.mu.Unlock()
		early, late := insideCooldown(mine, cooldown)
		r.early, r.late = r.early+early, r.late+late
	}
	if more := len(by) - known; more > 0 {
		faults["are stored that nobody sent"] = more
	}
	for what, n := range faults {
		r.faults = append(r.faults, fmt.Sprintf("%d placements %s", n, what))
	}
	return r
}

// An own is a stored placement and when its painter sent it.
type own struct {
	entry
	sent int64
}

// insideCooldown counts the placements that came too soon after the one before, by
// the times of their records. A placement is charged at some time between its sending
// and its storing: where one of two waited for long in between, as during a take-over
// or on a busy machine, their charges can be a cooldown apart and none was early.
func insideCooldown(mine []own, cooldown time.Duration) (early, late int) {
	if cooldown == 0 {
		return 0, 0
	}
	slices.SortFunc(mine, func(a, b own) int { return int(a.timeMS - b.timeMS) })
	for i := 1; i < len(mine); i++ {
		a, b := &mine[i-1], &mine[i]
		switch ms := cooldown.Milliseconds(); {
		case b.timeMS-a.timeMS >= ms:
		case b.timeMS-a.sent >= ms, a.timeMS-b.sent >= ms:
			late++
		default:
			early++
		}
	}
	return early, late
}

// theTally is what the summary tells.
var theTally tally

type tally struct {
	mu                               sync.Mutex // protects following
	run, failed                      int
	acked, lost, phantoms, duplicate int
}

func (s *tally) add(r result, phantoms int64, failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run++
	if failed {
		s.failed++
	}
	s.acked, s.lost, s.duplicate, s.phantoms = s.acked+r.acked, s.lost+r.lost, s.duplicate+r.duplicates, s.phantoms+int(phantoms)
}

func (s *tally) summary(planned int, seed uint64, took time.Duration) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprintf("chaos: %d of %d faults run to their end, %d of those failed, seed %d, %.0f s: acknowledged %d, lost %d, phantoms %d, duplicates %d",
		s.run, planned, s.failed, seed, took.Seconds(), s.acked, s.lost, s.phantoms, s.duplicate)
}
