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
	Now       func() time.Time // monotonic, for waiting times; nil: time.Now
	Logger    *slog.Logger

	// Reload returns the newest snapshot whose events are in Log. With it the log
	// is one that may be away, have holes, or take back what it gave: the hub
	// waits for it, fetches again, and loads a shard anew where nothing else
	// helps. Without it every fault of the log ends Run.
	Reload func(ctx context.Context) (*core.Snapshot, error)
	// Stored returns the newest snapshot that is kept for ever, which helps where
	// Reload's is of before a trouble. Nil: there is none but Reload's.
	Stored func(ctx context.Context) (*core.Snapshot, error)
	// Armed is called on the tail's goroutine when the log has s armed under epoch,
	// which a claim alone does not say. Nil: nobody wants to know.
	Armed func(s core.ShardID, epoch uint32)

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
	// Reset is called on the hub's goroutine, after that, when the clients of
	// shards must be told to fetch them again; reason is one of a wire.Resync.
	Reset func(shards uint64, reason uint8)
}

// A Hub follows the log of one canvas. Its methods may be called from any
// goroutine.
type Hub struct {
	opt    Options
	config atomic.Pointer[core.Config]
	tickNS atomic.Int64
	plain  atomic.Int64 // clients that understand Rice only
	joins  joinQueue
	resets atomic.Uint64 // how often clients were told to fetch shards
	// boundary is the last seq of each shard that went out; replaced, never changed.
	boundary atomic.Pointer[core.Heads]
	// recent is where the boundary was recentFor ago, or up to twice that.
	recent atomic.Pointer[core.Heads]
	stats  counters

	mu        sync.Mutex // guards all below: the tail writes as records come, a tick reads
	follower  core.Follower
	head      *core.Board
	shown     *core.Board
	grown     bool // the canvas is larger than the shown one
	changed   bool // the configuration is newer than what clients were told
	shards    [core.ShardsMax]shard
	lastReset [core.ShardsMax]uint64 // resets, after the one that named the shard
	toRecent  *core.Heads            // takes the place of recent at recentAt
	recentAt  time.Time
	applied   uint64      // records
	restart   func(error) // ends the Tail that runs
	ringBytes int
	caughtUp  chan struct{}
	goal      core.Heads
	troubled  chan struct{} // has room for one: wakes the mender

	storedAt time.Time // of the mender: when it read the stored snapshot last

	// Of the goroutine that ticks.
	ahead   aheadJoins
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
	base        uint64      // seq that the head board was loaded at
	loaded      bool        // its pixels came with that
	headHolder  core.Holder // who wrote the newest event
	headMS      int64       // time of the newest event
	jumped      uint64      // seqs between head and boundary that are no events
	shownSeq    uint64
	shownMS     int64       // time of the event at shownSeq
	shownHolder core.Holder // in force at shownSeq
	nextCheckMS int64
	trouble     trouble // why the head stands still
	reload      reload  // why the boundary stands still
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
	if opt.Now == nil {
		opt.Now = time.Now
	}
	h := &Hub{opt: opt, caughtUp: make(chan struct{}), troubled: make(chan struct{}, 1)}
	h.joins.ready = make(chan struct{}, 1)
	h.boundary.Store(new(core.Heads))
	h.recent.Store(new(core.Heads))
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
		sh := &h.shards[s]
		sh.base, sh.loaded, sh.headMS = opt.Base.Heads[s], opt.Base.Shards[s] != nil, opt.Base.Times[s]
		h.follower.Heads[s] = min(opt.RingFrom[s], sh.base)
		if h.follower.Heads[s] == sh.base {
			h.follower.Holders[s] = opt.Base.Holders[s] // further back the log says who it was
		}
		sh.headHolder = h.follower.Holders[s]
	}
	return h, nil
}

// Run follows the log and ticks until ctx ends or the log fails for good, and
// returns that cause. Clients may join once Ready is closed.
func (h *Hub) Run(ctx context.Context) error {
	if err := h.aim(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var done sync.WaitGroup
	done.Go(func() { cancel(h.follow(ctx)) })
	if h.opt.Reload != nil {
		done.Go(func() { h.mend(ctx) })
	}
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
		if h.follower.Heads[s] < goal || h.shards[s].trouble.kind == phantom {
			return
		}
	}
	h.shown = h.head.Clone()
	for s := range h.shards {
		h.shards[s].forgetTouched()
		h.moveTo(core.ShardID(s))
	}
	h.changed, h.grown = false, false
	h.opt.Base.Shards = [core.ShardsMax][]byte{} // the boards have them now
	h.setBoundary()
	h.toRecent = h.boundary.Load()
	h.ageRecent()
	close(h.caughtUp)
}
