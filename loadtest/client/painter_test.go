package client

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/gobwas/ws"

	"pixelwall/wire"
)

// heard collects a painter's outcomes. It is read when Run has returned.
type heard struct {
	placed  []int32
	refused []int32
	retried []int32
}

func (h *heard) options(reconnect bool, queue int, servers ...*Server) PainterOptions {
	return PainterOptions{
		Servers: servers, Instance: 5, Reconnect: reconnect, Queue: queue,
		Placed:  func(id int32, _ wire.Placed) { h.placed = append(h.placed, id) },
		Refused: func(id int32, _ wire.Refusal) { h.refused = append(h.refused, id) },
		Retried: func(id int32, _ wire.Refusal, _ bool) { h.retried = append(h.retried, id) },
	}
}

func startPainter(t *testing.T, r *rig, reconnect bool, jobs int) (*Painter, *peer, *heard, chan error) {
	t.Helper()
	h := &heard{}
	p := NewPainter(h.options(reconnect, jobs, r.server))
	connected := make(chan error, 1)
	go func() { _, err := p.Connect(t.Context(), "tok"); connected <- err }()
	peer, hello := r.accept()
	if err := <-connected; err != nil {
		t.Fatal(err)
	}
	if hello.Instance != 5 || hello.Token != "tok" {
		t.Errorf("hello %+v", hello)
	}
	for i := range jobs {
		if err := p.Paint(t.Context(), Job{ID: int32(i), X: uint16(i), Y: 1, Color: 1}); err != nil {
			t.Fatal(err)
		}
	}
	p.Finish()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(t.Context()) }()
	return p, peer, h, ended
}

func TestPainterPlacesInOrderAndEndsWhenAllIsAnswered(t *testing.T) {
	r := newRig(t)
	_, peer, h, ended := startPainter(t, r, false, 5)
	for i := range uint32(5) {
		if m := peer.hearPlace(); m.Number != i+1 || m.X != uint16(i) {
			t.Errorf("place %+v", m)
		}
	}
	peer.say(wire.Placed{Number: 2, Seq: 12})
	peer.say(wire.Presence{Online: 1})
	peer.say(wire.Refusal{Number: 1, Code: 13})
	peer.say(wire.Placed{Number: 2, Seq: 12}) // said twice, heard once
	for n := uint32(3); n <= 5; n++ {
		peer.say(wire.Placed{Number: n, Seq: uint64(n)})
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(h.placed, []int32{1, 2, 3, 4}) || !slices.Equal(h.refused, []int32{0}) {
		t.Errorf("placed %v, refused %v", h.placed, h.refused)
	}
}

func TestPainterSendsAgainWhatWasNotAnsweredWithTheSameNumbers(t *testing.T) {
	r := newRig(t)
	p, peer, h, ended := startPainter(t, r, true, 4)
	for range 4 {
		peer.hearPlace()
	}
	peer.say(wire.Placed{Number: 1, Seq: 1})
	peer.say(wire.Placed{Number: 3, Seq: 2})
	peer.say(wire.Bye{WaitMinMS: 1, WaitMaxMS: 2})
	peer.frame(ws.NewCloseFrame(closeBody(1012)))
	peer, hello := r.accept()
	if hello.Instance != 5 || hello.Token != "tok" {
		t.Errorf("hello again %+v", hello)
	}
	var numbers []uint32
	for range 2 {
		numbers = append(numbers, peer.hearPlace().Number)
	}
	if !slices.Equal(numbers, []uint32{2, 4}) {
		t.Errorf("sent again: %v, want 2 and 4", numbers)
	}
	peer.say(wire.Placed{Number: 2, Seq: 3})
	peer.say(wire.Placed{Number: 4, Seq: 4})
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(h.placed, []int32{0, 2, 1, 3}) || p.Reconnects.Load() != 1 {
		t.Errorf("placed %v after %d reconnects", h.placed, p.Reconnects.Load())
	}
}

// A server that reads nothing and then everything at once still sees no more
// than its burst.
func TestPainterKeepsBelowTheServersBurst(t *testing.T) {
	r := newRig(t)
	_, peer, _, ended := startPainter(t, r, false, 100)
	const serverBurst = 40
	if messageBurst+underWayMax >= serverBurst {
		t.Fatalf("%d + %d reach the server's burst of %d", messageBurst, underWayMax, serverBurst)
	}
	for n := range uint32(underWayMax) {
		if m := peer.hearPlace(); m.Number != n+1 {
			t.Fatalf("number %d, want %d", m.Number, n+1)
		}
	}
	// Nothing more may come now. A ping's answer shows that nothing was on its way.
	peer.frame(ws.NewPingFrame([]byte("x")))
	if f := peer.read(); f.Header.OpCode != ws.OpPong {
		t.Fatalf("%+v came while %d were under way", f.Header, underWayMax)
	}
	for n := uint32(1); n <= 100; n++ {
		peer.say(wire.Placed{Number: n, Seq: uint64(n)})
		if n+underWayMax <= 100 {
			peer.hearPlace()
		}
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestPainterEndsWithTheReason(t *testing.T) {
	for _, tt := range []struct {
		name      string
		reconnect bool
		code      int
	}{
		{"when it may not reconnect", false, 1012},
		{"when reconnecting cannot help", true, 4004},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			_, peer, _, ended := startPainter(t, r, tt.reconnect, 1)
			peer.hearPlace()
			peer.frame(ws.NewCloseFrame(closeBody(tt.code)))
			err := <-ended
			if e, ok := errors.AsType[*CloseError](err); !ok || e.Code != tt.code {
				t.Errorf("Run = %v", err)
			}
		})
	}
}

func TestPainterEndsWithItsContext(t *testing.T) {
	r := newRig(t)
	p := NewPainter(PainterOptions{Servers: []*Server{r.server}, Reconnect: true, Queue: 1})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	r.accept()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v", err)
	}
}

// A painter whose server is gone goes on at the next one, as the same client.
func TestPainterGoesToTheNextServer(t *testing.T) {
	a, b := newRig(t), newRig(t)
	h := &heard{}
	p := NewPainter(h.options(true, 3, a.server, b.server))
	ended := make(chan error, 1)
	for i := range int32(3) {
		if err := p.Paint(t.Context(), Job{ID: i, X: uint16(i)}); err != nil {
			t.Fatal(err)
		}
	}
	p.Finish()
	go func() { ended <- p.Run(t.Context()) }()
	peer, first := a.accept()
	for range 3 {
		peer.hearPlace()
	}
	peer.say(wire.Placed{Number: 2, Seq: 11})
	peer.say(wire.Refusal{Number: 1, Code: codeDraining, RetryAfterMS: 1})
	peer, again := b.accept()
	if again.Instance != first.Instance || again.Token != first.Token {
		t.Errorf("hello %+v, then %+v", first, again)
	}
	for _, want := range []uint32{1, 3} {
		if m := peer.hearPlace(); m.Number != want {
			t.Errorf("number %d, want %d", m.Number, want)
		}
	}
	peer.say(wire.Placed{Number: 1, Seq: 12})
	peer.cut()
	peer, _ = a.accept() // round and round
	if m := peer.hearPlace(); m.Number != 3 {
		t.Errorf("number %d, want 3", m.Number)
	}
	peer.say(wire.Placed{Number: 3, Seq: 13})
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(h.placed, []int32{1, 0, 2}) || !slices.Equal(h.retried, []int32{0}) || len(h.refused) > 0 || p.Reconnects.Load() != 2 {
		t.Errorf("%+v after %d reconnects", h, p.Reconnects.Load())
	}
}

// What was refused for now keeps its number, and what comes after it on the same
// pixel waits; other pixels do not.
func TestPainterSendsAgainWhatWasRefusedForNow(t *testing.T) {
	r := newRig(t)
	h := &heard{}
	p := NewPainter(h.options(true, 3, r.server))
	for i, x := range []uint16{7, 8, 7} {
		if err := p.Paint(t.Context(), Job{ID: int32(i), X: x}); err != nil {
			t.Fatal(err)
		}
	}
	p.Finish()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(t.Context()) }()
	peer, _ := r.accept()
	hear := func(number uint32, x uint16) {
		t.Helper()
		if m := peer.hearPlace(); m.Number != number || m.X != x {
			t.Errorf("%+v, want number %d at %d", m, number, x)
		}
	}
	hear(1, 7)
	hear(2, 8)
	peer.say(wire.Placed{Number: 2, Seq: 11})
	for range 3 {
		peer.say(wire.Refusal{Number: 1, Code: codeUnavailable, RetryAfterMS: 1})
		hear(1, 7)
	}
	peer.say(wire.Placed{Number: 1, Seq: 12})
	hear(3, 7)
	peer.say(wire.Refusal{Number: 3, Code: codeUnavailable}) // waiting does not help
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(h.placed, []int32{1, 0}) || !slices.Equal(h.retried, []int32{0, 0, 0}) || !slices.Equal(h.refused, []int32{2}) || p.Reconnects.Load() != 0 {
		t.Errorf("%+v after %d reconnects", h, p.Reconnects.Load())
	}
}

func TestARefusalForNowIsFinal(t *testing.T) {
	for _, tt := range []struct {
		name      string // reads on from "a refusal for now is final"
		reconnect bool
		code      uint8
	}{
		{"for a painter that does not come back", false, codeUnavailable},
		{"also of one who goes away", false, codeDraining},
		{"when patience is at its end", true, codeUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			h := &heard{}
			o := h.options(tt.reconnect, 1, r.server)
			o.Patience = 1 // a moment
			p := NewPainter(o)
			if err := p.Paint(t.Context(), Job{ID: 4}); err != nil {
				t.Fatal(err)
			}
			p.Finish()
			ended := make(chan error, 1)
			go func() { ended <- p.Run(t.Context()) }()
			peer, _ := r.accept()
			peer.hearPlace()
			peer.say(wire.Refusal{Number: 1, Code: tt.code, RetryAfterMS: 1})
			if tt.reconnect {
				peer.hearPlace()
				peer.say(wire.Refusal{Number: 1, Code: tt.code, RetryAfterMS: 1})
			}
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(h.refused, []int32{4}) || len(h.placed) > 0 || (len(h.retried) > 0) != tt.reconnect {
				t.Errorf("%+v", h)
			}
		})
	}
}

// A connection ended without an answer, so the placement may be stored: a server
// that cannot look it up just now does not end it, whatever the patience.
func TestARefusalForNowIsNotFinalForWhatMayBeStored(t *testing.T) {
	r := newRig(t)
	h := &heard{}
	o := h.options(true, 1, r.server)
	o.Patience = 1 // a moment
	var sure []bool
	o.Retried = func(_ int32, _ wire.Refusal, s bool) { sure = append(sure, s) }
	p := NewPainter(o)
	if err := p.Paint(t.Context(), Job{ID: 4}); err != nil {
		t.Fatal(err)
	}
	p.Finish()
	ended := make(chan error, 1)
	go func() { ended <- p.Run(t.Context()) }()
	peer, _ := r.accept()
	peer.hearPlace()
	peer.say(wire.Refusal{Number: 1, Code: codeUnavailable, RetryAfterMS: 1})
	peer.hearPlace()
	peer.say(wire.Bye{WaitMinMS: 1, WaitMaxMS: 2})
	peer.frame(ws.NewCloseFrame(closeBody(1012)))
	peer, _ = r.accept()
	for _, code := range []uint8{codeUnavailable, codeTooMany, codeUnavailable} {
		peer.hearPlace()
		peer.say(wire.Refusal{Number: 1, Code: code, RetryAfterMS: 1})
	}
	if m := peer.hearPlace(); m.Number != 1 {
		t.Errorf("it is sent again under number %d", m.Number)
	}
	peer.say(wire.Placed{Number: 1, Seq: 11})
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(h.placed, []int32{4}) || len(h.refused) > 0 || !slices.Equal(sure, []bool{true, false, false, false}) {
		t.Errorf("%+v, surely not stored %v", h, sure)
	}
}

// A refusal without a look-up is final, and no outcome for what may be stored.
func TestARefusalWithoutALookUpSaysNothingOfAnEarlierSending(t *testing.T) {
	for _, code := range []uint8{codeOutOfCanvas, codeUnknownColor, codeUnauthorized} {
		r := newRig(t)
		_, peer, h, ended := startPainter(t, r, true, 2)
		peer.hearPlace()
		peer.hearPlace()
		peer.say(wire.Refusal{Number: 1, Code: code})
		peer.say(wire.Bye{WaitMinMS: 1, WaitMaxMS: 2})
		peer.frame(ws.NewCloseFrame(closeBody(1012)))
		peer, _ = r.accept()
		if m := peer.hearPlace(); m.Number != 2 {
			t.Errorf("number %d, want 2", m.Number)
		}
		peer.say(wire.Refusal{Number: 2, Code: code})
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(h.refused, []int32{0}) || len(h.placed) > 0 {
			t.Errorf("%s: %+v, want the first one refused only", CodeName(code), h)
		}
	}
}

func TestPainterNeverPaintsOnAnotherCanvas(t *testing.T) {
	a, b := newRig(t), newRig(t)
	b.canvas = rigCanvas + 1
	h := &heard{}
	p := NewPainter(h.options(true, 1, a.server, b.server))
	ended := make(chan error, 1)
	go func() { ended <- p.Run(t.Context()) }()
	peer, _ := a.accept()
	peer.cut()
	b.accept()
	if err := <-ended; !errors.Is(err, ErrOtherCanvas) {
		t.Errorf("Run = %v", err)
	}
}
