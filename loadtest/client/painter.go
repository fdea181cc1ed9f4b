package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"pixelwall/wire"
)

// A server allows 20 messages a second with a burst of 40, by the time at which
// it reads them. What it has not read yet is at most what is under way, so a
// server that stood still for a while and then reads everything at once sees at
// most messageBurst + underWayMax + 19 a second, and some are left for pongs.
const (
	messageEvery = time.Second / 19
	messageBurst = 14
	underWayMax  = 24 // and below the 64 that may be unanswered
)

// A Job is one placement, named by the caller.
type Job struct {
	ID    int32
	X, Y  uint16
	Color uint8
}

// PainterOptions is what a Painter needs to know.
type PainterOptions struct {
	// Servers are tried in turn, beginning with the first: when a connection ends
	// the next one is asked. They share one canvas and one set of token keys.
	Servers  []*Server
	N        int // number of the connection, see Dial
	Instance uint64
	// Reconnect lets the painter go on after a cut, and send again, under the same
	// number, what a server refused for now (unavailable or too_many with a
	// retry-after, or draining). A pixel then has one placement under way at a time,
	// so that its placements keep their order whatever is refused.
	Reconnect bool
	// Patience is how long one placement may be refused for now before that is
	// final; 0 is as long as Run may run. One that a connection left without an
	// answer may be stored, so that no refusal for now is final.
	Patience time.Duration
	Queue    int // jobs that may wait; see Painter.Paint

	// Placed and Refused hear of each job's final outcome, once. One that may be
	// stored has none when no server says within two minutes of its first sending what
	// became of it, or when one refuses it without looking it up. Retried hears of
	// each refusal after which the job is sent again, and whether it is surely not
	// stored by then; it may be nil. All are called on a goroutine of the painter, one
	// at a time, and hold up its answers.
	Placed  func(id int32, p wire.Placed)
	Refused func(id int32, r wire.Refusal)
	Retried func(id int32, r wire.Refusal, sure bool)
}

// A Painter places jobs in order through one connection at a time, and sends
// again what was not answered when it had to reconnect.
//
//	NewPainter -> Connect (may be left out when there is no token to give)
//	           -> Run on a goroutine, Paint from one other
//	           -> Finish -> Run returns nil when all is answered
//
// When Run's context ends, what is under way stays without an outcome: it may
// have been stored.
type Painter struct {
	o      PainterOptions
	token  string
	canvas uint64 // 0 before the first init
	route  route
	conn   *Conn
	queue  chan Job
	window *window
	held   *Job      // taken from queue, without a number yet
	last   bool      // queue is closed and empty
	spent  time.Time // GCRA: when the message budget is whole again

	Reconnects atomic.Int64

	mu  sync.Mutex // Protects following.
	bye wire.Bye
}

// NewPainter returns a painter that is not connected yet.
func NewPainter(o PainterOptions) *Painter {
	return &Painter{o: o, route: route{servers: o.Servers}, queue: make(chan Job, o.Queue), window: newWindow(o.Reconnect)}
}

// Paint queues a job. It waits while the queue is full: the caller then is
// ahead of what the server's limits let one connection send.
func (p *Painter) Paint(ctx context.Context, j Job) error {
	select {
	case p.queue <- j:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Finish says that no more jobs come; Run returns when all are answered.
func (p *Painter) Finish() { close(p.queue) }

// Connect makes the first connection, as the user whose token it is, and returns
// what the server says of itself.
func (p *Painter) Connect(ctx context.Context, token string) (wire.Init, error) {
	p.token = token
	return p.connect(ctx)
}

func (p *Painter) connect(ctx context.Context) (wire.Init, error) {
	conn, err := Dial(ctx, p.route.server().WS, p.o.N)
	if err != nil {
		return wire.Init{}, err
	}
	stop := context.AfterFunc(ctx, conn.Close)
	init, err := conn.Hello(wire.Hello{Instance: p.o.Instance, Token: p.token})
	stop()
	if err == nil && p.canvas != 0 && init.Canvas != p.canvas {
		err = ErrOtherCanvas
	}
	if err != nil {
		conn.Close()
		return init, err
	}
	p.conn, p.canvas = conn, init.Canvas
	p.route.arrive()
	return init, nil
}

// Run places jobs until Finish was called and all are answered, or until ctx
// ends, or until the connection fails and it may not or cannot reconnect.
func (p *Painter) Run(ctx context.Context) error {
	for {
		err := error(nil)
		if p.conn == nil {
			_, err = p.connect(ctx)
		}
		if err == nil {
			if err = p.converse(ctx); err == nil {
				return nil
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !p.o.Reconnect || permanent(err) {
			return fmt.Errorf("painter %d: %w", p.o.N, err)
		}
		p.Reconnects.Add(1)
		p.mu.Lock()
		bye := p.bye
		p.bye = wire.Bye{}
		p.mu.Unlock()
		if err := p.route.leave(ctx, bye); err != nil {
			return err
		}
	}
}

// converse uses the connection until everything is answered (nil) or it fails.
func (p *Painter) converse(ctx context.Context) error {
	conn, dead := p.conn, make(chan error, 1)
	go func() { dead <- p.listen(conn) }()
	err := p.speak(ctx, conn, dead)
	conn.Close()
	if !errors.Is(err, errDead) {
		<-dead // so that no answer comes later
	}
	p.conn = nil
	return err
}

// errDead wraps what listen ended with.
var errDead = errors.New("the connection ended")

// speak sends what is due: first what was under way before this connection,
// then one job after the other as the window has room.
func (p *Painter) speak(ctx context.Context, conn *Conn, dead chan error) error {
	p.window.again()
	for {
		if p.held != nil && p.window.begin(*p.held) {
			p.held = nil
		}
		m, ok, next := p.window.toSend(time.Now())
		if ok {
			if err := p.pace(ctx, dead); err != nil {
				return err
			}
			if err := conn.Send(m); err != nil {
				return err
			}
			continue
		}
		if p.last && p.held == nil && p.window.empty() {
			return nil
		}
		if err := p.await(ctx, dead, next); err != nil {
			return err
		}
	}
}

// await waits until there may be something to send: a job, an answer, or the
// moment next, if any.
func (p *Painter) await(ctx context.Context, dead chan error, next time.Time) error {
	queue := p.queue
	if p.last || p.held != nil {
		queue = nil
	}
	var due <-chan time.Time
	if !next.IsZero() {
		t := time.NewTimer(time.Until(next))
		defer t.Stop()
		due = t.C
	}
	select {
	case j, ok := <-queue:
		if p.last = !ok; ok {
			p.held = &j
		}
	case <-p.window.changed:
	case <-due:
	case err := <-dead:
		return fmt.Errorf("%w: %w", errDead, err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// pace waits until one more message is within the server's limit.
func (p *Painter) pace(ctx context.Context, dead chan error) error {
	now := time.Now()
	if now.After(p.spent) {
		p.spent = now
	}
	p.spent = p.spent.Add(messageEvery)
	t := time.NewTimer(p.spent.Sub(now) - messageBurst*messageEvery)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case err := <-dead:
		return fmt.Errorf("%w: %w", errDead, err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// listen hears answers until the connection ends.
func (p *Painter) listen(conn *Conn) error {
	for {
		msg, err := conn.Next()
		if err != nil {
			return err
		}
		switch wire.TypeOf(msg) {
		case wire.TypePlaced:
			m, err := wire.ParsePlaced(msg)
			if err != nil {
				return err
			}
			if id, _, ok := p.window.answer(m.Number); ok {
				p.o.Placed(id, m)
			}
		case wire.TypeError:
			m, err := wire.ParseRefusal(msg)
			if err != nil {
				return err
			}
			if err := p.refused(m); err != nil {
				return err
			}
		case wire.TypeBye:
			m, err := wire.ParseBye(msg)
			if err != nil {
				return err
			}
			p.mu.Lock()
			p.bye = m
			p.mu.Unlock()
		}
	}
}

// refused decides whether a refusal is final. An error means that this
// connection is of no more use.
func (p *Painter) refused(m wire.Refusal) error {
	if m.Number == 0 {
		return &RefusedError{m} // nothing is known about what is under way
	}
	if p.o.Reconnect && passes(m) {
		after := time.Duration(m.RetryAfterMS) * time.Millisecond
		if id, sure, ok := p.window.postpone(m.Number, time.Now(), after, p.o.Patience); ok {
			if p.o.Retried != nil {
				p.o.Retried(id, m, sure)
			}
			if m.Code == codeDraining {
				return &RefusedError{m}
			}
			return nil
		}
	}
	if id, sure, ok := p.window.answer(m.Number); ok && (sure || !unasked(m)) {
		p.o.Refused(id, m)
	}
	return nil
}
