package web

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/tracing"
	"github.com/chromedp/chromedp"
)

// threads is what the threads of a page did, milliseconds each.
type threads struct {
	frames    []float64          // processor time of script on the main thread, a frame
	worker    []float64          // processor time of script in the worker, a task
	intervals []float64          // between two frames, by the clock
	marks     map[string]float64 // when the page last marked something, microseconds
}

func (t *threads) add(more threads) {
	t.frames = append(t.frames, more.frames...)
	t.worker = append(t.worker, more.worker...)
	t.intervals = append(t.intervals, more.intervals...)
}

// A traceEvent is one of Chromium's: times are microseconds, TDur is the
// processor time of the thread.
type traceEvent struct {
	Name, Ph, Cat string
	Pid, Tid      int
	Ts            float64
	Dur           float64
	TDur          float64
	Args          struct{ Name string }
}

// traced runs f while Chromium writes down what its threads do.
func (p *page) traced(f func()) threads {
	p.t.Helper()
	var mu sync.Mutex
	var events []traceEvent
	complete := make(chan struct{})
	ctx, stop := context.WithCancel(p.ctx)
	defer stop()
	if err := chromedp.Listen(ctx, func(ev any) {
		switch ev := ev.(type) {
		case *tracing.EventDataCollected:
			mu.Lock()
			defer mu.Unlock()
			for _, text := range ev.Value {
				var e traceEvent
				if json.Unmarshal(text, &e) == nil { // those of other shapes are not ours
					events = append(events, e)
				}
			}
		case *tracing.EventTracingComplete:
			close(complete)
		}
	}); err != nil {
		p.t.Fatal(err)
	}
	call := func(run func(ctx context.Context, tab *chromedp.Target) error) { p.do(chromedp.Func(run)) }
	call(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, tracing.Start, tracing.StartParams{TraceConfig: &tracing.TraceConfig{
			IncludedCategories: []string{"devtools.timeline", "blink.user_timing", "__metadata"}, ExcludedCategories: []string{"*"},
		}})
		return err
	})
	f()
	call(func(ctx context.Context, tab *chromedp.Target) error {
		_, err := cdp.Call(ctx, tab, tracing.End, cdp.Empty{})
		return err
	})
	select {
	case <-complete:
	case <-time.After(patience):
		p.t.Fatal("the trace does not end")
	}
	mu.Lock()
	defer mu.Unlock()
	return readTrace(events)
}

type thread struct{ pid, tid int }

// readTrace finds the page's main thread and its worker, which are those of their
// kinds that ran script for longest.
func readTrace(events []traceEvent) (t threads) {
	t.marks = map[string]float64{}
	names, byThread, busy := map[thread]string{}, map[thread][]traceEvent{}, map[thread]float64{}
	for _, e := range events {
		at := thread{e.Pid, e.Tid}
		switch {
		case strings.Contains(e.Cat, "blink.user_timing"):
			t.marks[e.Name] = e.Ts
		case e.Ph == "M" && e.Name == "thread_name":
			names[at] = e.Args.Name
		case e.Ph == "X" && (e.Name == "FunctionCall" || e.Name == "FireAnimationFrame"):
			byThread[at] = append(byThread[at], e)
			busy[at] += e.TDur
		}
	}
	busiest := func(name string) []traceEvent {
		var best thread
		for at := range byThread {
			if names[at] == name && busy[at] > busy[best] {
				best = at
			}
		}
		all := byThread[best]
		slices.SortFunc(all, func(a, b traceEvent) int { return cmp.Compare(a.Ts, b.Ts) })
		return all
	}
	for _, e := range outermost(busiest("DedicatedWorker thread")) {
		t.worker = append(t.worker, e.TDur/1000)
	}
	// A frame is what lies between the ends of two animation frames' callbacks.
	spent, last := 0.0, 0.0
	for _, e := range outermost(busiest("CrRendererMain")) {
		spent += e.TDur / 1000
		if e.Name != "FireAnimationFrame" {
			continue
		}
		if last > 0 {
			t.frames = append(t.frames, spent)
			t.intervals = append(t.intervals, (e.Ts-last)/1000)
		}
		spent, last = 0, e.Ts
	}
	return t
}

// outermost leaves out events that lie in one before them; all are in order of time.
func outermost(all []traceEvent) (some []traceEvent) {
	end := 0.0
	for _, e := range all {
		if e.Ts >= end {
			some, end = append(some, e), e.Ts+e.Dur
		}
	}
	return some
}

// percentile returns 0 of nothing.
func percentile(ms []float64, p int) float64 {
	if len(ms) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(ms))
	return sorted[min(len(sorted)-1, len(sorted)*p/100)]
}
