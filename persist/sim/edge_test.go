package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"pixelwall/core"
	"pixelwall/core/coretest"
	"pixelwall/persist"
	"pixelwall/persist/failover"
)

type waits = sync.WaitGroup

// An edge follows the log, or the streams while the topic is away, and places.
type edge struct {
	w *world

	mu     sync.Mutex // protects following
	fold   *core.Fold // of this life
	placed int        // batches under way
}

var (
	errPhantom = errors.New("what was shown is in nobody's log")
	errGap     = errors.New("a record is missing")
	errFold    = errors.New("a record does not fit")
)

// run is one life.
func (e *edge) run(p *process) {
	e.mu.Lock()
	e.fold, e.placed = nil, 0
	e.mu.Unlock()
	var parts waits
	parts.Go(func() { e.follow(p) })
	parts.Go(func() { e.place(p) })
	parts.Go(func() { e.report(p) })
	parts.Wait()
}

// follow keeps the fold at the end of the log.
func (e *edge) follow(p *process) {
	log, base := e.sources(p)
	for gaps := 0; p.ctx.Err() == nil; {
		if e.fold == nil && !e.load(p, base) {
			continue
		}
		err := log.Tail(p.ctx, e.fold.Heads, func(r *core.Record) error { return e.next(p, r) })
		switch code := core.CodeOf(err); {
		case errors.Is(err, errGap) && gaps < 4:
			gaps++
			e.w.note("gap")
		case errors.Is(err, errPhantom), errors.Is(err, errGap), errors.Is(err, errFold), code == core.CodeNotFound, code == core.CodeMismatch:
			gaps = 0
			e.w.note("reloaded")
			e.mu.Lock()
			e.fold = nil
			e.mu.Unlock()
		}
		_ = persist.Pause(p.ctx, 100*time.Millisecond)
	}
}

// sources returns what e follows, and what that begins with.
func (e *edge) sources(p *process) (core.Log, func(context.Context) (*core.Snapshot, error)) {
	w := e.w
	if w.alone {
		outbox := w.outbox.As(p.hook)
		return outbox.Log(), outbox.Published
	}
	log := failover.New(failover.Options{
		Main: w.plant.tail(p, w.topic.As(p.hook)), Fallback: w.outbox.As(p.hook).Log(), Patience: 400 * time.Millisecond,
		LastFetch: func() time.Time {
			if _, away := w.isAway("topic"); away {
				return time.Time{}
			}
			return time.Now()
		},
		OnSwitch: func(fallback bool, _ error) {
			if fallback {
				w.note("fell back")
			}
		},
	})
	return log, w.archive.As(p.hook).Latest
}

func (e *edge) load(p *process, latest func(context.Context) (*core.Snapshot, error)) bool {
	base, err := latest(p.ctx)
	if err != nil && core.CodeOf(err) != core.CodeNotFound {
		_ = persist.Pause(p.ctx, 200*time.Millisecond)
		return false
	}
	fold, err := core.NewFold(base)
	if err != nil {
		e.w.wrong("%s: %v", p.name, err)
	}
	e.mu.Lock()
	e.fold = fold
	e.mu.Unlock()
	return true
}

func (e *edge) next(p *process, r *core.Record) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	verdict, err := e.fold.Next(r)
	switch {
	case err != nil:
		return errors.Join(errFold, err)
	case verdict == core.Gap && e.w.plant.skipGaps:
		e.fold.Heads[r.Shard] = r.First - 1
		_, _ = e.fold.Next(r)
	case verdict == core.Gap:
		return errGap
	case verdict == core.Phantom && e.w.plant.noPhantoms:
		e.fold.Heads[r.Shard] = r.First
	case verdict == core.Phantom:
		e.w.note("phantom")
		return errPhantom
	case verdict == core.Stale:
		e.w.note("stale at an edge")
	}
	return nil
}

func (e *edge) heads() (h core.Heads) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fold != nil {
		h = e.fold.Heads
	}
	return h
}

// report tells the outbox what was seen.
func (e *edge) report(p *process) {
	outbox := e.w.outbox.As(p.hook)
	for persist.Pause(p.ctx, time.Second) == nil {
		heads := e.heads()
		for _, s := range e.w.shards() {
			if heads[s] > 0 {
				_ = outbox.Report(p.ctx, s, heads[s]) // said again in a second
			}
		}
	}
}

// place sends batches for as long as the storm lasts, one at a time.
func (e *edge) place(p *process) {
	r := rand.New(rand.NewPCG(e.w.seed, number(p.name)+p.life))
	page := core.Request{Instance: p.id("page")}
	s := &sender{w: e.w, p: p, outbox: e.w.plant.outbox(p, e.w.outbox.As(p.hook))}
	for persist.Pause(p.ctx, time.Duration(r.ExpFloat64()*float64(250*time.Millisecond))+1) == nil && !e.w.isCalm() {
		shards := e.w.shards()
		shard := shards[r.IntN(len(shards))]
		w, h := e.w.present().Geometry().Area(shard)
		if w == 0 {
			continue // the outbox was put back to before it grew
		}
		var batch []core.Event
		for range 1 + r.IntN(4) {
			page.Number++
			batch = append(batch, core.Event{
				Offset: uint32(r.IntN(h)*core.ShardSide + r.IntN(w)), Color: uint8(r.IntN(12)), User: page.Instance, Request: page,
			})
		}
		e.under(1)
		s.send(shard, batch)
		if again, ok := e.w.someAck(r); ok && r.IntN(3) == 0 {
			s.send(again.shard, []core.Event{again.event}) // a page that did not hear the answer
		}
		e.under(-1)
	}
}

func (e *edge) under(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.placed += n
}

// A placer is the outbox as edges use it.
type placer interface {
	core.Outbox
	PlaceBatch(ctx context.Context, s core.ShardID, epoch, version uint32, events []core.Event, asked []core.Request) (coretest.Placed, error)
}

// A sender sends one batch at a time until its outcome is known, or for 30 s.
type sender struct {
	w      *world
	p      *process
	outbox placer
	stands [core.ShardsMax]core.Stand
}

func (s *sender) send(shard core.ShardID, batch []core.Event) {
	stand := &s.stands[shard]
	for began := time.Now(); time.Since(began) < 30*time.Second && s.p.ctx.Err() == nil; {
		ctx, cancel := context.WithTimeout(s.p.ctx, 500*time.Millisecond)
		placed, err := s.outbox.PlaceBatch(ctx, shard, stand.Epoch, stand.Version, batch, nil)
		cancel()
		if err == nil {
			s.w.acked(shard, stand.Epoch, batch, placed.Answers)
			return
		}
		if code := core.CodeOf(err); code == core.CodeUnavailable || code == core.CodeMismatch {
			s.w.note("unfenced")
			if now, err := s.outbox.Stand(s.p.ctx, shard); err == nil {
				*stand = now
			}
		} else {
			s.w.note("ambiguous")
		}
		_ = persist.Pause(s.p.ctx, 100*time.Millisecond)
	}
}

// acked notes what an edge was told. A request that is told two seqs was stored twice.
// What is told under a later epoch than its own was settled by a take-over: it is
// in the log, whatever its server lost.
func (w *world) acked(shard core.ShardID, epoch uint32, batch []core.Event, answers []coretest.Answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, a := range answers {
		if a.Repeat {
			w.felt["repeated"]++
		}
		if a.Expire {
			w.felt["expired"]++
			continue
		}
		if core.SeqEpoch(a.Seq) < epoch && !w.alone {
			w.settled[spot{shard, a.Seq}] = true
			w.felt["told again"]++
		}
		w.acks[spot{shard, a.Seq}] = batch[i]
		w.said = append(w.said, ack{shard, a.Seq, batch[i]})
	}
}

// someAck returns a placement that was acknowledged.
func (w *world) someAck(r *rand.Rand) (ack, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.said) == 0 {
		return ack{}, false
	}
	return w.said[max(0, len(w.said)-1-r.IntN(30))], true
}
