package fanout

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/edge/gateway"
	"pixelwall/wire"
)

func testSeed(t *testing.T) *rand.Rand {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("-seed %d", s)
	return rand.New(rand.NewPCG(s, 1))
}

// A rig is a hub without goroutines: the test is the log, the clock and the
// gateway, and calls one step after the other.
type rig struct {
	t       *testing.T
	hub     *Hub
	nowMS   int64
	passed  time.Duration
	tickIs  time.Duration // a second unless the test says otherwise
	seqs    core.Heads
	clients []*viewer
	sent    []*gateway.Broadcast
	config  core.Config
	bytes   int
}

func newRig(t *testing.T, width, height int, palette string, tweak func(*Options)) *rig {
	p, _ := core.NamedPalette(palette)
	r := &rig{t: t, nowMS: 1_795_000_000_000, tickIs: time.Second, config: core.Config{
		Version: 1, Width: width, Height: height, Bits: core.BitsFor(len(p)), Blank: core.BlankOf(p), Palette: p, BurstMax: 1}}
	began := time.Now()
	opt := Options{
		Base:      &core.Snapshot{Canvas: 1, Config: r.config},
		Now:       func() time.Time { return began.Add(r.passed) },
		TickEvery: time.Second, RingAge: 5 * time.Minute, RingBytes: 64 << 20, CheckEach: time.Minute,
		NowMS: func() int64 { return r.nowMS }, Logger: slog.New(slog.DiscardHandler),
		Room: func() bool { return true }, Say: func() []byte { return nil },
		Broadcast: func(b *gateway.Broadcast) { r.sent = append(r.sent, b) },
		Changed:   func(*core.Config) []byte { return nil }, Reset: r.reset,
	}
	if tweak != nil {
		tweak(&opt)
	}
	hub, err := NewHub(opt)
	if err != nil {
		t.Fatal(err)
	}
	hub.announceIfCaughtUp()
	r.hub = hub
	return r
}

// place stores one record of random placements in one shard.
func (r *rig) place(rnd *rand.Rand, n int) {
	shards := r.config.Geometry().Shards()
	s := shards[rnd.IntN(len(shards))]
	w, h := r.config.Geometry().Area(s)
	rec := &core.Record{Kind: core.KindPlacements, Canvas: 1, Shard: s, First: r.seqs[s] + 1, TimeMS: r.nowMS}
	for range n {
		x, y := rnd.IntN(w), rnd.IntN(h)
		if rnd.IntN(2) == 0 { // some pixels are fought over
			x, y = rnd.IntN(min(4, w)), rnd.IntN(min(2, h))
		}
		rec.Events = append(rec.Events, core.Event{Offset: uint32(y*core.ShardSide + x), Color: uint8(rnd.IntN(len(r.config.Palette)))})
	}
	r.seqs[s] += uint64(n)
	if err := r.hub.apply(rec); err != nil {
		r.t.Fatal(err)
	}
}

// tick ends a tick and hands what it sent to the clients that follow.
func (r *rig) tick() {
	r.pass(r.tickIs)
	r.sent = r.sent[:0]
	r.hub.tick()
	for _, b := range r.sent {
		for _, v := range r.clients {
			v.broadcast(b)
		}
	}
}

func (r *rig) pass(d time.Duration) {
	r.nowMS += d.Milliseconds()
	r.passed += d
}

// reset does what session.Reset does.
func (r *rig) reset(shards uint64, reason uint8) {
	for _, v := range r.clients {
		v.lost |= v.follow & shards
		v.follow &^= shards
	}
}

// A viewer is a client as PROTOCOL.md describes one.
type viewer struct {
	t      *testing.T
	r      *rig
	class  int
	sub    Subscription
	board  *core.Board
	seqs   core.Heads
	tenths [core.ShardsMax]uint64
	follow uint64
	lost   uint64 // shards that a resync named
	checks int
	dec    wire.Decoder
}

func (r *rig) newViewer(class int) *viewer {
	v := &viewer{t: r.t, r: r, class: class}
	if class == ClassRice {
		r.hub.CountPlain(1)
	}
	v.fetch()
	r.clients = append(r.clients, v)
	return v
}

// fetch loads the canvas as HTTP serves it.
func (v *viewer) fetch() {
	snap := v.r.hub.Snapshot()
	v.board = core.NewBoard(snap.Config.Geometry(), 0)
	for s, packed := range snap.Shards {
		if packed != nil {
			if err := v.board.LoadPacked(core.ShardID(s), packed); err != nil {
				v.t.Fatal(err)
			}
		}
		v.tenths[s] = uint64(snap.Times[s]) / 100
	}
	v.seqs, v.lost = snap.Heads, 0
}

func (v *viewer) watch(keep, resume uint64) {
	j := Join{Client: v, Sub: &v.sub}
	for s := range uint8(core.ShardsMax) {
		switch {
		case keep>>s&1 == 1:
			j.Shards = append(j.Shards, wire.WatchShard{Shard: s})
		case resume>>s&1 == 1:
			j.Shards = append(j.Shards, wire.WatchShard{Shard: s, Resume: true, Held: v.seqs[s]})
		}
	}
	if !v.r.hub.Join(j) {
		v.t.Fatal("no room for a join")
	}
	v.r.hub.serveJoins()
}

// fetchAnd loads the canvas and watches shards.
func (v *viewer) fetchAnd(shards uint64) {
	v.fetch()
	v.watch(0, shards)
}

func (v *viewer) Deliver(d Delivery) {
	v.read(d.Frames)
	v.follow = d.Follow
	for _, w := range d.Join.Shards {
		if at := v.r.hub.Heads()[w.Shard]; w.Resume && d.Follow>>w.Shard&1 == 1 && v.seqs[w.Shard] != at {
			v.t.Errorf("shard %d was brought to seq %d, the boundary is %d", w.Shard, v.seqs[w.Shard], at)
		}
	}
}

func (v *viewer) broadcast(b *gateway.Broadcast) {
	for s := range core.ShardsMax {
		if v.follow>>s&1 == 1 && b.Active>>s&1 == 1 {
			v.read(b.Buf[v.class][b.Off[v.class][s]:b.Off[v.class][s+1]])
		}
	}
}

// read takes whole WebSocket frames.
func (v *viewer) read(frames []byte) {
	for len(frames) > 0 {
		head, n := 2, int(frames[1])
		switch n {
		case 126:
			head, n = 4, int(frames[2])<<8|int(frames[3])
		case 127:
			head, n = 10, int(frames[6])<<24|int(frames[7])<<16|int(frames[8])<<8|int(frames[9])
		}
		v.message(frames[head : head+n])
		v.r.bytes += head + n
		frames = frames[head+n:]
	}
}

func (v *viewer) message(msg []byte) {
	switch wire.TypeOf(msg) {
	case wire.TypeBatch:
		b, err := wire.ParseBatch(msg)
		if err != nil {
			v.t.Fatal(err)
		}
		v.paint(b.Shard, b.Coding, b.Param, b.Payload)
		v.seqs[b.Shard] += b.Advance
		v.tenths[b.Shard] += b.TimeAdv
	case wire.TypeCatchUp:
		c, err := wire.ParseCatchUp(msg)
		if err != nil || v.seqs[c.Shard] < c.From || v.seqs[c.Shard] > c.To {
			v.t.Fatalf("catch-up %+v for a copy at %d: %v", c, v.seqs[c.Shard], err)
		}
		v.paint(c.Shard, wire.CodingRice, c.Param, c.Payload)
		v.seqs[c.Shard], v.tenths[c.Shard] = c.To, c.TimeTenths
	case wire.TypeResync:
		m, err := wire.ParseResync(msg)
		if err != nil {
			v.t.Fatal(err)
		}
		for _, s := range m.Shards {
			v.lost |= 1 << s
		}
	case wire.TypeCheck:
		c, err := wire.ParseCheck(msg)
		if err != nil {
			v.t.Fatal(err)
		}
		if crc, _ := v.board.Checksum(core.ShardID(c.Shard), nil); c.Seq != v.seqs[c.Shard] || crc != c.CRC {
			v.t.Errorf("shard %d at seq %d has CRC %08x, the check says %08x at %d", c.Shard, v.seqs[c.Shard], crc, c.CRC, c.Seq)
		}
		v.checks++
	}
}

func (v *viewer) paint(shard uint8, coding wire.Coding, param uint8, payload []byte) {
	if v.class == ClassRice && coding != wire.CodingRice {
		v.t.Fatal("a client that understands Rice only got something else")
	}
	canvas := view(v.board, core.ShardID(shard))
	pixels, err := v.dec.Decode(nil, coding, param, payload, canvas)
	if err != nil {
		v.t.Fatal(err)
	}
	canvas.Apply(pixels)
}

// same asserts that v shows exactly what the hub does in the shards it follows.
func (v *viewer) same() {
	v.t.Helper()
	for s := range core.ShardsMax {
		if v.follow>>s&1 == 0 {
			continue
		}
		want := v.r.hub.shown.AppendPacked(nil, core.ShardID(s))
		if got := v.board.AppendPacked(nil, core.ShardID(s)); !bytes.Equal(got, want) {
			v.t.Fatalf("shard %d differs from the boundary at seq %d (client at %d)", s, v.r.hub.shards[s].shownSeq, v.seqs[s])
		}
		if sh := &v.r.hub.shards[s]; v.seqs[s] != sh.shownSeq || v.tenths[s] != tenths(sh.shownMS) {
			v.t.Fatalf("shard %d: the client stands at seq %d and %d tenths, the boundary at %d and %d", s, v.seqs[s], v.tenths[s], sh.shownSeq, tenths(sh.shownMS))
		}
	}
}
