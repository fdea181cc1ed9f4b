package session

import (
	"net/netip"
	"sync"
	"time"

	"pixelwall/edge/seldom"
)

// diverged notes that the client says that its canvas differs. Anybody can say so,
// and an operator is woken by it, so it counts only of one that was sent a check,
// and once a minute and network.
func (cl *client) diverged() {
	s := cl.srv
	now := time.UnixMilli(s.opt.NowMS())
	if cl.follow == 0 || !s.reports.first(cl.conn.RemoteAddr(), now) {
		return
	}
	s.stats.diverged.Add(1)
	s.reports.log.Warn(s.opt.Logger, now, "a client's canvas differed", "client", cl.conn.RemoteAddr())
}

// networksMax bounds the networks whose reports count within a minute.
const networksMax = 1024

// reports are the differences that were counted within this minute.
type reports struct {
	log seldom.Log

	mu     sync.Mutex
	minute time.Time
	from   map[netip.Prefix]bool // IPv4 addresses and IPv6 /48, which is all of one site
}

// first reports whether nothing was counted of the network of addr yet.
func (r *reports) first(addr netip.Addr, now time.Time) bool {
	network := netip.PrefixFrom(addr, min(48, addr.BitLen())).Masked()
	r.mu.Lock()
	defer r.mu.Unlock()
	if minute := now.Truncate(time.Minute); minute != r.minute {
		r.minute, r.from = minute, make(map[netip.Prefix]bool)
	}
	if r.from[network] || len(r.from) >= networksMax {
		return false
	}
	r.from[network] = true
	return true
}
