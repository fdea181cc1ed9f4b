package api

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const handshake = "GET /ws?page=1 HTTP/1.1\r\nhost: h\r\nconnection: keep-alive, Upgrade\r\nUPGRADE: WebSocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: pixelwall.v1\r\n\r\n"

// A handover is what Options.Upgrade was given.
type handover struct {
	nc   net.Conn
	head []byte
}

// upgrades returns a world whose upgrades come out of the channel.
func upgrades(t *testing.T) (*world, <-chan handover) {
	taken := make(chan handover, 1)
	w := newWorld(t, 8, 8, "place2017", func(o *Options) {
		o.ReadTimeout, o.IdleTimeout = time.Second, time.Second
		o.Upgrade = func(nc net.Conn, head []byte) { taken <- handover{nc, head} }
	})
	return w, taken
}

// What a client sends from the handshake on arrives once each and in order,
// however it is cut, first out of head and then from the connection.
func TestAnUpgradeHandsOnEveryByteOnce(t *testing.T) {
	early := strings.Repeat("frame bytes ", 200)
	const first = "GET /livez HTTP/1.1\r\nHost: h\r\n\r\n"
	for _, tt := range []struct {
		name   string
		writes []string
	}{
		{"all in one write", []string{first + handshake + early}},
		{"the handshake with the first request", []string{first + handshake, early}},
		{"the handshake cut in half", []string{first + handshake[:60], handshake[60:] + early}},
		{"the early bytes cut", []string{first, handshake + early[:100], early[100:]}},
		{"everything apart", []string{first, handshake, early}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // each waits for longer than IdleTimeout
			w, taken := upgrades(t)
			c := w.dial()
			go func() {
				for _, part := range tt.writes {
					_, _ = io.WriteString(c, part)
				}
			}()
			br := bufio.NewReader(c)
			if a := readAnswer(t, br); string(a.body) != "ok\n" {
				t.Fatal(a)
			}
			h := <-taken
			defer h.nc.Close()
			got := make([]byte, len(handshake)+len(early))
			n := copy(got, h.head)
			if _, err := io.ReadFull(h.nc, got[n:]); err != nil {
				t.Fatal(err)
			}
			if n < len(handshake) || string(got) != handshake+early {
				t.Errorf("%d bytes in the head, in all\n%q\nwant\n%q", n, got, handshake+early)
			}
			if _, ok := h.nc.(*net.TCPConn); !ok {
				t.Errorf("handed over as %T", h.nc)
			}
			// Both directions belong to the new owner, and no deadline of ours is left:
			// it reads only after the client saw what it wrote, later than IdleTimeout.
			if _, err := io.WriteString(h.nc, "HTTP/1.1 101 Switching Protocols\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if resp, err := http.ReadResponse(br, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("%v, %v", resp, err)
			}
			late := time.AfterFunc(2*w.api.o.IdleTimeout, func() { _, _ = io.WriteString(c, "later") })
			defer late.Stop()
			rest := make([]byte, 5)
			if _, err := io.ReadFull(h.nc, rest); err != nil || string(rest) != "later" {
				t.Errorf("%q, %v", rest, err)
			}
			if w.api.conns.count() != 0 {
				t.Error("the connection is still counted here")
			}
		})
	}
}

func (cs *conns) count() int {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return len(cs.all)
}

func TestWhatIsNoHandshakeIsNotHandedOver(t *testing.T) {
	for _, tt := range []struct {
		name    string
		request string
		want    int
	}{
		{"a GET without Upgrade", "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 426},
		{"an Upgrade that Connection does not name", "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: close\r\n\r\n", 426},
		{"an upgrade to HTTP/2", "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\n\r\n", 426},
		{"HTTP/1.0", strings.Replace(handshake, "HTTP/1.1", "HTTP/1.0", 1), 426},
		{"HEAD", strings.Replace(strings.Replace(handshake, "GET", "HEAD", 1), "keep-alive", "close", 1), 426},
		{"POST", strings.Replace(strings.Replace(handshake, "GET", "POST", 1), "keep-alive", "close", 1), 405},
		{"a body", strings.Replace(handshake, "host: h", "host: h\r\nContent-Length: 2", 1) + "xx" + "GET /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 426},
		{"another path", strings.Replace(strings.Replace(handshake, "/ws", "/wss", 1), "keep-alive", "close", 1), 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, taken := upgrades(t)
			c := w.dial()
			if _, err := io.WriteString(c, tt.request); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != tt.want {
				t.Errorf("%s, want %d", resp.Status, tt.want)
			}
			select {
			case h := <-taken:
				t.Errorf("handed over: %q", h.head)
			default:
			}
		})
	}
}
