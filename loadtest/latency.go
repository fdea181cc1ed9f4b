package main

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"pixelwall/loadtest/client"
	"pixelwall/wire"
)

// latencyMax is the longest latency that is told apart from longer ones.
const latencyMax = time.Hour

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, latencyMax.Microseconds(), 3)
}

// observe records d, which may be a little below zero when an acknowledgement
// overtakes its own bookkeeping.
func observe(h *hdrhistogram.Histogram, d time.Duration) {
	// The value is within the histogram's range by construction.
	_ = h.RecordValue(min(max(1, d.Microseconds()), latencyMax.Microseconds()))
}

func quantileMS(h *hdrhistogram.Histogram, q float64) float64 {
	return float64(h.ValueAtQuantile(q)) / 1000
}

// A journey is the time from the moment at which each placement was meant to be
// sent to the moment at which a watcher's copy had passed it.
type journey struct {
	histogram *hdrhistogram.Histogram
	seen      int64 // accepted placements that every watcher's copy has passed
}

// journeys follows each accepted placement to each watcher, by what its log says.
// meant is the intended moment of each event, reached the seqs that every
// watcher's copy has passed.
func (a *account) journeys(meant []time.Time, logs []seenLog, reached [wire.ShardsMax]uint64) journey {
	j := journey{histogram: newHistogram()}
	order := a.order()
	for i := range logs {
		var at [wire.ShardsMax]int // index of the next one that has not been seen
		logs[i].each(func(s client.Seen) {
			places := order[s.Shard]
			for ; at[s.Shard] < len(places) && places[at[s.Shard]].seq <= s.To; at[s.Shard]++ {
				observe(j.histogram, s.At.Sub(meant[places[at[s.Shard]].event]))
			}
		})
	}
	for _, o := range a.outcomes {
		if o.seq > 0 && len(logs) > 0 && o.seq <= reached[o.shard] {
			j.seen++
		}
	}
	return j
}

// reached returns the seqs that every watcher's copy has passed.
func reached(watchers []*client.Watcher) (all [wire.ShardsMax]uint64) {
	for s := range all {
		for i, w := range watchers {
			if h := w.Head(uint8(s)); i == 0 || h < all[s] {
				all[s] = h
			}
		}
	}
	return all
}
