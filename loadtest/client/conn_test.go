package client

import (
	"bytes"
	"errors"
	"testing"

	"github.com/gobwas/ws"

	"pixelwall/wire"
)

func dialRig(t *testing.T) (*Conn, *peer, *rig) {
	t.Helper()
	r := newRig(t)
	c, err := Dial(t.Context(), r.server.WS, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, <-r.peers, r
}

func TestConnAnswersPingsAndJoinsFragments(t *testing.T) {
	c, p, _ := dialRig(t)
	part := func(op ws.OpCode, fin bool, text string) { p.frame(ws.NewFrame(op, fin, []byte(text))) }
	part(ws.OpBinary, false, "to")
	part(ws.OpPing, true, "are you there")
	part(ws.OpContinuation, false, "geth")
	part(ws.OpPong, true, "unasked")
	part(ws.OpContinuation, true, "er")
	part(ws.OpBinary, true, "next")
	for _, want := range []string{"together", "next"} {
		if msg, err := c.Next(); err != nil || string(msg) != want {
			t.Fatalf("Next = %q, %v, want %q", msg, err, want)
		}
	}
	if f := p.read(); f.Header.OpCode != ws.OpPong || string(f.Payload) != "are you there" {
		t.Errorf("%+v %q", f.Header, f.Payload)
	}
}

func TestConnSendsMessagesOfEveryLength(t *testing.T) {
	c, p, _ := dialRig(t)
	for _, n := range []int{0, 1, 125, 126, 1000} {
		text := bytes.Repeat([]byte{7}, n)
		if err := c.Send(raw(text)); err != nil {
			t.Fatal(err)
		}
		if got := p.hear(); !bytes.Equal(got, text) {
			t.Errorf("%d bytes arrive as %d", n, len(got))
		}
	}
}

type raw []byte

func (r raw) AppendTo(dst []byte) []byte { return append(dst, r...) }

func TestNextRejects(t *testing.T) {
	for _, tt := range []struct {
		name string // reads on from "Next rejects ..."
		f    ws.Frame
	}{
		{"a text message", ws.NewTextFrame([]byte("hi"))},
		{"a masked frame", ws.MaskFrame(ws.NewBinaryFrame([]byte("hi")))},
		{"a reserved bit", ws.Frame{Header: ws.Header{Fin: true, Rsv: 4, OpCode: ws.OpBinary}}},
		{"a message above what a server may send", ws.Frame{Header: ws.Header{Fin: true, OpCode: ws.OpBinary, Length: wire.ServerMessageBytesMax + 1}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, p, _ := dialRig(t)
			p.frame(tt.f)
			if msg, err := c.Next(); err == nil {
				t.Errorf("Next = %q", msg)
			}
		})
	}
}

func TestACloseTellsItsCodeAndWhetherToComeBack(t *testing.T) {
	for code, wantPermanent := range map[int]bool{1000: false, 1008: false, 1012: false, 4003: true, 4004: true, 1009: true} {
		c, p, _ := dialRig(t)
		p.frame(ws.NewCloseFrame(closeBody(code)))
		_, err := c.Next()
		if e, ok := errors.AsType[*CloseError](err); !ok || e.Code != code {
			t.Errorf("%d: %v", code, err)
		}
		if permanent(err) != wantPermanent {
			t.Errorf("%d: permanent = %v", code, !wantPermanent)
		}
	}
}

func TestHelloTellsWhyItIsRefused(t *testing.T) {
	c, p, _ := dialRig(t)
	p.say(wire.Presence{Online: 3})
	p.say(wire.Refusal{Code: codeTokenExpired, Message: "too old"})
	_, err := c.Hello(wire.Hello{Token: "x"})
	if r, ok := errors.AsType[*RefusedError](err); !ok || r.Code != codeTokenExpired || !permanent(err) {
		t.Errorf("Hello = %v", err)
	}
}

func TestNewServerWantsAWebSocketAddress(t *testing.T) {
	for _, bad := range []string{"", "localhost:8080", "http://localhost/ws", "ws://", "://"} {
		if _, err := NewServer(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
