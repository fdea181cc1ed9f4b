package deploy

import (
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A tap stands between a proxy and the server and notes which requests came
// over which connection.
type tap struct {
	addr string

	mu   sync.Mutex
	seen []*strings.Builder // what each connection brought to the server
	from map[string]bool    // hosts that they came from
}

func newTap(t *testing.T, to string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	tp := &tap{addr: l.Addr().String(), from: map[string]bool{}}
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			go tp.relay(from, to)
		}
	}()
	return tp
}

func (tp *tap) relay(from net.Conn, address string) {
	defer from.Close()
	to, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	note := &strings.Builder{}
	tp.mu.Lock()
	tp.seen = append(tp.seen, note)
	host, _, _ := net.SplitHostPort(from.RemoteAddr().String())
	tp.from[host] = true
	tp.mu.Unlock()
	go func() {
		defer from.Close()
		pass(from, to, func([]byte) {})
	}()
	pass(to, from, func(p []byte) {
		tp.mu.Lock()
		defer tp.mu.Unlock()
		note.Write(p)
	})
	to.Close()
}

func pass(to, from net.Conn, note func([]byte)) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		note(buf[:n])
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// together reports whether one connection brought first and, later, second.
func (tp *tap) together(first, second string) bool {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	for _, s := range tp.seen {
		text := s.String()
		if i := strings.Index(text, first); i >= 0 && strings.Contains(text[i:], second) {
			return true
		}
	}
	return false
}

// sources returns the hosts from which connections came.
func (tp *tap) sources() []string {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	return slices.Sorted(maps.Keys(tp.from))
}

// count returns how often the server was sent text.
func (tp *tap) count(text string) (n int) {
	tp.mu.Lock()
	defer tp.mu.Unlock()
	for _, s := range tp.seen {
		n += strings.Count(s.String(), text)
	}
	return n
}
