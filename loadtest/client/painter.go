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
	Server    *Server
	N         int // number of the connection, see Dial
	Instance  uint64
	Reconnect bool
	Queue     int // jobs that may wait; see Painter.Paint

	// Placed and Refused hear of each job's outcome, once, on a goroutine of the
	// painter.
	Placed  func(id int32, p wire.Placed)
	Refused func(id int32, r wire.Refusal)
}

// A Painter places jobs in order through one connection at a time, and sends
// again what was not answered when it had to reconnect.
type Painter struct {
	o     PainterOptions
	token string
	conn  *Conn
	queue chan Job
	// window has an entry for each placement under way.
	window chan struct{}
	idle   chan struct{} // told when nothing is under way
	held   *Job          // taken from queue, not under way yet
	spent  time.Time     // GCRA: when the message budget is whole again

	Reconnects atomic.Int64

	mu      sync.Mutex // Protects following.
	number  uint32
	pending []pending // rising by number, without a hole
	bye     wire.Bye
}

type pending struct {
	place    wire.Place
	id       int32
	answered bool
}

// NewPainter returns a painter that is not connected yet.
func NewPainter(o PainterOptions) *Painter {
	return &Painter{o: o, queue: make(chan Job, o.Queue), window: make(chan struct{}, underWayMax), idle: make(chan struct{}, 1)}
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
	conn, err := Dial(ctx, p.o.Server.WS, p.o.N)
	if err != nil {
		return wire.Init{}, err
	}
	init, err := conn.Hello(wire.Hello{Instance: p.o.Instance, Token: p.token})
	if err != nil {
		conn.Close()
		return init, err
	}
	p.conn = conn
	return init, nil
}

// Run places jobs until Finish was called and all are answered, or until ctx
// ends, or until the connection fails and it may not or cannot reconnect.
func (p *Painter) Run(ctx context.Context) error {
	for try := 0; ; try++ {
		err := error(nil)
		if p.conn == nil {
			_, err = p.connect(ctx)
		}
		if err == nil {
			try = 0
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
		if err := backoff(ctx, try, bye); err != nil {
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

func (p *Painter) speak(ctx context.Context, conn *Conn, dead chan error) error {
	ended := func(err error) error { return fmt.Errorf("%w: %w", errDead, err) }
	for _, m := range p.unanswered() {
		if err := p.pace(ctx); err != nil {
			return err
		}
		if err := conn.Send(m); err != nil {
			return err
		}
	}
	for {
		if p.held == nil {
			select {
			case j, ok := <-p.queue:
				if !ok {
					return p.settle(ctx, dead, ended)
				}
				p.held = &j
			case err := <-dead:
				return ended(err)
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		select {
		case p.window <- struct{}{}:
		case err := <-dead:
			return ended(err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := p.pace(ctx); err != nil {
			return err
		}
		m := p.begin(*p.held)
		p.held = nil
		if err := conn.Send(m); err != nil {
			return err
		}
	}
}

// settle waits until nothing is under way.
func (p *Painter) settle(ctx context.Context, dead chan error, ended func(error) error) error {
	for len(p.unanswered()) > 0 {
		select {
		case <-p.idle:
		case err := <-dead:
			return ended(err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// pace waits until one more message is within the server's limit.
func (p *Painter) pace(ctx context.Context) error {
	now := time.Now()
	if now.After(p.spent) {
		p.spent = now
	}
	p.spent = p.spent.Add(messageEvery)
	wait := p.spent.Sub(now) - messageBurst*messageEvery
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// begin gives j its number. From here on it is sent until it is answered.
func (p *Painter) begin(j Job) wire.Place {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.number++
	m := wire.Place{Number: p.number, X: j.X, Y: j.Y, Color: j.Color}
	p.pending = append(p.pending, pending{place: m, id: j.ID})
	return m
}

func (p *Painter) unanswered() (all []wire.Place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.pending {
		if !p.pending[i].answered {
			all = append(all, p.pending[i].place)
		}
	}
	return all
}

// answer ends the job of a number. False means that it is not under way.
func (p *Painter) answer(number uint32) (id int32, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.pending) == 0 {
		return 0, false
	}
	i := int64(number) - int64(p.pending[0].place.Number)
	if i < 0 || i >= int64(len(p.pending)) || p.pending[i].answered {
		return 0, false
	}
	id = p.pending[i].id
	p.pending[i].answered = true
	for len(p.pending) > 0 && p.pending[0].answered {
		p.pending = p.pending[1:]
	}
	<-p.window
	if len(p.pending) == 0 {
		select {
		case p.idle <- struct{}{}:
		default:
		}
	}
	return id, true
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
			if id, ok := p.answer(m.Number); ok {
				p.o.Placed(id, m)
			}
		case wire.TypeError:
			m, err := wire.ParseRefusal(msg)
			if err != nil {
				return err
			}
			if m.Number == 0 || m.Code == codeDraining {
				return &RefusedError{m} // nothing is known about what is under way
			}
			if id, ok := p.answer(m.Number); ok {
				p.o.Refused(id, m)
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
