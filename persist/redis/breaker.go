package redis

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

// A breaker keeps commands away from a server that does not answer, and asks by
// itself whether it does again. It opens within a second.
type breaker struct {
	*gobreaker.CircuitBreaker[struct{}]
	openings atomic.Int64
}

// newBreaker returns a breaker that probes while it is open, until ctx ends.
func newBreaker(ctx context.Context, o *Options, probe func(context.Context) error, start func(func()) bool) *breaker {
	b := &breaker{}
	failures := uint32(max(1, min(3, 900*time.Millisecond/(o.CommandTimeout+retryEvery))))
	b.CircuitBreaker = gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:      o.ProbeEvery,
		ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failures },
		IsSuccessful: func(err error) bool { return alive(err) },
		IsExcluded:   func(err error) bool { return errors.Is(err, context.Canceled) || errors.Is(err, errInFlight) },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			if from == gobreaker.StateClosed && to == gobreaker.StateOpen {
				b.openings.Add(1)
				start(func() { b.probe(ctx, o.ProbeEvery, probe) })
			}
		},
	})
	return b
}

// alive reports whether err is an answer, be it a refusal.
func alive(err error) bool {
	c := conclude(err)
	return c != unknown && c != notSent
}

func (b *breaker) probe(ctx context.Context, every time.Duration, ask func(context.Context) error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_ = b.run(func() error { return ask(ctx) })
		if b.closed() {
			return
		}
	}
}

// closed reports whether commands are let through.
func (b *breaker) closed() bool { return b.State() == gobreaker.StateClosed }

func (b *breaker) run(f func() error) error {
	_, err := b.Execute(func() (struct{}, error) { return struct{}{}, f() })
	return err
}
