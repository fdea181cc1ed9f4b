package main

import (
	"context"
	"time"
)

// autoTicks are the ticks that --tick auto chooses from.
var autoTicks = []time.Duration{
	50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 250 * time.Millisecond,
	500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second,
}

// autoBudget is the share of the event loops' time that fan-out may take.
const autoBudget = 0.5

// chooseTick returns the shortest tick at which a tick's work, perTick of one
// loop's time, takes at most autoBudget of it; the longest when none does.
// A tick that is in use is kept until it is clearly wrong, so that the choice
// does not swing.
func chooseTick(now, perTick time.Duration) time.Duration {
	for _, t := range autoTicks {
		budget := autoBudget
		if t < now {
			budget = autoBudget * 0.8
		}
		if float64(perTick) <= budget*float64(t) {
			return t
		}
	}
	return autoTicks[len(autoTicks)-1]
}

// adaptTick measures what a tick costs and chooses anew, until ctx ends.
func (e *edge) adaptTick(ctx context.Context) {
	every := time.NewTicker(5 * time.Second)
	defer every.Stop()
	g := e.gateway.Load()
	last := g.Stats()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		now := g.Stats()
		rounds := now.Broadcasts - last.Broadcasts // one a loop and tick
		if rounds > 0 {
			perTick := (now.Busy - last.Busy) / time.Duration(rounds)
			if t := chooseTick(e.hub.Tick(), perTick); t != e.hub.Tick() {
				e.log.Info("tick changed", "from", e.hub.Tick(), "to", t, "cost_of_a_tick", perTick)
				e.hub.SetTick(t)
			}
		}
		last = now
	}
}
