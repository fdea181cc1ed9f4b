package main

import (
	"container/heap"
	"math"
	"time"

	"pixelwall/tools/trace"
)

// A schedule says when each event is meant to be placed and by which painter.
// It is arithmetic: whether a painter manages is what the replay finds out.
type schedule struct {
	at      []time.Duration // since the start of the replay, never falling
	painter []int32
	tail    []int32 // events of each painter
}

// newSchedule plays events speed times faster. All events of a pixel go through
// one painter, so that their order is kept; a pixel is given to the painter that
// is least busy when the pixel comes first. painters 0 is as many as the busiest
// second needs.
func newSchedule(events []trace.Event, speed float64, painters int) schedule {
	s := schedule{at: make([]time.Duration, len(events)), painter: make([]int32, len(events))}
	for i, e := range events {
		s.at[i] = time.Duration(float64(e.TimeMs-events[0].TimeMs) * float64(time.Millisecond) / speed)
	}
	if painters == 0 {
		painters = int(math.Ceil(float64(busiest(s.at)) / paintersRate))
	}
	s.tail = make([]int32, max(1, painters))
	free := make(painterHeap, len(s.tail))
	for i := range free {
		free[i] = &painterLoad{n: int32(i), at: i}
	}
	const every = time.Second / paintersRate
	of := make(map[uint32]*painterLoad)
	for i, e := range events {
		p := of[e.Pos]
		if p == nil {
			p = free[0]
			of[e.Pos] = p
		}
		p.busyUntil = max(p.busyUntil, s.at[i]) + every
		heap.Fix(&free, p.at)
		s.painter[i] = p.n
		s.tail[p.n]++
	}
	return s
}

// busiest returns the most events of any second.
func busiest(at []time.Duration) (most int) {
	for i, j := 0, 0; i < len(at); i++ {
		for at[i]-at[j] >= time.Second {
			j++
		}
		most = max(most, i-j+1)
	}
	return most
}

// A painterLoad is how busy a painter will be.
type painterLoad struct {
	n         int32
	at        int // in the heap
	busyUntil time.Duration
}

// painterHeap has the least busy painter first.
type painterHeap []*painterLoad

func (h painterHeap) Len() int { return len(h) }
func (h painterHeap) Less(i, j int) bool {
	if h[i].busyUntil != h[j].busyUntil {
		return h[i].busyUntil < h[j].busyUntil
	}
	return h[i].n < h[j].n
}
func (h painterHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}
func (h *painterHeap) Push(any) { panic("painters do not come") }
func (h *painterHeap) Pop() any { panic("painters do not go") }
