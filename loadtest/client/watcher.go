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

// WatcherOptions is what a Watcher needs to know.
type WatcherOptions struct {
	// Servers are tried in turn, beginning with the first: when a connection ends
	// the next one is asked, and the canvas is fetched from the one that it watches.
	Servers      []*Server
	Decoder      *Decoder // may be shared by the watchers of one canvas
	N            int      // number of the connection, see Dial
	Instance     uint64
	Capabilities wire.Capabilities
	Reconnect    bool
	// Seen hears, on Run's goroutine, of each step of the copy. It may be nil.
	Seen func(Seen)
}

// A Seen is the moment at which a watcher's copy of a shard reached a seq.
type Seen struct {
	Shard uint8
	To    uint64
	At    time.Time
}

// A Watcher keeps a copy of the whole canvas. It keeps nothing else: how long it
// runs costs no memory.
//
//	NewWatcher -> Connect (may be left out) -> Run until its context ends
//
// Canvas, Head and the counters may be read at any time, from anywhere.
type Watcher struct {
	o     WatcherOptions
	route route
	conn  *Conn
	bye   wire.Bye

	watched [wire.ShardsMax]bool // on this connection
	waiting [wire.ShardsMax]bool // for the catch-up or resync that answers watch
	repairs int                  // fetches since a catch-up fitted

	heads      [wire.ShardsMax]atomic.Uint64
	configs    atomic.Uint32 // version of the newest configuration
	Reconnects atomic.Int64
	Resyncs    atomic.Int64 // shards fetched again because the server said so
	Diverged   atomic.Int64 // shards fetched again because a check differed

	mu     sync.Mutex // Protects canvas; only Run's goroutine writes it.
	canvas *Canvas
}

// NewWatcher returns a watcher that begins with a copy of its own of canvas.
func NewWatcher(o WatcherOptions, canvas *Canvas) *Watcher {
	w := &Watcher{o: o, route: route{servers: o.Servers}, canvas: canvas.Clone()}
	w.publish()
	return w
}

// Head returns the seq of the watcher's copy of a shard.
func (w *Watcher) Head(shard uint8) uint64 { return w.heads[shard].Load() }

// ConfigVersion returns the version of the newest configuration that it heard of.
func (w *Watcher) ConfigVersion() uint32 { return w.configs.Load() }

// Canvas returns a copy of the copy. Each shard of it is whole: its pixels are
// those of its seq.
func (w *Watcher) Canvas() *Canvas {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.canvas.Clone()
}

func (w *Watcher) publish() {
	for i, s := range w.canvas.Shards {
		if s != nil {
			w.heads[i].Store(s.Seq)
		}
	}
}

// Connect makes the first connection and asks for all shards.
func (w *Watcher) Connect(ctx context.Context) error {
	conn, err := Dial(ctx, w.route.server().WS, w.o.N)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, conn.Close)
	defer stop()
	init, err := conn.Hello(wire.Hello{Instance: w.o.Instance, Capabilities: w.o.Capabilities})
	if err == nil && init.Canvas != w.canvas.ID {
		err = ErrOtherCanvas
	}
	if err != nil {
		conn.Close()
		return err
	}
	w.conn = conn
	w.route.arrive()
	w.configs.Store(init.Config.Version)
	w.watched = [wire.ShardsMax]bool{}
	return w.watch(false)
}

// watch asks for every shard: those that are watched go on, the others resume.
func (w *Watcher) watch(diverged bool) error {
	m := wire.Watch{Canvas: w.canvas.ID, Diverged: diverged}
	for i, s := range w.canvas.Shards {
		if s == nil {
			continue
		}
		m.Shards = append(m.Shards, wire.WatchShard{Shard: uint8(i), Resume: !w.watched[i], Held: s.Seq})
		if !w.watched[i] {
			w.watched[i], w.waiting[i] = true, true
		}
	}
	return w.conn.Send(m)
}

// Run follows the canvas until ctx ends, and returns nil then.
func (w *Watcher) Run(ctx context.Context) error {
	for {
		err := error(nil)
		if w.conn == nil {
			err = w.Connect(ctx)
		}
		if err == nil {
			stop := context.AfterFunc(ctx, w.conn.Close)
			err = w.listen(ctx)
			stop()
			w.conn.Close()
			w.conn = nil
		}
		if ctx.Err() != nil {
			return nil
		}
		if !w.o.Reconnect || permanent(err) {
			return fmt.Errorf("watcher %d: %w", w.o.N, err)
		}
		w.Reconnects.Add(1)
		bye := w.bye
		w.bye = wire.Bye{}
		if w.route.leave(ctx, bye) != nil {
			return nil
		}
	}
}

func (w *Watcher) listen(ctx context.Context) error {
	for {
		msg, err := w.conn.Next()
		if err != nil {
			return err
		}
		if err := w.hear(ctx, msg); err != nil {
			return err
		}
	}
}

// hear deals with one message of the server.
func (w *Watcher) hear(ctx context.Context, msg []byte) error {
	switch wire.TypeOf(msg) {
	case wire.TypeBatch:
		return w.batch(ctx, msg)
	case wire.TypeCatchUp:
		return w.catchUp(ctx, msg)
	case wire.TypeCheck:
		c, err := wire.ParseCheck(msg)
		if err != nil {
			return err
		}
		if s := w.canvas.Shards[c.Shard]; s != nil && s.Seq == c.Seq && s.checksum() != c.CRC {
			w.Diverged.Add(1)
			return w.fetch(ctx, true, c.Shard)
		}
	case wire.TypeResync:
		r, err := wire.ParseResync(msg)
		if err != nil {
			return err
		}
		if r.Reason == wire.ResyncOtherCanvas {
			return ErrOtherCanvas
		}
		w.Resyncs.Add(int64(len(r.Shards)))
		return w.fetch(ctx, false, r.Shards...)
	case wire.TypeConfig:
		c, err := wire.ParseConfig(msg)
		w.configs.Store(c.Version)
		return err
	case wire.TypeBye:
		b, err := wire.ParseBye(msg)
		w.bye = b
		return err
	case wire.TypeError:
		r, err := wire.ParseRefusal(msg)
		return errors.Join(err, &RefusedError{r})
	}
	return nil
}

func (w *Watcher) batch(ctx context.Context, msg []byte) error {
	b, err := wire.ParseBatch(msg)
	if err != nil {
		return err
	}
	s := w.canvas.Shards[b.Shard]
	if s == nil || w.waiting[b.Shard] {
		return nil
	}
	pixels, err := w.o.Decoder.decode(s, msg, b)
	if err != nil {
		w.Diverged.Add(1)
		return w.fetch(ctx, true, b.Shard)
	}
	w.reach(b.Shard, pixels, s.Seq+b.Advance, s.TimeTenths+b.TimeAdv)
	return nil
}

func (w *Watcher) catchUp(ctx context.Context, msg []byte) error {
	c, err := wire.ParseCatchUp(msg)
	if err != nil {
		return err
	}
	s := w.canvas.Shards[c.Shard]
	if s == nil || s.Seq < c.From || s.Seq > c.To {
		return w.fetch(ctx, false, c.Shard)
	}
	var d wire.Decoder
	pixels, err := d.Decode(nil, wire.CodingRice, c.Param, c.Payload, s.View)
	if err != nil {
		w.Diverged.Add(1)
		return w.fetch(ctx, true, c.Shard)
	}
	w.waiting[c.Shard], w.repairs = false, 0
	w.reach(c.Shard, pixels, c.To, c.TimeTenths)
	return nil
}

// reach writes pixels to the copy of a shard, which is at seq then.
func (w *Watcher) reach(shard uint8, pixels []wire.Pixel, seq, timeTenths uint64) {
	s := w.canvas.Shards[shard]
	w.mu.Lock()
	s.View.Apply(pixels)
	s.Seq, s.TimeTenths = seq, timeTenths
	w.mu.Unlock()
	w.heads[shard].Store(seq)
	if w.o.Seen != nil {
		w.o.Seen(Seen{Shard: shard, To: seq, At: time.Now()})
	}
}

// fetch replaces shards by the server's canvas over HTTP and watches again. A
// server whose canvas and batches are not at one point yet gets some time: the
// second fetch in a row waits, each further one twice as long.
func (w *Watcher) fetch(ctx context.Context, diverged bool, shards ...uint8) error {
	if w.repairs > 0 {
		if err := Pause(ctx, min(5*time.Second, 100*time.Millisecond<<min(w.repairs, 10))); err != nil {
			return err
		}
	}
	w.repairs++
	fresh, err := w.route.server().Canvas(ctx)
	if err != nil {
		return err
	}
	if fresh.ID != w.canvas.ID {
		return ErrOtherCanvas
	}
	w.mu.Lock()
	if fresh.Width != w.canvas.Width || fresh.Height != w.canvas.Height {
		w.canvas, w.watched = fresh, [wire.ShardsMax]bool{} // it grew: shards have other areas
	}
	for _, i := range shards {
		w.canvas.Shards[i], w.watched[i] = fresh.Shards[i], false
	}
	w.mu.Unlock()
	w.publish()
	return w.watch(diverged)
}
