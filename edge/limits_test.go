package main

import (
	"bytes"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"pixelwall/core"
)

// What breaks RFC 6455 or our limits is closed with the code that PROTOCOL.md says.
func TestEachViolationHasItsCloseCode(t *testing.T) {
	r := serve(t)
	frame := func(f ws.Frame) []byte {
		var b bytes.Buffer
		_ = ws.WriteFrame(&b, f)
		return b.Bytes()
	}
	mask := ws.MaskFrameInPlace
	header := func(h ws.Header, payload []byte) []byte {
		var b bytes.Buffer
		_ = ws.WriteHeader(&b, h)
		return append(b.Bytes(), payload...)
	}
	m := [4]byte{}
	for _, tt := range []struct {
		name string
		b    []byte
		want int
	}{
		{"an unmasked frame", frame(ws.NewBinaryFrame([]byte{4, 1})), 1002},
		{"reserved bit 1", header(ws.Header{Fin: true, Rsv: ws.Rsv(true, false, false), OpCode: ws.OpBinary, Masked: true, Mask: m, Length: 0}, nil), 1002},
		{"a reserved opcode", header(ws.Header{Fin: true, OpCode: 3, Masked: true, Mask: m, Length: 0}, nil), 1002},
		{"a reserved control opcode", header(ws.Header{Fin: true, OpCode: 0xb, Masked: true, Mask: m, Length: 0}, nil), 1002},
		{"a ping of 126 bytes", header(ws.Header{Fin: true, OpCode: ws.OpPing, Masked: true, Mask: m, Length: 126}, make([]byte, 126)), 1002},
		{"a fragmented ping", header(ws.Header{OpCode: ws.OpPing, Masked: true, Mask: m, Length: 0}, nil), 1002},
		{"a continuation of nothing", header(ws.Header{Fin: true, OpCode: ws.OpContinuation, Masked: true, Mask: m, Length: 0}, nil), 1002},
		{"a new message inside a fragmented one", append(header(ws.Header{OpCode: ws.OpBinary, Masked: true, Mask: m, Length: 1}, []byte{4}),
			header(ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true, Mask: m, Length: 1}, []byte{4})...), 1002},
		{"a frame that says 2^40 bytes", header(ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true, Mask: m, Length: 1 << 40}, nil), 1009},
		{"a frame of 1025 bytes", header(ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true, Mask: m, Length: 1025}, make([]byte, 1025)), 1009},
		{"more fragments than 4", bytes.Join([][]byte{
			header(ws.Header{OpCode: ws.OpBinary, Masked: true, Mask: m, Length: 1}, []byte{4}),
			header(ws.Header{OpCode: ws.OpContinuation, Masked: true, Mask: m, Length: 0}, nil),
			header(ws.Header{OpCode: ws.OpContinuation, Masked: true, Mask: m, Length: 0}, nil),
			header(ws.Header{OpCode: ws.OpContinuation, Masked: true, Mask: m, Length: 0}, nil),
			header(ws.Header{OpCode: ws.OpContinuation, Masked: true, Mask: m, Length: 0}, nil)}, nil), 1009},
		{"text", frame(mask(ws.NewTextFrame([]byte("hi")))), 1003},
		{"text that is not UTF-8", frame(mask(ws.NewTextFrame([]byte{0xff, 0xfe}))), 1007},
		{"a close frame of one byte", frame(mask(ws.NewCloseFrame([]byte{3}))), 1002},
		{"a close code that nobody may send", frame(mask(ws.NewCloseFrame(ws.NewCloseFrameBody(1005, "")))), 1002},
		{"a close reason that is not UTF-8", frame(mask(ws.NewCloseFrame(append([]byte{3, 232}, 0xff)))), 1007},
		{"an orderly close is echoed", frame(mask(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, "bye")))), 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := r.fresh(1).hello("")
			p.t = t
			if _, err := p.conn.Write(tt.b); err != nil {
				t.Fatal(err)
			}
			if got := p.closes(); got != tt.want {
				t.Errorf("closed with %d %s, want %d", got, p.closed.Reason, tt.want)
			}
		})
	}
}

func TestTenThousandPingsAreTooMany(t *testing.T) {
	r := serve(t)
	p := r.fresh(1).hello("")
	go func() {
		for range 10_000 {
			if wsutil.WriteClientMessage(p.conn, ws.OpPing, []byte("p")) != nil {
				return
			}
		}
	}()
	if code := p.closes(); code != 1008 {
		t.Errorf("closed with %d, want 1008", code)
	}
}

// Catch-ups cost the hub; who asks for one after the other is told to fetch the
// canvas, which costs it nothing, and may go on from there.
func TestANetworkThatGoesOnTooOftenIsToldToFetch(t *testing.T) {
	const quarters = 0b1111
	data := t.TempDir()
	r := serve(t, "--data", data)
	p := r.fresh(1).hello(r.token())
	for _, at := range []int{0, 512} {
		p.placed(p.place(at, 0, 1))
		p.placed(p.place(at, 512, 1))
	}
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	// What was there before the start was not fetched since.
	r = serve(t, "--data", data, "--conns-per-address", "1", "--trusted-proxies", "127.0.0.0/8")
	p.addr, p.from = r.addr, "198.51.100.7" // loopback itself has no limits
	p.hello(r.token())
	watches := 0
	for p.lost == 0 {
		p.follow, p.seqs = 0, core.Heads{}
		if p.watch(quarters); watches == 39 { // what the budget of messages allows at once
			t.Fatal("a network of one connection may resume 39 times 4 shards")
		}
		watches++
	}
	if watches <= core.ShardsMax/4 {
		t.Errorf("refused at watch %d: all of the largest canvas should be free", watches)
	}
	if n := r.metric("pixelwall_session_resumes_denied_total"); n != 4 {
		t.Errorf("four shards were refused, the metrics say %v", n)
	}
	p.load(r.canvas())
	if p.watch(quarters); p.lost != 0 {
		t.Errorf("shards %b are refused right after they were fetched", p.lost)
	}
	// That is not without a limit either: a busy canvas makes it dear.
	for watches = 1; p.lost == 0 && watches < 39; watches++ {
		p.follow = 0
		p.watch(quarters)
	}
	if p.lost == 0 {
		t.Errorf("resumed %d times for nothing", watches)
	}
	// Nor does another connection get all of it again.
	p.conn.Close()
	waitFor(t, "the connection is gone", func() bool { return r.metric("pixelwall_gateway_connections") == 0 })
	p.hello(r.token()).load(r.canvas())
	for watches = 0; p.lost == 0 && watches < 12; watches++ {
		p.follow = 0
		p.watch(quarters)
	}
	if p.lost == 0 {
		t.Errorf("resumed %d times for nothing on another connection", watches)
	}
}
