package main

import (
	"cmp"
	"fmt"
	"slices"

	"pixelwall/wire"
)

// A place is where an acknowledged event lies in its shard's order.
type place struct {
	seq   uint64
	event int32
}

// order returns the acknowledged places of each shard, rising by seq.
func (a *account) order() (all [wire.ShardsMax][]place) {
	for i, o := range a.outcomes {
		if o.seq > 0 {
			all[o.shard] = append(all[o.shard], place{o.seq, int32(i)})
		}
	}
	for _, places := range all {
		slices.SortFunc(places, func(a, b place) int {
			return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.event, b.event))
		})
	}
	return all
}

// jumpMin is how far seqs jump at least when a shard's order is taken over by
// another relay. So many events that nobody here was told of are no duplicates.
const jumpMin = 1 << 20

// A balance compares the acknowledgements with how far each shard's order went.
// It is exact as long as nobody else paints, but for the gaps in which the order
// was taken over: what lies there only history can tell.
type balance struct {
	lost       int64 // acknowledged, but not in the order, or in a place given twice
	duplicated int64 // places in the order beyond those acknowledged
	jumps      int64 // gaps in which the order was taken over
	faults     []string
}

// balance takes the seqs at which the shards ended, and how many seqs each shard
// gave to something that is no placement.
func (a *account) balance(end [wire.ShardsMax]uint64, others uint64) (b balance) {
	order := a.order()
	for i, s := range a.start.Shards {
		if s != nil {
			b.shard(i, order[i], s.Seq, end[i], others)
		}
	}
	return b
}

// shard walks the places of one shard from its start to its end.
func (b *balance) shard(shard int, places []place, start, end, others uint64) {
	last, extra := start, uint64(0)
	gap := func(next uint64) {
		if n := next - last - 1; n >= jumpMin {
			b.jumps++
		} else {
			extra += n
		}
		last = next
	}
	for i, p := range places {
		switch {
		case p.seq <= start || p.seq > end:
			b.lost++
			b.fault("event %d was acknowledged as shard %d seq %d, which lies outside %d to %d", p.event, shard, p.seq, start+1, end)
		case i > 0 && places[i-1].seq == p.seq:
			b.lost++
			b.fault("shard %d seq %d was given to two events", shard, p.seq)
		default:
			gap(p.seq)
		}
	}
	if end > last {
		gap(end + 1)
	}
	if extra > others {
		b.duplicated += int64(extra - others)
		b.fault("shard %d has %d events that nobody here was told of", shard, extra-others)
	}
}

// faultsMax bounds how many faults of one kind a report tells.
const faultsMax = 10

func (b *balance) fault(format string, args ...any) {
	if len(b.faults) < faultsMax {
		b.faults = append(b.faults, fmt.Sprintf(format, args...))
	}
}
