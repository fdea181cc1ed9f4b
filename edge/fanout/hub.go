package fanout

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"pixelwall/core"
	"pixelwall/edge/gateway"
	"pixelwall/wire"
)

// Options says what a Hub follows and how it speaks.
type Options struct {
	Log       core.Log
	Base      *core.Snapshot // the board to begin from; its events are in Log
	RingFrom  core.Heads     // where the ring of events begins to fill; at most Base.Heads
	TickEvery time.Duration  // 20 ms .. 10 s
	RingAge   time.Duration  // events older than this are forgotten; 5 min
	RingBytes int            // most memory of all rings; 64 MiB
	CheckEach time.Duration  // a check of each shard; 1 min
	NowMS     func() int64
	Logger    *slog.Logger

	// Broadcast hands frames to all clients; the hub is its only caller. Room
	// reports whether it would take one now. While it would not, the tick waits,
	// and the next batches carry what this one would have.
	Broadcast func(*gateway.Broadcast)
	Room      func() bool
	// Say is called on the hub's goroutine at each tick and returns frames that
	// are for every client, or nil.
	Say func() []byte
	// Changed is called on the hub's goroutine when the configuration changed, in
	// its place between two ticks, and returns the frames that tell every client.
	Changed func(c *core.Config) []byte
	// Grown is called after that when the canvas is larger: all clients must be
	// told to fetch it again.
	Grown func()
}

// A Hub follows the log of one canvas. Its methods may be called from any
// goroutine.
type Hub struct {
	opt    Options
	config atomic.Pointer[core.Config]
	tickNS atomic.Int64
	plain  atomic.Int64 // clients that understand Rice only
	joins  joinQueue
	// boundary is the last seq of each shard that went out; replaced, never changed.
	boundary atomic.Pointer[core.Heads]
	stats    counters

	mu        sync.Mutex // guards all below: the tail writes as records come, a tick reads
	follower  core.Follower
	head      *core.Board
	shown     *core.Board
	grown     bool   // the canvas is larger than the shown one
	changed   bool   // the configuration is newer than what clients were told
	growth    uint64 // how often the canvas grew
	shards    [core.ShardsMax]shard
	ringBytes int
	caughtUp  chan struct{}
	goal      core.Heads

	// Scratch of the goroutine that ticks.
	encoder wire.Encoder
	pixels  []wire.Pixel
	payload []byte
	packed  []byte
	marks   touched
}

// A shard is what the hub keeps of one shard beside its pixels.
type shard struct {
	touched     *touched // nil until the shard is first painted
	ring        ring
	headMS      int64 // time of the newest event
	shownSeq    uint64
	shownMS     int64 // time of the event at shownSeq
	nextCheckMS int64
	catchUps    catchUpCache
	crc         uint32 // of the boundary, when crcKnown
	crcKnown    bool
}

// NewHub returns a hub that stands at opt.Base. Call Run to make it live.
func NewHub(opt Options) (*Hub, error) {
	if opt.TickEvery < 20*time.Millisecond || opt.TickEvery > 10*time.Second {
		return nil, core.NewError(core.CodeInvalid, fmt.Sprintf("tick of %v: must be 20ms to 10s", opt.TickEvery))
	}
	base := *opt.Base
	opt.Base = &base
	h := &Hub{opt: opt, caughtUp: make(chan struct{})}
	h.joins.ready = make(chan struct{}, 1)
	h.boundary.Store(new(core.Heads))
	h.config.Store(&opt.Base.Config)
	h.tickNS.Store(int64(opt.TickEvery))
	h.head = core.NewBoard(opt.Base.Config.Geometry(), opt.Base.Config.Blank)
	for s, packed := range opt.Base.Shards {
		if packed == nil {
			continue
		}
		if err := h.head.LoadPacked(core.ShardID(s), packed); err != nil {
			return nil, err
		}
	}
	for s := range h.shards {
		h.shards[s].headMS = opt.Base.Times[s]
		h.follower.Heads[s] = min(opt.RingFrom[s], opt.Base.Heads[s])
	}
	return h, nil
}

// Run follows the log and ticks until ctx ends or the log fails, and returns
// that cause. Clients may join once Ready is closed.
func (h *Hub) Run(ctx context.Context) error {
	goal, err := h.opt.Log.Heads(ctx)
	if err != nil {
		return err
	}
	for s := range goal {
		goal[s] = max(goal[s], h.opt.Base.Heads[s])
	}
	h.goal = goal
	h.mu.Lock()
	from := h.follower.Heads
	h.announceIfCaughtUp()
	h.mu.Unlock()

	ctx, cancel := context.WithCancelCause(ctx)
	var done sync.WaitGroup
	done.Go(func() {
		cancel(h.opt.Log.Tail(ctx, from, h.apply))
	})
	h.tickUntil(ctx)
	done.Wait()
	return context.Cause(ctx)
}

// Ready is closed when the hub holds everything that was in the log when Run
// began.
func (h *Hub) Ready() <-chan struct{} { return h.caughtUp }

// Config returns the present configuration. The result is not to be changed.
func (h *Hub) Config() *core.Config { return h.config.Load() }

// Tick returns the present time between two batches.
func (h *Hub) Tick() time.Duration { return time.Duration(h.tickNS.Load()) }

// SetTick changes the time between two batches from the next one on.
func (h *Hub) SetTick(d time.Duration) { h.tickNS.Store(int64(d)) }

// CountPlain adds n to the number of connected clients that understand Rice
// only. A client must be counted before it joins.
func (h *Hub) CountPlain(n int) { h.plain.Add(int64(n)) }

// apply takes one record of the log.
func (h *Hub) apply(r *core.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch h.follower.Next(r) {
	case core.Duplicate:
		return nil
	case core.Gap:
		return h.follower.GapError(r)
	}
	sh := &h.shards[r.Shard]
	sh.headMS = max(sh.headMS, r.TimeMS)
	switch r.Kind {
	case core.KindPlacements:
		h.applyPlacements(sh, r)
	case core.KindConfig:
		if h.shown == nil {
			h.ringBytes -= sh.ring.clear() // who stood before it may have had a smaller canvas
		}
		h.ringBytes += sh.ring.add(r.First, notAPixel, r.TimeMS)
		h.applyConfig(r.Config)
	case core.KindStart:
		if r.Config != nil {
			h.applyConfig(r.Config)
		}
		if h.opt.Base.Shards[r.Shard] == nil {
			if err := h.head.Apply(r); err != nil {
				return err
			}
		}
	}
	h.announceIfCaughtUp()
	return nil
}

// applyPlacements writes what the base snapshot does not hold yet; all of it
// goes to the ring.
func (h *Hub) applyPlacements(sh *shard, r *core.Record) {
	base := h.opt.Base.Heads[r.Shard]
	if sh.touched == nil {
		sh.touched = new(touched)
	}
	for i := range r.Events {
		e := &r.Events[i]
		seq := r.First + uint64(i)
		if seq > base {
			h.head.Set(r.Shard, e.Offset, e.Color)
			sh.touched.mark(e.Offset)
		}
		h.ringBytes += sh.ring.add(seq, e.Offset, r.TimeMS)
	}
}

// applyConfig takes over a newer configuration. Every shard's log has it, the
// first one counts.
func (h *Hub) applyConfig(c *core.Config) {
	now := h.config.Load()
	if c.Version <= now.Version {
		return
	}
	kept := *c
	kept.Palette = append(core.Palette(nil), c.Palette...)
	if kept.Width != now.Width || kept.Height != now.Height {
		h.grown = true
		if err := h.head.Grow(kept.Width, kept.Height); err != nil {
			h.opt.Logger.Error("the log holds a configuration that does not fit the canvas", "err", err)
			return
		}
	}
	h.config.Store(&kept)
	h.changed = true
}

// announceIfCaughtUp makes the first boundary when the goal is reached.
func (h *Hub) announceIfCaughtUp() {
	if h.shown != nil {
		return
	}
	for s, goal := range h.goal {
		if h.follower.Heads[s] < goal {
			return
		}
	}
	h.shown = h.head.Clone()
	for s := range h.shards {
		sh := &h.shards[s]
		sh.shownSeq = h.follower.Heads[s]
		sh.shownMS = sh.headMS
		if sh.touched != nil {
			sh.touched.drain(func(uint32) {})
		}
	}
	h.changed, h.grown = false, false
	h.opt.Base.Shards = [core.ShardsMax][]byte{} // the boards have them now
	h.setBoundary()
	close(h.caughtUp)
}
