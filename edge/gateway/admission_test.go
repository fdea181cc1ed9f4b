package gateway

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

func TestASiteIsLimitedAsAWhole(t *testing.T) {
	const perAddress = 3
	a := newAdmission(1000, perAddress)
	key := func(site, net int) netip.Prefix {
		return bucketOf(netip.MustParseAddr(fmt.Sprintf("2001:db8:%x:%x::1", site, net)))
	}
	entered := 0
	for net := range 100 {
		for range perAddress + 1 {
			if a.enter(key(1, net)) {
				entered++
			}
		}
	}
	if entered != wideShare*perAddress {
		t.Errorf("one /48 has %d connections", entered)
	}
	if !a.enter(key(2, 1)) || !a.enter(bucketOf(netip.MustParseAddr("192.0.2.1"))) {
		t.Error("another site is refused")
	}
	a.leave(key(1, 0))
	if !a.enter(key(1, 50)) || a.enter(key(1, 50)) {
		t.Error("what left does not make room for one")
	}
	for range perAddress - 1 {
		a.leave(key(1, 0))
	}
	a.leave(key(1, 50))
	for net := 1; net < wideShare; net++ {
		for range perAddress {
			a.leave(key(1, net))
		}
	}
	a.leave(key(2, 1))
	a.leave(bucketOf(netip.MustParseAddr("192.0.2.1")))
	if len(a.counts) != 0 {
		t.Errorf("when all have left, counted are %v", a.counts)
	}
}

func TestAddressesShareALimitBy(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1":         "192.0.2.1/32",
		"::ffff:192.0.2.1":  "192.0.2.1/32",
		"2001:db8:1:2:3::4": "2001:db8:1:2::/64",
		"fe80::1%eth0":      "fe80::/64",
	} {
		if got := bucketOf(netip.MustParseAddr(addr)); got.String() != want {
			t.Errorf("%s: %v, want %s", addr, got, want)
		}
	}
	if got := bucketOf(netip.Addr{}); got.IsValid() {
		t.Errorf("no address: %v", got)
	}
}

func TestMoreConnectionsThanDescriptorsAreAMistake(t *testing.T) {
	most := ConnsMax(FilesReserve)
	if err := (Config{ConnsMax: most}).withDefaults().validate(); err != nil {
		t.Error(err)
	}
	if err := (Config{ConnsMax: most + 1}).withDefaults().validate(); err == nil || !strings.Contains(err.Error(), "descriptor limit") {
		t.Errorf("got %v", err)
	}
}

func TestARateThatTheBucketCannotCountIsAMistake(t *testing.T) {
	if err := (Config{MessagesPerSecond: 1e7}).withDefaults().validate(); err == nil || !strings.Contains(err.Error(), "messages a second") {
		t.Errorf("got %v", err)
	}
}
