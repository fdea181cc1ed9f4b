package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"pixelwall/loadtest/client"
)

// wanted is what the history of one pixel must be, newest first.
type wanted struct {
	x, y   int
	shard  uint8
	events []wantedEvent
}

type wantedEvent struct {
	seq   uint64
	color uint8
}

// samplePixels returns the acknowledged events of at most n painted pixels (all
// when n is -1), chosen at random with a fixed seed.
func (a *account) samplePixels(n int) []wanted {
	of := make(map[uint32]*wanted)
	var all []*wanted
	for i, e := range a.events {
		o := a.outcomes[i]
		if o.seq == 0 {
			continue
		}
		w := of[e.Pos]
		if w == nil {
			w = &wanted{shard: o.shard}
			w.x, w.y = a.xy(e)
			of[e.Pos] = w
			all = append(all, w)
		}
		w.events = append(w.events, wantedEvent{o.seq, e.Color})
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if n >= 0 {
		all = all[:min(n, len(all))]
	}
	picked := make([]wanted, len(all))
	for i, w := range all {
		slices.SortFunc(w.events, func(a, b wantedEvent) int { return cmp.Compare(b.seq, a.seq) })
		picked[i] = *w
	}
	return picked
}

// compare counts acknowledged events that history lacks and events that it has
// beyond them.
func (w *wanted) compare(got []client.PastEvent) (lost, extra int64) {
	have := make(map[wantedEvent]int)
	for _, e := range got {
		have[wantedEvent{e.Seq, e.Color}]++
	}
	for _, e := range w.events {
		if have[e] == 0 {
			lost++
		}
		have[e]--
	}
	for _, n := range have {
		extra += int64(max(0, n))
	}
	return lost, extra
}

// A historyResult is what the sample showed.
type historyResult struct {
	pixels      int
	events      int
	lost, extra int64
	faults      []string
}

// historyWorkers bounds how many questions are under way.
const historyWorkers = 4

// checkHistory asks the servers for the history of each picked pixel. History may
// lag behind the log, so a pixel that differs is asked for again until ctx ends,
// from the next server when one does not answer.
func checkHistory(ctx context.Context, servers []*client.Server, start *client.Canvas, picked []wanted) (r historyResult, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	next := make(chan *wanted)
	for range historyWorkers {
		wg.Go(func() {
			for w := range next {
				lost, extra, e := w.ask(ctx, servers, start.Shards[w.shard].Seq)
				mu.Lock()
				r.pixels++
				r.events += len(w.events)
				r.lost += lost
				r.extra += extra
				if lost+extra > 0 && len(r.faults) < faultsMax {
					r.faults = append(r.faults, fmt.Sprintf("history of pixel %d,%d: %d acknowledged events are missing, %d are too many", w.x, w.y, lost, extra))
				}
				if e != nil && err == nil {
					err = e
				}
				mu.Unlock()
			}
		})
	}
	for i := range picked {
		next <- &picked[i]
	}
	close(next)
	wg.Wait()
	return r, err
}

// ask compares one pixel, again and again while it differs.
func (w *wanted) ask(ctx context.Context, servers []*client.Server, after uint64) (lost, extra int64, err error) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		var got []client.PastEvent
		var e error
		for _, s := range client.Rotated(servers, w.x+w.y) {
			if got, e = s.Pixel(context.WithoutCancel(ctx), w.x, w.y, after); e == nil {
				break
			}
		}
		if e == nil {
			if lost, extra = w.compare(got); lost+extra == 0 {
				return 0, 0, nil
			}
		}
		err = e
		select {
		case <-ctx.Done():
			return lost, extra, err
		case <-tick.C:
		}
	}
}
