package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// A Gateway is a running server. Its methods may be called from anywhere.
type Gateway struct {
	cfg     Config
	ms      times
	everyUS int64 // one message per so many microseconds
	handler Handler
	started time.Time
	addr    net.Addr
	adm     *admission
	stats   counters

	engine   gnet.Engine
	loops    atomic.Pointer[[]*loop] // replaced, never changed
	loopsMu  sync.Mutex              // held while loops is replaced
	nextLoop atomic.Uint32
	draining atomic.Bool

	tick  sync.Once
	ready chan error    // one value: the loops run, or why not
	done  chan struct{} // closed when the engine has ended
	err   error         // of the engine; read after done

	httpMu sync.Mutex
	https  map[*httpConn]struct{} // guarded by httpMu
}

// Start listens and serves until Stop.
func Start(cfg Config, handler Handler) (*Gateway, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.ConnsMax == 0 {
		cfg.ConnsMax = ConnsMax(cfg.FilesReserve)
	}
	held, err := reserve(cfg.Addr)
	if err != nil {
		return nil, err
	}
	defer held.release()

	g := &Gateway{
		cfg: cfg, ms: cfg.times(), everyUS: int64(1e6 / cfg.MessagesPerSecond), handler: handler, started: time.Now(), addr: held.addr,
		adm: newAdmission(cfg.ConnsMax, cfg.ConnsPerAddress), ready: make(chan error, 1), done: make(chan struct{}), https: map[*httpConn]struct{}{},
	}
	g.loops.Store(new([]*loop))
	go func() {
		defer close(g.done)
		g.err = gnet.Run((*events)(g), held.network+"://"+held.addr.String(),
			// Loops accept for themselves: a shared acceptor would take the whole
			// backlog before the first refusal and die of too many descriptors.
			gnet.WithReusePort(true), gnet.WithReuseAddr(true), gnet.WithNumEventLoop(cfg.Loops), gnet.WithLoadBalancing(gnet.RoundRobin),
			gnet.WithLockOSThread(true), // a ring belongs to one thread
			gnet.WithTicker(true), gnet.WithLogger(engineLogger{cfg.Logger}))
		for _, l := range *g.loops.Load() {
			l.shut()
		}
	}()
	select {
	case err = <-g.ready:
	case <-g.done:
		err = g.err
	}
	if err != nil {
		_ = g.Stop(context.Background())
		return nil, fmt.Errorf("gateway: start on %s: %w", held.addr, err)
	}
	return g, nil
}

// FilesReserve is how many descriptors are kept free by default.
const FilesReserve = 64

// ConnsMax returns what the descriptor limit leaves for connections when
// filesReserve descriptors are kept free.
func ConnsMax(filesReserve int) int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	files := int(min(limit.Cur, 1<<24))
	return max(16, files*95/100-filesReserve-refusedMax)
}

// Addr returns where the gateway listens.
func (g *Gateway) Addr() net.Addr { return g.addr }

// Done is closed when the gateway serves no more, be it after Stop or because
// its engine failed; Err then says why.
func (g *Gateway) Done() <-chan struct{} { return g.done }

// Err returns what ended the gateway. It must be called after Done.
func (g *Gateway) Err() error { return g.err }

// Broadcast queues b on every loop and never waits. It reports false, and
// queues nothing anywhere, while a loop has BroadcastsMax broadcasts before
// it: then the caller keeps its changes and says them with the next tick,
// which is how a tick gets longer under load instead of a queue.
// Only one goroutine may call Broadcast.
func (g *Gateway) Broadcast(b *Broadcast) bool {
	if g.Queued() >= g.cfg.BroadcastsMax {
		return false
	}
	for _, l := range *g.loops.Load() {
		l.waiting.Add(1)
		l.enqueue(task{b: b})
	}
	return true
}

// Queued returns how many broadcasts the slowest loop has not sent to the end.
func (g *Gateway) Queued() (n int) {
	for _, l := range *g.loops.Load() {
		n = max(n, int(l.waiting.Load()))
	}
	return n
}

// Conns returns how many upgraded connections are open.
func (g *Gateway) Conns() int { return int(g.stats.open.Load()) }

// Loops returns how many event loops there are.
func (g *Gateway) Loops() int { return len(*g.loops.Load()) }

// PostLoop runs fn on the event loop with that number, in the order of its
// queue, so that answers to many connections of one loop cost one entry. The
// caller bounds how many are under way.
func (g *Gateway) PostLoop(number int, fn func()) {
	l := (*g.loops.Load())[number]
	l.enqueue(task{forLoop: func(*loop) { fn() }})
}

// Each calls fn for every open connection, on its loop, in the order of the
// loop's queue. It does not wait.
func (g *Gateway) Each(fn func(c *Conn)) {
	for _, l := range *g.loops.Load() {
		l.enqueue(task{forLoop: func(l *loop) {
			for _, c := range slices.Clone(l.conns) {
				if c.state == stateOpen {
					l.callPosted(c, fn)
				}
			}
		}})
	}
}

// Drain refuses new WebSocket connections with 503 from now on. HTTP requests
// are served further, so that a load balancer can see why.
func (g *Gateway) Drain() { g.draining.Store(true) }

// Stop closes all clients with 1012, waits until they are gone or ctx ends,
// and stops serving.
func (g *Gateway) Stop(ctx context.Context) error {
	g.Drain()
	g.Each(func(c *Conn) { c.Close(codeRestart, "service restart") })
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for waiting := true; waiting && g.adm.conns.Load() > g.stats.http.Load(); {
		select {
		case <-poll.C:
		case <-g.done:
			waiting = false
		case <-ctx.Done():
			waiting = false
		}
	}
	// gnet's Stop asks every half second whether it is done; the end of Run says
	// so at once.
	now, cancel := context.WithCancel(context.Background())
	cancel()
	err := g.engine.Stop(now)
	g.closeHTTP()
	select {
	case <-g.done:
		return nil
	case <-time.After(stopPatience):
		return fmt.Errorf("gateway: stop: %w", err)
	}
}

// stopPatience is how long the loops may take to end. They need longer only
// when a handler blocks.
const stopPatience = 5 * time.Second

func (g *Gateway) nowMS() int64 { return time.Since(g.started).Milliseconds() }
func (g *Gateway) nowUS() int64 { return time.Since(g.started).Microseconds() }

func (g *Gateway) senderName() SenderKind {
	for _, l := range *g.loops.Load() {
		return l.kind
	}
	return ""
}

// A reservation holds a port until the engine listens on it.
type reservation struct {
	network string
	addr    *net.TCPAddr
	fd      int
}

func (r reservation) release() { _ = unix.Close(r.fd) }

// reserve takes addr for ourselves. Sockets with SO_REUSEPORT share a port with
// any other process of the same user without a word, so it is bound without
// that first: this fails when anybody listens there. Then sharing is allowed,
// for the loops of this process only, as everybody else asks first too.
func reserve(addr string) (r reservation, err error) {
	want, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return r, fmt.Errorf("gateway: listen address: %w", err)
	}
	r = reservation{network: "tcp", addr: want}
	var sa unix.Sockaddr
	family := unix.AF_INET6
	if ip4 := want.IP.To4(); ip4 != nil {
		family, r.network = unix.AF_INET, "tcp4"
		sa = &unix.SockaddrInet4{Port: want.Port, Addr: [4]byte(ip4)}
	} else {
		s := &unix.SockaddrInet6{Port: want.Port}
		copy(s.Addr[:], want.IP.To16())
		sa = s
	}
	r.fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) && want.IP == nil { // a machine without IPv6
		return reserve(net.JoinHostPort("0.0.0.0", strconv.Itoa(want.Port)))
	}
	if err != nil {
		return r, fmt.Errorf("gateway: socket: %w", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), // old connections in TIME_WAIT are no obstacle
		unix.Bind(r.fd, sa),
		unix.SetsockoptInt(r.fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
	if err == nil {
		sa, err = unix.Getsockname(r.fd)
	}
	if err != nil {
		r.release()
		return r, fmt.Errorf("gateway: listen on %s: %w", addr, err)
	}
	switch s := sa.(type) {
	case *unix.SockaddrInet4:
		r.addr = &net.TCPAddr{IP: want.IP, Port: s.Port}
	case *unix.SockaddrInet6:
		r.addr = &net.TCPAddr{IP: want.IP, Port: s.Port, Zone: want.Zone}
	}
	return r, nil
}
