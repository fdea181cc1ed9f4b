package client

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"pixelwall/wire"
)

const (
	// silenceMax is more than the 60 s after which a server would have pinged
	// twice.
	silenceMax = 90 * time.Second
	writeMax   = 30 * time.Second
	dialMax    = 10 * time.Second
	// helloMax is how long a server may think about a hello. One that is stopped
	// accepts connections and never answers.
	helloMax = 20 * time.Second
	// perSource is how many connections one loopback address dials; the kernel
	// has some 28 000 ports for each pair of addresses.
	perSource = 10_000
)

// A Conn is one WebSocket connection that speaks pixelwall.v1. One goroutine may
// call Next while others call Send.
type Conn struct {
	c  net.Conn
	br *bufio.Reader

	msg     []byte // of Next, reused
	silence time.Time

	mu  sync.Mutex // Protects following.
	out []byte
}

// A Message is anything of package wire that can be sent.
type Message interface{ AppendTo(dst []byte) []byte }

// Dial opens connection number n to url. Many connections to a loopback address
// come from several addresses of 127.0.0.0/8.
func Dial(ctx context.Context, url string, n int) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialMax)
	defer cancel()
	d := ws.Dialer{Protocols: []string{wire.Subprotocol}}
	if n >= perSource {
		from := &net.TCPAddr{IP: net.IPv4(127, 0, byte(n/perSource>>8), byte(n/perSource+1))}
		d.NetDial = (&net.Dialer{LocalAddr: from}).DialContext
	}
	c, br, _, err := d.Dial(ctx, url)
	if err != nil {
		return nil, err
	}
	if br == nil {
		br = bufio.NewReaderSize(c, 4096)
	}
	return &Conn{c: c, br: br}, nil
}

// Close ends the connection at once.
func (c *Conn) Close() { _ = c.c.Close() }

// Send writes m as one binary message. It returns when the kernel has it.
func (c *Conn) Send(m Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Room for the longest header of a client's message, which is written in
	// front of the payload when its length is known.
	const room = 8
	c.out = m.AppendTo(append(c.out[:0], make([]byte, room)...))
	return c.write(ws.OpBinary, c.out[room:], room)
}

// write sends one masked frame whose payload lies at c.out[room:].
func (c *Conn) write(op ws.OpCode, payload []byte, room int) error {
	mask := [4]byte(binary.LittleEndian.AppendUint32(nil, rand.Uint32()))
	ws.Cipher(payload, mask, 0)
	at := room - 4
	copy(c.out[at:], mask[:])
	if n := len(payload); n <= 125 {
		at -= 2
		c.out[at], c.out[at+1] = 0x80|byte(op), 0x80|byte(n)
	} else {
		at -= 4
		c.out[at], c.out[at+1] = 0x80|byte(op), 0x80|126
		binary.BigEndian.PutUint16(c.out[at+2:], uint16(n))
	}
	if err := c.c.SetWriteDeadline(time.Now().Add(writeMax)); err != nil {
		return err
	}
	_, err := c.c.Write(c.out[at:])
	return err
}

// Next returns the next binary message. It answers pings on the way. After an
// error the connection is of no use.
//
// Ownership: the message is valid until the next call.
func (c *Conn) Next() ([]byte, error) {
	c.msg = c.msg[:0]
	for {
		if now := time.Now(); now.Sub(c.silence) > silenceMax/4 {
			c.silence = now
			if err := c.c.SetReadDeadline(now.Add(silenceMax)); err != nil {
				return nil, err
			}
		}
		h, err := ws.ReadHeader(c.br)
		if err != nil {
			return nil, err
		}
		if h.Masked || h.Rsv != 0 || h.Length > wire.ServerMessageBytesMax-int64(len(c.msg)) {
			return nil, fmt.Errorf("a frame that no server may send: %+v", h)
		}
		at := len(c.msg)
		c.msg = append(c.msg, make([]byte, h.Length)...)
		if _, err := io.ReadFull(c.br, c.msg[at:]); err != nil {
			return nil, err
		}
		switch h.OpCode {
		case ws.OpBinary, ws.OpContinuation:
			if h.Fin {
				return c.msg, nil
			}
		case ws.OpPing:
			if err := c.pong(c.msg[at:]); err != nil {
				return nil, err
			}
			c.msg = c.msg[:at]
		case ws.OpPong:
			c.msg = c.msg[:at]
		case ws.OpClose:
			code, reason := ws.ParseCloseFrameData(c.msg[at:])
			return nil, &CloseError{Code: int(code), Reason: reason}
		default:
			return nil, errors.New("a text message from the server")
		}
	}
}

func (c *Conn) pong(payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	const room = 8
	c.out = append(append(c.out[:0], make([]byte, room)...), payload...)
	return c.write(ws.OpPong, c.out[room:], room)
}

// Hello introduces the client and returns the server's init.
func (c *Conn) Hello(h wire.Hello) (wire.Init, error) {
	h.Version = wire.Version
	if err := c.Send(h); err != nil {
		return wire.Init{}, err
	}
	c.silence = time.Now()
	if err := c.c.SetReadDeadline(c.silence.Add(helloMax)); err != nil {
		return wire.Init{}, err
	}
	defer func() { c.silence = time.Time{} }() // so that Next allows its own time again
	for {
		msg, err := c.Next()
		if err != nil {
			return wire.Init{}, err
		}
		switch wire.TypeOf(msg) {
		case wire.TypeInit:
			return wire.ParseInit(msg)
		case wire.TypeError:
			r, err := wire.ParseRefusal(msg)
			if err != nil {
				return wire.Init{}, err
			}
			return wire.Init{}, &RefusedError{r}
		}
	}
}
