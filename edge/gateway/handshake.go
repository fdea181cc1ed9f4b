package gateway

import (
	"net/netip"

	"pixelwall/edge/limit"
)

// readHead collects the request head and, once it is whole, upgrades the
// connection, refuses it, or hands it to the HTTP server.
func (c *Conn) readHead(p []byte) {
	g, searched := c.loop.g, 0
	if c.in != nil {
		searched = len(c.in.head)
		c.in.head = append(c.in.head, p...)
		p = c.in.head
	}
	if !plausible(p) {
		c.refuseWith(badHead("this is not HTTP"))
		return
	}
	n := headEnd(p, searched)
	if n > g.cfg.HandshakeBytesMax || n == 0 && len(p) > g.cfg.HandshakeBytesMax {
		c.refuseWith(&headError{431, "the request head is too long"})
		return
	}
	if n == 0 {
		if c.in == nil {
			in := c.inbox()
			in.head = append(in.head, p...)
		}
		return
	}
	in := c.in
	c.in = nil
	c.route(p[:n], p[n:], p)
	if in != nil {
		c.loop.keepInbox(in)
	}
}

// route decides what the whole head asks for. all is head and rest together.
func (c *Conn) route(head, rest, all []byte) {
	g, req := c.loop.g, &c.loop.request
	if c.refuse != nil {
		c.refuseWith(c.refuse)
		return
	}
	if bad := req.parse(head); bad != nil {
		c.refuseWith(bad)
		return
	}
	if !req.isUpgrade(g.cfg.Path) {
		switch {
		case c.adopted:
			c.refuseWith(badHead("this connection was kept for an upgrade"))
		case g.cfg.HTTP == nil:
			c.refuseWith(&headError{404, "only WebSocket is served here"})
		default:
			c.handOver(all)
		}
		return
	}
	if bad := req.checkUpgrade(g.cfg.Origins); bad != nil {
		c.refuseWith(bad)
		return
	}
	if bad := c.admitClient(req); bad != nil {
		c.refuseWith(bad)
		return
	}
	c.open(req)
	c.feed(rest)
}

// admitClient finds out who the client is and counts it against the limits.
func (c *Conn) admitClient(req *Request) *headError {
	g := c.loop.g
	if g.draining.Load() {
		return &headError{503, "this server is about to stop"}
	}
	peer := c.remote
	client, forwarded := req.clientAddr(peer, g.cfg.TrustedProxies)
	c.remote = client
	if forwarded && !c.counted {
		if c.counted = g.adm.enter(limit.Network(client)); !c.counted {
			return errAddressFull
		}
	}
	return nil
}

var (
	errAddressFull = &headError{429, "too many connections from this address"}
	errFull        = &headError{503, "this server has no room at the moment"}
)

// exempt reports whether connections from peer are not counted by its own
// address: a trusted proxy speaks for many, and loopback is local use. Either
// is counted by the address that it forwards, if it does.
func (g *Gateway) exempt(peer netip.Addr) bool {
	return peer.IsLoopback() || within(peer, g.cfg.TrustedProxies)
}

// open answers the upgrade and tells the handler.
func (c *Conn) open(req *Request) {
	g := c.loop.g
	if err := c.gc.SetWriteBuffer(g.cfg.SendBufferBytes); err != nil {
		g.cfg.Logger.Debug("send buffer stays as it is", "err", err)
	}
	var buf [512]byte
	c.write(req.appendSwitching(buf[:0], g.cfg.Subprotocol))
	if c.state != stateHead {
		return
	}
	c.state, c.sinceMS, c.opened = stateOpen, g.nowMS(), true
	c.seenMS = c.sinceMS
	c.loop.due[c.idx] = 0
	g.stats.upgraded.Add(1)
	g.stats.open.Add(1)
	c.loop.callOpen(c, req)
}

// refuseWith answers a request that gets no further.
func (c *Conn) refuseWith(e *headError) {
	c.loop.g.stats.refusedWith(e.status)
	c.end(codeAbnormal, e, appendRefusal(nil, e))
}
