package session

import (
	"context"
	"fmt"
	"sync"
	"time"

	"pixelwall/core"
	"pixelwall/edge/fanout"
	"pixelwall/edge/gateway"
	"pixelwall/edge/seldom"
	"pixelwall/wire"
)

// hello introduces a client. Its allowance may lie in another process, so init
// follows when the greeter knows it; placements need not wait for that.
func (cl *client) hello(payload []byte) {
	h, err := wire.ParseHello(payload)
	switch {
	case err != nil:
		cl.malformed(err)
		return
	case cl.introduced:
		cl.refuse(0, core.NewError(core.CodeInvalid, "hello was said before"))
		return
	case h.Version != wire.Version:
		cl.refuse(0, core.NewError(core.CodeInvalid, fmt.Sprintf("protocol version %d: this server speaks %d", h.Version, wire.Version)))
		cl.conn.Close(closeVersion, "protocol version")
		return
	}
	if h.Token != "" {
		u, err := cl.srv.opt.Verify(h.Token)
		if err != nil {
			cl.refuse(0, err)
			cl.conn.Close(closeToken, core.CodeOf(err).String())
			return
		}
		cl.user = cl.srv.users.join(u, cl)
	}
	cl.introduced, cl.instance = true, h.Instance
	cl.conn.Introduced()
	if cl.user != nil {
		cl.instance ^= cl.user.ID // two users with the same instance are not one page
	}
	if h.Capabilities&wire.CanRange == 0 {
		cl.plain = true
		cl.srv.opt.Hub.CountPlain(1)
		cl.conn.SetClass(fanout.ClassRice)
	}
	if cl.user == nil {
		cl.greet(core.Allowance{})
		return
	}
	if !cl.srv.greeter.add(cl) {
		cl.refuse(0, &core.Error{Code: core.CodeUnavailable, Msg: "too many are arriving", RetryAfter: time.Second})
		cl.conn.Close(closeTryLater, "too many are arriving")
	}
}

// greet sends init, and then asks for the shards that were wanted meanwhile.
func (cl *client) greet(a core.Allowance) {
	s := cl.srv
	init := wire.Init{
		Version: wire.Version, Canvas: s.opt.CanvasID, Config: s.config(s.opt.Hub.Config()), Allowance: allowance(a),
		TimeMS: uint64(s.opt.NowMS()), Online: uint64(s.opt.Online()), Build: s.opt.Build, CanvasURL: s.opt.CanvasURL,
	}
	if cl.user != nil {
		init.User, init.Name = cl.user.Public, cl.user.Name
	}
	heads := s.opt.Hub.Heads()
	geo := core.Geometry{Width: int(init.Config.Width), Height: int(init.Config.Height), Bits: init.Config.Bits}
	for _, shard := range geo.Shards() {
		init.Heads = append(init.Heads, wire.Head{Shard: uint8(shard), Seq: heads[shard]})
	}
	cl.send(wire.AppendFrame(nil, &init))
	cl.greeted = true
	cl.conn.Hear(true)
	if j := cl.wanted; j != nil {
		cl.wanted = nil
		cl.join(j)
	}
}

const (
	// arrivalsMax bounds the hellos that wait for an allowance.
	arrivalsMax = 1 << 15
	// greetersMax is how many allowances are asked for at once: a store that is a
	// millisecond away greets as many thousand a second.
	greetersMax = 64
)

// A greeter asks for the allowance of those who arrive, off the event loops.
type greeter struct {
	srv      *Server
	arrived  chan *client
	failures seldom.Log
}

func (g *greeter) init(s *Server) { g.srv, g.arrived = s, make(chan *client, arrivalsMax) }

func (g *greeter) add(cl *client) bool {
	select {
	case g.arrived <- cl:
		return true
	default:
		return false
	}
}

func (g *greeter) run(ctx context.Context) {
	var greeters sync.WaitGroup
	for range greetersMax {
		greeters.Go(func() {
			for {
				select {
				case cl := <-g.arrived:
					g.greet(ctx, cl)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	greeters.Wait()
}

func (g *greeter) greet(ctx context.Context, cl *client) {
	a, err := g.srv.opt.Cooldowns.Allowance(ctx, cl.user.ID, g.srv.opt.NowMS())
	if err != nil {
		g.failures.Warn(g.srv.opt.Logger, time.UnixMilli(g.srv.opt.NowMS()), "no allowance for a client that arrived", "err", err)
	}
	cl.conn.Post(func(*gateway.Conn) { cl.greet(a) })
}

// wake makes the reader of a one-place channel look, now or when it comes back.
func wake(ready chan struct{}) {
	select {
	case ready <- struct{}{}:
	default:
	}
}
