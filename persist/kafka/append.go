package kafka

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"pixelwall/core"
	"pixelwall/persist"
)

const (
	// AppendMax is how many records one Append takes. What an Append may leave
	// behind twice, or a deposed relay may still write, is therefore short, which
	// the search by seq counts on.
	AppendMax = 256
	// valueBytesMax leaves room for Kafka's own bytes in messageBytesMax.
	valueBytesMax = messageBytesMax - 4096
)

func (t *Topic) producer() []kgo.Opt {
	return []kgo.Opt{
		kgo.WithHooks(hook{&t.counts}),
		kgo.DefaultProduceTopic(t.o.Topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.ProduceRequestTimeout(5 * time.Second),
		kgo.ProducerBatchMaxBytes(messageBytesMax),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		// Whatever fails is tried again for ever: a record that is given up would
		// leave a hole before the later ones. The bound is one Append a shard.
		kgo.UnknownTopicRetries(-1),
		kgo.MaxBufferedRecords(core.ShardsMax * AppendMax),
		kgo.ProducerOnDataLossDetected(func(_ string, partition int32) {
			t.counts.dataLoss.Add(1)
			t.o.Logger.Error("Kafka lost records that it had acknowledged", "topic", t.o.Topic, "partition", partition)
		}),
	}
}

// A lane is the way of one shard's records to its partition: one Append at a
// time. When a caller gives up waiting, its records stay under way and the lane
// stays taken until their outcome is known. So a caller that appends again never
// piles them up, and no record is ever taken back, which would fail those behind it.
type lane struct {
	t       *Topic
	free    chan struct{} // holds a token while nothing is under way
	records []kgo.Record
	values  []byte
	ends    []int
	done    chan error // the outcome, for who waits
	promise func(*kgo.Record, error)
	left    atomic.Int32 // records without an outcome
	waiter  atomic.Int32 // one of the following
	err     error        // the first; promises are called one after the other
}

const (
	waiting int32 = iota
	gone          // the caller gave up, the last promise frees the lane
	served        // the outcome is in done
)

func (l *lane) init(t *Topic) {
	l.t = t
	l.free = make(chan struct{}, 1)
	l.free <- struct{}{}
	l.done = make(chan error, 1)
	l.promise = l.finish
}

// Append implements core.Topic. It takes at most AppendMax records; several
// shards may be appended to at once, calls of one shard wait for each other.
func (t *Topic) Append(ctx context.Context, rs []*core.Record) error {
	if len(rs) == 0 {
		return nil
	}
	if err := checkAppend(rs); err != nil {
		return err
	}
	l := &t.lanes[rs[0].Shard]
	select {
	case <-l.free:
	case <-ctx.Done(): // an earlier call's records are under way
		return unknown(context.Cause(ctx))
	case <-t.ctx.Done():
		return errClosed
	}
	if err := t.reach(ctx, rs[0].Shard); err != nil {
		l.free <- struct{}{}
		return err
	}
	if err := l.encode(rs); err != nil {
		l.free <- struct{}{}
		return err
	}
	return l.send(ctx)
}

func checkAppend(rs []*core.Record) error {
	if len(rs) > AppendMax {
		return core.NewError(core.CodeInvalid, fmt.Sprintf("%d records in one append: at most %d", len(rs), AppendMax))
	}
	for _, r := range rs {
		if r.Shard != rs[0].Shard || r.Shard >= core.ShardsMax {
			return core.NewError(core.CodeInvalid, "the records of one append are of one shard")
		}
	}
	return nil
}

// encode fills the lane's memory, which is used again and again.
func (l *lane) encode(rs []*core.Record) error {
	l.values, l.ends = l.values[:0], l.ends[:0]
	for _, r := range rs {
		start := len(l.values)
		l.values = persist.AppendRecord(l.values, r)
		if n := len(l.values) - start; n > valueBytesMax {
			return core.NewError(core.CodeInvalid, fmt.Sprintf("shard %d seq %d: a record of %d bytes, Kafka takes %d", r.Shard, r.First, n, valueBytesMax))
		}
		l.ends = append(l.ends, len(l.values))
	}
	if cap(l.records) < len(rs) {
		l.records = make([]kgo.Record, max(len(rs), 16))
	}
	l.records = l.records[:len(rs)]
	start := 0
	for i, r := range rs {
		l.records[i] = kgo.Record{
			Topic: l.t.o.Topic, Partition: int32(r.Shard), Timestamp: time.UnixMilli(r.TimeMS),
			Value: l.values[start:l.ends[i]:l.ends[i]],
		}
		start = l.ends[i]
	}
	return nil
}

func (l *lane) send(ctx context.Context) error {
	l.err = nil
	l.left.Store(int32(len(l.records)))
	l.waiter.Store(waiting)
	for i := range l.records {
		// Not the caller's context: see lane.
		l.t.cl.Produce(l.t.ctx, &l.records[i], l.promise)
	}
	slow := time.NewTicker(lookEvery)
	defer slow.Stop()
	for {
		select {
		case err := <-l.done:
			l.free <- struct{}{}
			return err
		case <-slow.C: // perhaps the topic is another one by now
			one, cancel := context.WithTimeout(ctx, time.Second)
			_, _ = l.t.source.refresh(one) // what it finds out, it sees to
			cancel()
		case <-ctx.Done():
			if l.waiter.CompareAndSwap(waiting, gone) {
				return unknown(context.Cause(ctx))
			}
			err := <-l.done
			l.free <- struct{}{}
			return err
		}
	}
}

// finish is told the outcome of each record.
func (l *lane) finish(_ *kgo.Record, err error) {
	if err == nil {
		l.t.counts.produced.Add(1)
	} else {
		l.t.counts.produceErrors.Add(1)
		if l.err == nil {
			l.err = unknown(err)
		}
	}
	if l.left.Add(-1) > 0 {
		return
	}
	err = l.err
	if l.waiter.CompareAndSwap(waiting, served) {
		l.done <- err
	} else {
		l.free <- struct{}{}
	}
}

func unknown(cause error) error {
	return &core.Error{Code: core.CodeUnavailable, Msg: "the outcome of an append is unknown", RetryAfter: time.Second, Err: cause}
}
