package servers

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
)

var given struct {
	sync.Mutex
	ports map[int]bool
}

// freePort returns a port that is free on all the hosts and below those that the
// kernel gives to outgoing connections: a client that reconnects while its
// server is down may otherwise hold the very port that the server wants back.
func freePort(hosts ...string) (int, error) {
	given.Lock()
	defer given.Unlock()
	low := ephemeral()
	for range 1000 {
		port := 10_000 + rand.IntN(max(low-10_000, 1000))
		if !given.ports[port] && bindable(port, hosts) {
			if given.ports == nil {
				given.ports = map[int]bool{}
			}
			given.ports[port] = true
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free port from 10000 to %d on %v", low, hosts)
}

func bindable(port int, hosts []string) bool {
	for _, host := range hosts {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}

// ephemeral returns the first port that the kernel gives to outgoing connections.
func ephemeral() int {
	low := 32768 // the kernel's default
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		fmt.Sscan(string(text), &low)
	}
	return low
}
