package client

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Whatever is refused, cut and sent again, the placements of a pixel are decided
// in their order, each once.
func TestAnOrderlyWindowKeepsTheOrderOfEachPixel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	w, now := newWindow(true), time.Unix(1000, 0)
	const jobs = 2000
	var decided [4][]int32 // by pixel
	sent := map[uint32]uint16{}
	for next := int32(0); len(decided[0])+len(decided[1])+len(decided[2])+len(decided[3]) < jobs; {
		now = now.Add(time.Duration(rnd.IntN(40)) * time.Millisecond)
		if x := uint16(next % 7 % 4); next < jobs && w.begin(Job{ID: next, X: x}) {
			next++
		}
		if m, ok, _ := w.toSend(now); ok {
			if _, twice := sent[m.Number]; twice {
				t.Fatalf("number %d is sent twice on one connection", m.Number)
			}
			sent[m.Number] = m.X
		}
		if rnd.IntN(50) == 0 {
			clear(sent)
			w.again()
		}
		for number, x := range sent {
			delete(sent, number)
			if rnd.IntN(3) == 0 {
				if _, _, ok := w.postpone(number, now, 30*time.Millisecond, 0); !ok {
					t.Fatalf("number %d is not under way", number)
				}
			} else if id, _, ok := w.answer(number); ok {
				decided[x] = append(decided[x], id)
			}
			break
		}
	}
	for x, ids := range decided {
		for i := range ids[1:] {
			if ids[i] >= ids[i+1] {
				t.Fatalf("pixel %d: job %d was decided before %d", x, ids[i], ids[i+1])
			}
		}
	}
	if !w.empty() {
		t.Error("something is left")
	}
}

func TestAWindowSaysWhenToSendAgain(t *testing.T) {
	w, now := newWindow(false), time.Unix(1000, 0)
	for i := range int32(2) {
		if !w.begin(Job{ID: i}) { // one pixel: not an orderly one
			t.Fatal("no room")
		}
		w.toSend(now)
	}
	w.postpone(2, now, 3*time.Second, 0)
	w.postpone(1, now, 5*time.Second, 0)
	if _, ok, next := w.toSend(now); ok || next != now.Add(3*time.Second) {
		t.Errorf("%v, next %v", ok, next)
	}
	w.again() // a new connection does not make it earlier
	if m, ok, _ := w.toSend(now.Add(3 * time.Second)); !ok || m.Number != 2 {
		t.Errorf("%v %+v", ok, m)
	}
	if m, ok, _ := w.toSend(now.Add(5 * time.Second)); !ok || m.Number != 1 {
		t.Errorf("%v %+v", ok, m)
	}
	if _, _, ok := w.postpone(1, now.Add(6*time.Second), time.Second, 5*time.Second); ok {
		t.Error("refused for 6 s with a patience of 5 s, and still not final")
	}
	if _, _, ok := w.postpone(9, now, time.Second, 0); ok {
		t.Error("a number that is not under way is postponed")
	}
	for w.begin(Job{}) {
	}
	if len(w.pending) != underWayMax {
		t.Errorf("%d are under way, want %d", len(w.pending), underWayMax)
	}
}

func TestAWindowDropsWhatAServerMayHaveForgotten(t *testing.T) {
	w, now := newWindow(false), time.Unix(1000, 0)
	for i := range int32(2) {
		w.begin(Job{ID: i})
	}
	w.toSend(now)
	w.postpone(1, now, time.Second, 0) // surely not stored
	w.toSend(now.Add(time.Second))     // number 1, again
	w.toSend(now.Add(time.Second))     // number 2, first
	w.postpone(1, now, 0, 0)
	w.again()
	if m, ok, _ := w.toSend(now.Add(resendMax + time.Second)); !ok || m.Number != 1 {
		t.Errorf("%v %+v, want number 1, which cannot be painted twice", ok, m)
	}
	if m, ok, _ := w.toSend(now.Add(resendMax + time.Second)); !ok || m.Number != 2 {
		t.Errorf("%v %+v, want number 2, which was sent two minutes ago", ok, m)
	}
	w.again()
	select {
	case <-w.changed:
	default:
	}
	if m, ok, _ := w.toSend(now.Add(resendMax + 2*time.Second)); ok || !w.empty() {
		t.Errorf("%v %+v is sent after more than two minutes", ok, m)
	}
	select {
	case <-w.changed:
	default:
		t.Error("nobody is told that there is room")
	}
}
