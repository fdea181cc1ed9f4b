package deploy

import (
	"fmt"
	"io"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"pixelwall/core"
	"pixelwall/wire"
)

// A socket is the client's end of a WebSocket, and a copy of the canvas, which
// has one shard.
type socket struct {
	t     *testing.T
	r     io.Reader
	w     io.Writer
	board *core.Board
	id    uint64 // of the canvas
	seq   uint64
	dec   wire.Decoder

	init    *wire.Init
	joined  bool
	placed  *wire.Placed
	bye     bool
	batches int
	pings   int
	code    ws.StatusCode // how the server closed; 0 while it has not
	err     error         // how the connection ended without a close
}

func (s *socket) send(m interface{ AppendTo([]byte) []byte }) {
	s.t.Helper()
	if err := wsutil.WriteClientBinary(s.w, m.AppendTo(nil)); err != nil {
		s.t.Fatal(err)
	}
}

// join says hello and follows the canvas from the copy in file.
func (s *socket) join(token string, file []byte) {
	s.t.Helper()
	c, err := wire.ParseCanvasFile(file)
	if err != nil || len(c.Shards) != 1 {
		s.t.Fatalf("%d shards, %v", len(c.Shards), err)
	}
	s.id, s.seq = c.Canvas, c.Shards[0].Seq
	s.board = core.NewBoard(core.Geometry{Width: int(c.Width), Height: int(c.Height), Bits: c.Bits}, 0)
	if err := s.board.LoadPacked(0, c.Shards[0].Packed); err != nil {
		s.t.Fatal(err)
	}
	s.hello(token)
	s.watch()
}

// watch follows the canvas from the copy that s has.
func (s *socket) watch() {
	s.t.Helper()
	s.send(wire.Watch{Canvas: s.id, Shards: []wire.WatchShard{{Shard: 0, Resume: true, Held: s.seq}}})
	s.until("catchup", func() bool { return s.joined })
}

func (s *socket) hello(token string) {
	s.t.Helper()
	s.send(wire.Hello{Version: wire.Version, Instance: 1, Capabilities: wire.CanRange, Token: token})
	s.until("init", func() bool { return s.init != nil })
}

// until reads frames until cond holds.
func (s *socket) until(what string, cond func() bool) {
	s.t.Helper()
	for !cond() {
		if s.ended() {
			s.t.Fatalf("waiting for %s: the connection ended with %d, %v", what, s.code, s.err)
		}
		if err := s.read(); err != nil {
			s.t.Fatalf("waiting for %s: %v", what, err)
		}
	}
}

func (s *socket) ended() bool { return s.code != 0 || s.err != nil }

// read takes one frame. It fails for what the server may not send.
func (s *socket) read() error {
	h, err := ws.ReadHeader(s.r)
	if err != nil {
		s.err = err
		return nil
	}
	if h.Length > wire.ServerMessageBytesMax {
		return fmt.Errorf("a frame of %d bytes", h.Length)
	}
	msg := make([]byte, h.Length)
	if _, s.err = io.ReadFull(s.r, msg); s.err != nil {
		return nil
	}
	switch h.OpCode {
	case ws.OpClose:
		s.code, _ = ws.ParseCloseFrameData(msg)
	case ws.OpPing:
		s.pings++
		return wsutil.WriteClientMessage(s.w, ws.OpPong, msg)
	case ws.OpBinary:
		return s.message(msg)
	}
	return nil
}

func (s *socket) message(msg []byte) error {
	switch wire.TypeOf(msg) {
	case wire.TypeInit:
		m, err := wire.ParseInit(msg)
		s.init = &m
		return err
	case wire.TypeCatchUp:
		m, err := wire.ParseCatchUp(msg)
		if err != nil || s.seq < m.From || s.seq > m.To {
			return fmt.Errorf("a catch-up from %d to %d for a copy at %d, %w", m.From, m.To, s.seq, err)
		}
		s.seq, s.joined = m.To, true
		return s.paint(wire.CodingRice, m.Param, m.Payload)
	case wire.TypeBatch:
		m, err := wire.ParseBatch(msg)
		if err != nil {
			return err
		}
		s.seq += m.Advance
		s.batches++
		return s.paint(m.Coding, m.Param, m.Payload)
	case wire.TypePlaced:
		m, err := wire.ParsePlaced(msg)
		s.placed = &m
		return err
	case wire.TypeBye:
		_, err := wire.ParseBye(msg)
		s.bye = true
		return err
	case wire.TypeResync:
		return fmt.Errorf("the server does not know seq %d", s.seq)
	case wire.TypeError:
		m, err := wire.ParseRefusal(msg)
		return fmt.Errorf("the server refuses: %d %s %w", m.Code, m.Message, err)
	}
	return nil
}

func (s *socket) paint(coding wire.Coding, param uint8, payload []byte) error {
	g := s.board.Geometry()
	c := wire.Canvas{Pix: s.board.Pixels(0), Width: g.Width, Height: g.Height, Stride: core.ShardSide, Bits: g.Bits}
	px, err := s.dec.Decode(nil, coding, param, payload, c)
	if err == nil {
		c.Apply(px)
	}
	return err
}

// color returns what the copy shows at (x, y).
func (s *socket) color(x, y int) uint8 {
	_, off := core.Locate(x, y)
	return s.board.At(0, off)
}
