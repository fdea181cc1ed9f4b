package token

import (
	"net/netip"
	"sync"
	"time"

	"pixelwall/core"
)

// networksMax bounds the networks that a Budget remembers, some 5 MB of them.
const networksMax = 1 << 16

// wideShare is how much more than a single /64 a whole /48 may do: a site with
// its own /48 has 65536 of the former.
const wideShare = 8

// A Budget limits how often something may happen per network: an IPv4 address,
// or a /64 of IPv6 and, more widely, its /48. It may be used concurrently.
//
// It remembers networksMax networks. When more than that owe something at once
// it forgets all of them: whoever can bring that about has so many addresses
// that a limit per address does not stop them.
type Budget struct {
	mu      sync.Mutex
	narrow  core.Cooldown
	wide    core.Cooldown
	arrival map[netip.Prefix]int64 // theoretical arrival time, unix ms
}

// NewBudget allows n at once and n an hour per network; 0 means no limit.
func NewBudget(n int) *Budget {
	b := &Budget{arrival: make(map[netip.Prefix]int64)}
	if n > 0 {
		every := max(1, time.Hour.Milliseconds()/int64(n))
		b.narrow = core.Cooldown{EveryMS: every, Max: n}
		b.wide = core.Cooldown{EveryMS: max(1, every/wideShare), Max: n * wideShare}
	}
	return b
}

// Take charges one to the networks of addr, or reports core.CodeTooMany and
// after how long to try again.
func (b *Budget) Take(addr netip.Addr, now time.Time) error {
	if b.narrow.Max == 0 {
		return nil
	}
	narrow, wide := networks(addr)
	nowMS := now.UnixMilli()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.arrival) >= networksMax-1 {
		b.forget(nowMS)
	}
	n, ok := b.narrow.Take(b.arrival[narrow], nowMS)
	if !ok {
		return tooMany(b.narrow.Allowance(b.arrival[narrow], nowMS), nowMS)
	}
	if wide.IsValid() {
		w, ok := b.wide.Take(b.arrival[wide], nowMS)
		if !ok {
			return tooMany(b.wide.Allowance(b.arrival[wide], nowMS), nowMS)
		}
		b.arrival[wide] = w
	}
	b.arrival[narrow] = n
	return nil
}

func tooMany(a core.Allowance, nowMS int64) error {
	err := core.NewError(core.CodeTooMany, "too many new guests from this network")
	err.RetryAfter = time.Duration(a.NextMS-nowMS) * time.Millisecond
	return err
}

// forget drops the networks that owe nothing, and all of them when that is not enough.
func (b *Budget) forget(nowMS int64) {
	for network, arrival := range b.arrival {
		if arrival <= nowMS {
			delete(b.arrival, network)
		}
	}
	if len(b.arrival) >= networksMax-1 {
		clear(b.arrival)
	}
}

// networks returns what addr is counted under; wide is only valid for IPv6.
func networks(addr netip.Addr) (narrow, wide netip.Prefix) {
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return netip.PrefixFrom(addr, 32), netip.Prefix{}
	}
	narrow, _ = addr.Prefix(64)
	wide, _ = addr.Prefix(48)
	return narrow, wide
}
