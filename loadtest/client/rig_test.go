package client

import (
	"bufio"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"pixelwall/wire"
)

const (
	rigCanvas = 77
	patience  = 30 * time.Second
)

// A rig is the server's side of a conversation, played by the test word by word.
type rig struct {
	t      *testing.T
	server *Server
	peers  chan *peer
	canvas uint64 // what init says

	mu   sync.Mutex // Protects following.
	file wire.CanvasFile
}

// A peer is one client's connection, seen from the server.
type peer struct {
	t  *testing.T
	c  net.Conn
	br *bufio.ReadWriter
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, peers: make(chan *peer, 100), canvas: rigCanvas}
	r.serve(wire.CanvasShard{Seq: 10, Packed: make([]byte, 8)})
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", func(w http.ResponseWriter, req *http.Request) {
		u := ws.HTTPUpgrader{Protocol: func(p string) bool { return p == wire.Subprotocol }}
		c, br, _, err := u.Upgrade(req, w)
		if err != nil {
			t.Errorf("upgrade: %v", err)
			return
		}
		r.peers <- &peer{t, c, br}
	})
	mux.HandleFunc("/api/v1/canvas", func(w http.ResponseWriter, _ *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		_, _ = w.Write(r.file.AppendTo(nil))
	})
	mux.HandleFunc("POST /api/v1/session", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"token":"a token"}`))
	})
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	var err error
	if r.server, err = NewServer("ws" + strings.TrimPrefix(web.URL, "http") + "/ws"); err != nil {
		t.Fatal(err)
	}
	return r
}

// serve makes s the only shard, 4 × 4 pixels of 4 bits, of the canvas over HTTP.
func (r *rig) serve(s wire.CanvasShard) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.file = wire.CanvasFile{Canvas: rigCanvas, Width: 4, Height: 4, Bits: 4, Shards: []wire.CanvasShard{s}}
}

// accept waits for a client that says hello and answers with init.
func (r *rig) accept() (*peer, wire.Hello) {
	r.t.Helper()
	select {
	case p := <-r.peers:
		h, err := wire.ParseHello(p.hear())
		if err != nil {
			r.t.Fatal(err)
		}
		p.say(&wire.Init{
			Version: 1, Canvas: r.canvas, Heads: []wire.Head{{Shard: 0, Seq: 10}},
			Config: wire.Config{Version: 1, Width: 4, Height: 4, Bits: 4, Colors: []wire.Color{{Name: "a"}, {Name: "b"}}},
		})
		return p, h
	case <-time.After(patience):
		r.t.Fatal("no client comes")
		return nil, wire.Hello{}
	}
}

func (p *peer) say(m Message) {
	p.t.Helper()
	if err := wsutil.WriteServerBinary(p.c, m.AppendTo(nil)); err != nil {
		p.t.Fatal(err)
	}
}

// frame writes raw bytes.
func (p *peer) frame(f ws.Frame) {
	p.t.Helper()
	if err := ws.WriteFrame(p.c, f); err != nil {
		p.t.Fatal(err)
	}
}

// read returns the next frame of the client, unmasked.
func (p *peer) read() ws.Frame {
	p.t.Helper()
	if err := p.c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	h, err := ws.ReadHeader(p.br)
	if err != nil {
		p.t.Fatalf("the client is silent: %v", err)
	}
	if !h.Masked || h.Length > wire.ClientMessageBytesMax {
		p.t.Fatalf("the client sends a frame that no client may send: %+v", h)
	}
	f := ws.Frame{Header: h, Payload: make([]byte, h.Length)}
	if _, err := io.ReadFull(p.br, f.Payload); err != nil {
		p.t.Fatal(err)
	}
	return ws.UnmaskFrameInPlace(f)
}

func (p *peer) hear() []byte {
	p.t.Helper()
	f := p.read()
	if f.Header.OpCode != ws.OpBinary || !f.Header.Fin {
		p.t.Fatalf("frame %+v, want a whole binary message", f.Header)
	}
	return f.Payload
}

func (p *peer) hearPlace() wire.Place {
	p.t.Helper()
	m, err := wire.ParsePlace(p.hear())
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

func (p *peer) hearWatch() wire.Watch {
	p.t.Helper()
	m, err := wire.ParseWatch(p.hear(), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

// cut ends the connection without a word, as a killed server does.
func (p *peer) cut() { _ = p.c.Close() }

// A pixels is what the 16 pixels of the rig's shard are.
type pixels [16]uint8

func (px pixels) packed() []byte {
	b := make([]byte, 8)
	for i := range b {
		b[i] = px[2*i]<<4 | px[2*i+1]
	}
	return b
}

func (px pixels) view() wire.Canvas {
	return wire.Canvas{Pix: px.packed(), Width: 4, Height: 4, Stride: 4, Bits: 4}
}

func (px pixels) crc() uint32 { return crc32.Checksum(px.packed(), castagnoli) }

// batch returns the message that sets pixel at to color and moves the seq by
// advance, and px after it.
func (px *pixels) batch(at uint32, color uint8, advance uint64) wire.Batch {
	var e wire.Encoder
	payload, coding, param := e.Append(nil, px.view(), []wire.Pixel{{Index: at, Color: color}}, 0)
	px[at] = color
	return wire.Batch{Coding: coding, Param: param, Advance: advance, TimeAdv: 1, Payload: payload}
}

// catchUp returns an empty catch-up.
func catchUp(from, to uint64) wire.CatchUp { return wire.CatchUp{From: from, To: to, TimeTenths: 5} }

func closeBody(code int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(code)) }
