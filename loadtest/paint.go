package main

import (
	"context"
	"io"
	"sync"
	"time"

	"pixelwall/loadtest/client"
)

// ackTimes keeps when each event was acknowledged. Each element is written by
// one painter's goroutine and read when all have ended.
type ackTimes struct{ at []time.Time }

func newAckTimes(n int) *ackTimes { return &ackTimes{at: make([]time.Time, n)} }

func (a *ackTimes) hear(id int32) { a.at[id] = time.Now() }

// paint plays the plan and returns when everything was answered, or patience is
// at its end.
func (r *replay) paint(ctx context.Context, cancel context.CancelCauseFunc, status io.Writer) error {
	painting, giveUp := context.WithCancel(ctx)
	defer giveUp()
	var wg sync.WaitGroup
	for _, p := range r.painters {
		wg.Go(func() {
			if err := p.Run(painting); err != nil && painting.Err() == nil {
				cancel(err)
			}
		})
	}
	began := time.Now()
	total := r.plan.at[len(r.plan.at)-1]
	drawing, stopDrawing := context.WithCancel(ctx)
	var line sync.WaitGroup
	line.Go(func() { progress(drawing, status, r.account, began, total) })
	err := r.pace(ctx, began)
	for _, p := range r.painters {
		p.Finish()
	}
	late := time.AfterFunc(r.o.Patience, giveUp)
	wg.Wait()
	late.Stop()
	stopDrawing()
	line.Wait()
	r.took = time.Since(began)
	if err != nil {
		return err
	}
	return context.Cause(ctx)
}

// paceStep is how far apart the pacer looks at the clock. Events of one step are
// handed over together; their latencies still count from their own moments.
const paceStep = 2 * time.Millisecond

// pace hands each event to its painter when its moment has come.
func (r *replay) pace(ctx context.Context, began time.Time) error {
	r.meant = make([]time.Time, len(r.events))
	for i := range r.plan.at {
		r.meant[i] = began.Add(r.plan.at[i])
	}
	for i, e := range r.events {
		if wait := time.Until(r.meant[i]); wait > 0 {
			if err := client.Pause(ctx, max(wait, paceStep)); err != nil {
				return err
			}
		}
		x, y := r.xy(e)
		r.sent.Add(1)
		if err := r.painters[r.plan.painter[i]].Paint(ctx, client.Job{ID: int32(i), X: uint16(x), Y: uint16(y), Color: e.Color}); err != nil {
			return err
		}
	}
	return nil
}
