package limit

import (
	"net/netip"
	"sync"
	"time"
)

// networksMax bounds the networks that a Budget remembers, some 5 MB of them.
const networksMax = 1 << 16

// A Budget limits how often something may happen per network: an IPv4 address,
// or a /64 of IPv6 and, more widely, its /48. It may be used concurrently.
//
// It remembers networksMax networks. When more than that owe something at once
// it forgets all of them: whoever can bring that about has so many addresses
// that a limit per address does not stop them.
type Budget struct {
	mu      sync.Mutex
	narrow  rate
	wide    rate
	arrival map[netip.Prefix]int64 // theoretical arrival time, unix µs
}

// A rate is a generic cell rate: max at once, and one more each everyUS.
type rate struct{ everyUS, max int64 }

// take charges n to a network whose arrival time is tat. It returns the one to
// keep, and how long to wait where that is too much and nothing was charged.
//
// An arrival time is at most max away: one that is further was kept before the
// clock was set back.
func (r rate) take(tat, nowUS, n int64) (keep int64, wait time.Duration) {
	full := nowUS + r.max*r.everyUS
	tat = min(tat, full)
	next := max(tat, nowUS) + n*r.everyUS
	if next > full {
		return tat, time.Duration(next-full) * time.Microsecond
	}
	return next, 0
}

// NewBudget allows n at once and n in each period per network; 0 means no
// limit, as does a nil Budget.
func NewBudget(n int, period time.Duration) *Budget {
	b := &Budget{arrival: make(map[netip.Prefix]int64)}
	if n > 0 {
		every := max(1, period.Microseconds()/int64(n))
		b.narrow = rate{everyUS: every, max: int64(n)}
		b.wide = rate{everyUS: max(1, every/WideShare), max: int64(n) * WideShare}
	}
	return b
}

// Take charges n to the networks of addr. Where that is more than they have left
// it charges nothing and returns after how long to try again.
func (b *Budget) Take(addr netip.Addr, n int, now time.Time) (wait time.Duration) {
	if b == nil || b.narrow.max == 0 {
		return 0
	}
	narrow := Network(addr)
	wide := Site(narrow)
	nowUS := now.UnixMicro()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.arrival) >= networksMax-1 {
		b.forget(nowUS)
	}
	before := b.arrival[narrow]
	b.arrival[narrow], wait = b.narrow.take(before, nowUS, int64(n))
	if wait > 0 || !wide.IsValid() {
		return wait
	}
	b.arrival[wide], wait = b.wide.take(b.arrival[wide], nowUS, int64(n))
	if wait > 0 {
		b.arrival[narrow] = before
	}
	return wait
}

// forget drops the networks that owe nothing, and all of them when that is not enough.
func (b *Budget) forget(nowUS int64) {
	for network, arrival := range b.arrival {
		if arrival <= nowUS {
			delete(b.arrival, network)
		}
	}
	if len(b.arrival) >= networksMax-1 {
		clear(b.arrival)
	}
}
