package gateway

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"pixelwall/core/coretest"
)

// A function posted between broadcasts T and T+1 follows from T+1 on, also
// while the broadcasts are so long that the loop sends them in slices, and
// while connections come, go and read at will in between. This is what
// joining without a gap rests on.
func TestPostedFollowsKeepTheirPlaceBetweenBroadcasts(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))

	// Every connection is posted to, and what it is told is the number of the
	// last broadcast before: it must get the next one and all that follow.
	opened := make(chan *Conn, 1000)
	// A slice of 20 µs is one batch.
	g := start(t, Config{sliceMax: 20 * time.Microsecond, Loops: 2, BroadcastsMax: 1 << 20, HelloTimeout: time.Minute}, &echo{onOpen: func(c *Conn, _ *Request) { opened <- c }})
	const crowd, rounds = 600, 60
	var conns []*Conn
	var clients []*client
	for range crowd {
		clients = append(clients, dial(t, g))
		conns = append(conns, <-opened)
	}
	// clients[i] and conns[i] belong together: each was opened before the next was dialled.

	var readers sync.WaitGroup
	var failed atomic.Bool
	for i, c := range clients {
		readers.Go(func() {
			next, until := uint32(0), uint32(rounds)
			for next <= until {
				op, p, err := c.tryFrame()
				if err != nil {
					if !failed.Swap(true) {
						t.Errorf("client %d after %d: %v", i, next, err)
					}
					return
				}
				n := binary.BigEndian.Uint32(p)
				switch {
				case op == ws.OpText:
					next = n + 1
				case next == 0 || n != next:
					if !failed.Swap(true) {
						t.Errorf("client %d got broadcast %d, want %d", i, n, next)
					}
					return
				default:
					next++
				}
			}
		})
	}
	order := rnd.Perm(crowd)
	for round := uint32(1); round <= rounds; round++ {
		for range min(len(order), rnd.IntN(2*crowd/rounds)+1) {
			last := round - 1
			conns[order[0]].Post(func(c *Conn) {
				c.Send(AppendFrame(nil, ws.OpText, binary.BigEndian.AppendUint32(nil, last)))
				c.Follow(1)
			})
			order = order[1:]
		}
		if round == rounds {
			for _, i := range order {
				conns[i].Post(func(c *Conn) {
					c.Send(AppendFrame(nil, ws.OpText, binary.BigEndian.AppendUint32(nil, rounds-1)))
					c.Follow(1)
				})
			}
		}
		if !g.Broadcast(numbered(round, 64)) {
			t.Fatal("broadcast refused")
		}
		if round%7 == 0 { // somebody comes and goes in the middle
			c := dial(t, g)
			<-opened
			c.Close()
		}
	}
	readers.Wait()
}

func TestHandlerCallsDoNotNest(t *testing.T) {
	var inside atomic.Int32 // with one loop there is at most one call at a time
	var closed atomic.Int32
	call := func() func() {
		if inside.Add(1) != 1 {
			t.Error("a call came from inside another")
		}
		return func() { inside.Add(-1) }
	}
	g := start(t, Config{Loops: 1}, &echo{
		onOpen: func(c *Conn, _ *Request) { defer call()() },
		onMessage: func(c *Conn, _ ws.OpCode, _ []byte) {
			defer call()()
			c.Close(4321, "enough")
			if c.Send([]byte{0x82, 0}) {
				t.Error("Send after Close")
			}
			c.Follow(1)
			c.Hear(true)
			c.SetClass(1)
			c.Close(4322, "a second time")
		},
		onClose: func(c *Conn, code uint16, err error) {
			defer call()()
			closed.Add(1)
			if code != 4321 || fmt.Sprint(err) != "enough" {
				t.Errorf("closed with %d %v", code, err)
			}
		},
	})
	c := dial(t, g)
	c.write(ws.OpBinary, "x")
	if got := c.closed(); got != 4321 {
		t.Errorf("close code %d on the wire", got)
	}
	coretest.Eventually(t, "Handler.Close", func() bool { return closed.Load() == 1 })
}

func TestAPanicEndsOneConnectionWith1011(t *testing.T) {
	g := start(t, Config{Loops: 1}, &echo{onMessage: func(c *Conn, op ws.OpCode, p []byte) {
		if string(p) == "panic" {
			panic("on purpose")
		}
		c.Send(AppendFrame(nil, op, p))
	}})
	good, bad := dial(t, g), dial(t, g)
	bad.write(ws.OpBinary, "panic")
	if got := bad.closed(); got != 1011 {
		t.Errorf("closed with %d", got)
	}
	good.write(ws.OpBinary, "fine")
	good.expect(ws.OpBinary, "fine")
	if n := g.Stats().Panics; n != 1 {
		t.Errorf("%d panics counted", n)
	}
}

func TestPostsThatOverflowTheQueueCloseTheirConnection(t *testing.T) {
	var conn atomic.Pointer[Conn]
	hold, held := make(chan struct{}), make(chan struct{})
	g := start(t, Config{Loops: 1, PostsMax: 3}, &echo{onOpen: func(c *Conn, _ *Request) { conn.Store(c) }})
	c := dial(t, g)
	coretest.Eventually(t, "Open", func() bool { return conn.Load() != nil })
	conn.Load().Post(func(*Conn) { close(held); <-hold })
	<-held
	ran, accepted := 0, 0
	for range 5 {
		if conn.Load().Post(func(*Conn) { ran++ }) {
			accepted++
		}
	}
	close(hold)
	if got := c.closed(); got != 1013 {
		t.Errorf("closed with %d, want 1013", got)
	}
	if accepted != 3 || ran != 0 {
		t.Errorf("%d posts accepted and %d run, want 3 and none after the overflow", accepted, ran)
	}
}

func TestPostsToAGoneConnectionAreDropped(t *testing.T) {
	var conn atomic.Pointer[Conn]
	var gone atomic.Bool
	g := start(t, Config{Loops: 1}, &echo{
		onOpen:  func(c *Conn, _ *Request) { conn.Store(c) },
		onClose: func(*Conn, uint16, error) { gone.Store(true) },
	})
	c := dial(t, g)
	coretest.Eventually(t, "Open", func() bool { return conn.Load() != nil })
	c.Close()
	coretest.Eventually(t, "Close", gone.Load)
	conn.Load().Post(func(*Conn) { t.Error("ran") })
	other := dial(t, g)
	other.write(ws.OpPing, "")
	other.expect(ws.OpPong, "")
}

// Who follows something else while a broadcast is under way gets that
// broadcast by what it followed before, whole and once, and then the next by
// what it follows now.
func TestFollowingInTheMiddleOfABroadcastCountsFromTheNext(t *testing.T) {
	const crowd = 2*batchMax + 10
	s := &takeAll{got: map[int32]int{}}
	l := bareLoop(s, crowd, func(int) uint64 { return 1 })
	for _, c := range l.conns {
		c.gc = &discard{}
	}
	had, waits, waits2 := l.conns[crowd-1], l.conns[0], l.conns[1]
	l.begin(numbered(1, 8))
	l.step(l.cur)
	had.Follow(0)
	waits.Follow(0) // must still get it: it followed channel 0 when this was said
	waits2.Follow(1 << 1)
	outside := l.conns[5]
	outside.Hear(true) // changes nothing about channels, so it is served at once
	for l.pos > 0 {
		l.step(l.cur)
	}
	want := string(numbered(1, 8).Buf[0])
	for name, c := range map[string]*Conn{"who left": waits, "who changed": waits2, "who began to hear": outside} {
		if got := string(c.gc.(*discard).wrote); got != want {
			t.Errorf("%s got %q, want the broadcast once", name, got)
		}
	}
	if len(s.got) != crowd-3 || s.deliveries != crowd-3 {
		t.Errorf("%d others got it %d times, want %d once", len(s.got), s.deliveries, crowd-3)
	}
	s.got, s.deliveries = map[int32]int{}, 0
	l.begin(numbered(2, 8))
	for l.pos > 0 {
		l.step(l.cur)
	}
	if s.got[0] != 0 || s.got[crowd-1] != 0 || len(waits.gc.(*discard).wrote) != len(want) {
		t.Error("who follows nothing got the next one")
	}
}
