package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pixelwall/loadtest/client"
	"pixelwall/wire"
)

// arrive waits until every watcher and every server's canvas over HTTP show the
// last acknowledged placement of each shard, as long as patience lasts. The
// canvas of a server that did not answer is nil; at least one did.
func (r *replay) arrive(ctx context.Context) (*Report, []*client.Canvas, error) {
	report := &Report{TickMS: r.init.Config.TickMS, Watchers: len(r.watchers), Painters: len(r.painters), Edges: len(r.servers)}
	heads := r.heads()
	rests := make([]*client.Canvas, len(r.servers))
	waiting, cancel := context.WithTimeout(ctx, r.o.Patience)
	defer cancel()
	for {
		late := r.lateWatcher(heads)
		if late == "" {
			if late = r.fetchRests(waiting, rests, heads); late == "" {
				return report, rests, nil
			}
		}
		if client.Pause(waiting, 100*time.Millisecond) != nil {
			report.fault("after %v %s", r.o.Patience, late)
			late = r.fetchRests(context.WithoutCancel(ctx), rests, heads)
			if !slices.ContainsFunc(rests, func(c *client.Canvas) bool { return c != nil }) {
				return nil, nil, errors.New(late)
			}
			return report, rests, nil
		}
	}
}

// fetchRests asks those whose canvas is not there or late, and says of one what
// is missing.
func (r *replay) fetchRests(ctx context.Context, rests []*client.Canvas, heads [wire.ShardsMax]uint64) (late string) {
	for i, s := range r.servers {
		if lateCanvas(rests[i], heads) == "" {
			continue
		}
		r.restFetches++
		c, err := s.Canvas(ctx)
		if err != nil {
			late = fmt.Sprintf("%s does not tell its canvas: %v", s.WS, err)
			continue
		}
		rests[i] = c
		if what := lateCanvas(c, heads); what != "" {
			late = fmt.Sprintf("%s: %s", s.WS, what)
		}
	}
	return late
}

func (r *replay) lateWatcher(heads [wire.ShardsMax]uint64) (late string) {
	for _, w := range r.watchers {
		for s, h := range heads {
			if got := w.Head(uint8(s)); got < h {
				late = fmt.Sprintf("a watcher stays at seq %d of shard %d, %d was acknowledged", got, s, h)
			}
		}
	}
	return late
}

func lateCanvas(rest *client.Canvas, heads [wire.ShardsMax]uint64) (late string) {
	if rest == nil {
		return "there is no canvas over HTTP"
	}
	for s, h := range heads {
		if h > 0 && (rest.Shards[s] == nil || rest.Shards[s].Seq < h) {
			late = fmt.Sprintf("the canvas over HTTP lacks seq %d of shard %d", h, s)
		}
	}
	return late
}

// conclude compares everything with everything, when nothing moves any more.
func (r *replay) conclude(ctx context.Context, report *Report, rests []*client.Canvas) (*Report, error) {
	report.Sent, report.Accepted, report.Rejected = r.sent.Load(), r.accepted.Load(), r.rejected.Load()
	report.Unanswered = report.Sent - report.Accepted - report.Rejected
	report.Retried, report.Answers = r.again.Load(), r.answers()
	report.Seconds = r.took.Seconds()
	report.PerSecond = float64(report.Accepted) / report.Seconds
	r.clients(report)
	r.latencies(report)
	if r.trace.Base != nil && !r.startsLikeTrace() {
		report.note("the server's canvas did not begin as the trace's; the fold begins with the server's")
	}
	for code := range r.refusals {
		if n := r.refusals[code].Load(); n > 0 {
			report.fault("%d placements were refused with code %d", n, code)
		}
	}
	if report.Unanswered > 0 {
		report.fault("%d placements were not answered", report.Unanswered)
	}
	if len(r.watchers) > 0 && report.Seen != report.Accepted {
		report.fault("%d accepted placements were not seen by every watcher", report.Accepted-report.Seen)
	}
	r.count(report, rests)
	r.compare(report, rests)
	return report, r.history(ctx, report)
}

func (r *replay) clients(report *Report) {
	for _, p := range r.painters {
		report.Reconnects += p.Reconnects.Load()
	}
	for _, w := range r.watchers {
		report.Reconnects += w.Reconnects.Load()
		report.Resyncs += w.Resyncs.Load()
		report.ResyncsMax = max(report.ResyncsMax, w.Resyncs.Load())
		report.Diverged += w.Diverged.Load()
	}
	report.CanvasFetches = r.fetches() - r.fetchedBefore - r.restFetches
	if report.Diverged > 0 {
		report.fault("%d times a watcher's copy differed from the server's checksum", report.Diverged)
	}
}

func (r *replay) latencies(report *Report) {
	j := r.journeys(r.meant, r.logs, reached(r.watchers))
	report.Seen = j.seen
	report.P50MS, report.P99MS = quantileMS(j.histogram, 50), quantileMS(j.histogram, 99)
	if bound := float64(r.o.P99Max.Milliseconds()); bound > 0 && report.P99MS > bound {
		report.fault("p99 of place to seen is %.1f ms, above the bound of %.0f ms", report.P99MS, bound)
	}
	report.MaxMS = float64(j.histogram.Max()) / 1000
	acks := newHistogram()
	for i, at := range r.acks.at {
		if !at.IsZero() {
			observe(acks, at.Sub(r.meant[i]))
		}
	}
	report.AckP50MS, report.AckP99MS = quantileMS(acks, 50), quantileMS(acks, 99)
}

func (r *replay) startsLikeTrace() bool {
	for pos, color := range r.trace.Base {
		s, at := r.start.Locate(pos%r.trace.Width, pos/r.trace.Width)
		if r.start.Shards[s].View.At(at) != color {
			return false
		}
	}
	return true
}

// count finds lost and duplicated placements by their places in the order.
func (r *replay) count(report *Report, rests []*client.Canvas) {
	var end [wire.ShardsMax]uint64
	for _, rest := range rests {
		if rest == nil {
			continue
		}
		for i, s := range rest.Shards {
			if s != nil {
				end[i] = max(end[i], s.Seq)
			}
		}
	}
	// A change of configuration takes a seq in each shard.
	version := r.init.Config.Version
	for _, w := range r.watchers {
		version = max(version, w.ConfigVersion())
	}
	b := r.balance(end, uint64(version-r.init.Config.Version))
	report.Lost, report.Duplicated, report.Jumps = b.lost, b.duplicated, b.jumps
	report.Faults = append(report.Faults, b.faults...)
	if b.jumps > 0 && r.o.History >= 0 {
		report.note("seqs jumped %d times as shards were taken over; duplicates around a jump are found by history only, of all pixels with --history=-1", b.jumps)
	}
}

// compare compares copies of the canvas: each server's over HTTP, each watcher's,
// and what the accepted events add up to.
func (r *replay) compare(report *Report, rests []*client.Canvas) {
	report.WatchersEqual, report.RestEqual, report.FoldEqual = true, true, true
	first := slices.IndexFunc(rests, func(c *client.Canvas) bool { return c != nil })
	rest := rests[first]
	fold := r.fold()
	if fold.Width != rest.Width || fold.Height != rest.Height {
		report.note("the canvas grew meanwhile, from %dx%d to %dx%d", fold.Width, fold.Height, rest.Width, rest.Height)
		fold = fold.Grown(rest, r.init.Config.Blank)
	}
	if d := rest.Differs(fold); d != "" {
		report.FoldEqual = false
		report.fault("REST against the fold of the trace: %s", d)
	}
	told := 0
	for i, w := range r.watchers {
		d := w.Canvas().Differs(rest)
		if d == "" {
			continue
		}
		report.WatchersEqual = false
		if told++; told <= faultsMax {
			report.fault("watcher %d against REST: %s", i, d)
		}
		if i == 0 {
			report.RestEqual = false
		}
	}
	if len(r.watchers) == 0 {
		report.RestEqual = report.FoldEqual
	}
	for i, other := range rests {
		if other == nil {
			report.RestEqual = false
			report.fault("%s did not tell its canvas", r.servers[i].WS)
		} else if d := other.Differs(rest); d != "" {
			report.RestEqual = false
			report.fault("REST of %s against %s: %s", r.servers[i].WS, r.servers[first].WS, d)
		}
	}
}

func (r *replay) history(ctx context.Context, report *Report) error {
	picked := r.samplePixels(r.o.History)
	asking, cancel := context.WithTimeout(ctx, r.o.Patience)
	defer cancel()
	h, err := checkHistory(asking, r.servers, r.start, picked)
	if err != nil {
		report.fault("history: %v", err)
	}
	report.HistoryPixels, report.HistoryEvents = h.pixels, h.events
	report.Lost += h.lost
	report.Duplicated = max(report.Duplicated, h.extra)
	report.Faults = append(report.Faults, h.faults...)
	return nil
}
