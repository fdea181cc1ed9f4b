package gateway

import (
	"bytes"
	"fmt"
	"net"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"
	"github.com/panjf2000/gnet/v2"
)

func TestTheBucketLets(t *testing.T) {
	for _, tt := range []struct {
		name    string // reads on from "the bucket lets ..."
		atMS    []int64
		allowed int
	}{
		{"a burst of three through and stops the fourth", []int64{0, 0, 0, 0}, 3},
		{"one more through after each interval", []int64{0, 0, 0, 100, 100, 200}, 5},
		{"no more than the burst through after a long time", []int64{0, 9000, 9000, 9000, 9000}, 4},
		{"an even stream through for ever", []int64{0, 100, 200, 300, 400, 500, 600}, 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b bucket
			n := 0
			for _, ms := range tt.atMS {
				if b.take(ms*1000, 100_000, 3) {
					n++
				}
			}
			if n != tt.allowed {
				t.Errorf("%d let through, want %d", n, tt.allowed)
			}
		})
	}
}

func TestALongCloseReasonIsCutBetweenRunes(t *testing.T) {
	for n := range 130 {
		reason := string(bytes.Repeat([]byte("x"), n)) + "☃☃☃☃"
		p := appendClose(nil, 1000, reason)[2:]
		if len(p) > 125 || !utf8.Valid(p[2:]) || len(p) < min(122, len(reason)+2) {
			t.Fatalf("%d bytes in, %d bytes %q out", len(reason), len(p), p)
		}
	}
}

// A text is refused when, and only when, no continuation could make it valid,
// wherever it is cut.
func FuzzUTF8Prefix(f *testing.F) {
	for _, s := range []string{"", "κόσμε", "\xed\xa0\x80", "\xf4\x90", "\xe2\x82", "\xc0\xaf", "a\xf0\x9f\x98", "\x80"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		n, ok := utf8Prefix(p)
		completable := func(tail []byte) bool { // by brute force
			if len(tail) == 0 {
				return true
			}
			for _, low := range []byte{0x80, 0x90, 0xa0, 0xbf} { // reaches every range of second bytes
				for more := 1; more <= 3; more++ {
					rest := append([]byte{low}, bytes.Repeat([]byte{0x80}, more-1)...)
					if utf8.Valid(append(bytes.Clone(tail), rest...)) {
						return true
					}
				}
			}
			return false
		}
		cut := len(p)
		for cut > 0 && len(p)-cut < 3 && !utf8.Valid(p[:cut]) {
			cut--
		}
		want := utf8.Valid(p[:cut]) && (cut == len(p) || completable(p[cut:]))
		if ok != want || ok && (n > len(p) || n < len(p)-3 || !utf8.Valid(p[:n])) {
			t.Fatalf("utf8Prefix(%q) = %d %v, want %v", p, n, ok, want)
		}
	})
}

// discard is a gnet.Conn that swallows what is written, for connections that
// live without an engine.
type discard struct {
	gnet.Conn
	wrote []byte
}

func (d *discard) OutboundBuffered() int       { return 1 } // so that everything comes by Write
func (d *discard) Write(p []byte) (int, error) { d.wrote = append(d.wrote, p...); return len(p), nil }
func (d *discard) Fd() int                     { return -1 }
func (d *discard) RemoteAddr() net.Addr        { return nil }
func (d *discard) Close() error                { return nil }
func (d *discard) SetWriteBuffer(int) error    { return nil }
func (d *discard) Context() any                { return nil }

// feedAll gives p to a fresh connection in parts and returns what came of it.
func feedAll(p []byte, parts []byte) string {
	var out bytes.Buffer
	l := bareLoop(&takeAll{}, 1, func(int) uint64 { return 0 })
	l.g.cfg.MessagesPerSecond, l.g.cfg.MessageBurst = 1e6, 1<<40
	l.g.cfg.FrameBytesMax, l.g.cfg.MessageBytesMax = 200, 300
	l.g.everyUS, l.g.ms = 1, l.g.cfg.times()
	l.g.handler = &echo{
		onMessage: func(_ *Conn, op ws.OpCode, p []byte) { fmt.Fprintf(&out, "message %x %x\n", op, p) },
		onClose:   func(_ *Conn, code uint16, err error) { fmt.Fprintf(&out, "close %d %v\n", code, err) },
	}
	c, gc := l.conns[0], &discard{}
	c.gc, c.opened = gc, true
	p = bytes.Clone(p) // feed unmasks in place
	for i := 0; len(p) > 0; i++ {
		n := len(p)
		if len(parts) > 0 {
			n = min(n, int(parts[i%len(parts)])%32+1)
		}
		if c.state == stateOpen {
			c.feed(p[:n])
		}
		l.flush()
		p = p[n:]
	}
	return fmt.Sprintf("%s%x", out.Bytes(), gc.wrote)
}

// How the bytes were cut into reads makes no difference to what comes of them,
// and what the frames say is what ws.ReadFrame of an independent loop says.
func FuzzFrames(f *testing.F) {
	for _, s := range []string{
		masked(0x82, "hello"), masked(0x81, "κόσμε"), masked(0x01, "a") + masked(0x89, "p") + masked(0x80, "b"), masked(0x82, string(make([]byte, 150))),
		closeFrame(1000, "bye"), masked(0x02, "") + masked(0x80, ""), masked(0xc2, "x"), "\x82\x01x", rawHeader(0x82, 64, 1<<63), masked(0x81, "\xc3("), masked(0x01, "\xe2\x82") + masked(0x80, "\xac"),
	} {
		f.Add([]byte(s), []byte{0})
		f.Add([]byte(s+s), []byte{2, 7, 30})
	}
	f.Fuzz(func(t *testing.T, p, parts []byte) {
		if len(p) > 4096 {
			return
		}
		whole, cut := feedAll(p, nil), feedAll(p, parts)
		if whole != cut {
			t.Fatalf("%x\nas a whole: %s\nin parts:   %s", p, whole, cut)
		}
	})
}
