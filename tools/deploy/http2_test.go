package deploy

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"

	"pixelwall/wire"
)

// Frames of HTTP/2 (RFC 9113), as far as one WebSocket on a connection needs them.
const (
	frameData     = 0
	frameHeaders  = 1
	frameReset    = 3
	frameSettings = 4
	framePing     = 6
	frameGoAway   = 7

	flagAck        = 1
	flagEndHeaders = 4
	flagPadded     = 8

	settingConnectProtocol = 8 // RFC 8441: the server takes WebSockets
	stream                 = 1
)

var errNotOffered = errors.New("WebSockets over HTTP/2 are not offered")

// An h2Stream is a WebSocket's bytes inside an HTTP/2 connection. What arrives
// in a test is far below the window of 64 KiB, so no window is ever widened.
type h2Stream struct {
	c    net.Conn
	rest []byte // of the last DATA frame
}

func (s *h2Stream) frame(kind, flags byte, id uint32, payload []byte) error {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	head = binary.BigEndian.AppendUint32(append(head, flags), id)
	_, err := s.c.Write(append(head, payload...))
	return err
}

// next returns the next frame that is for the caller.
func (s *h2Stream) next() (kind, flags byte, payload []byte, err error) {
	for {
		var head [9]byte
		if _, err := io.ReadFull(s.c, head[:]); err != nil {
			return 0, 0, nil, err
		}
		payload = make([]byte, binary.BigEndian.Uint32(head[:])>>8)
		if _, err := io.ReadFull(s.c, payload); err != nil {
			return 0, 0, nil, err
		}
		switch kind, flags = head[3], head[4]; {
		case kind == framePing && flags&flagAck == 0:
			err = s.frame(framePing, flagAck, 0, payload)
		case kind == frameGoAway, kind == frameReset:
			err = fmt.Errorf("the proxy ended the stream: frame %d, % x", kind, payload)
		case kind == frameData, kind == frameHeaders, kind == frameSettings && flags&flagAck == 0:
			return kind, flags, payload, nil
		}
		if err != nil {
			return 0, 0, nil, err
		}
	}
}

// open asks for the WebSocket with an extended CONNECT, as a browser does.
func (s *h2Stream) open(authority, origin string) error {
	if _, err := io.WriteString(s.c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
		return err
	}
	if err := s.frame(frameSettings, 0, 0, nil); err != nil {
		return err
	}
	kind, _, settings, err := s.next()
	if err != nil || kind != frameSettings {
		return fmt.Errorf("frame %d where settings must be, %w", kind, err)
	}
	offered := false
	for one := range slices.Chunk(settings, 6) {
		if binary.BigEndian.Uint16(one) == settingConnectProtocol {
			offered = binary.BigEndian.Uint32(one[2:]) == 1
		}
	}
	if !offered {
		return errNotOffered
	}
	var block []byte
	for _, h := range [][2]string{
		{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "https"}, {":path", "/ws"}, {":authority", authority},
		{"origin", origin}, {"sec-websocket-version", "13"}, {"sec-websocket-protocol", wire.Subprotocol},
	} {
		for i, text := range h {
			if i == 0 {
				block = append(block, 0) // a literal that enters no table (RFC 7541, 6.2.2)
			}
			block = append(append(block, byte(len(text))), text...)
		}
	}
	if err := errors.Join(s.frame(frameSettings, flagAck, 0, nil), s.frame(frameHeaders, flagEndHeaders, stream, block)); err != nil {
		return err
	}
	for kind != frameHeaders {
		if kind, _, block, err = s.next(); err != nil {
			return err
		}
	}
	const status200 = 0x88 // entry 8 of the static table
	if len(block) == 0 || block[0] != status200 {
		return fmt.Errorf("the answer is not 200: % x", block)
	}
	return nil
}

func (s *h2Stream) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		kind, flags, payload, err := s.next()
		if err != nil {
			return 0, err
		}
		if kind == frameData && flags&flagPadded != 0 {
			return 0, errors.New("a padded frame")
		}
		if kind == frameData {
			s.rest = payload
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

func (s *h2Stream) Write(p []byte) (int, error) {
	return len(p), s.frame(frameData, 0, stream, p)
}

// Browsers open their WebSocket over HTTP/2 as soon as a proxy offers that. Of
// Debian 12's, HAProxy does.
func TestAWebSocketOverHTTP2(t *testing.T) {
	eachProxy(t, func(t *testing.T, k kind) {
		p := k.before(t, serve(t).addr)
		v := p.visitor("127.0.0.1")
		s := &h2Stream{c: v.connect("h2")}
		err := s.open(net.JoinHostPort(name, p.secure), p.origin())
		if err != nil {
			t.Fatal(err)
		}
		w := &socket{t: t, r: s, w: s}
		w.join(v.token(), v.get(v.newest()).body)
		w.send(wire.Place{Number: 1, X: 3, Y: 5, Color: 7})
		w.until("placed", func() bool { return w.placed != nil })
		w.until("the batch", func() bool { return w.seq >= w.placed.Seq })
		if got := w.color(3, 5); got != 7 {
			t.Errorf("the pixel has colour %d", got)
		}
	}, "haproxy")
}
