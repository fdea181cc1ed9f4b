package session

import (
	"context"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"pixelwall/core"
	"pixelwall/edge/fanout"
	"pixelwall/edge/gateway"
	"pixelwall/wire"
)

// A talk is a server with one painter on a real connection.
type talk struct {
	t    *testing.T
	srv  *Server
	gw   *gateway.Gateway
	conn net.Conn
	stop func() // ends Run and waits until what was queued is answered
}

func newTalk(t *testing.T, q core.Sequencer, tweak func(*Options)) *talk {
	p, _ := core.NamedPalette("place2017")
	hub, err := fanout.NewHub(fanout.Options{
		Base: &core.Snapshot{Canvas: 1, Config: core.Config{
			Version: 1, Width: 1024, Height: 1024, Bits: 4, Palette: p, BurstMax: 1,
		}},
		TickEvery: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{
		Hub: hub, Sequencer: q, Cooldowns: noCooldowns{}, Logger: slog.New(slog.DiscardHandler), CanvasID: 1,
		Verify:   func(string) (User, error) { return User{ID: 7, Name: "painter"}, nil },
		ReadOnly: func() bool { return false }, Online: func() int { return 1 }, NowMS: func() int64 { return 1 },
	}
	tweak(&opt)
	k := &talk{t: t, srv: New(opt)}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		k.srv.Run(ctx)
	}()
	k.stop = func() {
		cancel()
		<-ended
	}
	g, err := gateway.Start(gateway.Config{Addr: "127.0.0.1:0", MessagesPerSecond: 1e6, MessageBurst: 1 << 20}, k.srv)
	if err != nil {
		t.Fatal(err)
	}
	k.gw = g
	t.Cleanup(func() {
		k.stop()
		if err := g.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return k.with(3)
}

// with returns a talk of the same server with another connection of the painter.
func (k *talk) with(instance uint64) *talk {
	k.t.Helper()
	other := k.arrive(instance)
	other.hear(wire.TypeInit)
	return other
}

// arrive is with, without its init.
func (k *talk) arrive(instance uint64) *talk {
	k.t.Helper()
	return k.dial(wire.Hello{Version: wire.Version, Instance: instance, Capabilities: wire.CanRange, Token: "any"})
}

// dial returns a talk of the same server with a connection that says hello.
func (k *talk) dial(hello wire.Hello) *talk {
	k.t.Helper()
	conn, _, _, err := ws.Dial(context.Background(), "ws://"+k.gw.Addr().String()+"/ws")
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { conn.Close() })
	other := *k
	other.conn = conn
	other.say(hello)
	return &other
}

func (k *talk) say(m interface{ AppendTo([]byte) []byte }) {
	k.t.Helper()
	if err := wsutil.WriteClientBinary(k.conn, m.AppendTo(nil)); err != nil {
		k.t.Fatal(err)
	}
}

// place paints a pixel of shard s, 0 to 3.
func (k *talk) place(number uint32, s core.ShardID) {
	x, y := core.Coordinates(s, number)
	k.say(wire.Place{Number: number, X: uint16(x), Y: uint16(y), Color: 1})
}

// hear returns the next message, which must be of type want.
func (k *talk) hear(want wire.Type) []byte {
	k.t.Helper()
	_ = k.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	msg, _, err := wsutil.ReadServerData(k.conn)
	if err != nil || wire.TypeOf(msg) != want {
		k.t.Fatalf("got %v %x, %v; want %v", wire.TypeOf(msg), msg, err, want)
	}
	return msg
}

func (k *talk) placed() wire.Placed {
	k.t.Helper()
	p, err := wire.ParsePlaced(k.hear(wire.TypePlaced))
	if err != nil {
		k.t.Fatal(err)
	}
	return p
}

// leaves waits for the end of a connection with an unknown placement.
func (k *talk) leaves() {
	k.t.Helper()
	b, err := wire.ParseBye(k.hear(wire.TypeBye))
	if err != nil || b.WaitMinMS == 0 || b.WaitMaxMS <= b.WaitMinMS {
		k.t.Fatalf("%+v, %v", b, err)
	}
	if code := k.closed(); code != closeRestart {
		k.t.Fatalf("closed with %d", code)
	}
}

// closed returns the code of the close that must come next.
func (k *talk) closed() uint16 {
	k.t.Helper()
	_ = k.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	h, err := ws.ReadHeader(k.conn)
	if err != nil || h.OpCode != ws.OpClose {
		k.t.Fatalf("got %+v, %v; want a close", h, err)
	}
	body := make([]byte, h.Length)
	if _, err := io.ReadFull(k.conn, body); err != nil {
		k.t.Fatal(err)
	}
	code, _ := ws.ParseCloseFrameData(body)
	return uint16(code)
}

func (k *talk) eventually(what string, cond func() bool) {
	k.t.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	patience := time.After(20 * time.Second)
	for !cond() {
		select {
		case <-look.C:
		case <-patience:
			k.t.Fatalf("%s did not happen", what)
		}
	}
}
