package limit

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func TestABudgetCounts(t *testing.T) {
	v4 := func(n int) string { return fmt.Sprintf("198.51.100.%d", n%2) }
	for _, tt := range []struct {
		name string // reads on from "with 5 an hour, of 100 tries at once ..."
		addr func(n int) string
		want int
	}{
		{"one IPv4 address has 5", func(int) string { return "198.51.100.7" }, 5},
		{"two IPv4 addresses have 5 each", v4, 10},
		{"an IPv4 address and its mapped form are one", func(n int) string {
			return []string{"198.51.100.7", "::ffff:198.51.100.7"}[n%2]
		}, 5},
		{"100 addresses of one /64 have 5", func(n int) string { return fmt.Sprintf("2001:db8::%x", n+1) }, 5},
		{"an address with zones is one", func(n int) string { return fmt.Sprintf("fe80::1%%eth%d", n) }, 5},
		{"100 networks of one /48 have 40", func(n int) string { return fmt.Sprintf("2001:db8:0:%x::1", n) }, 40},
		{"100 networks of /48 have all", func(n int) string { return fmt.Sprintf("2001:db8:%x::1", n) }, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, got := NewBudget(5, time.Hour), 0
			for n := range 100 {
				if b.Take(netip.MustParseAddr(tt.addr(n)), 1, noon) == 0 {
					got++
				}
			}
			if got != tt.want {
				t.Errorf("%d, want %d", got, tt.want)
			}
		})
	}
}

func TestWhatCostsMoreIsChargedMore(t *testing.T) {
	b, addr := NewBudget(60, time.Minute), netip.MustParseAddr("192.0.2.1")
	if wait := b.Take(addr, 61, noon); wait == 0 {
		t.Error("more than the whole budget at once")
	}
	if wait := b.Take(addr, 50, noon); wait != 0 {
		t.Errorf("50 of 60: wait %v", wait)
	}
	if wait := b.Take(addr, 20, noon); wait != 10*time.Second {
		t.Errorf("20 where 10 are left: wait %v", wait)
	}
	if wait := b.Take(addr, 20, noon.Add(10*time.Second)); wait != 0 {
		t.Errorf("at the time that was named: wait %v", wait)
	}
}

func TestAClockThatIsSetBackLocksNobodyOut(t *testing.T) {
	for _, text := range []string{"192.0.2.1", "2001:db8::1"} {
		b, addr := NewBudget(60, time.Minute), netip.MustParseAddr(text)
		b.Take(addr, 60, noon)
		now := noon.Add(-time.Hour)
		if wait := b.Take(addr, 1, now); wait != time.Second {
			t.Errorf("%s, an hour back: wait %v, want as long as after all was taken", text, wait)
		}
		tries := 0
		for b.Take(addr, 1, now) > 0 && tries < 4 {
			now = now.Add(time.Second)
			tries++
		}
		if tries > 2 {
			t.Errorf("%s: not let in within %d seconds", text, tries)
		}
	}
}

func TestNoBudgetIsNoLimit(t *testing.T) {
	b := NewBudget(0, time.Hour)
	for range 1000 {
		if wait := b.Take(netip.MustParseAddr("192.0.2.1"), 1000, noon); wait != 0 {
			t.Fatal(wait)
		}
	}
}

func TestTheMemoryOfABudgetIsBounded(t *testing.T) {
	b := NewBudget(1, time.Hour)
	for n := range 3 * networksMax {
		addr := netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)})
		if wait := b.Take(addr, 1, noon); wait != 0 {
			t.Fatal(wait)
		}
		if len(b.arrival) > networksMax {
			t.Fatalf("%d networks are kept", len(b.arrival))
		}
	}
	// Those who owe nothing are forgotten first.
	later := noon.Add(2 * time.Hour)
	b.forget(later.UnixMicro())
	if len(b.arrival) != 0 {
		t.Errorf("%d rested networks are kept", len(b.arrival))
	}
}

func TestAddressesShareALimitBy(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1":         "192.0.2.1/32",
		"::ffff:192.0.2.1":  "192.0.2.1/32",
		"2001:db8:1:2:3::4": "2001:db8:1:2::/64",
		"fe80::1%eth0":      "fe80::/64",
	} {
		if got := Network(netip.MustParseAddr(addr)); got.String() != want {
			t.Errorf("%s: %v, want %s", addr, got, want)
		}
	}
	if got := Network(netip.Addr{}); got.IsValid() {
		t.Errorf("no address: %v", got)
	}
}
