package coretest

import (
	"sync/atomic"

	"pixelwall/core"
)

// A Setup is what a suite wants a fresh store to be.
type Setup struct {
	Config core.Config
	Clock  *Clock // the store's only source of time
}

// A Store is a store under test. A suite uses the ports it is about, and
// Sequencer and Log as the source and the truth of events.
type Store struct {
	Sequencer core.Sequencer
	Log       core.Log
	History   core.History
	Cooldowns core.Cooldowns
	Snapshots core.Snapshots
	Canvas    uint64

	// RealTime says that the store cannot follow Setup.Clock. Cases that move
	// the clock are skipped, one line each.
	RealTime bool

	// Crash cuts the power and returns the store as it is found afterwards: what
	// was not durable is gone. The old Store is not used again. Where it is nil,
	// the cases about durability are skipped, one line each.
	Crash func() *Store

	// Lose makes answers get lost until heal is called: of what is placed meanwhile,
	// some is unknown. Where it is nil, the case about that is skipped.
	Lose func() (heal func())

	// Trim makes the log forget every record up to heads. Where it is nil, the
	// case about a log that does not reach back is skipped.
	Trim func(heads core.Heads)
}

// A Clock is time that moves when it is told to. It may be used concurrently.
type Clock struct{ nowMS atomic.Int64 }

// NewClock returns a clock that shows nowMS, unix.
func NewClock(nowMS int64) *Clock {
	c := &Clock{}
	c.nowMS.Store(nowMS)
	return c
}

// Now returns the present unix time in milliseconds.
func (c *Clock) Now() int64 { return c.nowMS.Load() }

// Advance moves the clock by ms, which may be negative, as clocks of real
// machines do.
func (c *Clock) Advance(ms int64) { c.nowMS.Add(ms) }
