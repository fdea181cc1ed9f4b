package gateway

import (
	"bytes"
	"net/netip"
	"net/url"
	"strings"
)

// An origin is scheme and host with port, in lower case, as a browser
// serialises it.
type origin struct{ scheme, host string }

// ValidOrigin reports whether s may be one of Config.Origins.
func ValidOrigin(s string) bool {
	_, ok := parseOrigin(s)
	return ok || s == "*"
}

// parseOrigin reads scheme://host[:port] and nothing beyond it.
func parseOrigin(s string) (origin, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme == "" || u.User != nil || s != u.Scheme+"://"+u.Host && !strings.EqualFold(s, u.Scheme+"://"+u.Host) {
		return origin{}, false
	}
	return origin{strings.ToLower(u.Scheme), strings.ToLower(u.Host)}, true
}

// clientAddr returns the address that limits and logs are about, and whether a
// proxy reported it. The header counts only when the peer itself is trusted;
// then the rightmost address that is no trusted proxy is the client, because
// everything left of it could have been written by the client.
func (r *Request) clientAddr(peer netip.Addr, trusted []netip.Prefix) (addr netip.Addr, forwarded bool) {
	forwarded = r.count("X-Forwarded-For") > 0 || r.count("Forwarded") > 0
	addr = peer
	if !within(addr, trusted) {
		return addr, forwarded
	}
	var list []string
	for value := range r.all("X-Forwarded-For") {
		list = append(list, strings.Split(string(value), ",")...)
	}
	for i := len(list) - 1; i >= 0 && within(addr, trusted); i-- {
		next, ok := parseForwarded(strings.TrimSpace(list[i]))
		if !ok {
			break
		}
		addr = next
	}
	return addr, forwarded
}

// ClientAddr returns the same for an HTTP request that the gateway handed over,
// from its header lines, and whether limits per address leave it out: loopback
// without a forwarding header is, for load tests and local use.
func ClientAddr(peer netip.Addr, headers []byte, trusted []netip.Prefix) (addr netip.Addr, exempt bool) {
	var r Request
	for line := range bytes.Lines(headers) {
		if line = bytes.TrimRight(line, "\r\n"); len(line) > 0 && r.parseHeader(line) != nil {
			return peer, false
		}
	}
	addr, forwarded := r.clientAddr(peer.Unmap(), trusted)
	return addr, addr.IsLoopback() && !forwarded
}

// parseForwarded reads an address with or without a port.
func parseForwarded(s string) (netip.Addr, bool) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return a.Unmap().WithZone(""), err == nil
}

func within(a netip.Addr, prefixes []netip.Prefix) bool {
	for _, p := range prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
