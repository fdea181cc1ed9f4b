package main

import (
	"fmt"
	"io"
	"net"
	"strings"
)

// announce prints what a person who just started the program wants to know.
func (e *edge) announce(out io.Writer) {
	c := e.hub.Config()
	addr := e.gateway.Load().Addr().(*net.TCPAddr)
	fmt.Fprintf(out, "Pixelwall %s is open: %d x %d pixels, %d colours, %s\n", version(), c.Width, c.Height, len(c.Palette), cooldownText(c.CooldownMS))
	for i, host := range hosts(addr.IP) {
		label := "here"
		if i > 0 {
			label = "on your network"
		}
		fmt.Fprintf(out, "  %-16s http://%s\n", label, net.JoinHostPort(host, fmt.Sprint(addr.Port)))
	}
	if e.s.PublicURL != "" {
		fmt.Fprintf(out, "  %-16s %s\n", "for everybody", e.s.PublicURL)
	}
	fmt.Fprintf(out, "  %-16s %s\n", "canvas in", e.store.place)
	fmt.Fprintf(out, "  %-16s Ctrl+C\n", "stop with")
}

func cooldownText(ms int64) string {
	if ms == 0 {
		return "no cooldown"
	}
	text := fmt.Sprintf("%.3f", float64(ms)/1000)
	return "a pixel every " + strings.TrimRight(strings.TrimRight(text, "0"), ".") + " s"
}

// hosts returns the names under which ip is reached: itself, or, when it is all
// addresses of the machine (nil for both families at once), localhost and those that
// are not loopback.
func hosts(ip net.IP) []string {
	if len(ip) > 0 && !ip.IsUnspecified() {
		return []string{ip.String()}
	}
	list := []string{"localhost"}
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return list
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() {
			list = append(list, n.IP.String())
		}
	}
	return list
}
