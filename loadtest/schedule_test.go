package main

import (
	"math/rand/v2"
	"testing"
	"time"

	"pixelwall/tools/trace"
)

func TestScheduleKeepsEachPixelWithOnePainterAndNobodyTooBusy(t *testing.T) {
	const seed = 3
	rnd := rand.New(rand.NewPCG(seed, 0))
	var events []trace.Event
	for i := range 60_000 { // a thousand a second of the trace
		pos := rnd.Uint32N(40_000)
		if rnd.IntN(50) == 0 {
			pos = rnd.Uint32N(50) // some pixels are fought for
		}
		events = append(events, trace.Event{TimeMs: 5000 + uint32(i), Pos: pos})
	}
	s := newSchedule(events, 10, 0)
	if want := 10_000 / paintersRate; len(s.tail) < want || len(s.tail) > want+2 {
		t.Fatalf("%d painters for 10 000 placements a second", len(s.tail))
	}
	of := make(map[uint32]int32)
	perSecond := make(map[[2]int]int)
	for i, e := range events {
		if s.at[i] != time.Duration(i)*time.Millisecond/10 {
			t.Fatalf("event %d at %v", i, s.at[i])
		}
		if p, ok := of[e.Pos]; ok && p != s.painter[i] {
			t.Fatalf("pixel %d has painters %d and %d", e.Pos, p, s.painter[i])
		}
		of[e.Pos] = s.painter[i]
		perSecond[[2]int{int(s.painter[i]), int(s.at[i] / time.Second)}]++
	}
	busy := 0
	for _, n := range perSecond {
		if n > 20 {
			busy++
		}
	}
	if 20*busy > len(perSecond) {
		t.Errorf("seed %d: in %d of %d seconds a painter has more than 20 placements", seed, busy, len(perSecond))
	}
}

func TestScheduleTakesTheNumberOfPaintersThatIsAskedFor(t *testing.T) {
	s := newSchedule([]trace.Event{{Pos: 1}, {Pos: 2}, {Pos: 1}}, 1, 7)
	if len(s.tail) != 7 || s.painter[0] != s.painter[2] || s.painter[0] == s.painter[1] {
		t.Errorf("%+v", s)
	}
}

func TestBusiestSecond(t *testing.T) {
	at := func(ms ...int) (d []time.Duration) {
		for _, m := range ms {
			d = append(d, time.Duration(m)*time.Millisecond)
		}
		return d
	}
	for _, tt := range []struct {
		name string
		at   []time.Duration
		want int
	}{
		{"nothing happens", nil, 0},
		{"once a second is one", at(0, 1000, 2000), 1},
		{"a second is half open", at(0, 500, 999, 1000), 3},
		{"a burst counts whole", at(0, 5000, 5000, 5000, 5001, 9000), 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := busiest(tt.at); got != tt.want {
				t.Errorf("busiest = %d, want %d", got, tt.want)
			}
		})
	}
}
