package gateway

import (
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// An inbox is what a connection has received in part: a request head, a frame
// header, a payload or a message in fragments. An idle connection has none.
type inbox struct {
	sinceMS int64 // when the first part came

	head []byte // request head so far; at most Config.HandshakeBytesMax and one read more

	header     [frameHeaderBytesMax]byte
	headerLen  int
	frame      ws.Header // of the payload that is under way
	inPayload  bool
	payloadGot int64

	control []byte    // payload of a control frame so far; at most 125 bytes
	message []byte    // data so far; at most Config.MessageBytesMax
	op      ws.OpCode // of the message; 0 between messages
	frames  int       // of the message
	valid   int       // bytes of a text message known to be whole runes
}

// inboxKeepBytes is the largest buffer that is kept: one huge
// message shall not be paid for ever after.
const inboxKeepBytes = 16 << 10

// sparesMax is how many unused inboxes a loop keeps.
const sparesMax = 64

// inbox returns c's inbox, a fresh one if it had none.
func (c *Conn) inbox() *inbox {
	if c.in == nil {
		c.in = c.loop.takeInbox()
		c.in.sinceMS = c.loop.g.nowMS()
		if due := &c.loop.due[c.idx]; c.state == stateOpen {
			*due = min(*due, c.in.sinceMS+c.loop.g.ms.halfMessage)
		}
	}
	return c.in
}

// dropInbox gives the inbox back when it holds nothing more.
func (c *Conn) dropInbox() {
	if in := c.in; in != nil {
		c.in = nil
		c.loop.keepInbox(in)
	}
}

// takeInbox returns an empty inbox.
func (l *loop) takeInbox() *inbox {
	n := len(l.spares) - 1
	if n < 0 {
		return new(inbox)
	}
	in := l.spares[n]
	l.spares = l.spares[:n]
	return in
}

// keepInbox empties in and keeps it for the next one who needs it.
func (l *loop) keepInbox(in *inbox) {
	if len(l.spares) == sparesMax || cap(in.head)+cap(in.control)+cap(in.message) > inboxKeepBytes {
		return
	}
	*in = inbox{head: in.head[:0], control: in.control[:0], message: in.message[:0]}
	l.spares = append(l.spares, in)
}

// feed reads p, the next bytes of an upgraded connection. It unmasks in place;
// only what is not a whole message by itself is copied.
func (c *Conn) feed(p []byte) {
	for len(p) > 0 && c.state == stateOpen {
		if c.in != nil && c.in.inPayload {
			p = p[c.takePayload(p):]
			continue
		}
		header, rest, ok := c.takeHeader(p)
		if !ok {
			return
		}
		p = rest
		whole := int64(len(p)) >= header.Length
		inMessage := c.in != nil && c.in.op != 0
		switch {
		case whole && header.OpCode.IsControl():
			payload := p[:header.Length]
			ws.Cipher(payload, header.Mask, 0)
			p = p[header.Length:]
			c.onControl(header.OpCode, payload)
		case whole && header.Fin && !inMessage:
			payload := p[:header.Length]
			ws.Cipher(payload, header.Mask, 0)
			p = p[header.Length:]
			if header.OpCode == ws.OpText && !utf8.Valid(payload) {
				c.violate(errText)
				return
			}
			c.onMessage(header.OpCode, payload)
		default:
			in := c.inbox()
			in.frame, in.inPayload, in.payloadGot = header, true, 0
			if !header.OpCode.IsControl() {
				in.frames++
				if header.OpCode != ws.OpContinuation {
					in.op = header.OpCode
				}
			}
			if header.Length == 0 {
				c.endPayload(in)
			}
		}
	}
}

// takeHeader reads a frame header from what is left of the last read and p. It
// returns what follows the header, or false when more is needed or c has ended.
func (c *Conn) takeHeader(p []byte) (h ws.Header, rest []byte, ok bool) {
	inMessage := c.in != nil && c.in.op != 0
	var n int
	var bad *violation
	if c.in == nil || c.in.headerLen == 0 {
		if h, n, bad = parseHeader(p, inMessage); n == 0 && bad == nil {
			in := c.inbox()
			in.headerLen = copy(in.header[:], p)
			return h, nil, false
		}
	} else {
		in, had := c.in, c.in.headerLen
		in.headerLen += copy(in.header[had:], p)
		if h, n, bad = parseHeader(in.header[:in.headerLen], inMessage); n == 0 && bad == nil {
			return h, nil, false
		}
		if bad == nil {
			n -= had
			in.headerLen = 0
			if in.op == 0 {
				c.dropInbox()
			}
		}
	}
	if bad == nil {
		bad = c.admit(&h)
	}
	if bad != nil {
		c.violate(bad)
		return h, nil, false
	}
	return h, p[n:], true
}

// admit holds h against our own limits, before anything is kept for it.
func (c *Conn) admit(h *ws.Header) *violation {
	g := c.loop.g
	if !c.rate.take(g.nowUS(), g.everyUS, int64(g.cfg.MessageBurst)) {
		return errRate
	}
	if h.OpCode.IsControl() {
		return nil
	}
	had, frames := int64(0), 0
	if c.in != nil {
		had, frames = int64(len(c.in.message)), c.in.frames
	}
	switch {
	case h.Length > int64(g.cfg.FrameBytesMax), had+h.Length > int64(g.cfg.MessageBytesMax):
		return errTooBig
	case frames+1 > g.cfg.FragmentsMax:
		return errFragments
	}
	return nil
}

// takePayload moves the next part of a payload from p into the inbox and
// returns how many bytes that were.
func (c *Conn) takePayload(p []byte) int {
	in := c.in
	n := int(min(int64(len(p)), in.frame.Length-in.payloadGot))
	ws.Cipher(p[:n], in.frame.Mask, int(in.payloadGot%4))
	in.payloadGot += int64(n)
	if in.frame.OpCode.IsControl() {
		in.control = append(in.control, p[:n]...)
	} else {
		in.message = append(in.message, p[:n]...)
		if in.op == ws.OpText && !in.checkText() {
			c.violate(errText)
			return n
		}
	}
	if in.payloadGot == in.frame.Length {
		c.endPayload(in)
	}
	return n
}

// checkText validates what came since the last call, so that bad text is
// refused with the byte that spoils it and not at the end of the message.
func (in *inbox) checkText() bool {
	n, ok := utf8Prefix(in.message[in.valid:])
	in.valid += n
	return ok
}

// endPayload acts on a frame whose payload is complete.
func (c *Conn) endPayload(in *inbox) {
	in.inPayload = false
	if op := in.frame.OpCode; op.IsControl() {
		c.onControl(op, in.control)
		in.control = in.control[:0]
		if c.in != nil && in.op == 0 {
			c.dropInbox()
		}
		return
	}
	if !in.frame.Fin {
		return
	}
	if in.op == ws.OpText && in.valid != len(in.message) {
		c.violate(errText)
		return
	}
	c.in = nil // the handler may close c, which must not recycle the payload under it
	c.onMessage(in.op, in.message)
	c.loop.keepInbox(in)
}

func (c *Conn) onMessage(op ws.OpCode, payload []byte) {
	c.loop.g.stats.messagesIn.Add(1)
	c.loop.callMessage(c, op, payload)
}

func (c *Conn) onControl(op ws.OpCode, payload []byte) {
	switch op {
	case ws.OpPing:
		if c.gc.OutboundBuffered() <= c.loop.g.cfg.BacklogBytes { // else the peer reads nothing anyway
			var frame [2 + ws.MaxControlFramePayloadSize]byte
			c.write(AppendFrame(frame[:0], ws.OpPong, payload))
		}
	case ws.OpClose:
		code, bad := parseClose(payload)
		if bad != nil {
			c.violate(bad)
			return
		}
		c.end(code, nil, appendClose(nil, code, ""))
	}
}

// violate ends c for breaking a rule.
func (c *Conn) violate(v *violation) {
	c.end(v.code, v, appendClose(nil, v.code, v.reason))
}
