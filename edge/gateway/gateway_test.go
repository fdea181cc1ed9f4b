package gateway

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gobwas/ws"

	"pixelwall/core/coretest"
)

func TestEchoComesBackWhateverTheSize(t *testing.T) {
	g := start(t, Config{FrameBytesMax: 1 << 20, MessagesPerSecond: 1e6}, &echo{})
	c := dial(t, g)
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, 1 << 20} {
		payload := strings.Repeat("x", n)
		c.write(ws.OpBinary, payload)
		c.expect(ws.OpBinary, payload)
	}
	c.write(ws.OpPing, "are you there")
	c.expect(ws.OpPong, "are you there")
}

// tick is a broadcast with one frame per active channel, which says its number.
func tick(active uint64, text string) *Broadcast {
	b := &Broadcast{Active: active, From: text}
	for k := range b.Buf {
		for i := range ChannelsMax {
			b.Off[k][i] = uint32(len(b.Buf[k]))
			if active>>i&1 != 0 {
				b.Buf[k] = AppendFrame(b.Buf[k], ws.OpBinary, fmt.Appendf(nil, "%s channel %d class %d", text, i, k))
			}
		}
		b.Off[k][ChannelsMax] = uint32(len(b.Buf[k]))
	}
	return b
}

func senders(t *testing.T, f func(t *testing.T, kind SenderKind)) {
	for _, kind := range []SenderKind{SenderURing, SenderSendto} {
		t.Run(string(kind), func(t *testing.T) {
			if r, err := newRing(1); kind == SenderURing {
				if err != nil {
					t.Skipf("this kernel refuses io_uring: %v", err)
				}
				r.close()
			}
			f(t, kind)
		})
	}
}

func TestBroadcastReachesThoseWhoFollow(t *testing.T) {
	senders(t, func(t *testing.T, kind SenderKind) {
		var wg sync.WaitGroup
		g := start(t, Config{Sender: kind, Loops: 2}, &echo{onMessage: func(c *Conn, _ ws.OpCode, p []byte) {
			var mask uint64
			var class uint8
			fmt.Sscan(string(p), &mask, &class)
			c.SetClass(class)
			c.Follow(mask)
			wg.Done()
		}})
		if got := g.Stats().Sender; got != kind {
			t.Fatalf("sender %q, want %q", got, kind)
		}
		for _, tt := range []struct {
			name string
			mask uint64
			want []int
		}{
			{"nothing", 0, nil},
			{"one channel", 1 << 1, []int{1}},
			{"a channel without news", 1 << 2, nil},
			{"a run", 1<<1 | 1<<2 | 1<<3, []int{1, 3}},
			{"channels apart", 1<<1 | 1<<63, []int{1, 63}},
			{"everything", ^uint64(0), []int{1, 3, 7, 63}},
		} {
			for class := range Classes {
				t.Run(fmt.Sprintf("%s in class %d", tt.name, class), func(t *testing.T) {
					wg.Add(1)
					c := dial(t, g)
					c.write(ws.OpBinary, fmt.Sprint(tt.mask, class))
					wg.Wait()
					g.Broadcast(tick(1<<1|1<<3|1<<7|1<<63, "first"))
					g.Broadcast(tick(1<<1|1<<3|1<<7|1<<63, "second"))
					for _, text := range []string{"first", "second"} {
						for _, i := range tt.want {
							c.expect(ws.OpBinary, fmt.Sprintf("%s channel %d class %d", text, i, class))
						}
					}
					c.write(ws.OpPing, "end")
					c.expect(ws.OpPong, "end")
				})
			}
		}
	})
}

func TestABroadcastForAllReachesThoseWhoHear(t *testing.T) {
	ready := make(chan bool)
	g := start(t, Config{}, &echo{onMessage: func(c *Conn, _ ws.OpCode, p []byte) {
		c.SetClass(p[1] - '0')
		c.Hear(p[0] == 'y')
		ready <- true
	}})
	b := &Broadcast{All: true}
	b.Buf[0] = AppendFrame(nil, ws.OpBinary, []byte("to all"))
	hears, other, deaf := dial(t, g), dial(t, g), dial(t, g)
	for c, text := range map[*client]string{hears: "y0", other: "y1", deaf: "n0"} {
		c.write(ws.OpBinary, text)
		<-ready
	}
	g.Broadcast(b)
	hears.expect(ws.OpBinary, "to all")
	other.expect(ws.OpBinary, "to all") // there is no encoding of its own
	deaf.write(ws.OpPing, "nothing")
	deaf.expect(ws.OpPong, "nothing")
}

func TestHTTPGetsTheBytesAlreadyReadExactlyOnce(t *testing.T) {
	// net/http stands in for the HTTP server: it fails on a lost or doubled byte.
	handed := make(chan net.Conn)
	g := start(t, Config{HTTP: func(c net.Conn) { handed <- c }}, &echo{})
	go func() {
		_ = http.Serve(chanListener{handed, g.Addr()}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, body)
		}))
	}()
	body := strings.Repeat("0123456789", 10_000)
	request := fmt.Sprintf("POST /a?b=c HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	for _, cut := range []int{len(request), 1, 30, 4096} {
		t.Run(fmt.Sprintf("first read of %d bytes", cut), func(t *testing.T) {
			c := connect(t, g)
			for range 3 { // kept alive
				c.send(request[:cut])
				c.send(request[cut:])
				res := c.response()
				got, err := io.ReadAll(res.Body)
				if want := "POST /a?b=c " + body; err != nil || string(got) != want {
					t.Fatalf("%v: answer of %d bytes, want %d", err, len(got), len(want))
				}
			}
			c.Close()
		})
	}
	coretest.Eventually(t, "counting closed connections down", func() bool { s := g.Stats(); return s.HTTP == 0 && s.Sockets == 0 })
}

// chanListener serves connections that come by a channel.
type chanListener struct {
	conns chan net.Conn
	addr  net.Addr
}

func (l chanListener) Accept() (net.Conn, error) { return <-l.conns, nil }
func (l chanListener) Close() error              { return nil }
func (l chanListener) Addr() net.Addr            { return l.addr }
