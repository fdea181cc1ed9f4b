package client

import (
	"slices"
	"sync"
	"time"

	"pixelwall/wire"
)

// A window holds what is under way: every placement that has a number and no
// final answer, at most underWayMax.
//
//	begin -> toSend -> (placed | refused for good) answer
//	           ^  |`-> refused for now: postpone, due later
//	           |  `--> the connection ended: again
//	           `------ until resendMax, then it is dropped without an answer
type window struct {
	orderly bool          // one placement of a pixel at a time
	changed chan struct{} // told when something was answered or postponed

	mu      sync.Mutex // Protects following.
	number  uint32
	pending []pending // rising by number
}

type pending struct {
	place   wire.Place
	id      int32
	sent    bool      // on this connection, and not refused since
	unsure  bool      // a connection ended without an answer: it may be stored
	first   time.Time // when it was sent first, zero when never
	due     time.Time // not sent before
	refused time.Time // when it was refused first, zero when never
}

// resendMax is how long after its first sending a placement that may be stored is
// sent again. Later a server may have forgotten it, and would paint it twice.
const resendMax = 2 * time.Minute

func newWindow(orderly bool) *window {
	return &window{orderly: orderly, changed: make(chan struct{}, 1)}
}

// again makes everything under way to be sent on a new connection, in order.
func (w *window) again() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.pending {
		p := &w.pending[i]
		p.unsure = p.unsure || p.sent
		p.sent = false
	}
}

// toSend returns the first placement that is due, and marks it as sent. Without
// one it says when the next is due, or zero. It drops what is too old to be sent.
func (w *window) toSend(now time.Time) (m wire.Place, ok bool, next time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	held := len(w.pending)
	w.pending = slices.DeleteFunc(w.pending, func(p pending) bool { return p.unsure && !p.sent && now.Sub(p.first) > resendMax })
	if len(w.pending) < held {
		w.tell()
	}
	for i := range w.pending {
		p := &w.pending[i]
		switch {
		case p.sent:
		case !p.due.After(now):
			p.sent = true
			if p.first.IsZero() {
				p.first = now
			}
			return p.place, true, next
		case next.IsZero() || p.due.Before(next):
			next = p.due
		}
	}
	return m, false, next
}

// begin gives j its number; toSend returns it from now on. False means that it
// has to wait: the window is full, or an earlier placement of the pixel could
// still be refused and sent again, and would then come after this one.
func (w *window) begin(j Job) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pending) >= underWayMax {
		return false
	}
	if w.orderly {
		for _, p := range w.pending {
			if p.place.X == j.X && p.place.Y == j.Y {
				return false
			}
		}
	}
	w.number++
	w.pending = append(w.pending, pending{place: wire.Place{Number: w.number, X: j.X, Y: j.Y, Color: j.Color}, id: j.ID})
	return true
}

func (w *window) empty() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pending) == 0
}

// answer ends the job of a number. False means that it is not under way. sure says
// that no earlier connection may have stored it.
func (w *window) answer(number uint32) (id int32, sure, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := w.find(number)
	if i < 0 {
		return 0, false, false
	}
	id, sure = w.pending[i].id, !w.pending[i].unsure
	w.pending = slices.Delete(w.pending, i, i+1)
	w.tell()
	return id, sure, true
}

// postpone lets the job of a number be sent again after a while. False means
// that it is not under way, or was refused for longer than patience, if any. sure
// says that it is not stored: what may be stored is postponed whatever the patience.
func (w *window) postpone(number uint32, now time.Time, after, patience time.Duration) (id int32, sure, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := w.find(number)
	if i < 0 {
		return 0, false, false
	}
	p := &w.pending[i]
	if p.refused.IsZero() {
		p.refused = now
	}
	if patience > 0 && now.Sub(p.refused) > patience && !p.unsure {
		return 0, false, false
	}
	p.sent, p.due = false, now.Add(after)
	w.tell()
	return p.id, !p.unsure, true
}

func (w *window) find(number uint32) int {
	return slices.IndexFunc(w.pending, func(p pending) bool { return p.place.Number == number })
}

func (w *window) tell() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}
