package session

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"pixelwall/core"
	"pixelwall/edge/gateway"
	"pixelwall/wire"
)

// place checks what the rules can say at once and hands the rest to the placer.
func (cl *client) place(payload []byte) {
	p, err := wire.ParsePlace(payload)
	if err != nil {
		cl.malformed(err)
		return
	}
	switch {
	case cl.user == nil:
		cl.refusePlace(p.Number, core.NewError(core.CodeUnauthorized, "placing needs a token"))
		return
	case cl.srv.draining.Load():
		cl.refusePlace(p.Number, &core.Error{Code: core.CodeDraining, Msg: "this server goes away", RetryAfter: time.Second})
		return
	case cl.unanswered >= unansweredMax:
		cl.refusePlace(p.Number, &core.Error{Code: core.CodeTooMany, Msg: "wait for answers before you place more", RetryAfter: time.Second})
		return
	}
	request := core.Request{Instance: cl.instance, Number: p.Number}
	placement, err := core.NewPlacement(cl.srv.opt.Hub.Config(), int(p.X), int(p.Y), int(p.Color), cl.user.ID, request)
	if err != nil {
		cl.refusePlace(p.Number, err)
		return
	}
	if !cl.srv.placer.add(cl, placement) {
		cl.refusePlace(p.Number, &core.Error{Code: core.CodeUnavailable, Msg: "too many placements are waiting", RetryAfter: time.Second})
		return
	}
	cl.unanswered++
}

// refusePlace answers and counts a placement that the sequencer was not asked for.
func (cl *client) refusePlace(number uint32, err error) {
	cl.srv.stats.results[refusedWith(core.CodeOf(err))].Add(1)
	cl.refuse(number, err)
}

const (
	// placementsMax bounds the placements that wait for the sequencer, all lanes
	// together. Beyond it they are refused with a retry-after; nothing is charged.
	// With several lanes half of it is for whichever is busy, the other half is
	// shared out, so that a busy lane leaves room in the others.
	placementsMax = 1 << 16
	// batchMax is how many go to the sequencer in one call.
	batchMax = 4096
	// gatherMax is how many need not wait for more.
	gatherMax = 64
)

// A placer hands placements from the event loops to the sequencer in lanes,
// each for its part of the shards, so that none waits for another's: where every
// shard has a sequencer of its own, one that is slow or away holds up nobody else.
type placer struct {
	lanes []*lane
	spare atomic.Int64 // places that no lane has for itself and that are free

	calls  context.Context // of the sequencer; ends with GiveUp
	giveUp context.CancelCauseFunc
}

func (p *placer) init(s *Server) {
	n, own := max(1, min(s.opt.Lanes, core.ShardsMax)), placementsMax
	if n > 1 {
		own = placementsMax / 2 / n
	}
	p.spare.Store(int64(placementsMax - n*own))
	p.calls, p.giveUp = context.WithCancelCause(context.Background())
	for range n {
		p.lanes = append(p.lanes, &lane{srv: s, own: own, spare: &p.spare, gather: s.opt.Gather, ready: make(chan struct{}, 1)})
	}
}

// GiveUp ends every call of the sequencer: what it has not answered is unknown, and
// so is what still waits. It is for the end, when nobody is left to be told; without
// it a sequencer that hangs would hold up Run.
func (s *Server) GiveUp() { s.placer.giveUp(errGivenUp) }

var errGivenUp = errors.New("the server ended before the sequencer answered")

func (p *placer) add(cl *client, pl core.Placement) bool {
	return p.lanes[int(pl.Shard)%len(p.lanes)].add(cl, pl)
}

// run places until ctx ends, and then what still waits.
func (p *placer) run(ctx context.Context) {
	var done sync.WaitGroup
	for _, l := range p.lanes[1:] {
		done.Go(func() { l.run(ctx) })
	}
	p.lanes[0].run(ctx)
	done.Wait()
}

// A lane gives all that wait to the sequencer in one call: while one group is
// made durable the next one gathers.
type lane struct {
	srv    *Server
	own    int           // placements that may wait in any case
	spare  *atomic.Int64 // the placer's
	gather time.Duration // how long a few wait for more, so that a remote sequencer gets fewer calls
	ready  chan struct{}

	mu       sync.Mutex
	askers   []*client // guarded by mu; parallel to asked
	asked    []core.Placement
	since    time.Time      // when the first of asked came; only while there is a gather
	outcomes []core.Outcome // the run goroutine's
	replies  []loopReplies  // one a loop, the run goroutine's
}

// loopReplies are the answers for the clients of one event loop.
type loopReplies struct {
	to     []reply
	frames []byte
	unsure []*client // who have no answer, because nobody knows it
}

type reply struct {
	to     *client
	end    int // of its frame in frames
	answer bool
}

func (p *lane) add(cl *client, pl core.Placement) bool {
	p.mu.Lock()
	n := len(p.asked)
	room := n < p.own || p.takeSpare()
	if room {
		p.askers, p.asked = append(p.askers, cl), append(p.asked, pl)
		if n == 0 && p.gather > 0 {
			p.since = time.Now()
		}
	}
	p.mu.Unlock()
	if room && (n == 0 || n+1 == gatherMax) {
		wake(p.ready)
	}
	return room
}

// takeSpare takes one of the places that all lanes share, if one is free.
func (p *lane) takeSpare() bool {
	if p.spare.Add(-1) >= 0 {
		return true
	}
	p.spare.Add(1)
	return false
}

// run places until ctx ends, and then what still waits: a client may have been
// told that its placement is under way.
func (p *lane) run(ctx context.Context) {
	var askers []*client
	var asked []core.Placement
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-p.ready:
		}
		for {
			p.gatherMore(ctx, timer)
			p.mu.Lock()
			askers, p.askers = p.askers, askers[:0]
			asked, p.asked = p.asked, asked[:0]
			p.mu.Unlock()
			if len(asked) == 0 {
				break
			}
			if shared := len(asked) - p.own; shared > 0 {
				p.spare.Add(int64(shared))
			}
			for at := 0; at < len(asked); at += batchMax {
				end := min(at+batchMax, len(asked))
				p.place(askers[at:end], asked[at:end])
			}
			clear(askers)
		}
	}
}

// gatherMore waits, where a few placements wait, until their time is over or
// there are enough of them.
func (p *lane) gatherMore(ctx context.Context, timer *time.Timer) {
	if p.gather <= 0 {
		return
	}
	for {
		p.mu.Lock()
		n, left := len(p.asked), p.gather-time.Since(p.since)
		p.mu.Unlock()
		if n == 0 || n >= gatherMax || left <= 0 {
			return
		}
		timer.Reset(left)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-p.ready:
		}
	}
}

// place decides one batch and answers it, one posted function a loop.
func (p *lane) place(askers []*client, asked []core.Placement) {
	if cap(p.outcomes) < len(asked) {
		p.outcomes = make([]core.Outcome, min(batchMax, 2*len(asked)))
	}
	outcomes := p.outcomes[:len(asked)]
	clear(outcomes)
	failed := p.srv.opt.Sequencer.Place(p.srv.placer.calls, asked, outcomes)
	if failed != nil {
		p.srv.opt.Logger.Error("placements failed", "count", len(asked), "err", failed)
	}
	for i := range outcomes {
		if failed != nil {
			outcomes[i].Unknown = true
		}
		p.answer(askers[i], asked[i].Request.Number, &outcomes[i])
	}
	for i := range p.replies {
		r := p.replies[i]
		if len(r.to) == 0 && len(r.unsure) == 0 {
			continue
		}
		p.replies[i] = loopReplies{}
		askers[0].conn.Gateway().PostLoop(i, r.deliver)
	}
}

// answer writes what becomes of one placement, and tells the user's other pages.
func (p *lane) answer(cl *client, number uint32, o *core.Outcome) {
	result := resultPlaced
	switch {
	case o.Unknown:
		result = resultUnknown
	case o.Err != nil:
		result = refusedWith(o.Err.Code)
	case o.Repeated:
		result = resultRepeated
	}
	p.srv.stats.results[result].Add(1)

	r := p.repliesOf(cl)
	if o.Unknown {
		r.unsure = append(r.unsure, cl)
		return
	}
	if o.Err != nil {
		r.add(cl, true, refusal(number, o.Err, o.Allowance))
		return
	}
	r.add(cl, true, wire.Placed{
		Number: number, Shard: uint8(o.Shard), Seq: o.Seq, TimeMS: uint64(o.TimeMS), Allowance: allowance(o.Allowance),
	})
	if o.Repeated {
		return // nothing changed for the user's other pages
	}
	cl.user.others(cl, func(other *client) {
		p.repliesOf(other).add(other, false, allowance(o.Allowance))
	})
}

// repliesOf returns the answers for the loop of cl. Loops begin one after the
// other, so a client of the first one may paint before there is a second.
func (p *lane) repliesOf(cl *client) *loopReplies {
	for cl.conn.Loop() >= len(p.replies) {
		p.replies = append(p.replies, loopReplies{})
	}
	return &p.replies[cl.conn.Loop()]
}

func (r *loopReplies) add(cl *client, answer bool, m interface{ AppendTo([]byte) []byte }) {
	r.frames = wire.AppendFrame(r.frames, m)
	r.to = append(r.to, reply{to: cl, end: len(r.frames), answer: answer})
}

// deliver runs on the loop of all its clients.
func (r loopReplies) deliver() {
	at := 0
	for _, to := range r.to {
		if to.answer {
			to.to.unanswered--
		}
		to.to.send(r.frames[at:to.end])
		at = to.end
	}
	for _, cl := range r.unsure {
		cl.comeAgain()
	}
}

var _ gateway.Handler = (*Server)(nil)
