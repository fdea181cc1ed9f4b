package gateway

import (
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"
)

// A task is one entry of a loop's queue: a broadcast, or a function for one
// connection or, without a connection, for the loop.
type task struct {
	b       *Broadcast
	c       *Conn
	forConn func(c *Conn)
	forLoop func(l *loop)
}

const (
	flagHear uint8 = 1 << iota // gets broadcasts for All
	flagSlow                   // may have bytes waiting in gnet's buffer
	flagLag                    // was skipped; gets nothing before Follow
)

// A skip is a broadcast that did not fit somebody's backlog.
type skip struct {
	c *Conn
	b *Broadcast
}

// A recipient is what fan-out must know of a connection, packed so that a walk
// over 10 000 of them reads 160 kB.
type recipient struct {
	mask  uint64
	fd    int32
	class uint8
	flags uint8
}

// A loop is one event loop's share of the connections and its queue.
type loop struct {
	id   int // place in Gateway.loops
	g    *Gateway
	el   gnet.EventLoop
	kind SenderKind // at start
	err  error      // of the sender, at start

	mu     sync.Mutex
	in     []task  // guarded by mu; bounded by BroadcastsMax and PostsMax
	posts  int     // guarded by mu: posted functions in the queue
	doomed []*Conn // guarded by mu; each connection at most once
	awake  bool    // guarded by mu: a wake-up is under way or the queue is being worked off
	dead   bool    // guarded by mu: nothing is accepted any more
	wakeFD int     // guarded by mu: a byte written here makes the loop run its queue; -1 before it is attached

	waiting atomic.Int32                          // broadcasts queued and not yet sent to the end
	swept   atomic.Bool                           // a sweep is queued
	held    struct{ bytes, clients atomic.Int64 } // unread, at the last sweep

	// Following: used on the loop only.

	out    []task // taken from in, worked off from next
	next   int
	recips []recipient // the three slices are parallel; Conn.idx is the place
	due    []int64     // milliseconds at which the connection wants a look
	conns  []*Conn

	spares []*inbox // emptied; at most sparesMax

	depth int     // handler calls and walks that are under way
	gone  []*Conn // left, Handler.Close not called yet; each connection at most once
	skips []skip  // Handler.Skipped not called yet; each connection at most once

	heldMax int64 // most that may wait for one client, as of this sweep

	cur     *Broadcast // being sent; recips below pos have not got it
	pos     int
	fan     fan
	request Request
}

// add takes c into the packed slices. A broadcast under way does not reach it.
func (l *loop) add(c *Conn) {
	c.idx = int32(len(l.conns))
	l.recips = append(l.recips, recipient{fd: int32(c.gc.Fd())})
	l.due = append(l.due, 0)
	l.conns = append(l.conns, c)
}

// remove takes c out. The slices are split at pos into those that still have
// to get the current broadcast and those that have it or shall not get it; the
// hole is filled so that nobody changes sides.
func (l *loop) remove(c *Conn) {
	hole, last := int(c.idx), len(l.conns)-1
	if hole < l.pos {
		l.pos--
		l.move(l.pos, hole)
		hole = l.pos
	}
	l.move(last, hole)
	l.conns[last] = nil
	l.recips, l.due, l.conns = l.recips[:last], l.due[:last], l.conns[:last]
}

func (l *loop) move(from, to int) {
	if from == to {
		return
	}
	l.recips[to], l.due[to], l.conns[to] = l.recips[from], l.due[from], l.conns[from]
	l.conns[to].idx = int32(to)
}

// attach gives the loop its wake-up descriptor.
func (l *loop) attach(fd int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wakeFD = fd
	if l.awake {
		l.wake()
	}
}

var wakeByte = []byte{1}

// wake must be called with mu held. The byte makes epoll report the other end,
// after the events that are already there; gnet's own task queue would run a
// task that a task added without looking at the sockets in between.
func (l *loop) wake() {
	if l.wakeFD >= 0 {
		_ = sendOne(l.wakeFD, wakeByte)
	}
}

// enqueue adds t and reports whether the loop still takes anything.
func (l *loop) enqueue(t task) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.push(t)
}

// push must be called with mu held.
func (l *loop) push(t task) bool {
	if l.dead {
		return false
	}
	l.in = append(l.in, t)
	if !l.awake {
		l.awake = true
		l.wake()
	}
	return true
}

func (l *loop) post(c *Conn, fn func(c *Conn)) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.posts >= l.g.cfg.PostsMax {
		if !c.doomed {
			c.doomed = true
			l.doomed = append(l.doomed, c)
		}
		return false
	}
	l.posts++
	return l.push(task{c: c, forConn: fn})
}

// run works off the queue for at most Config.sliceMax.
func (l *loop) run() {
	began := time.Now()
	for {
		if l.cur != nil && !l.resume(began) {
			l.again()
			return
		}
		t, ok := l.take()
		if !ok {
			return
		}
		switch {
		case t.b != nil:
			l.begin(t.b)
		case t.forLoop != nil:
			l.callLoop(t.forLoop)
		case t.c.state == stateOpen:
			l.callPosted(t.c, t.forConn)
		}
		if t.b == nil && time.Since(began) > l.g.cfg.sliceMax {
			l.again()
			return
		}
	}
}

// again asks for another run after the sockets had their turn.
func (l *loop) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wake()
}

// take returns the oldest task, or false when the queue is empty, and then the
// next enqueue wakes the loop.
func (l *loop) take() (t task, ok bool) {
	if l.next == len(l.out) {
		clear(l.out)
		var doomed []*Conn
		l.mu.Lock()
		l.in, l.out, l.next = l.out[:0], l.in, 0
		l.posts = 0
		doomed, l.doomed = l.doomed, nil
		l.awake = len(l.out) > 0
		l.mu.Unlock()
		for _, c := range doomed {
			c.Close(codeTryAgain, "too busy, try again later")
		}
		l.flush()
		if len(l.out) == 0 {
			return task{}, false
		}
	}
	t = l.out[l.next]
	l.next++
	return t, true
}

// Handler calls. Each is fenced so that a panic ends one connection only, and
// so that Handler.Close is never called from inside another call.

func (l *loop) callOpen(c *Conn, req *Request) {
	l.depth++
	defer l.leave(c)
	l.g.handler.Open(c, req)
}

func (l *loop) callMessage(c *Conn, op ws.OpCode, payload []byte) {
	l.depth++
	defer l.leave(c)
	l.g.handler.Message(c, op, payload)
}

func (l *loop) callSkipped(c *Conn, b *Broadcast) {
	l.depth++
	defer l.leave(c)
	l.g.handler.Skipped(c, b)
}

func (l *loop) callDrained(c *Conn) {
	l.depth++
	defer l.leave(c)
	l.g.handler.Drained(c)
}

func (l *loop) callPosted(c *Conn, fn func(c *Conn)) {
	l.depth++
	defer l.leave(c)
	fn(c)
}

// callLoop runs fn, which is about no one connection: its panic ends nothing.
func (l *loop) callLoop(fn func(l *loop)) {
	l.depth++ // who leaves meanwhile is reported afterwards
	defer func() {
		if r := recover(); r != nil {
			l.panicked(r)
		}
		l.depth--
		l.flush()
	}()
	fn(l)
}

func (l *loop) panicked(r any) {
	l.g.stats.panics.Add(1)
	l.g.cfg.Logger.Error("handler panicked", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
}

func (l *loop) callClose(c *Conn) {
	l.depth++
	defer func() {
		l.depth--
		if r := recover(); r != nil {
			l.panicked(r)
		}
	}()
	l.g.handler.Close(c, c.code, c.why)
}

// leave ends a fenced call about c.
func (l *loop) leave(c *Conn) {
	if r := recover(); r != nil {
		l.panicked(r)
		c.Close(codeInternal, "internal error")
	}
	l.depth--
	l.flush()
}

// flush tells the handler what happened meanwhile, unless a call is under way.
func (l *loop) flush() {
	for l.depth == 0 && len(l.skips)+len(l.gone) > 0 {
		if n := len(l.skips) - 1; n >= 0 {
			s := l.skips[n]
			l.skips[n] = skip{}
			l.skips = l.skips[:n]
			if s.c.state == stateOpen {
				l.callSkipped(s.c, s.b)
			}
			continue
		}
		n := len(l.gone) - 1
		c := l.gone[n]
		l.gone[n] = nil
		l.gone = l.gone[:n]
		l.callClose(c)
	}
}

// shut ends the queue for good. It runs when the loop has stopped.
func (l *loop) shut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return
	}
	l.dead = true
	if l.wakeFD >= 0 {
		_ = unix.Close(l.wakeFD)
		l.wakeFD = -1
	}
	if l.fan.sender != nil {
		l.fan.sender.close()
	}
}
