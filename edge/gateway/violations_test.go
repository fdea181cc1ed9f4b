package gateway

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"pixelwall/core/coretest"
)

// rawHeader returns a frame header with a declared length in the given form.
func rawHeader(first byte, form int, length uint64) string {
	p := []byte{first, 0x80}
	switch form {
	case 16:
		p[1] |= 126
		p = binary.BigEndian.AppendUint16(p, uint16(length))
	case 64:
		p[1] |= 127
		p = binary.BigEndian.AppendUint64(p, length)
	default:
		p[1] |= byte(length)
	}
	return string(p) + string(testMask[:])
}

func closeFrame(code uint16, reason string) string {
	return masked(0x88, string(binary.BigEndian.AppendUint16(nil, code))+reason)
}

func TestViolationsCloseWithTheirCode(t *testing.T) {
	rec := &recorder{}
	g := start(t, Config{
		HelloTimeout: time.Minute, HalfMessageTimeout: time.Minute, MessageBytesMax: 2048, ConnsPerAddress: -1,
	}, &echo{onClose: rec.close})
	for i, tt := range []struct {
		name string // reads on from "the gateway closes ..."
		send string
		want uint16
	}{
		{"an unmasked frame with 1002", "\x82\x01x", 1002},
		{"RSV1 with 1002", masked(0xc2, "x"), 1002},
		{"RSV2 with 1002", masked(0xa2, "x"), 1002},
		{"RSV3 with 1002", masked(0x92, "x"), 1002},
		{"a reserved data opcode with 1002", masked(0x83, "x"), 1002},
		{"a reserved control opcode with 1002", masked(0x8b, "x"), 1002},
		{"a ping of 126 bytes with 1002", masked(0x89, strings.Repeat("p", 126)), 1002},
		{"a ping in fragments with 1002", masked(0x09, "p"), 1002},
		{"a continuation of nothing with 1002", masked(0x80, "x"), 1002},
		{"a new message inside another with 1002", masked(0x02, "x") + masked(0x82, "y"), 1002},
		{"16 bits for a length of 125 with 1002", rawHeader(0x82, 16, 125), 1002},
		{"64 bits for a length of 65535 with 1002", rawHeader(0x82, 64, 65535), 1002},
		{"a negative length with 1002", rawHeader(0x82, 64, 1<<63), 1002},
		{"a close frame of one byte with 1002", masked(0x88, "x"), 1002},
		{"close code 0 with 1002", closeFrame(0, ""), 1002},
		{"close code 999 with 1002", closeFrame(999, ""), 1002},
		{"close code 1004 with 1002", closeFrame(1004, ""), 1002},
		{"close code 1005 with 1002", closeFrame(1005, ""), 1002},
		{"close code 1006 with 1002", closeFrame(1006, ""), 1002},
		{"close code 1015 with 1002", closeFrame(1015, ""), 1002},
		{"close code 2999 with 1002", closeFrame(2999, ""), 1002},
		{"close code 5000 with 1002", closeFrame(5000, ""), 1002},
		{"a close reason that is no UTF-8 with 1007", closeFrame(1000, "\xff"), 1007},
		{"text that is no UTF-8 with 1007", masked(0x81, "\xc3("), 1007},
		{"text that ends inside a rune with 1007", masked(0x81, "\xe2\x82"), 1007},
		{"bad text in an unfinished message with 1007", masked(0x01, "\xed\xa0"), 1007},
		{"a frame over 1024 bytes with 1009", masked(0x82, strings.Repeat("x", 1025)), 1009},
		{"a frame of 2^40 bytes with 1009", rawHeader(0x82, 64, 1<<40), 1009},
		{"a frame of 2^63-1 bytes with 1009", rawHeader(0x82, 64, 1<<63-1), 1009},
		{"a message over its limit in fragments with 1009", masked(0x02, strings.Repeat("x", 1024)) + masked(0x00, strings.Repeat("x", 1024)) + masked(0x80, "x"), 1009},
		{"a fifth fragment with 1009", masked(0x02, "") + masked(0x00, "") + masked(0x00, "") + masked(0x00, "") + masked(0x80, ""), 1009},
		{"fifty messages at once with 1008", strings.Repeat(masked(0x82, ""), 50), 1008},

		{"close code 1000 with itself", closeFrame(1000, "bye"), 1000},
		{"close code 1001 with itself", closeFrame(1001, ""), 1001},
		{"close code 3000 with itself", closeFrame(3000, ""), 3000},
		{"close code 4999 with itself", closeFrame(4999, ""), 4999},
		{"an empty close frame with an empty one", masked(0x88, ""), 1005},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, g)
			if i%2 == 1 && len(tt.send) < 200 { // as it comes, byte by byte
				for _, b := range []byte(tt.send) {
					if _, err := c.Write([]byte{b}); err != nil {
						break // closed before the last byte, which is as good
					}
				}
			} else {
				_, _ = io.WriteString(c, tt.send)
			}
			if got := c.closed(); got != tt.want {
				t.Errorf("closed with %d, want %d", got, tt.want)
			}
			coretest.Eventually(t, "Handler.Close", func() bool { return rec.count() == i+1 })
			if got, _ := rec.end(i); got != tt.want {
				t.Errorf("Handler.Close got %d, want %d", got, tt.want)
			}
		})
	}
	if s := g.Stats(); s.Conns != 0 || s.Closes[1009] != 5 || s.Closes[0] != 2 {
		t.Errorf("counted %+v", s)
	}
}

func TestSilenceIsClosedWithItsCode(t *testing.T) {
	half := Config{HalfMessageTimeout: 200 * time.Millisecond, HelloTimeout: time.Minute}
	first := Config{HalfMessageTimeout: time.Minute, HelloTimeout: 200 * time.Millisecond}
	for _, tt := range []struct {
		name string // reads on from "the gateway closes ..."
		cfg  Config
		send string
		want uint16
	}{
		{"a message half sent with 1008", half, masked(0x82, "hello") + masked(0x82, "hello")[:8], 1008},
		{"a header half sent with 1008", half, masked(0x82, "hello") + "\x82", 1008},
		{"a message that lacks its last fragment with 1008", half, masked(0x82, "hello") + masked(0x02, "hello"), 1008},
		{"a client without a hello with 4001", first, "", CodeNoHello},
		{"a client that only pings with 4001", first, masked(0x89, "p"), CodeNoHello},
		{"a client that says all but who it is with 4001", first, masked(0x82, "stranger"), CodeNoHello},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec := &recorder{}
			g := start(t, tt.cfg, &echo{onClose: rec.close, strangers: tt.want == CodeNoHello})
			c := dial(t, g)
			c.send(tt.send)
			if got := c.closed(); got != tt.want {
				t.Errorf("closed with %d, want %d", got, tt.want)
			}
			coretest.Eventually(t, "Handler.Close", func() bool { return rec.count() == 1 })
			if got, _ := rec.end(0); got != tt.want || g.Stats().Closes[tt.want] != 1 {
				t.Errorf("Handler.Close got %d, counted %v", got, g.Stats().Closes)
			}
		})
	}
}

func TestFragmentsAreAssembledAroundControlFrames(t *testing.T) {
	g := start(t, Config{}, &echo{})
	c := dial(t, g)
	c.send(masked(0x01, "sn\xe2") + masked(0x89, "ping") + masked(0x00, "\x98") + masked(0x80, "\x83!"))
	c.expect(ws.OpPong, "ping")
	c.expect(ws.OpText, "sn☃!")
}

func TestAFloodOfPingsIsClosedWith1008(t *testing.T) {
	g := start(t, Config{}, &echo{})
	c := dial(t, g)
	flood := strings.Repeat(masked(0x89, "p"), 100)
	go func() {
		for range 100 { // 10 000 pings, as fast as they go
			if _, err := io.WriteString(c, flood); err != nil {
				return
			}
		}
	}()
	pongs := 0
	for {
		op, p := c.frame()
		if op == ws.OpPong {
			pongs++
			continue
		}
		if op != ws.OpClose || binary.BigEndian.Uint16(p) != 1008 {
			t.Fatalf("got %x %q, want close 1008", op, p)
		}
		break
	}
	// The bucket holds 40 and gains one in 50 ms.
	if pongs < 40 || pongs > 100 {
		t.Errorf("%d pings were answered, want 40 and a few", pongs)
	}
}

// drip writes text a byte at a time until the peer hangs up and reports how
// long that took.
func drip(t *testing.T, c net.Conn, text string, every time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for _, b := range []byte(text) {
		if _, err := c.Write([]byte{b}); err != nil {
			break
		}
		<-tick.C
	}
	return time.Since(began)
}

func TestDrippingClientsRunOutOfTime(t *testing.T) {
	// A byte every 20 ms against limits of 200 ms is a byte every 5 s against 50 s.
	long := strings.Repeat("x", 1000)
	t.Run("in the request head", func(t *testing.T) {
		g := start(t, Config{HandshakeTimeout: 200 * time.Millisecond, CloseTimeout: 50 * time.Millisecond}, &echo{})
		c := connect(t, g)
		if took := drip(t, c, "GET /"+long, 20*time.Millisecond); took > patience {
			t.Errorf("still open after %v", took)
		}
		if res := c.response(); res.StatusCode != 408 {
			t.Errorf("answered %s, want 408", res.Status)
		}
	})
	t.Run("in a frame", func(t *testing.T) {
		g := start(t, Config{HalfMessageTimeout: 200 * time.Millisecond, CloseTimeout: 50 * time.Millisecond}, &echo{})
		c := dial(t, g)
		drip(t, c, masked(0x82, long), 20*time.Millisecond)
		if got := c.closed(); got != 1008 {
			t.Errorf("closed with %d, want 1008", got)
		}
	})
}

func TestAClientThatAnswersPingsStays(t *testing.T) {
	// A client gets minutes for its answers, as a loaded machine may need them.
	g := start(t, Config{PingEvery: 20 * time.Millisecond, DeadAfter: 5 * time.Minute}, &echo{})
	c := dial(t, g)
	c.write(ws.OpBinary, "hello")
	c.expect(ws.OpBinary, "hello")
	for range 10 { // a client that is not heard is pinged once only
		c.expect(ws.OpPing, "")
		c.write(ws.OpPong, "")
	}
	c.write(ws.OpBinary, "still here")
	for {
		if op, p := c.frame(); op != ws.OpPing {
			if op != ws.OpBinary || string(p) != "still here" {
				t.Errorf("got frame %x %q", op, p)
			}
			return
		}
	}
}

func TestASilentClientIsPingedAndThenDropped(t *testing.T) {
	rec := &recorder{}
	g := start(t, Config{PingEvery: 20 * time.Millisecond, DeadAfter: 2 * time.Second, HelloTimeout: time.Minute}, &echo{onClose: rec.close})
	c := dial(t, g)
	coretest.Eventually(t, "dropping it", func() bool { return rec.count() == 1 })
	if code, err := rec.end(0); code != codeAbnormal || err != errDead {
		t.Errorf("ended with %v", rec)
	}
	c.expect(ws.OpPing, "")
	if op, p, err := c.tryFrame(); err == nil {
		t.Errorf("got frame %x %q after the ping, want the end", op, p)
	}
}
