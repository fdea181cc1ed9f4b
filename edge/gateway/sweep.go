package gateway

import (
	"errors"
	"math"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"
)

var (
	errDead    = errors.New("gateway: no sign of life")
	errCrowded = errors.New("gateway: too much is unread by all clients together")
)

// drainMin is what a client has to take of its backlog within Config.StuckAfter,
// if as much waits: less than a bad phone line carries.
const drainMin = 16 << 10

// times are the Config's durations in milliseconds.
type times struct {
	handshake, hello, halfMessage, ping, dead, stuck, close int64
}

func (c *Config) times() times {
	return times{
		handshake: c.HandshakeTimeout.Milliseconds(), hello: c.HelloTimeout.Milliseconds(), halfMessage: c.HalfMessageTimeout.Milliseconds(),
		ping: c.PingEvery.Milliseconds(), dead: c.DeadAfter.Milliseconds(), stuck: c.StuckAfter.Milliseconds(), close: c.CloseTimeout.Milliseconds(),
	}
}

// sweepEvery is how often loops look for what is due: often enough for the
// shortest time, and for a drained client to go on soon.
func (t times) sweepEvery() time.Duration {
	shortest := min(t.handshake, t.hello, t.halfMessage, t.ping, t.dead, t.stuck, t.close)
	return time.Duration(min(100, max(5, shortest/4))) * time.Millisecond
}

// refusedMS is how long a connection that will be refused may take to say what it wants.
const refusedMS = 1000

// sweep looks at every connection of l that is due. It walks from the end, as
// connections that leave are replaced by later ones.
func (l *loop) sweep() {
	l.swept.Store(false)
	now := l.g.nowMS()
	l.heldMax = l.g.heldMax()
	var held unread
	for i := len(l.due) - 1; i >= 0; i-- {
		if i >= len(l.due) || l.due[i] > now {
			continue
		}
		c := l.conns[i]
		due := c.check(now)
		if c.state == stateClosed {
			continue
		}
		l.due[c.idx] = due
		if waiting := c.gc.OutboundBuffered(); waiting > 0 {
			held.bytes += int64(waiting)
			held.clients++
		}
	}
	l.held.bytes.Store(held.bytes)
	l.held.clients.Store(held.clients)
}

// unread is what waits for clients, as the last sweep found it.
type unread struct{ bytes, clients int64 }

func (g *Gateway) unread() (all unread) {
	for _, l := range *g.loops.Load() {
		all.bytes += l.held.bytes.Load()
		all.clients += l.held.clients.Load()
	}
	return all
}

// heldMax returns how much may wait for one client: what the average of the slow
// ones holds where all together hold too much, so that those who hold the most go,
// and at the next sweeps those of the rest, until it is no longer too much;
// otherwise there is no such limit.
func (g *Gateway) heldMax() int64 {
	all := g.unread()
	if all.bytes <= g.cfg.BacklogTotalBytes || all.clients == 0 {
		return math.MaxInt64
	}
	return all.bytes / all.clients
}

// check acts on what is due for c and returns when to look again.
func (c *Conn) check(now int64) int64 {
	t := &c.loop.g.ms
	switch c.state {
	case stateHead:
		due := c.sinceMS + t.handshake
		if c.refuse != nil {
			due = min(due, c.sinceMS+refusedMS)
		}
		if now >= due {
			c.refuseWith(&headError{408, "the request head took too long"})
		}
		return due
	case stateOpen:
		return c.checkOpen(now, t)
	default:
		if now >= c.sinceMS+t.close {
			_ = c.loop.el.Close(c.gc)
		} else if c.gc.OutboundBuffered() == 0 {
			_ = unix.Shutdown(c.gc.Fd(), unix.SHUT_WR)
			return c.sinceMS + t.close
		}
		return now
	}
}

func (c *Conn) checkOpen(now int64, t *times) int64 {
	due := c.seenMS + t.dead
	if now >= due {
		c.abort(errDead)
		return now
	}
	if !c.pinged {
		if ping := c.seenMS + t.ping; now < ping {
			due = ping
		} else {
			c.pinged = true
			c.write(ws.CompiledPing)
		}
	}
	if !c.known {
		hello := c.sinceMS + t.hello
		if now >= hello {
			c.Close(CodeNoHello, "no hello in time")
			return now
		}
		due = min(due, hello)
	}
	if c.in != nil {
		half := c.in.sinceMS + t.halfMessage
		if now >= half {
			c.Close(codePolicy, "a message took too long")
			return now
		}
		due = min(due, half)
	}
	if c.state == stateOpen && (c.want || c.loop.recips[c.idx].flags&flagSlow != 0) {
		c.checkBacklog(now, t)
		return now
	}
	return due
}

// checkBacklog notices that a slow client has drained, or that it does not.
func (c *Conn) checkBacklog(now int64, t *times) {
	waiting := int64(c.gc.OutboundBuffered())
	if waiting == 0 {
		c.keepsUp()
		if c.want {
			c.want = false
			c.loop.callDrained(c)
		}
		return
	}
	if waiting >= c.loop.heldMax { // and no close frame, which would wait behind all of it
		c.leave(CodeSlow, errCrowded)
		_ = c.loop.el.Close(c.gc)
		return
	}
	if drained := c.backlog.written - waiting; drained >= c.backlog.drained+drainMin {
		c.backlog.drained, c.backlog.sinceMS = drained, now
	} else if now-c.backlog.sinceMS >= t.stuck {
		c.Close(CodeSlow, "reads too slowly")
	}
}
