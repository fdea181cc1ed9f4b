package session

import (
	"net/netip"
	"testing"
	"time"
)

func TestADifferenceCountsOnceAMinuteAndNetwork(t *testing.T) {
	var r reports
	now := time.Unix(1_000_020, 0) // a minute begins
	for _, step := range []struct {
		addr  string
		after time.Duration
		want  bool
	}{
		{"192.0.2.1", 0, true},
		{"192.0.2.1", 59 * time.Second, false},
		{"192.0.2.2", 0, true},
		{"192.0.2.1", time.Second, true},
		{"2001:db8:1::1", 0, true},
		{"2001:db8:1:ffff::1", 0, false}, // the same site
		{"2001:db8:2::1", 0, true},
	} {
		now = now.Add(step.after)
		if got := r.first(netip.MustParseAddr(step.addr), now); got != step.want {
			t.Errorf("%s after %v: %v", step.addr, step.after, got)
		}
	}
}

func TestTheNetworksOfAMinuteAreBounded(t *testing.T) {
	var r reports
	addr, counted := netip.MustParseAddr("10.0.0.0"), 0
	for range 2 * networksMax {
		if r.first(addr, time.Unix(0, 0)) {
			counted++
		}
		addr = addr.Next()
	}
	if counted != networksMax {
		t.Errorf("%d are counted", counted)
	}
}
