package api

import (
	"runtime"
	"sync/atomic"
	"time"

	"pixelwall/core"
)

// A gate lets a few do costly work at once and a bounded number wait for it.
// Whoever comes beyond that is told to come back: an answer that is late and
// certain to be late is worth less than a quick no.
type gate struct {
	slots   chan struct{}
	waiting atomic.Int64
	most    int64
}

func newGate(atOnce, waiting int) *gate {
	return &gate{slots: make(chan struct{}, atOnce), most: int64(atOnce + waiting)}
}

// encodersMax leaves half of the processors to those who paint.
func encodersMax() int { return max(1, runtime.GOMAXPROCS(0)/2) }

// run calls fn when there is room, or returns core.CodeTooMany.
func (g *gate) run(fn func() error) error {
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > g.most {
		err := core.NewError(core.CodeTooMany, "the server is busy with requests of this kind")
		err.RetryAfter = time.Second
		return err
	}
	return g.wait(fn)
}

// wait calls fn when there is room, however long that takes. It is for work that
// is done once and shared, so that those who wait are bounded otherwise.
func (g *gate) wait(fn func() error) error {
	g.slots <- struct{}{}
	defer func() { <-g.slots }()
	return fn()
}
