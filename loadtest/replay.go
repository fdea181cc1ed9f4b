package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"pixelwall/loadtest/client"
	"pixelwall/loadtest/source"
	"pixelwall/wire"
)

// A replay is one run: who paints, who watches, and the account of both.
type replay struct {
	o       ReplayOptions
	servers []*client.Server
	trace   *source.Trace
	plan    schedule
	init    wire.Init // of the first server, with the highest head of any
	*account

	painters []*client.Painter
	watchers []*client.Watcher
	logs     []seenLog   // of each watcher, written by its goroutine
	meant    []time.Time // intended moment of each event
	acks     *ackTimes
	took     time.Duration

	fetchedBefore int64 // canvas fetches before the first event
	restFetches   int64 // canvas fetches of the comparison
}

// Replay runs o and returns how it ended. An error means that it could not be
// run at all.
func Replay(ctx context.Context, o ReplayOptions, status io.Writer) (*Report, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	r := &replay{o: o}
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	for _, w := range r.watchers {
		wg.Go(func() {
			if err := w.Run(watching); err != nil {
				cancel(err)
			}
		})
	}
	if err := r.paint(ctx, cancel, status); err != nil {
		stopWatching()
		wg.Wait()
		return nil, err
	}
	report, rests, err := r.arrive(ctx)
	stopWatching()
	wg.Wait()
	if err != nil {
		return nil, err
	}
	return r.conclude(ctx, report, rests)
}

// prepare reads the trace, asks the server whether it can be painted there, and
// connects everybody.
func (r *replay) prepare(ctx context.Context) (err error) {
	for _, url := range r.o.URL {
		s, err := client.NewServer(url)
		if err != nil {
			return err
		}
		r.servers = append(r.servers, s)
	}
	for i, s := range r.servers {
		init, err := ask(ctx, s)
		if err != nil {
			return err
		}
		if err := r.join(i, init); err != nil {
			return err
		}
	}
	if r.trace, err = source.Open(r.o.Trace); err != nil {
		return err
	}
	r.trace.Cut(uint32(r.o.From.Milliseconds()), uint32(r.o.For.Milliseconds()))
	if err := r.fits(); err != nil {
		return err
	}
	start, err := r.startCanvas(ctx)
	if err != nil {
		return err
	}
	r.account = newAccount(r.trace.Width, r.trace.Events, start)
	r.plan = newSchedule(r.trace.Events, r.o.Speed, r.o.Painters)
	r.acks = newAckTimes(len(r.trace.Events))
	if err := r.connect(ctx); err != nil {
		return err
	}
	r.fetchedBefore = r.fetches()
	return nil
}

// ask learns what a server is like, and refuses where it would refuse us.
func ask(ctx context.Context, s *client.Server) (init wire.Init, err error) {
	conn, err := client.Dial(ctx, s.WS, 0)
	if err != nil {
		return init, fmt.Errorf("connecting to %s: %w", s.WS, err)
	}
	defer conn.Close()
	if init, err = conn.Hello(wire.Hello{Instance: rand.Uint64()}); err != nil {
		return init, fmt.Errorf("hello to %s: %w", s.WS, err)
	}
	switch c := init.Config; {
	case c.CooldownMS > 0:
		err = fmt.Errorf("the server has a cooldown of %v: a trace has no users who could wait for it; start the server with --cooldown 0", time.Duration(c.CooldownMS)*time.Millisecond)
	case c.ReadOnly:
		err = errors.New("the server is read-only just now")
	}
	return init, err
}

// join takes what server number i said of itself. All must have one canvas; one
// may be a moment behind another.
func (r *replay) join(i int, init wire.Init) error {
	if i == 0 {
		r.init = init
		return nil
	}
	if init.Canvas != r.init.Canvas {
		return fmt.Errorf("%s has canvas %016x, %s has %016x: they are not edges of one cluster", r.servers[i].WS, init.Canvas, r.servers[0].WS, r.init.Canvas)
	}
	for _, h := range init.Heads {
		at := slices.IndexFunc(r.init.Heads, func(o wire.Head) bool { return o.Shard == h.Shard })
		if at < 0 {
			r.init.Heads = append(r.init.Heads, h)
			continue
		}
		r.init.Heads[at].Seq = max(r.init.Heads[at].Seq, h.Seq)
	}
	return nil
}

// fetches returns how often a canvas was fetched from anybody.
func (r *replay) fetches() (n int64) {
	for _, s := range r.servers {
		n += s.Fetches()
	}
	return n
}

// fits refuses a trace that the server's canvas cannot take.
func (r *replay) fits() error {
	c := r.init.Config
	if r.trace.Width > int(c.Width) || r.trace.Height > int(c.Height) {
		return fmt.Errorf("the trace needs a canvas of %dx%d, the server has %dx%d; start it with --size %dx%d",
			r.trace.Width, r.trace.Height, c.Width, c.Height, r.trace.Width, r.trace.Height)
	}
	palette := make([]uint32, len(c.Colors))
	for i, k := range c.Colors {
		palette[i] = k.RGB
	}
	if err := r.trace.Translate(palette); err != nil {
		return err
	}
	if len(r.trace.Events) == 0 {
		return errors.New("there is nothing to paint in this part of the trace")
	}
	return nil
}

// startCanvas fetches the canvas as it is before the first event: the version
// over HTTP may be a second older than what the socket told.
func (r *replay) startCanvas(ctx context.Context) (*client.Canvas, error) {
	ctx, cancel := context.WithTimeout(ctx, r.o.Patience)
	defer cancel()
	for {
		c, err := r.servers[0].Canvas(ctx)
		if err != nil {
			return nil, err
		}
		if c.ID != r.init.Canvas {
			return nil, client.ErrOtherCanvas
		}
		behind := false
		for _, h := range r.init.Heads {
			behind = behind || c.Shards[h.Shard] == nil || c.Shards[h.Shard].Seq < h.Seq
		}
		if !behind {
			return c, nil
		}
		if err := client.Pause(ctx, 200*time.Millisecond); err != nil {
			return nil, fmt.Errorf("the canvas over HTTP stays behind the socket: %w", err)
		}
	}
}

// queueMax is how many events may wait for a painter. A full queue holds up the
// others' events too, and the latencies say so: they count from the intended
// moment.
const queueMax = 1024

// connectWorkers is how many clients connect at a time.
const connectWorkers = 16

// connect makes painters and watchers and lets them say hello.
func (r *replay) connect(ctx context.Context) error {
	decoder := &client.Decoder{}
	for i := range r.plan.tail {
		r.painters = append(r.painters, client.NewPainter(client.PainterOptions{
			Servers: client.Rotated(r.servers, i), N: i, Instance: rand.Uint64(),
			Reconnect: r.o.Reconnect, Patience: r.o.Patience, Queue: queueMax,
			Placed:  func(id int32, p wire.Placed) { r.acks.hear(id); r.placed(id, p) },
			Refused: r.refused,
			Retried: r.retried,
		}))
	}
	r.logs = make([]seenLog, r.o.Watchers)
	for i := range r.o.Watchers {
		o := client.WatcherOptions{
			Servers: client.Rotated(r.servers, i), Decoder: decoder, N: len(r.painters) + i, Instance: rand.Uint64(),
			Capabilities: wire.CanRange, Reconnect: r.o.Reconnect, Seen: r.logs[i].add,
		}
		if i%4 == 3 {
			o.Capabilities = 0
		}
		r.watchers = append(r.watchers, client.NewWatcher(o, r.start))
	}
	all := make([]func() error, 0, len(r.painters)+len(r.watchers))
	for i, p := range r.painters {
		all = append(all, func() (err error) {
			token, err := r.servers[i%len(r.servers)].Session(ctx)
			if err == nil {
				_, err = p.Connect(ctx, token)
			}
			return err
		})
	}
	for _, w := range r.watchers {
		all = append(all, func() error { return w.Connect(ctx) })
	}
	return atOnce(connectWorkers, all)
}

// atOnce calls all, workers at a time, and returns the first error.
func atOnce(workers int, all []func() error) error {
	var wg sync.WaitGroup
	next, failed := make(chan func() error), make(chan error, workers)
	for range workers {
		wg.Go(func() {
			for f := range next {
				if err := f(); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	var err error
	for _, f := range all {
		select {
		case next <- f:
			continue
		case err = <-failed:
		}
		break
	}
	close(next)
	wg.Wait()
	if err == nil && len(failed) > 0 {
		err = <-failed
	}
	return err
}
