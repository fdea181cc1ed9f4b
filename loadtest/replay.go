package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"pixelwall/loadtest/client"
	"pixelwall/loadtest/source"
	"pixelwall/wire"
)

// A replay is one run: who paints, who watches, and the account of both.
type replay struct {
	o      ReplayOptions
	server *client.Server
	trace  *source.Trace
	plan   schedule
	init   wire.Init
	*account

	painters []*client.Painter
	watchers []*client.Watcher
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
	report, rest, err := r.arrive(ctx)
	stopWatching()
	wg.Wait()
	if err != nil {
		return nil, err
	}
	return r.conclude(ctx, report, rest)
}

// prepare reads the trace, asks the server whether it can be painted there, and
// connects everybody.
func (r *replay) prepare(ctx context.Context) (err error) {
	if r.server, err = client.NewServer(r.o.URL); err != nil {
		return err
	}
	if err := r.ask(ctx); err != nil {
		return err
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
	r.fetchedBefore = r.server.Fetches()
	return nil
}

// ask learns what the server is like, and refuses where it would refuse us.
func (r *replay) ask(ctx context.Context) error {
	conn, err := client.Dial(ctx, r.o.URL, 0)
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", r.o.URL, err)
	}
	defer conn.Close()
	if r.init, err = conn.Hello(wire.Hello{Instance: rand.Uint64()}); err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	switch c := r.init.Config; {
	case c.CooldownMS > 0:
		return fmt.Errorf("the server has a cooldown of %v: a trace has no users who could wait for it; start the server with --cooldown 0", time.Duration(c.CooldownMS)*time.Millisecond)
	case c.ReadOnly:
		return errors.New("the server is read-only just now")
	}
	return nil
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
		c, err := r.server.Canvas(ctx)
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
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return nil, fmt.Errorf("the canvas over HTTP stays behind the socket: %w", err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
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
			Server: r.server, N: i, Instance: rand.Uint64(), Reconnect: r.o.Reconnect, Queue: queueMax,
			Placed: func(id int32, p wire.Placed) { r.acks.hear(id); r.placed(id, p) }, Refused: r.refused,
		}))
	}
	for i := range r.o.Watchers {
		o := client.WatcherOptions{
			Server: r.server, Decoder: decoder, N: len(r.painters) + i, Instance: rand.Uint64(),
			Capabilities: wire.CanRange, Reconnect: r.o.Reconnect,
		}
		if i%4 == 3 {
			o.Capabilities = 0
		}
		r.watchers = append(r.watchers, client.NewWatcher(o, r.start))
	}
	all := make([]func() error, 0, len(r.painters)+len(r.watchers))
	for _, p := range r.painters {
		all = append(all, func() (err error) {
			token, err := r.server.Session(ctx)
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
