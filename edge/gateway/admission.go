package gateway

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"pixelwall/edge/limit"
)

// admission counts connections against the limits, for all loops together.
type admission struct {
	max        int64 // connections of all kinds that are served
	hard       int64 // beyond this even a refusal is not waited for
	perAddress int   // no limit when it is not positive

	conns atomic.Int64 // every socket the gateway answers for: waiting, upgraded or handed to HTTP

	mu     sync.Mutex
	counts map[netip.Prefix]int // guarded by mu; holds an entry only while its count is not 0
}

// refusedMax is how many connections over the limit are heard out to be told
// so; the others are closed at once.
const refusedMax = 32

func newAdmission(max int, perAddress int) *admission {
	return &admission{max: int64(max), hard: int64(max) + refusedMax, perAddress: perAddress, counts: map[netip.Prefix]int{}}
}

// enter counts one more connection of key, and of the /48 around it, and reports
// whether it may stay. A zero key is not limited. Every enter that returned true
// needs one leave.
func (a *admission) enter(key netip.Prefix) bool {
	if !key.IsValid() || a.perAddress <= 0 {
		return true
	}
	site := limit.Site(key)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.counts[key] >= a.perAddress || a.counts[site]/limit.WideShare >= a.perAddress {
		return false
	}
	a.counts[key]++
	if site.IsValid() {
		a.counts[site]++
	}
	return true
}

// leave undoes one enter of key.
func (a *admission) leave(key netip.Prefix) {
	if !key.IsValid() || a.perAddress <= 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drop(key)
	if site := limit.Site(key); site.IsValid() {
		a.drop(site)
	}
}

// drop takes one from a count. a.mu is held.
func (a *admission) drop(key netip.Prefix) {
	if a.counts[key]--; a.counts[key] <= 0 {
		delete(a.counts, key)
	}
}
