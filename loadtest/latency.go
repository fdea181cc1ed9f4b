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

// journeys follows each accepted placement to each watcher. meant is the
// intended moment of each event.
func (a *account) journeys(meant []time.Time, watchers []*client.Watcher) journey {
	j := journey{histogram: newHistogram()}
	var bySeq [wire.ShardsMax][]time.Time // zero: no placement of ours
	heads := a.heads()
	for i, s := range a.start.Shards {
		if s != nil {
			bySeq[i] = make([]time.Time, heads[i]-s.Seq)
		}
	}
	for i, o := range a.outcomes {
		if o.seq > 0 && o.seq > a.start.Shards[o.shard].Seq {
			bySeq[o.shard][o.seq-a.start.Shards[o.shard].Seq-1] = meant[i]
		}
	}
	for _, w := range watchers {
		var at [wire.ShardsMax]uint64 // index of the next one that has not been seen
		for _, s := range w.Log() {
			times := bySeq[s.Shard]
			for ; at[s.Shard] < uint64(len(times)) && a.start.Shards[s.Shard].Seq+at[s.Shard] < s.To; at[s.Shard]++ {
				if t := times[at[s.Shard]]; !t.IsZero() {
					observe(j.histogram, s.At.Sub(t))
				}
			}
		}
	}
	for _, o := range a.outcomes {
		if o.seq > 0 && len(watchers) > 0 && passedByAll(watchers, o) {
			j.seen++
		}
	}
	return j
}

func passedByAll(watchers []*client.Watcher, o outcome) bool {
	for _, w := range watchers {
		if w.Head(o.shard) < o.seq {
			return false
		}
	}
	return true
}
