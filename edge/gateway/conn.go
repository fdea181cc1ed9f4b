package gateway

import (
	"net/netip"

	"github.com/gobwas/ws"
	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"pixelwall/edge/limit"
)

// A Handler is told what happens to upgraded connections. All calls about one
// connection come from its event loop, one at a time, and never from inside
// another call on that loop: what a call causes is reported after it returned.
// No method may block. A panic closes the connection with 1011.
type Handler interface {
	// Open is called after the 101 has been written. req is valid until Open returns.
	Open(c *Conn, req *Request)

	// Message brings one whole data message; op is ws.OpText or ws.OpBinary,
	// and text is valid UTF-8.
	//
	// Ownership: payload may be changed by the handler but is valid only until
	// Message returns.
	Message(c *Conn, op ws.OpCode, payload []byte)

	// Skipped tells that c was in step until b, which did not fit its backlog.
	// Neither b nor any later broadcast reaches c before Follow is called again.
	Skipped(c *Conn, b *Broadcast)

	// Drained tells, once, that everything queued for c has been taken by the
	// kernel after a Skipped. Now is the time to catch up: Post a function that
	// sends what c missed and calls Follow.
	Drained(c *Conn)

	// Close is the last call about c. code is the one that was sent or
	// received, 1005 for a close frame without a code, 1006 if there was no
	// close frame; err says more and may be nil.
	Close(c *Conn, code uint16, err error)
}

type state uint8

const (
	stateHead    state = iota // the request head is incomplete
	stateOpen                 // upgraded
	stateClosing              // our last bytes are written; input is thrown away until the peer hangs up
	stateClosed
)

// A Conn is one upgraded client. Its methods must be called on its event loop,
// which is where every Handler call and posted function runs; Post and
// RemoteAddr may be called from anywhere.
type Conn struct {
	Data any // for the handler

	gc      gnet.Conn
	loop    *loop
	in      *inbox   // what is half received; nil for an idle connection
	backlog *backlog // what waits in gnet's buffer; nil for a client that keeps up

	remote netip.Addr // the client, after trusted proxies
	refuse *headError // answer to any request head, decided on accept
	why    error      // for Handler.Close

	idx     int32 // place in the loop's packed slices
	large   int32 // bytes of the last Send that found nothing waiting
	code    uint16
	state   state
	opened  bool // Handler.Open was called
	handed  bool // now belongs to the HTTP server
	counted bool // admission counted it under key()
	adopted bool // came by Adopt
	known   bool // Introduced was called
	pinged  bool // no byte since the last ping
	want    bool // Drained is owed
	doomed  bool // guarded by loop.mu: to be closed because Post overflowed
	rate    bucket
	seenMS  int64 // last byte received
	sinceMS int64 // begin of the state
}

// RemoteAddr returns the client's address, as reported by trusted proxies if
// there are any. It does not change after Open.
func (c *Conn) RemoteAddr() netip.Addr { return c.remote }

// Gateway returns whose connection c is. It may be called from anywhere.
func (c *Conn) Gateway() *Gateway { return c.loop.g }

// Limited reports whether limits per address apply to the client: not to what a
// trusted proxy says on its own behalf.
func (c *Conn) Limited() bool { return c.counted }

// Loop returns the number of c's event loop, for Gateway.PostLoop. It may be
// called from anywhere.
func (c *Conn) Loop() int { return c.loop.id }

// Introduced says that the client has told who it is: it may be silent from now on.
func (c *Conn) Introduced() { c.known = true }

// Follow sets the channels whose broadcasts c gets, beginning with the next
// broadcast. It also ends the pause that Skipped began.
func (c *Conn) Follow(mask uint64) {
	if c.state != stateOpen {
		return
	}
	lagged := c.Lagging()
	c.loop.settle(c)
	if c.state != stateOpen {
		return
	}
	r := &c.loop.recips[c.idx]
	r.mask = mask
	if lagged {
		r.flags &^= flagLag // not if the broadcast under way was skipped just now
	}
}

// Hear sets whether c gets the broadcasts that are for All.
func (c *Conn) Hear(on bool) {
	if c.state != stateOpen {
		return
	}
	c.loop.settle(c)
	if c.state != stateOpen {
		return
	}
	r := &c.loop.recips[c.idx]
	r.flags &^= flagHear
	if on {
		r.flags |= flagHear
	}
}

// SetClass sets which encoding of broadcasts c understands.
func (c *Conn) SetClass(class uint8) {
	if c.state != stateOpen || int(class) >= Classes {
		return
	}
	c.loop.settle(c)
	if c.state == stateOpen {
		c.loop.recips[c.idx].class = class
	}
}

// Lagging reports whether c was skipped and waits for Follow.
func (c *Conn) Lagging() bool {
	return c.state == stateOpen && c.loop.recips[c.idx].flags&flagLag != 0
}

// Send queues whole frames for c and reports whether it took them: not when c
// is gone, and not when something already waits and twice the backlog would be
// exceeded: broadcasts stop at the backlog, so answers find as much room again.
// What is sent when nothing waits, such as a large catch-up, does not count.
//
// Ownership: Send does not keep frame.
func (c *Conn) Send(frame []byte) bool {
	if c.state != stateOpen {
		return false
	}
	switch waiting := c.gc.OutboundBuffered(); {
	case waiting == 0:
		c.large = int32(len(frame))
	case waiting+len(frame) > int(c.large)+2*c.loop.g.cfg.BacklogBytes:
		return false
	}
	c.write(frame)
	return c.state == stateOpen
}

// Post runs fn on c's loop: after everything that was queued there before, and
// before everything that is queued later. It reports false, and fn never runs,
// when the gateway is closed or the loop's queue is full; a full queue also
// closes c with 1013, so that it starts again instead of missing something.
// A fn whose connection has gone meanwhile is dropped.
func (c *Conn) Post(fn func(c *Conn)) bool { return c.loop.post(c, fn) }

// Close sends a close frame and hangs up. Handler.Close follows.
func (c *Conn) Close(code uint16, reason string) {
	c.end(code, &violation{code, reason}, appendClose(nil, code, reason))
}

// write gives p to the kernel and what does not fit to gnet's buffer. It may
// end the connection.
func (c *Conn) write(p []byte) {
	if c.gc.OutboundBuffered() == 0 {
		n := sendOne(c.gc.Fd(), p)
		if int(n) == len(p) {
			return
		}
		if n < 0 && !again(n) {
			c.abort(unix.Errno(-n))
			return
		}
		p = p[max(n, 0):]
	}
	c.queue(p)
}

// A backlog watches whether what waits for a client gets less.
type backlog struct {
	written int64 // bytes that waited or were queued since it began
	drained int64 // of those, how many had left at sinceMS
	sinceMS int64
}

// queue appends p to gnet's buffer, which sends it when the socket has room.
func (c *Conn) queue(p []byte) {
	if c.backlog != nil {
		c.backlog.written += int64(len(p))
	}
	if _, err := c.gc.Write(p); err != nil || c.state == stateClosed {
		return // gnet has called OnClose already
	}
	if waiting := c.gc.OutboundBuffered(); waiting > 0 && c.backlog == nil {
		c.backlog = &backlog{written: int64(waiting), sinceMS: c.loop.g.nowMS()}
		c.loop.recips[c.idx].flags |= flagSlow
		c.loop.due[c.idx] = 0
	}
}

// keepsUp notes that nothing waits for c any more.
func (c *Conn) keepsUp() {
	c.backlog = nil
	c.loop.recips[c.idx].flags &^= flagSlow
}

// key is what admission counts c under; zero if c does not count. The address
// changes only for a connection that is not counted yet.
func (c *Conn) key() netip.Prefix {
	if !c.counted {
		return netip.Prefix{}
	}
	return limit.Network(c.remote)
}

// again reports whether a send result means that the socket has no room now.
func again(result int32) bool {
	switch unix.Errno(-result) {
	case unix.EAGAIN, unix.ENOBUFS, unix.EINTR:
		return true
	}
	return false
}

// end writes last, shuts the sending side so that the peer sees an orderly
// end, and keeps reading into the void until the peer hangs up too: closing at
// once would, with unread input, reset the connection and lose last.
func (c *Conn) end(code uint16, why error, last []byte) {
	if c.state >= stateClosing {
		return
	}
	c.write(last)
	if c.state >= stateClosing {
		return
	}
	c.leave(code, why)
	c.state = stateClosing
	c.sinceMS = c.loop.g.nowMS()
	c.loop.due[c.idx] = 0
	if c.gc.OutboundBuffered() == 0 {
		_ = unix.Shutdown(c.gc.Fd(), unix.SHUT_WR)
	}
}

// abort drops the socket at once.
func (c *Conn) abort(why error) {
	if c.state == stateClosed {
		return
	}
	c.leave(codeAbnormal, why)
	_ = c.loop.el.Close(c.gc)
}

// leave ends what the handler knows of c; the socket may live a little longer.
func (c *Conn) leave(code uint16, why error) {
	if c.code != 0 {
		return
	}
	c.code, c.why = code, why
	c.dropInbox()
	r := &c.loop.recips[c.idx]
	r.mask, r.flags = 0, r.flags&flagSlow
	if c.opened {
		c.loop.g.stats.closed(code)
		c.loop.gone = append(c.loop.gone, c)
	}
}
