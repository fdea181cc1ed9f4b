package gateway

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pixelwall/edge/limit"
)

func TestASiteIsLimitedAsAWhole(t *testing.T) {
	const perAddress = 3
	a := newAdmission(1000, perAddress)
	key := func(site, net int) netip.Prefix {
		return limit.Network(netip.MustParseAddr(fmt.Sprintf("2001:db8:%x:%x::1", site, net)))
	}
	entered := 0
	for net := range 100 {
		for range perAddress + 1 {
			if a.enter(key(1, net)) {
				entered++
			}
		}
	}
	if entered != limit.WideShare*perAddress {
		t.Errorf("one /48 has %d connections", entered)
	}
	if !a.enter(key(2, 1)) || !a.enter(limit.Network(netip.MustParseAddr("192.0.2.1"))) {
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
	for net := 1; net < limit.WideShare; net++ {
		for range perAddress {
			a.leave(key(1, net))
		}
	}
	a.leave(key(2, 1))
	a.leave(limit.Network(netip.MustParseAddr("192.0.2.1")))
	if len(a.counts) != 0 {
		t.Errorf("when all have left, counted are %v", a.counts)
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
