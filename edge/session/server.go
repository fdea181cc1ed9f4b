package session

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"pixelwall/core"
	"pixelwall/edge/fanout"
	"pixelwall/edge/gateway"
	"pixelwall/edge/limit"
	"pixelwall/edge/seldom"
	"pixelwall/wire"
)

// A User is who a token names.
type User struct {
	ID     uint64 // internal; never leaves the server
	Public uint64 // salted, for others to see
	Name   string
}

// Options is what a Server needs of the rest of the edge.
type Options struct {
	Hub       *fanout.Hub
	Sequencer core.Sequencer
	Cooldowns core.Cooldowns
	Verify    func(token string) (User, error) // *core.Error; must not wait
	ReadOnly  func() bool                      // the store takes no placements just now; must not wait
	Online    func() int                       // connected clients
	NowMS     func() int64
	CanvasID  uint64
	CanvasURL string
	Build     string
	Logger    *slog.Logger

	// Lanes is how many calls of Sequencer.Place may be under way at once, each
	// for its part of the shards; 0 means one. Gather is how long fewer than 64
	// placements of a lane wait for more.
	Lanes  int
	Gather time.Duration

	// Resumes bounds the shards that the clients of one network go on with, Fresh those
	// among them that they have just fetched; nil does not.
	Resumes, Fresh *limit.Budget
}

// A Server is the gateway's handler: it holds the conversations of this edge.
type Server struct {
	opt      Options
	placer   placer
	greeter  greeter
	users    registry
	readOnly atomic.Bool
	draining atomic.Bool
	stats    counters
	reports  *limit.Budget // of canvases that differ
	reported seldom.Log

	// Used by the hub's goroutine only.
	lastOnline     int
	saidTick       time.Duration
	nextPresenceMS int64
}

// New returns a server. Call Run to serve hellos and placements.
func New(opt Options) *Server {
	s := &Server{opt: opt, saidTick: opt.Hub.Tick(), reports: limit.NewBudget(1, time.Minute)}
	s.placer.init(s)
	s.greeter.init(s)
	return s
}

// Run serves the queues until ctx ends. What was queued by then is answered.
func (s *Server) Run(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.greeter.run(ctx)
	}()
	s.placer.run(ctx)
	<-done
}

// Open begins a conversation.
func (s *Server) Open(c *gateway.Conn, _ *gateway.Request) {
	c.Data = &client{conn: c, srv: s}
}

// Message takes one message of a client.
func (s *Server) Message(c *gateway.Conn, op ws.OpCode, payload []byte) {
	cl := c.Data.(*client)
	if op != ws.OpBinary {
		c.Close(closeText, "pixelwall speaks binary messages")
		return
	}
	switch t := wire.TypeOf(payload); {
	case t == wire.TypeHello:
		cl.hello(payload)
	case !cl.introduced:
		cl.refuse(0, core.NewError(core.CodeHelloRequired, "say hello first"))
	case t == wire.TypeWatch:
		cl.watch(payload)
	case t == wire.TypePlace:
		cl.place(payload)
	case t == wire.TypePing:
		cl.ping(payload)
	case len(payload) == 0:
		cl.malformed(&wire.Error{Code: wire.Truncated, Msg: "an empty message"})
	default:
		cl.refuse(0, core.NewError(core.CodeUnknownMessage, "this server does not know messages of "+t.String()))
	}
}

// Skipped notes what a client that reads too slowly still holds.
func (s *Server) Skipped(c *gateway.Conn, b *gateway.Broadcast) {
	cl := c.Data.(*client)
	cl.behind, cl.drained, cl.restated = b.From.(*core.Heads), false, false
	cl.ticket++
}

// Drained lets a client that was skipped catch up from where it was.
func (s *Server) Drained(c *gateway.Conn) {
	cl := c.Data.(*client)
	cl.drained = true
	cl.catchUp()
}

// Close ends a conversation.
func (s *Server) Close(c *gateway.Conn, code uint16, err error) {
	c.Data.(*client).gone()
}

// Say is called by the hub at each tick and returns frames for everybody, or
// nil: a presence every few seconds when it changed, a configuration when the
// tick changed or the store became full or has room again.
func (s *Server) Say() []byte {
	var frames []byte
	ro, tick := s.opt.ReadOnly(), s.opt.Hub.Tick()
	if ro != s.readOnly.Load() || tick != s.saidTick {
		s.readOnly.Store(ro)
		s.saidTick = tick
		frames = wire.AppendFrame(frames, s.config(s.opt.Hub.Config()))
	}
	now := s.opt.NowMS()
	if online := s.opt.Online(); online != s.lastOnline && now >= s.nextPresenceMS {
		s.lastOnline, s.nextPresenceMS = online, now+presenceEvery.Milliseconds()
		frames = wire.AppendFrame(frames, wire.Presence{Online: uint64(online)})
	}
	return frames
}

const presenceEvery = 3 * time.Second

// ConfigFrame returns the message that tells everybody of configuration c.
func (s *Server) ConfigFrame(c *core.Config) []byte { return wire.AppendFrame(nil, s.config(c)) }

func (s *Server) config(c *core.Config) wire.Config {
	w := wire.Config{
		Version: c.Version, Width: uint16(c.Width), Height: uint16(c.Height), Bits: c.Bits, Blank: c.Blank,
		CooldownMS: uint64(c.CooldownMS), BurstMax: uint32(c.BurstMax),
		TickMS: uint32(s.opt.Hub.Tick().Milliseconds()), ReadOnly: s.readOnly.Load(),
		Colors: make([]wire.Color, len(c.Palette)),
	}
	for i, k := range c.Palette {
		w.Colors[i] = wire.Color{RGB: k.RGB, Name: k.Name}
	}
	return w
}

// Reset tells a client that it must fetch those of its shards again that are in
// shards; reason is one of a wire.Resync.
func (s *Server) Reset(c *gateway.Conn, shards uint64, reason uint8) {
	cl, ok := c.Data.(*client)
	if !ok || !cl.introduced {
		return
	}
	var lost []uint8
	for shard := range uint8(core.ShardsMax) {
		if cl.follow&shards>>shard&1 == 1 {
			lost = append(lost, shard)
		}
	}
	if len(lost) == 0 {
		return
	}
	cl.follow &^= shards
	if cl.follow == 0 && cl.behind != nil {
		cl.behind = nil // what was lost is fetched by HTTP; but a change of this may have been left out
		cl.send(s.ConfigFrame(s.opt.Hub.Config()))
	}
	if cl.behind == nil {
		c.Follow(cl.follow)
	}
	cl.send(wire.AppendFrame(nil, wire.Resync{Reason: reason, Shards: lost}))
}

// Bye tells a client to reconnect elsewhere and closes. wait is the range of ms
// in which a fleet's clients spread themselves.
func (s *Server) Bye(c *gateway.Conn, waitMinMS, waitMaxMS uint64) {
	bye(c, waitMinMS, waitMaxMS, "the server restarts")
}

// bye does nothing to a connection that is closed already.
func bye(c *gateway.Conn, waitMinMS, waitMaxMS uint64, reason string) {
	c.Send(wire.AppendFrame(nil, wire.Bye{WaitMinMS: waitMinMS, WaitMaxMS: waitMaxMS}))
	c.Close(closeRestart, reason)
}

// Drain makes the server refuse new placements; what is under way is answered.
func (s *Server) Drain() { s.draining.Store(true) }

// counters are only ever added to.
type counters struct {
	diverged atomic.Int64
	resumed  atomic.Int64
	denied   atomic.Int64
	results  [resultCodes + len(refusals)]atomic.Int64 // placements
}

// Stats is what a server did since it was made.
type Stats struct {
	Diverged int64            // checks that a client found to differ
	Resumed  int64            // shards that a client wanted to go on with, without a canvas
	Denied   int64            // of those, refused because its network asked for too many
	Results  map[string]int64 // placements by outcome: "placed", "repeated", "unknown", or the name of one of refusals
}

const (
	resultPlaced = iota
	resultRepeated
	resultUnknown
	resultCodes // and the place in refusals
)

// refusals are the codes that a placement is refused with. Any other is a fault of
// ours, and counts as the first.
var refusals = [...]core.Code{
	core.CodeInternal, core.CodeOutOfCanvas, core.CodeUnknownColor, core.CodeUnknownShard, core.CodeCooldown, core.CodeUnauthorized,
	core.CodeExpired, core.CodeReadOnly, core.CodeUnavailable, core.CodeTooMany, core.CodeDraining,
}

// refusedWith returns where placements that are refused with code are counted.
func refusedWith(code core.Code) int { return resultCodes + max(0, slices.Index(refusals[:], code)) }

// Stats returns the counters.
func (s *Server) Stats() Stats {
	st := Stats{Diverged: s.stats.diverged.Load(), Resumed: s.stats.resumed.Load(), Denied: s.stats.denied.Load(), Results: map[string]int64{
		"placed": s.stats.results[resultPlaced].Load(), "repeated": s.stats.results[resultRepeated].Load(),
		"unknown": s.stats.results[resultUnknown].Load(),
	}}
	for _, c := range refusals {
		st.Results[c.String()] = s.stats.results[refusedWith(c)].Load()
	}
	return st
}
