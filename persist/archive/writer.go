package archive

import (
	"context"
	"slices"
	"time"

	"pixelwall/core"
)

// A writer writes one shard: while a batch is on its way the next one gathers.
// When too much waits, put waits, and with it the reading of the log: the log
// keeps what is not archived yet.
type writer struct {
	w         *Worker
	shard     core.ShardID
	disturbed uint64 // what Disturbed was when the round began
	queue     chan entry
	written   []mark // not in the watermark yet, oldest first
	ticks     int    // of settle so far
}

// An entry is a record and the position behind it.
type entry struct {
	r  *core.Record
	at core.Position
}

// A mark says that everything up to a position was written at a time.
type mark struct {
	at   core.Position
	time time.Time
	tick int
}

// settleTicks is how many ticks of settle make up Settle. A process that is frozen misses
// its ticks, and while it slept it would not have heard of a node that was lost.
const settleTicks = 8

// queueRecords bounds the records of a shard that wait.
const queueRecords = 256

func newWriter(w *Worker, s core.ShardID, disturbed uint64) *writer {
	return &writer{w: w, shard: s, disturbed: disturbed, queue: make(chan entry, queueRecords)}
}

// put queues a copy of r.
func (wr *writer) put(ctx context.Context, r *core.Record, at core.Position) error {
	select {
	case wr.queue <- entry{r.Clone(), at}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run writes until ctx ends or something is wrong, and returns that cause.
func (wr *writer) run(ctx context.Context) error {
	settle := time.NewTicker(wr.w.o.Settle/settleTicks + 1)
	defer settle.Stop()
	var batch []*core.Record
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-settle.C:
			if err := wr.settle(ctx); err != nil {
				return err
			}
		case e := <-wr.queue:
			batch = append(batch[:0], e.r)
			at := wr.gather(&batch, e.at)
			if err := wr.write(ctx, batch); err != nil {
				return err
			}
			wr.written = append(wr.written, mark{at, time.Now(), wr.ticks})
		}
	}
}

// gather takes what else waits, as far as one call should go.
func (wr *writer) gather(batch *[]*core.Record, at core.Position) core.Position {
	events := len((*batch)[0].Events)
	for events < wr.w.o.EventsMax {
		select {
		case e := <-wr.queue:
			*batch = append(*batch, e.r)
			events += len(e.r.Events)
			at = e.at
		default:
			return at
		}
	}
	return at
}

func (wr *writer) write(ctx context.Context, batch []*core.Record) error {
	if err := wr.w.o.Archive.Write(ctx, batch); err != nil {
		return err
	}
	events := 0
	for _, r := range batch {
		events += len(r.Events)
	}
	wr.w.stats.records.Add(int64(len(batch)))
	wr.w.stats.events.Add(int64(events))
	return nil
}

// settle moves the watermark to what was written long enough ago, unless a node
// was disturbed since the round began: then it is written again first. What happened
// to nodes while we slept is known for sure once one of them has answered.
func (wr *writer) settle(ctx context.Context) error {
	wr.ticks++
	if wr.w.o.Archive.Disturbed() != wr.disturbed {
		return errDisturbed
	}
	n := 0
	for n < len(wr.written) && time.Since(wr.written[n].time) >= wr.w.o.Settle && wr.ticks-wr.written[n].tick >= settleTicks {
		n++
	}
	if n == 0 {
		return nil
	}
	if _, err := wr.w.o.Archive.Watermark(ctx, wr.shard); err != nil {
		return err
	}
	if wr.w.o.Archive.Disturbed() != wr.disturbed {
		return errDisturbed
	}
	at := wr.written[n-1].at
	if err := wr.w.o.Archive.SetWatermark(ctx, wr.shard, at); err != nil {
		return err
	}
	wr.written = slices.Delete(wr.written, 0, n)
	return nil
}
