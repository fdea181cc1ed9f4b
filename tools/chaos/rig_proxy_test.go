package chaos

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A proxy lies between a process and a server, and does to the bytes what a bad
// network would: holds them for a while, loses them in one direction or both, or
// ends every connection. Lost bytes end their connection once the network is well
// again, since no stream of TCP has holes.
type proxy struct {
	listener net.Listener
	target   atomic.Pointer[string]
	deaf     atomic.Bool  // what clients send goes nowhere
	mute     atomic.Bool  // what the server answers goes nowhere
	delay    atomic.Int64 // of every piece, in both directions
	holding  atomic.Bool  // what clients send waits here, none of it is lost
	held     atomic.Int64 // pieces that wait so and that counts, when it is set, counts
	counts   func([]byte) bool

	lostUp, lostDown atomic.Int64 // bytes

	mu    sync.Mutex // protects conns
	conns map[net.Conn]bool
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", freePort(t))
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, conns: map[net.Conn]bool{}}
	p.target.Store(&target)
	go p.accept()
	t.Cleanup(func() {
		l.Close()
		p.cut()
	})
	return p
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// hole makes the network lose everything.
func (p *proxy) hole() { p.deaf.Store(true); p.mute.Store(true) }

// heal makes the network well; connections that lost bytes end.
func (p *proxy) heal() {
	p.deaf.Store(false)
	p.mute.Store(false)
	p.cut()
}

// hold keeps what clients send until it is called with false.
func (p *proxy) hold(on bool) { p.holding.Store(on) }

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.Close()
	}
}

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.serve(c)
	}
}

func (p *proxy) keep(c net.Conn) func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
	return func() {
		c.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, c)
	}
}

func (p *proxy) serve(c net.Conn) {
	defer p.keep(c)()
	s, err := net.DialTimeout("tcp", *p.target.Load(), time.Second)
	if err != nil {
		return
	}
	defer p.keep(s)()
	var both sync.WaitGroup
	both.Go(func() { p.carry(s, c, &p.deaf, &p.lostUp, &p.holding) })
	both.Go(func() { p.carry(c, s, &p.mute, &p.lostDown, new(atomic.Bool)) })
	both.Wait()
}

// carry brings bytes from one to the other until either ends.
func (p *proxy) carry(to, from net.Conn, lose *atomic.Bool, lost *atomic.Int64, holding *atomic.Bool) {
	defer to.Close()
	type piece struct {
		data []byte
		due  time.Time
	}
	pieces := make(chan piece, 256) // when it is full the sender waits, as on a network
	var writer sync.WaitGroup
	writer.Go(func() {
		for x := range pieces {
			if wait := time.Until(x.due); wait > 0 {
				timer := time.NewTimer(wait)
				<-timer.C
			}
			if holding.Load() {
				n := int64(0)
				if p.counts == nil || p.counts(x.data) {
					n = 1
				}
				p.held.Add(n)
				tick := time.NewTicker(5 * time.Millisecond)
				for holding.Load() {
					<-tick.C
				}
				tick.Stop()
				p.held.Add(-n)
			}
			if lose.Load() {
				lost.Add(int64(len(x.data)))
				continue
			}
			if _, err := to.Write(x.data); err != nil {
				from.Close()
			}
		}
	})
	defer writer.Wait()
	defer close(pieces)
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			pieces <- piece{append([]byte(nil), buf[:n]...), time.Now().Add(time.Duration(p.delay.Load()))}
		}
		if err != nil {
			return
		}
	}
}

func echoServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); c.Close() }()
		}
	}()
	return l.Addr().String()
}

// say sends a word and returns whether it came back before the connection ended.
func say(t *testing.T, c net.Conn, limit time.Duration) bool {
	t.Helper()
	if _, err := c.Write([]byte("word")); err != nil {
		return false
	}
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4)
	_, err := io.ReadFull(c, buf)
	return err == nil && string(buf) == "word"
}

func TestAProxyCarriesLosesAndHeals(t *testing.T) {
	p := newProxy(t, echoServer(t))
	dial := func() net.Conn {
		c, err := net.Dial("tcp", p.addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	c := dial()
	if !say(t, c, 5*time.Second) {
		t.Fatal("a word did not come back")
	}
	p.mute.Store(true)
	if _, err := c.Write([]byte("word")); err != nil {
		t.Fatal(err)
	}
	within(t, 5*time.Second, "the loss of an answer", func() bool { return p.lostDown.Load() == 4 })
	p.heal()
	if say(t, c, 5*time.Second) {
		t.Error("a connection with a hole in it goes on")
	}
	if !say(t, dial(), 5*time.Second) {
		t.Error("a new connection does not carry")
	}
	p.hole()
	c = dial()
	_, _ = c.Write([]byte("word"))
	within(t, 5*time.Second, "the loss of a word", func() bool { return p.lostUp.Load() == 4 })
}
