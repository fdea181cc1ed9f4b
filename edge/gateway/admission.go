package gateway

import (
	"net/netip"
	"sync"
	"sync/atomic"
)

// admission counts connections against the limits, for all loops together.
type admission struct {
	max        int64 // connections of all kinds that are served
	hard       int64 // beyond this even a refusal is not waited for
	perAddress int32 // 0 for no limit

	conns atomic.Int64 // every socket the gateway answers for: waiting, upgraded or handed to HTTP

	mu     sync.Mutex
	counts map[netip.Addr]int32 // guarded by mu; holds an entry only while its count is not 0
}

// refusedMax is how many connections over the limit are heard out to be told
// so; the others are closed at once.
const refusedMax = 32

func newAdmission(max int, perAddress int) *admission {
	return &admission{max: int64(max), hard: int64(max) + refusedMax, perAddress: int32(perAddress), counts: map[netip.Addr]int32{}}
}

// bucketOf maps an address to the unit that limits count: an IPv4 address or
// an IPv6 /64, which is what one household gets.
func bucketOf(a netip.Addr) netip.Addr {
	if a.Is4() || a.Is4In6() {
		return a.Unmap()
	}
	p, err := a.Prefix(64)
	if err != nil {
		return a
	}
	return p.Addr()
}

// enter counts one more connection of key and reports whether it may stay. A
// zero key is not limited. Every enter that returned true needs one leave.
func (a *admission) enter(key netip.Addr) bool {
	if !key.IsValid() || a.perAddress <= 0 {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.counts[key] >= a.perAddress {
		return false
	}
	a.counts[key]++
	return true
}

// leave undoes one enter of key.
func (a *admission) leave(key netip.Addr) {
	if !key.IsValid() || a.perAddress <= 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.counts[key]--; a.counts[key] <= 0 {
		delete(a.counts, key)
	}
}
