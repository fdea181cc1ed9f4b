package coretest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"time"

	"pixelwall/core"
)

// A comparison drives an outbox and MemoryOutbox with the same calls.
type comparison struct {
	rand   *rand.Rand
	st     *OutboxStore
	model  *MemoryOutbox
	port   *OutboxPort
	config core.Config
	relays []uint64
	pages  []*page
	sent   []core.Event                     // to be sent again
	times  [core.ShardsMax]map[uint64]int64 // of the store's answers, by seq
}

func compareOutbox(ctx context.Context, st *OutboxStore, seed uint64, steps int) error {
	s := setup()
	c := &comparison{
		rand: rand.New(rand.NewPCG(seed, 5)), st: st, config: s.Config, relays: []uint64{1<<63 | 77, 78},
		model: NewMemoryOutbox(func() int64 { return time.Now().UnixMilli() }),
	}
	c.port = c.model.As(nil)
	for i := range uint64(3) {
		c.pages = append(c.pages, newPage(1<<40+i))
	}
	for s := range c.times {
		c.times[s] = make(map[uint64]int64)
	}
	for step := range steps {
		shard := core.ShardID(c.rand.IntN(2))
		what, err := c.step(ctx, shard)
		if err == nil {
			err = c.equal(ctx, shard)
		}
		if err != nil {
			return fmt.Errorf("step %d, %s of shard %d: %w", step, what, shard, err)
		}
	}
	return nil
}

// step does one thing with both.
func (c *comparison) step(ctx context.Context, s core.ShardID) (what string, err error) {
	st := c.model.Stand(s)
	epoch := st.Epoch
	switch c.rand.IntN(12) { // mostly the right one
	case 0:
		epoch++
	case 1:
		epoch--
	}
	epoch = min(max(epoch, 1), st.Epoch+1) // epochs begin at 1
	h := core.Holder{Epoch: epoch, Relay: c.relays[c.rand.IntN(2)]}
	switch n := c.rand.IntN(100); {
	case n < 6:
		return c.takeOver(ctx, s, st)
	case n < 9:
		return fmt.Sprint("Fence ", epoch), c.fence(ctx, s, epoch)
	case n < 13:
		b := c.base(s, st)
		return fmt.Sprint("Rebuild ", epoch), c.both(func(o Placer) error { return o.Rebuild(ctx, s, epoch, b) })
	case n < 16:
		stored := c.recalled(s)
		return fmt.Sprint("Recall ", epoch), c.both(func(o Placer) error { return o.Recall(ctx, s, epoch, stored) })
	case n < 19:
		return fmt.Sprint("Arm ", h), c.both(func(o Placer) error { return o.Arm(ctx, s, h, core.EpochSeq(epoch), st.Top) })
	case n < 22:
		next := c.nextConfig(st.Version)
		return fmt.Sprint("Configure ", next.Version), c.both(func(o Placer) error { return o.Configure(ctx, s, &next) })
	case n < 25:
		seq := st.Bottom + uint64(c.rand.IntN(20))
		return fmt.Sprint("Trim ", epoch, seq), c.both(func(o Placer) error { return o.Trim(ctx, s, epoch, seq) })
	case n < 28:
		seq := st.Seq + uint64(c.rand.IntN(9)) - min(st.Seq, 4)
		return fmt.Sprint("Report ", seq), c.both(func(o Placer) error { return o.Report(ctx, s, seq) })
	case n < 31:
		return "Publish", c.both(func(o Placer) error { return o.Publish(ctx, s) })
	case n < 32 && c.st.Restart != nil:
		c.st.Restart()
		c.model.Restart()
		return "Restart", nil
	default:
		return c.place(ctx, s, epoch, st.Version)
	}
}

// both calls f on both and compares what they say.
func (c *comparison) both(f func(Placer) error) error {
	want, got := f(c.port), f(c.st.Placer)
	if (want == nil) != (got == nil) || want != nil && core.CodeOf(want) != core.CodeOf(got) {
		return fmt.Errorf("it says %v, the model %v", got, want)
	}
	return nil
}

// takeOver is a whole one, so that most sequences get far.
func (c *comparison) takeOver(ctx context.Context, s core.ShardID, st core.Stand) (string, error) {
	epoch, b, stored := st.Epoch+1, c.base(s, st), c.recalled(s)
	h := core.Holder{Epoch: epoch, Relay: c.relays[c.rand.IntN(2)]}
	what := fmt.Sprint("a take-over by ", h)
	if err := c.fence(ctx, s, epoch); err != nil {
		return what, err
	}
	return what, c.both(func(o Placer) error {
		return errors.Join(
			o.Rebuild(ctx, s, epoch, b), o.Recall(ctx, s, epoch, stored), o.Arm(ctx, s, h, core.EpochSeq(epoch), st.Top),
		)
	})
}

// fence compares also the seq that is returned.
func (c *comparison) fence(ctx context.Context, s core.ShardID, epoch uint32) error {
	var seqs []uint64
	err := c.both(func(o Placer) error {
		seq, err := o.Fence(ctx, s, epoch)
		seqs = append(seqs, seq)
		return err
	})
	if err == nil && seqs[0] != seqs[1] {
		err = fmt.Errorf("it was fenced at seq %x, the model at %x", seqs[1], seqs[0])
	}
	return err
}

func (c *comparison) base(s core.ShardID, st core.Stand) core.Base {
	board := core.NewBoard(c.config.Geometry(), c.config.Blank)
	for range c.rand.IntN(3) {
		board.Set(s, uint32(c.rand.IntN(8)), uint8(c.rand.IntN(12)))
	}
	config := c.config
	return core.Base{Canvas: 0x5eed, Config: &config, Pixels: board.Pixels(s), TimeMS: time.Now().UnixMilli() - 5000, Jumps: c.jumps(st)}
}

// jumps leaves out some of what was given out under the last epochs, which a page
// may send again, and something before that, which may have been recalled.
func (c *comparison) jumps(st core.Stand) (all []core.Jump) {
	for range c.rand.IntN(3) {
		from := core.EpochSeq(st.Epoch-min(st.Epoch, c.rand.Uint32N(3))) + c.rand.Uint64N(8)
		all = append(all, core.Jump{From: from, To: from + 1 + c.rand.Uint64N(12)})
	}
	if c.rand.IntN(4) == 0 {
		all = append(all, core.Jump{From: c.rand.Uint64N(1 << 39), To: 1 << 39})
	}
	return all
}

// recalled returns requests of which the store may know some, one of them of a
// page whose outcomes are no longer kept.
func (c *comparison) recalled(s core.ShardID) (stored []core.PastEvent) {
	now := time.Now().UnixMilli()
	for range 1 + c.rand.IntN(4) {
		e := core.PastEvent{Shard: s, Seq: 1 + c.rand.Uint64N(1<<40), TimeMS: now - int64(c.rand.IntN(60_000))}
		if len(c.sent) > 0 && c.rand.IntN(2) == 0 {
			e.Event = c.sent[c.rand.IntN(len(c.sent))]
		} else {
			e.Event = c.event()
		}
		stored = append(stored, e)
	}
	old := core.PastEvent{Shard: s, Seq: 7, TimeMS: now - 2*core.ResendWindowMS}
	old.Event = core.Event{User: 1, Request: core.Request{Instance: c.rand.Uint64(), Number: 5}}
	c.sent = append(c.sent, old.Event)
	return append(stored, old)
}

// event is a new one, that may be sent again later.
func (c *comparison) event() core.Event {
	pg := c.pages[c.rand.IntN(len(c.pages))]
	pg.req.Number += uint32(c.rand.IntN(3)) // pages leave numbers out
	p := pg.tap(0, 0, 0)
	e := core.Event{Offset: uint32(c.rand.IntN(8)), Color: uint8(c.rand.IntN(12)), User: pg.user, Request: p.Request}
	c.sent = append(c.sent, e)
	return e
}

func (c *comparison) nextConfig(version uint32) core.Config {
	next := c.config
	next.Version = version + uint32(c.rand.IntN(3))
	palette, _ := core.NamedPalette("place2017")
	next.Palette = palette[:min(len(palette), 11+int(next.Version))]
	return next
}

// place sends a batch in which some were sent before, and asks about others.
func (c *comparison) place(ctx context.Context, s core.ShardID, epoch, version uint32) (string, error) {
	if c.rand.IntN(20) == 0 {
		version++
	}
	var events []core.Event
	var asked []core.Request
	for range c.rand.IntN(6) {
		if len(c.sent) > 0 && c.rand.IntN(4) == 0 {
			events = append(events, c.sent[c.rand.IntN(len(c.sent))])
		} else {
			events = append(events, c.event())
		}
	}
	for range c.rand.IntN(3) {
		asked = append(asked, core.Request{Instance: c.pages[0].req.Instance, Number: uint32(c.rand.IntN(50))})
	}
	if len(events)+len(asked) == 0 {
		events = append(events, c.event())
	}
	var answers [2]Placed
	at := 0
	err := c.both(func(o Placer) (err error) {
		answers[at], err = o.PlaceBatch(ctx, s, epoch, version, events, asked)
		at++
		return err
	})
	what := fmt.Sprintf("PlaceBatch of %d and %d asked under %d", len(events), len(asked), epoch)
	if err == nil {
		err = c.answersEqual(s, answers[0], answers[1])
	}
	return what, err
}

// answersEqual compares all but times, which are of two clocks; a repeat has the
// time that the store said first.
func (c *comparison) answersEqual(s core.ShardID, want, got Placed) error {
	if len(want.Answers) != len(got.Answers) {
		return fmt.Errorf("%d answers, the model has %d", len(got.Answers), len(want.Answers))
	}
	for i, w := range want.Answers {
		g := got.Answers[i]
		if g.Seq != w.Seq || g.Repeat != w.Repeat || g.Expire != w.Expire {
			return fmt.Errorf("answer %d is %+v, the model's %+v", i, g, w)
		}
		if at, known := c.times[s][g.Seq]; known && g.Repeat && at != g.TimeMS {
			return fmt.Errorf("answer %d: seq %d was stored at %d, now it says %d", i, g.Seq, at, g.TimeMS)
		}
		if g.Seq > 0 && !g.Repeat {
			c.times[s][g.Seq] = g.TimeMS
		}
	}
	return nil
}

// equal compares where both stand, what is in their streams, and their pixels.
func (c *comparison) equal(ctx context.Context, s core.ShardID) error {
	want, _ := c.port.Stand(ctx, s)
	got, err := c.st.Stand(ctx, s)
	if err != nil || got != want {
		return fmt.Errorf("it stands at %+v, the model at %+v (%v)", got, want, err)
	}
	after, limit := want.Bottom-min(want.Bottom, uint64(c.rand.IntN(3))), 1+c.rand.IntN(1000)
	a, _ := entries(ctx, c.port, s, after, limit)
	b, err := entries(ctx, c.st, s, after, limit)
	if err != nil || len(a) != len(b) {
		return fmt.Errorf("%d entries after %d, the model has %d (%v)", len(b), after, len(a), err)
	}
	timeMS := int64(0)
	for i := range a {
		if b[i].TimeMS < timeMS {
			return fmt.Errorf("time falls at seq %d", b[i].First)
		}
		timeMS = b[i].TimeMS
		a[i].TimeMS = timeMS
		if len(b[i].Events) == 0 {
			b[i].Events = nil
		}
		if !reflect.DeepEqual(a[i], b[i]) {
			return fmt.Errorf("entry %d is %+v, the model's %+v", i, b[i], a[i])
		}
	}
	if want.Canvas == 0 {
		return nil
	}
	pixels, err := c.st.Pixels(ctx, s)
	if err != nil || !bytes.Equal(pixels, c.model.Pixels(s)) {
		return fmt.Errorf("it has other pixels (%v)", err)
	}
	return nil
}

func entries(ctx context.Context, o core.Outbox, s core.ShardID, after uint64, limit int) (all []*core.Record, err error) {
	err = o.Read(ctx, s, after, limit, func(r *core.Record) error {
		all = append(all, cloneRecord(r))
		return nil
	})
	return all, err
}
