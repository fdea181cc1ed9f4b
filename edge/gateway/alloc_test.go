package gateway

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"pixelwall/core/coretest"
)

// takeAll is a sender whose receivers take everything at once; it counts.
type takeAll struct {
	deliveries, bytes, vectors int
	got                        map[int32]int // deliveries per descriptor, if not nil
}

func (s *takeAll) name() SenderKind { return "takeAll" }
func (s *takeAll) close()           {}
func (s *takeAll) send(batch []delivery, vectors []unix.Iovec) {
	for i := range batch {
		d := &batch[i]
		d.result = d.total
		s.deliveries++
		s.bytes += int(d.total)
		s.vectors += int(d.count)
		if s.got != nil {
			s.got[d.fd]++
		}
	}
}

// bareLoop is a loop without an engine and sockets, for the walking code alone.
func bareLoop(s sender, recipients int, mask func(i int) uint64) *loop {
	g := &Gateway{cfg: Config{sliceMax: time.Hour}.withDefaults(), started: time.Now()}
	l := &loop{g: g, wakeFD: -1}
	l.fan.sender = s
	for i := range recipients {
		l.recips = append(l.recips, recipient{fd: int32(i), mask: mask(i), class: uint8(i % Classes)})
		l.due = append(l.due, 0)
		l.conns = append(l.conns, &Conn{loop: l, state: stateOpen, idx: int32(i)})
	}
	return l
}

func TestFanOutAllocatesNothingPerRecipient(t *testing.T) {
	active := uint64(0x5555_5555_5555_5555) // every second of 64 channels
	for _, tt := range []struct {
		name string
		mask func(i int) uint64
	}{
		{"everybody follows everything", func(int) uint64 { return ^uint64(0) }},
		{"each one follows one channel", func(i int) uint64 { return 1 << (i % 64) }},
		{"each one follows channels that lie apart", func(i int) uint64 { return 0x1111_1111_1111_1111 << (i % 4) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &takeAll{}
			l := bareLoop(s, 10_000, tt.mask)
			b := tick(active, "x")
			run := func() {
				l.begin(b)
				if !l.resume(time.Now()) {
					t.Fatal("not done within an hour")
				}
			}
			run()
			if s.deliveries == 0 {
				t.Fatal("nothing was sent")
			}
			if n := testing.AllocsPerRun(10, run); n != 0 {
				t.Errorf("%v allocations for 10 000 recipients", n)
			}
		})
	}
}

func TestIncomingMessagesAllocateNothing(t *testing.T) {
	l := bareLoop(&takeAll{}, 1, func(int) uint64 { return 0 })
	l.g.handler = &echo{onMessage: func(*Conn, ws.OpCode, []byte) {}}
	l.g.ms = l.g.cfg.times()
	c := l.conns[0]
	whole := []byte(masked(0x82, "a place message or so"))
	work := make([]byte, len(whole))
	for name, cut := range map[string]int{"whole": len(whole), "cut in the header": 3, "cut in the payload": 10} {
		if n := testing.AllocsPerRun(100, func() {
			c.rate = bucket{}
			copy(work, whole) // feed unmasks in place
			c.feed(work[:cut])
			c.feed(work[cut:])
		}); n != 0 {
			t.Errorf("%s: %v allocations a message", name, n)
		}
	}
	if c.state != stateOpen || l.g.stats.messagesIn.Load() != 3*101 {
		t.Fatalf("state %d after %d messages", c.state, l.g.stats.messagesIn.Load())
	}
}

// Whatever leaves, joins or changes while a broadcast is under way, nobody
// gets it twice, nobody who stays misses it, and nobody who came later gets it.
func TestABroadcastInSlicesReachesEverybodyOnce(t *testing.T) {
	for range 200 {
		seed := rand.Uint64()
		rnd := rand.New(rand.NewPCG(seed, 0))
		s := &takeAll{got: map[int32]int{}}
		l := bareLoop(s, 1+rnd.IntN(3*batchMax), func(int) uint64 { return 1 })
		entitled := map[int32]bool{} // was there at the begin and has not left before its turn
		for _, r := range l.recips {
			entitled[r.fd] = true
		}
		l.begin(numbered(1, 8))
		next := int32(len(l.conns))
		for l.pos > 0 {
			for range rnd.IntN(20) {
				switch i := rnd.IntN(len(l.conns) + 1); {
				case i == len(l.conns):
					c := &Conn{loop: l, state: stateOpen, idx: int32(len(l.conns))}
					l.recips = append(l.recips, recipient{fd: next, mask: 1})
					l.due, l.conns = append(l.due, 0), append(l.conns, c)
					next++
				default:
					if fd := l.recips[i].fd; s.got[fd] == 0 {
						delete(entitled, fd)
					}
					l.remove(l.conns[i])
				}
			}
			for i, c := range l.conns {
				if int(c.idx) != i {
					t.Fatalf("seed %d: the connection at %d believes to be at %d", seed, i, c.idx)
				}
			}
			if l.pos > 0 {
				l.step(l.cur)
			}
		}
		for fd, n := range s.got {
			if n != 1 || !entitled[fd] {
				t.Fatalf("seed %d: recipient %d got it %d times, entitled %v", seed, fd, n, entitled[fd])
			}
		}
		if len(s.got) != len(entitled) {
			t.Fatalf("seed %d: %d got it, %d should have", seed, len(s.got), len(entitled))
		}
	}
}

// mallocs is how many objects the process has allocated so far.
func mallocs() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}, {Name: "/gc/heap/tiny/allocs:objects"}}
	metrics.Read(s)
	return s[0].Value.Uint64() + s[1].Value.Uint64()
}

// drain reads and counts what comes by raw descriptors, without allocating.
type drainer struct {
	epoll int
	bytes atomic.Int64
	ended sync.WaitGroup
	stop  atomic.Bool
}

func startDrainer(t testing.TB, fds []int) *drainer {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	d := &drainer{epoll: epoll}
	for _, fd := range fds {
		if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			t.Fatal(err)
		}
	}
	d.ended.Go(func() {
		events, buf := make([]unix.EpollEvent, 256), make([]byte, 1<<16)
		for !d.stop.Load() {
			n, err := unix.EpollWait(epoll, events, 10)
			if err != nil && !errors.Is(err, unix.EINTR) {
				return
			}
			for _, e := range events[:max(n, 0)] {
				if n, err := unix.Read(int(e.Fd), buf); err == nil {
					d.bytes.Add(int64(n))
				}
			}
		}
	})
	t.Cleanup(func() {
		d.stop.Store(true)
		d.ended.Wait()
		_ = unix.Close(epoll)
	})
	return d
}

// crowd connects n followers of channel 0 and returns a drainer for them.
func crowd(t testing.TB, kind SenderKind, n int) (*Gateway, *drainer) {
	t.Helper()
	var joined atomic.Int32
	g := start(t, Config{Sender: kind, HelloTimeout: time.Hour, PingEvery: time.Hour, DeadAfter: 2 * time.Hour}, &echo{
		onOpen: func(c *Conn, _ *Request) { c.Follow(1); joined.Add(1) },
	})
	fds := make([]int, n)
	for i := range fds {
		nc, err := net.Dial("tcp", g.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		if _, err := io.WriteString(nc, upgradeHead+"\r\n"); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 1024)
		if n, err := nc.Read(answer); err != nil || string(answer[:12]) != "HTTP/1.1 101" {
			t.Fatalf("%.50q %v", answer[:n], err)
		}
		raw, err := nc.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		_ = raw.Control(func(fd uintptr) { fds[i] = int(fd) })
	}
	coretest.Eventually(t, "joining", func() bool { return int(joined.Load()) == n })
	return g, startDrainer(t, fds)
}

func TestFanOutOnRealSocketsAllocatesNothingPerDelivery(t *testing.T) {
	senders(t, func(t *testing.T, kind SenderKind) {
		const clients, ticks, size = 1000, 1000, 64
		g, d := crowd(t, kind, clients)
		b := numbered(0, size)
		frame := int64(len(b.Buf[0]))
		for range 10 { // warm up
			coretest.Eventually(t, "room", func() bool { return g.Broadcast(b) })
		}
		coretest.Eventually(t, "warm-up", func() bool { return d.bytes.Load() == 10*clients*frame })
		before := mallocs()
		for range ticks {
			for !g.Broadcast(b) {
				time.Sleep(time.Millisecond) // the queue is full: as the caller would, wait for the next tick
			}
		}
		coretest.Eventually(t, "every delivery", func() bool { return d.bytes.Load() == (10+ticks)*clients*frame })
		per := float64(mallocs()-before) / (clients * ticks)
		t.Logf("%.5f allocations per delivery, %d deliveries, %v busy", per, clients*ticks, g.Stats().Busy)
		if per >= 0.01 {
			t.Errorf("%.5f allocations per delivery, want less than 0.01", per)
		}
	})
}

// The three ways to send one frame to 1 000 clients. Deliveries to loopback
// include the receiving side of the kernel, on the sender's core.
func BenchmarkFanOut(b *testing.B) {
	const clients = 1000
	for _, size := range []int{64, 1024} {
		for _, way := range []string{string(SenderURing), string(SenderSendto), "conn.Write"} {
			b.Run(fmt.Sprintf("%s/%dB", way, size), func(b *testing.B) {
				kind := SenderKind(way)
				if way == "conn.Write" {
					kind = SenderSendto
				}
				g, d := crowd(b, kind, clients)
				frame := int64(len(numbered(0, size).Buf[0]))
				expected := d.bytes.Load()
				var busy atomic.Int64
				before := g.Stats().Busy
				for i := 0; b.Loop(); i++ {
					m := numbered(uint32(i), size)
					if way == "conn.Write" {
						g.Each(func(c *Conn) {
							t0 := time.Now()
							_, _ = c.gc.Write(m.Buf[0])
							busy.Add(int64(time.Since(t0)))
						})
					} else {
						g.Broadcast(m)
					}
					expected += clients * frame
					for d.bytes.Load() < expected {
						time.Sleep(50 * time.Microsecond)
					}
				}
				busy.Add(int64(g.Stats().Busy - before))
				b.ReportMetric(float64(busy.Load())/float64(b.N)/clients, "busy-ns/delivery")
				b.ReportMetric(float64(b.Elapsed())/float64(b.N)/clients, "ns/delivery")
			})
		}
	}
}
