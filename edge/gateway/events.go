package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"pixelwall/edge/limit"
)

// events is the Gateway as gnet's event handler; the methods are not for
// users of a Gateway. All but OnTick run on the event loops.
type events Gateway

// A waker is the inner end of the socket pair that makes a loop run its queue.
type waker struct {
	loop *loop
	fd   int // the outer end
}

func (e *events) OnBoot(engine gnet.Engine) gnet.Action {
	e.engine = engine
	return gnet.None
}

func (e *events) OnShutdown(gnet.Engine) {}

// OnTick comes first when all loops run, and then as often as it asks for.
func (e *events) OnTick() (time.Duration, gnet.Action) {
	g := (*Gateway)(e)
	g.tick.Do(func() { g.ready <- g.wakeLoops() })
	for _, l := range *g.loops.Load() {
		if l.swept.CompareAndSwap(false, true) {
			l.enqueue(task{forLoop: (*loop).sweep})
		}
	}
	return g.ms.sweepEvery(), gnet.None
}

// wakeLoops makes one socket pair per loop and registers the inner ends, which
// the engine spreads over the loops in turn.
func (g *Gateway) wakeLoops() error {
	for range g.cfg.Loops {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return os.NewSyscallError("socketpair", err)
		}
		w := &waker{fd: pair[1]}
		file := os.NewFile(uintptr(pair[0]), "wake")
		inner, err := net.FileConn(file)
		_ = file.Close()
		if err != nil {
			return err
		}
		ctx := gnet.NewNetConnContext(gnet.NewContext(context.Background(), w), inner)
		result, err := g.engine.Register(ctx)
		if err != nil {
			return err
		}
		if r := <-result; r.Err != nil {
			return r.Err
		}
	}
	loops := *g.loops.Load()
	if len(loops) != g.cfg.Loops {
		return fmt.Errorf("%d loops, want %d", len(loops), g.cfg.Loops)
	}
	for _, l := range loops {
		if l.err != nil {
			return l.err
		}
	}
	return nil
}

// loopOf returns our side of el, made when its first connection opens, on its thread.
func (g *Gateway) loopOf(el gnet.EventLoop) *loop {
	for _, l := range *g.loops.Load() {
		if l.el == el {
			return l
		}
	}
	g.loopsMu.Lock()
	defer g.loopsMu.Unlock()
	l := &loop{g: g, el: el, wakeFD: -1}
	l.fan.sender, l.err = newSender(g.cfg.Sender)
	if l.err != nil {
		l.fan.sender = &sendtoSender{}
	}
	l.kind = l.fan.sender.name()
	loops := append(slices.Clone(*g.loops.Load()), l)
	l.id = len(loops) - 1
	g.loops.Store(&loops)
	return l
}

func (e *events) OnOpen(gc gnet.Conn) ([]byte, gnet.Action) {
	g := (*Gateway)(e)
	l := g.loopOf(gc.EventLoop())
	switch c := gc.Context().(type) {
	case *waker:
		c.loop = l
		l.attach(c.fd)
		return nil, gnet.None
	case *Conn:
		c.gc, c.loop = gc, l
		c.begin()
		head := c.in.head
		c.in = nil
		c.readHead(head)
		l.flush()
		return nil, gnet.None
	}
	g.stats.accepted.Add(1)
	n := g.adm.conns.Add(1)
	if n > g.adm.hard {
		g.adm.conns.Add(-1)
		g.stats.refusedWith(errFull.status)
		return appendRefusal(nil, errFull), gnet.Close
	}
	c := &Conn{gc: gc, loop: l}
	c.begin()
	if n > g.adm.max {
		c.refuse = errFull
	}
	if !g.exempt(c.remote) {
		if c.counted = g.adm.enter(limit.Network(c.remote)); !c.counted {
			c.refuse = errAddressFull
		}
	}
	gc.SetContext(c)
	return nil, gnet.None
}

// begin takes a fresh socket into the loop.
func (c *Conn) begin() {
	c.sinceMS = c.loop.g.nowMS()
	c.seenMS = c.sinceMS
	c.remote = addrOf(c.gc.RemoteAddr())
	c.loop.add(c)
}

func addrOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

func (e *events) OnTraffic(gc gnet.Conn) gnet.Action {
	p, _ := gc.Next(-1)
	switch c := gc.Context().(type) {
	case *waker:
		c.loop.run()
	case *Conn:
		c.seen()
		switch c.state {
		case stateHead:
			c.readHead(p)
		case stateOpen:
			c.feed(p)
		}
		c.loop.flush()
		if c.handed {
			return gnet.Close
		}
	}
	return gnet.None
}

// seen notes a sign of life. The next look at a pinged connection was to be at
// its death; it is due for another ping before that.
func (c *Conn) seen() {
	c.seenMS = c.loop.g.nowMS()
	if c.pinged {
		c.pinged = false
		due := &c.loop.due[c.idx]
		*due = min(*due, c.seenMS+c.loop.g.ms.ping)
	}
}

func (e *events) OnClose(gc gnet.Conn, err error) gnet.Action {
	c, ok := gc.Context().(*Conn)
	if !ok {
		return gnet.None
	}
	g := (*Gateway)(e)
	c.leave(codeAbnormal, err)
	c.state = stateClosed
	c.loop.remove(c)
	g.adm.leave(c.key())
	if !c.handed {
		g.adm.conns.Add(-1)
	}
	c.loop.flush()
	return gnet.None
}

// engineLogger passes on what gnet has to say; its news are our details.
type engineLogger struct{ *slog.Logger }

func (l engineLogger) Debugf(format string, args ...any) {}
func (l engineLogger) Infof(format string, args ...any) {
	l.Debug("gnet: " + fmt.Sprintf(format, args...))
}
func (l engineLogger) Warnf(format string, args ...any) {
	l.Warn("gnet: " + fmt.Sprintf(format, args...))
}
func (l engineLogger) Errorf(format string, args ...any) {
	l.Error("gnet: " + fmt.Sprintf(format, args...))
}
func (l engineLogger) Fatalf(format string, args ...any) {
	l.Error("gnet: " + fmt.Sprintf(format, args...))
}
