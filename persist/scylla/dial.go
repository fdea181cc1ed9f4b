package scylla

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gocql/gocql"
)

// A lifeline opens the driver's connections and counts when one ends by itself
// or its node comes back: a node that was killed may have forgotten what it
// acknowledged last, and its connections are the first to know.
type lifeline struct {
	ctx    context.Context // of the Store: when it ends, so do all connections
	dialer gocql.ScyllaShardAwareDialer

	disturbed atomic.Uint64
	counting  atomic.Bool // not while sessions are opened and closed on purpose

	mu   sync.Mutex
	lost map[string]bool // addresses whose connections ended
}

func newLifeline(ctx context.Context, timeout time.Duration) *lifeline {
	l := &lifeline{ctx: ctx, lost: make(map[string]bool)}
	l.dialer.Dialer = net.Dialer{Timeout: timeout, KeepAlive: 15 * time.Second}
	return l
}

// DialContext implements gocql.Dialer.
func (l *lifeline) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	c, err := l.dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c, nil
	}
	line := &line{TCPConn: tcp, life: l, host: hostOf(addr)}
	line.release = context.AfterFunc(l.ctx, func() { _ = tcp.Close() })
	if l.returned(line.host) && l.counting.Load() {
		l.disturbed.Add(1)
	}
	return line, nil
}

func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}

func (l *lifeline) returned(host string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.lost[host]
	delete(l.lost, host)
	return was
}

func (l *lifeline) ended(host string) {
	if !l.counting.Load() || l.ctx.Err() != nil {
		return
	}
	l.disturbed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost[host] = true
}

// A line embeds the TCP connection, so that the driver still writes several
// frames in one call.
type line struct {
	*net.TCPConn
	life    *lifeline
	host    string
	release func() bool
	once    sync.Once
}

func (c *line) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	if timeout, ok := err.(net.Error); err != nil && (!ok || !timeout.Timeout()) {
		c.once.Do(func() { c.life.ended(c.host) })
	}
	return n, err
}

// Close never fails: the driver would report that to the pool whose lock it holds.
func (c *line) Close() error {
	c.release()
	_ = c.TCPConn.Close()
	return nil
}
