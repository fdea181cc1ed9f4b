package limit

import "net/netip"

// WideShare is how much more than a single IPv6 /64 the whole /48 around it may do:
// a site with its own /48 has 65536 of the former.
const WideShare = 8

// Network returns what limits count addr under: an IPv4 address or an IPv6 /64,
// which is what one household gets. It is invalid for the zero Addr.
func Network(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		p, _ := addr.Prefix(64)
		return p
	}
	return netip.PrefixFrom(addr, addr.BitLen())
}

// Site returns the /48 around an IPv6 network, and an invalid prefix for IPv4.
func Site(network netip.Prefix) netip.Prefix {
	if !network.Addr().Is6() {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(network.Addr(), 48).Masked()
}
