package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"pixelwall/core"
	"pixelwall/wire"
)

// A peer is a client of the test that keeps its own canvas as PROTOCOL.md says.
type peer struct {
	t        *testing.T
	addr     string
	from     string // whom it says to speak for, as a proxy does
	conn     net.Conn
	board    *core.Board
	canvas   uint64
	seqs     core.Heads
	follow   uint64
	lost     uint64
	init     *wire.Init
	got      []wire.Type      // types of messages, in order
	batches  map[uint8]int    // by shard
	answers  []any            // wire.Placed, wire.Refusal
	tells    []wire.Allowance // of other connections
	configs  []wire.Config
	checked  uint64 // shards of which a check agreed
	online   uint64
	pong     wire.Pong
	closed   *closing // after the connection ended
	instance uint64
	number   uint32
	sent     map[uint32]wire.Place // by number
	last     wire.Refusal          // what the last answer was, if it was one
	dec      wire.Decoder
}

// fresh loads the canvas for a new peer.
func (r *running) fresh(instance uint64) *peer {
	p := &peer{t: r.t, addr: r.addr, instance: instance, batches: map[uint8]int{}}
	p.load(r.canvas())
	return p
}

func (p *peer) load(c wire.CanvasFile) {
	p.t.Helper()
	p.canvas = c.Canvas
	p.board = core.NewBoard(core.Geometry{Width: int(c.Width), Height: int(c.Height), Bits: c.Bits}, 0)
	for _, s := range c.Shards {
		if err := p.board.LoadPacked(core.ShardID(s.Shard), s.Packed); err != nil {
			p.t.Fatal(err)
		}
		p.seqs[s.Shard] = s.Seq
	}
	p.lost = 0
}

// dial connects, without saying hello.
func (p *peer) dial() *peer {
	p.t.Helper()
	d := ws.Dialer{Protocols: []string{wire.Subprotocol}, Timeout: 10 * time.Second}
	if p.from != "" {
		d.Header = ws.HandshakeHeaderHTTP{"X-Forwarded-For": {p.from}}
	}
	conn, br, _, err := d.Dial(context.Background(), "ws://"+p.addr+"/ws")
	if err != nil {
		p.t.Fatal(err)
	}
	p.conn = conn
	if br != nil {
		p.t.Fatal("the server spoke before hello")
	}
	p.closed = nil
	p.t.Cleanup(func() { conn.Close() })
	return p
}

// hello connects and introduces the peer.
func (p *peer) hello(token string) *peer {
	p.t.Helper()
	p.dial()
	p.send(wire.Hello{Version: wire.Version, Instance: p.instance, Capabilities: wire.CanRange, Token: token})
	p.init = nil
	p.until("init", func() bool { return p.init != nil })
	return p
}

func (p *peer) send(m interface{ AppendTo([]byte) []byte }) { p.raw(m.AppendTo(nil)) }

func (p *peer) raw(msg []byte) {
	if err := wsutil.WriteClientBinary(p.conn, msg); err != nil {
		p.t.Logf("send: %v", err)
	}
}

// watch asks for the shards in mask from what the peer holds.
func (p *peer) watch(mask uint64) *peer {
	w := wire.Watch{Canvas: p.canvas}
	for s := range uint8(core.ShardsMax) {
		if mask>>s&1 == 1 {
			w.Shards = append(w.Shards, wire.WatchShard{Shard: s, Resume: true, Held: p.seqs[s]})
		}
	}
	p.send(w)
	p.until("every watched shard", func() bool { return (p.follow|p.lost)&mask == mask })
	return p
}

// place sends a placement under the next number.
func (p *peer) place(x, y, color int) uint32 {
	p.number++
	if p.sent == nil {
		p.sent = make(map[uint32]wire.Place)
	}
	p.sent[p.number] = wire.Place{Number: p.number, X: uint16(x), Y: uint16(y), Color: uint8(color)}
	p.send(p.sent[p.number])
	return p.number
}

// answer waits for the answer to a placement.
func (p *peer) answer(number uint32) any {
	p.t.Helper()
	var found any
	p.until(fmt.Sprintf("the answer to %d", number), func() bool {
		for i, a := range p.answers {
			placed, ok := a.(wire.Placed)
			refused, ok2 := a.(wire.Refusal)
			if ok && placed.Number == number || ok2 && refused.Number == number {
				found, p.last = a, refused
				p.answers = append(p.answers[:i], p.answers[i+1:]...)
				return true
			}
		}
		return false
	})
	return found
}

// placed waits for a placement to be stored. What is refused for now is sent again
// when it may, under its number, as PROTOCOL.md says.
func (p *peer) placed(number uint32) wire.Placed {
	p.t.Helper()
	for began := time.Now(); ; {
		a, ok := p.answer(number).(wire.Placed)
		if ok {
			return a
		}
		again, ok := p.sent[number]
		if p.last.Code != uint8(core.CodeUnavailable) || p.last.RetryAfterMS == 0 || !ok || time.Since(began) > time.Minute {
			p.t.Fatalf("placement %d was refused: %+v", number, p.last)
		}
		time.Sleep(time.Duration(p.last.RetryAfterMS) * time.Millisecond)
		p.send(again)
	}
}

// until reads messages until cond holds.
func (p *peer) until(what string, cond func() bool) {
	p.t.Helper()
	deadline := time.Now().Add(40 * time.Second)
	for !cond() {
		if p.closed != nil {
			p.t.Fatalf("waiting for %s: the server closed with %d %s", what, p.closed.Code, p.closed.Reason)
		}
		_ = p.conn.SetReadDeadline(deadline)
		p.read()
		if time.Now().After(deadline) {
			p.t.Fatalf("waiting for %s: got %v", what, p.got)
		}
	}
}

// read takes one frame.
func (p *peer) read() {
	h, err := ws.ReadHeader(p.conn)
	if err != nil {
		if p.closed == nil {
			p.closed = &closing{Code: 1006, Reason: err.Error()}
		}
		return
	}
	msg := make([]byte, h.Length)
	if _, err := io.ReadFull(p.conn, msg); err != nil {
		p.closed = &closing{Code: 1006, Reason: err.Error()}
		return
	}
	switch h.OpCode {
	case ws.OpClose:
		code, reason := ws.ParseCloseFrameData(msg)
		p.closed = &closing{Code: code, Reason: reason}
	case ws.OpPing:
		_ = wsutil.WriteClientMessage(p.conn, ws.OpPong, msg)
	case ws.OpBinary:
		p.message(msg)
	}
}

func (p *peer) message(msg []byte) {
	p.t.Helper()
	t := wire.TypeOf(msg)
	p.got = append(p.got, t)
	fail := func(err error) {
		if err != nil {
			p.t.Fatalf("%v: %v", t, err)
		}
	}
	switch t {
	case wire.TypeInit:
		m, err := wire.ParseInit(msg)
		fail(err)
		p.init = &m
	case wire.TypeBatch:
		b, err := wire.ParseBatch(msg)
		fail(err)
		p.batches[b.Shard]++
		p.paint(b.Shard, b.Coding, b.Param, b.Payload)
		p.seqs[b.Shard] += b.Advance
	case wire.TypeCatchUp:
		c, err := wire.ParseCatchUp(msg)
		fail(err)
		if p.seqs[c.Shard] < c.From || p.seqs[c.Shard] > c.To {
			p.t.Fatalf("a catch-up from %d to %d for a copy at %d", c.From, c.To, p.seqs[c.Shard])
		}
		p.paint(c.Shard, wire.CodingRice, c.Param, c.Payload)
		p.seqs[c.Shard] = c.To
		p.follow |= 1 << c.Shard
	case wire.TypeResync:
		m, err := wire.ParseResync(msg)
		fail(err)
		for _, s := range m.Shards {
			p.lost |= 1 << s
			p.follow &^= 1 << s
		}
	case wire.TypeCheck:
		c, err := wire.ParseCheck(msg)
		fail(err)
		if crc, _ := p.board.Checksum(core.ShardID(c.Shard), nil); c.Seq == p.seqs[c.Shard] && crc != c.CRC {
			p.t.Errorf("shard %d at %d has another CRC than the check says", c.Shard, c.Seq)
		} else if c.Seq == p.seqs[c.Shard] {
			p.checked |= 1 << c.Shard
		}
	case wire.TypePresence:
		m, err := wire.ParsePresence(msg)
		fail(err)
		p.online = m.Online
	case wire.TypePong:
		m, err := wire.ParsePong(msg)
		fail(err)
		p.pong = m
	case wire.TypePlaced:
		m, err := wire.ParsePlaced(msg)
		fail(err)
		p.answers = append(p.answers, m)
	case wire.TypeError:
		m, err := wire.ParseRefusal(msg)
		fail(err)
		p.answers = append(p.answers, m)
	case wire.TypeAllowance:
		m, err := wire.ParseAllowance(msg)
		fail(err)
		p.tells = append(p.tells, m)
	case wire.TypeConfig:
		m, err := wire.ParseConfig(msg)
		fail(err)
		p.configs = append(p.configs, m)
	}
}

func (p *peer) paint(shard uint8, coding wire.Coding, param uint8, payload []byte) {
	p.t.Helper()
	s := core.ShardID(shard)
	w, h := p.board.Geometry().Area(s)
	c := wire.Canvas{Pix: p.board.Pixels(s), Width: w, Height: h, Stride: core.ShardSide, Bits: p.board.Geometry().Bits}
	px, err := p.dec.Decode(nil, coding, param, payload, c)
	if err != nil {
		p.t.Fatalf("batch of shard %d: %v", shard, err)
	}
	c.Apply(px)
}

// same waits until HTTP shows a canvas at the peer's seqs and compares all of it.
func (p *peer) same(r *running) {
	p.t.Helper()
	for try := 0; ; try++ {
		c := r.canvas()
		ahead := false
		for _, s := range c.Shards {
			if p.follow>>s.Shard&1 == 1 && s.Seq > p.seqs[s.Shard] {
				p.until("seq of the canvas", func() bool { return p.seqs[s.Shard] >= s.Seq })
			}
			ahead = ahead || p.seqs[s.Shard] > s.Seq
		}
		if ahead { // a version is made at most once a second
			if try == 400 {
				p.t.Fatalf("HTTP shows an older canvas than the peer's %v for 20 s", p.seqs[:4])
			}
			time.Sleep(50 * time.Millisecond)
			continue
		}
		for _, s := range c.Shards {
			if p.follow>>s.Shard&1 == 1 && !bytes.Equal(p.board.AppendPacked(nil, core.ShardID(s.Shard)), s.Packed) {
				p.t.Fatalf("shard %d differs from the server's at seq %d (peer at %d)", s.Shard, s.Seq, p.seqs[s.Shard])
			}
		}
		return
	}
}

// closes waits for the server to close and returns the code.
func (p *peer) closes() int {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	for p.closed == nil {
		p.read()
	}
	return int(p.closed.Code)
}

var regexpAdmin = regexp.MustCompile(`msg=(?:"admin API"|metrics) addr=(\S+)`)
