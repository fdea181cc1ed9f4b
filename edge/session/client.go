package session

import (
	"pixelwall/core"
	"pixelwall/edge/fanout"
	"pixelwall/edge/gateway"
	"pixelwall/wire"
)

// unansweredMax is how many placements of a connection may be under way.
const unansweredMax = 64

// A client is one conversation. All of it belongs to the connection's event
// loop, but for sub, which is the hub's.
//
// Its life: open -> introduced (a good hello came) -> greeted (init was sent).
type client struct {
	conn *gateway.Conn
	srv  *Server
	sub  fanout.Subscription

	user     *user // nil for one who only watches
	instance uint64
	follow   uint64 // shards whose batches it gets
	wanted   *fanout.Join

	// While batches are left out, because the client reads too slowly:
	behind   *core.Heads // what it holds of the shards in follow; nil in step
	drained  bool        // it has read everything since, and a catch-up is on its way
	restated bool        // follow and behind say more than what was asked before
	ticket   uint32      // rises when an answer that is on its way stops counting

	freshMinute int64 // of the clock
	fresh       int   // shards that it may still resume in it right after it fetched them

	unanswered int16
	introduced bool
	greeted    bool
	plain      bool // understands Rice only
}

// send queues frames. An answer that finds no room would leave a hole in what
// the client knows, so it is told to start again.
func (cl *client) send(frames []byte) {
	if !cl.conn.Send(frames) {
		cl.conn.Close(gateway.CodeSlow, "too much is unread")
	}
}

// refuse answers with an error, and closes where the code asks for it. number
// is that of the place it answers, 0 for another message.
func (cl *client) refuse(number uint32, err error) {
	cl.send(wire.AppendFrame(nil, refusal(number, err, core.Allowance{})))
	if code, ends := closes[core.CodeOf(err)]; ends {
		cl.conn.Close(code, core.CodeOf(err).String())
	}
}

// refusal translates err. Of a foreign error it tells nothing.
func refusal(number uint32, err error, a core.Allowance) wire.Refusal {
	r := wire.Refusal{Number: number, Code: uint8(core.CodeInternal), Message: "the server failed", Allowance: allowance(a)}
	if e, ok := err.(*core.Error); ok {
		r.Code, r.Message, r.RetryAfterMS = uint8(e.Code), e.Msg, uint64(max(0, e.RetryAfter.Milliseconds()))
	}
	if len(r.Message) > wire.TextBytesMax {
		r.Message = r.Message[:wire.TextBytesMax]
	}
	return r
}

func allowance(a core.Allowance) wire.Allowance {
	return wire.Allowance{Available: uint32(a.Available), Max: uint32(a.Max), NextMS: uint64(max(0, a.NextMS))}
}

// malformed ends the conversation with one who does not follow the protocol.
func (cl *client) malformed(err error) {
	cl.refuse(0, core.NewError(core.CodeMalformed, err.Error()))
}

func (cl *client) ping(payload []byte) {
	p, err := wire.ParsePing(payload)
	if err != nil {
		cl.malformed(err)
		return
	}
	cl.send(wire.AppendFrame(nil, wire.Pong{Nonce: p.Nonce, TimeMS: uint64(cl.srv.opt.NowMS())}))
}

// How long a client waits that has to ask again what became of a placement: what
// nobody knows now is seldom known at once.
const (
	againMinMS = 1000
	againMaxMS = 5000
)

// comeAgain ends the conversation with one whose placement may be stored or not.
// Neither answer would be true; when it sends the placement again on its next
// connection, it is told. One who was told to go already is not told again.
func (cl *client) comeAgain() {
	bye(cl.conn, againMinMS, againMaxMS, "the outcome of a placement is not known; send it again")
}

// gone gives back what the client held.
func (cl *client) gone() {
	if cl.plain {
		cl.srv.opt.Hub.CountPlain(-1)
	}
	if cl.user != nil {
		cl.srv.users.leave(cl.user, cl)
	}
}
