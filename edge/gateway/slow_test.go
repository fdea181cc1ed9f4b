package gateway

import (
	"encoding/binary"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"pixelwall/core/coretest"
)

// numbered is a broadcast on channel 0 that says its number in size bytes.
func numbered(n uint32, size int) *Broadcast {
	p := append(binary.BigEndian.AppendUint32(nil, n), strings.Repeat("x", size-4)...)
	b := &Broadcast{Active: 1, From: n}
	b.Buf[0] = AppendFrame(nil, ws.OpBinary, p)
	for i := 1; i < len(b.Off[0]); i++ {
		b.Off[0][i] = uint32(len(b.Buf[0]))
	}
	return b
}

// follower follows channel 0 after its first message and, when it lagged and
// has drained, is told what it missed.
func follower(joined func()) *echo {
	type lag struct{ from uint32 }
	return &echo{
		onMessage: func(c *Conn, _ ws.OpCode, _ []byte) {
			c.Follow(1)
			joined()
		},
		onSkipped: func(c *Conn, b *Broadcast) { c.Data = lag{from: b.From.(uint32)} },
		onDrained: func(c *Conn) {
			c.Post(func(c *Conn) {
				c.Send(AppendFrame(nil, ws.OpText, fmt.Appendf(nil, "missed from %d", c.Data.(lag).from)))
				c.Follow(1)
			})
		},
	}
}

// A client that stops reading is skipped in whole broadcasts; when it reads
// again it gets all that was queued, one catch-up, and then goes on in step.
func TestALaggingClientCatchesUpWithoutAGap(t *testing.T) {
	senders(t, func(t *testing.T, kind SenderKind) {
		var joined atomic.Int32
		g := start(t, Config{Sender: kind, SendBufferBytes: 4096, BacklogBytes: 64 << 10, Loops: 1}, follower(func() { joined.Add(1) }))
		slow, quick := dial(t, g), dial(t, g)
		for _, c := range []*client{slow, quick} {
			_ = c.Conn.(*net.TCPConn).SetReadBuffer(32 << 10)
			c.write(ws.OpBinary, "hello")
		}
		coretest.Eventually(t, "joining", func() bool { return joined.Load() == 2 })
		const size = 10_000
		last := uint32(0)
		send := func() {
			coretest.Eventually(t, "room for a broadcast", func() bool { return g.Broadcast(numbered(last+1, size)) })
			last++
			if _, p := quick.frame(); binary.BigEndian.Uint32(p) != last {
				t.Fatalf("the quick client got %d, want %d", binary.BigEndian.Uint32(p), last)
			}
		}
		for g.Stats().Skipped == 0 {
			if send(); last > 10_000 {
				t.Fatal("nothing was ever skipped")
			}
		}
		for range 20 { // all these are skipped too
			send()
		}
		seen, caughtUp := uint32(0), false
		for seen < last {
			op, p := slow.frame()
			if op == ws.OpText {
				var from uint32
				fmt.Sscanf(string(p), "missed from %d", &from)
				if from != seen+1 || caughtUp {
					t.Fatalf("caught up from %d after %d", from, seen)
				}
				caughtUp = true
				seen = last
				break
			}
			if n := binary.BigEndian.Uint32(p); n != seen+1 || len(p) != size {
				t.Fatalf("got %d after %d", n, seen)
			}
			seen++
		}
		if !caughtUp {
			t.Fatalf("never caught up, seen %d of %d", seen, last)
		}
		g.Broadcast(numbered(last+1, size))
		if _, p := slow.frame(); binary.BigEndian.Uint32(p) != last+1 {
			t.Fatalf("after catching up got %d, want %d", binary.BigEndian.Uint32(p), last+1)
		}
	})
}

// A client that reads nothing at all costs a bounded amount of memory and is
// closed with 4008 in the end.
func TestAClientThatReadsNothingIsClosedWith4008(t *testing.T) {
	rec := &recorder{}
	var joined atomic.Int32
	h := follower(func() { joined.Add(1) })
	h.onClose = rec.close
	const stuck, clients, backlog = 300 * time.Millisecond, 20, 256 << 10
	g := start(t, Config{SendBufferBytes: 4096, BacklogBytes: backlog, StuckAfter: stuck, CloseTimeout: 50 * time.Millisecond}, h)
	for range clients {
		c := dial(t, g)
		_ = c.Conn.(*net.TCPConn).SetReadBuffer(4096)
		c.write(ws.OpBinary, "hello")
	}
	coretest.Eventually(t, "joining", func() bool { return joined.Load() == clients })
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, b, sent := heap(), numbered(1, 10_000), 0
	for sent < 1000 { // 10 MB for each
		if g.Broadcast(b) {
			sent++
		}
	}
	coretest.Eventually(t, "working off the broadcasts", func() bool { return g.Queued() == 0 })
	if rec.count() == 0 { // else the memory is gone already, which is fine too
		// gnet's buffers grow by doubling, so twice the backlog is what to expect at most.
		if grown := int64(heap()) - int64(before); grown > clients*3*backlog {
			t.Errorf("%d bytes for %d clients that do not read", grown, clients)
		} else {
			t.Logf("%d bytes held for each client that does not read, after 10 MB sent", grown/clients)
		}
	}
	coretest.Eventually(t, "closing all", func() bool { return rec.count() == clients })
	for i := range clients {
		if code, _ := rec.end(i); code != CodeSlow {
			t.Errorf("client %d ended with %d", i, code)
		}
	}
	coretest.Eventually(t, "all sockets gone", func() bool { return g.Stats().Sockets == 0 })
}

// Bytes that come one by one keep no client: it has to take what a bad line carries.
func TestAClientThatTricklesIsClosedWith4008(t *testing.T) {
	rec := &recorder{}
	var joined atomic.Int32
	h := follower(func() { joined.Add(1) })
	h.onClose = rec.close
	g := start(t, Config{SendBufferBytes: 4096, StuckAfter: 500 * time.Millisecond, CloseTimeout: 50 * time.Millisecond}, h)
	c := dial(t, g)
	_ = c.Conn.(*net.TCPConn).SetReadBuffer(4096)
	c.write(ws.OpBinary, "hello")
	coretest.Eventually(t, "joining", func() bool { return joined.Load() == 1 })
	for range 20 {
		coretest.Eventually(t, "room for a broadcast", func() bool { return g.Broadcast(numbered(1, 10_000)) })
	}
	coretest.Eventually(t, "the end of a client that trickles", func() bool {
		_, _ = c.Conn.Read(make([]byte, 16))
		return rec.count() == 1
	})
	if code, _ := rec.end(0); code != CodeSlow {
		t.Errorf("ended with %d", code)
	}
}

// All clients together have a bound too: whoever holds the most goes first, and a
// client that reads is not touched.
func TestWhatAllLeaveUnreadIsBounded(t *testing.T) {
	rec := &recorder{}
	var joined atomic.Int32
	h := follower(func() { joined.Add(1) })
	h.onClose = rec.close
	const clients, total = 10, 500_000
	g := start(t, Config{SendBufferBytes: 4096, BacklogBytes: 1 << 20, BacklogTotalBytes: total, StuckAfter: time.Hour}, h)
	reads := dial(t, g)
	reads.write(ws.OpBinary, "hello")
	for range clients {
		c := dial(t, g)
		_ = c.Conn.(*net.TCPConn).SetReadBuffer(4096)
		c.write(ws.OpBinary, "hello")
	}
	coretest.Eventually(t, "joining", func() bool { return joined.Load() == clients+1 })
	for n := uint32(1); n <= 50; n++ { // 500 KB for each
		coretest.Eventually(t, "room for a broadcast", func() bool { return g.Broadcast(numbered(n, 10_000)) })
		if _, p := reads.frame(); binary.BigEndian.Uint32(p) != n {
			t.Fatalf("the client that reads got %d, want %d", binary.BigEndian.Uint32(p), n)
		}
	}
	coretest.Eventually(t, "less unread than is allowed", func() bool { return rec.count() >= clients-1 && g.Stats().Unread <= total })
	for i := range rec.count() {
		if code, err := rec.end(i); code != CodeSlow {
			t.Errorf("client %d ended with %d, %v", i, code, err)
		}
	}
	g.Broadcast(numbered(51, 10_000))
	if _, p := reads.frame(); binary.BigEndian.Uint32(p) != 51 {
		t.Error("the client that reads was left out")
	}
}
