package main

import (
	"net"
	"slices"
	"testing"
)

func TestHostsOfAnAddress(t *testing.T) {
	for _, ip := range []net.IP{nil, net.IPv4zero, net.IPv6unspecified} {
		if got := hosts(ip); got[0] != "localhost" || slices.Contains(got, "<nil>") {
			t.Errorf("hosts(%v) = %q", ip, got)
		}
	}
	for text, want := range map[string]string{"127.0.0.1": "127.0.0.1", "::1": "::1"} {
		if got := hosts(net.ParseIP(text)); !slices.Equal(got, []string{want}) {
			t.Errorf("hosts(%s) = %q", text, got)
		}
	}
}
