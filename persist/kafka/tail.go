package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"pixelwall/core"
	"pixelwall/persist"
)

const (
	// lookEvery is how often a Tail looks for partitions that were added.
	lookEvery = 2 * time.Second
	// seekersMax bounds the searches that run at once.
	seekersMax = 16
)

// Tail implements core.Log, for every partition that there is or will be. It
// goes on through whatever a restart of Kafka heals, a topic that is not made yet
// among it; LastFetch tells how long that has been.
//
// Each shard begins with the claim in force there. The order is that of the
// partition, so records of deposed relays and records that come twice are given
// as well, but for those that end at or before from: core.Follower judges.
//
// CodeNotFound means that a shard cannot be followed from where it was asked for
// or from where it had come: the records are no longer there, or a partition was
// truncated or made anew. CodeMismatch: the topic is of another canvas.
// CodeMalformed: a value that is no record.
func (t *Topic) Tail(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
	return t.TailShards(ctx, nil, from, fn)
}

// TailShards is Tail for some shards; nil means all.
func (t *Topic) TailShards(ctx context.Context, shards []core.ShardID, from core.Heads, fn func(*core.Record) error) error {
	l := &tail{t: t, from: from, fn: fn, begun: make(chan []begin, 1), failed: make(chan error, 1)}
	for _, s := range shards {
		l.wanted |= 1 << s
	}
	if shards == nil {
		l.wanted = 1<<core.ShardsMax - 1
	}
	return l.run(ctx)
}

// A tail is one Tail. A goroutine finds where shards begin; fn is called by
// another one, that of the caller.
type tail struct {
	t      *Topic
	cl     *kgo.Client
	source *source
	from   core.Heads
	wanted uint64 // set of shards
	fn     func(*core.Record) error

	begun  chan []begin
	failed chan error

	mu   sync.Mutex
	wake context.CancelFunc // ends a poll; nil while there is none

	record core.Record
	events []core.Event // memory for record.Events, whatever fn did to that
}

// A begin is a shard that was found.
type begin struct {
	shard core.ShardID
	place
}

func (l *tail) run(ctx context.Context) (err error) {
	t := l.t
	if l.cl, err = t.o.client(t.consumer()...); err != nil {
		return err
	}
	defer l.cl.Close()
	l.source = &source{t: t, cl: l.cl}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(t.ctx, func() { cancel(errClosed) })
	var looking sync.WaitGroup
	looking.Go(func() {
		if err := l.look(ctx); err != nil {
			l.failed <- err
			l.interrupt()
		}
	})
	defer func() { // in this order: the goroutine uses the client
		stop()
		cancel(nil)
		looking.Wait()
	}()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-l.failed:
			return err
		case begun := <-l.begun:
			if err := l.begin(ctx, begun); err != nil {
				return err
			}
		default:
		}
		if err := l.poll(ctx); err != nil {
			return err
		}
	}
}

func (t *Topic) consumer() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.WithHooks(hook{&t.counts}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(t.o.FetchMaxWait),
		kgo.FetchMinBytes(1),
		kgo.FetchMaxBytes(8 << 20),
		kgo.FetchMaxPartitionBytes(1 << 20),
	}
	if t.o.Rack != "" {
		opts = append(opts, kgo.Rack(t.o.Rack))
	}
	return opts
}

// look finds the beginning of each wanted shard as soon as its partition exists.
func (l *tail) look(ctx context.Context) error {
	var id [16]byte
	have := uint64(0)
	for {
		var at *layout
		err := l.source.again(ctx, func(ctx context.Context) (err error) {
			at, err = l.source.refresh(ctx)
			return err
		})
		if err != nil {
			return unavailable(err)
		}
		if id != [16]byte{} && id != at.id {
			return core.NewError(core.CodeNotFound, "the topic was made anew")
		}
		id = at.id
		missing := l.wanted &^ have
		if n := len(at.leaders); n < core.ShardsMax {
			missing &= 1<<n - 1
		}
		if missing != 0 {
			begun, err := l.seek(ctx, missing)
			if err != nil {
				return unavailable(err)
			}
			have |= missing
			select {
			case l.begun <- begun:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			l.interrupt()
		}
		if err := pause(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// seek finds the beginning of the shards of a set.
func (l *tail) seek(ctx context.Context, shards uint64) ([]begin, error) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(seekersMax)
	found := make([]begin, 0, core.ShardsMax)
	for s := range core.ShardID(core.ShardsMax) {
		if shards>>s&1 == 0 {
			continue
		}
		found = append(found, begin{shard: s})
		b := &found[len(found)-1]
		g.Go(func() error {
			return l.source.settled(ctx, func() (err error) {
				b.place, err = l.source.seeker(s).seek(ctx, l.from[s])
				return err
			})
		})
	}
	return found, g.Wait()
}

// interrupt ends a poll, so that what was found is begun with at once.
func (l *tail) interrupt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wake != nil {
		l.wake()
	}
}

// begin says the claims in force and adds the partitions.
func (l *tail) begin(ctx context.Context, begun []begin) error {
	partitions := make(map[int32]kgo.Offset, len(begun))
	for _, b := range begun {
		if b.claim != nil {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			if err := l.fn(b.claim); err != nil {
				return err
			}
		}
		partitions[int32(b.shard)] = kgo.NewOffset().At(b.offset)
	}
	l.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{l.t.o.Topic: partitions})
	return nil
}

// poll waits for records, or for an interrupt, and gives them to fn.
func (l *tail) poll(ctx context.Context) error {
	one, cancel := context.WithCancel(ctx)
	defer cancel()
	l.mu.Lock()
	l.wake = cancel
	l.mu.Unlock()
	if len(l.begun)+len(l.failed) > 0 { // came before there was something to interrupt
		return nil
	}
	fetches := l.cl.PollFetches(one)
	var err error
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		for i := 0; i < len(p.Records) && err == nil; i++ {
			err = l.deliver(ctx, p.Records[i])
		}
		if err == nil && p.Err != nil && one.Err() == nil {
			err = l.fetchError(p)
		}
	})
	return err
}

func (l *tail) deliver(ctx context.Context, r *kgo.Record) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	s := core.ShardID(r.Partition)
	rec := &l.record
	rec.Events = l.events
	if err := persist.DecodeRecord(r.Value, rec); err != nil {
		return malformed(s, r.Offset, err)
	}
	l.events = rec.Events
	if rec.Shard != s {
		return malformed(s, r.Offset, fmt.Errorf("it says that it is of shard %d", rec.Shard))
	}
	if canvas := l.t.o.Canvas(); canvas != 0 && canvas != rec.Canvas {
		return mismatch(s, r.Offset, rec.Canvas, canvas)
	}
	if seen := l.from[s]; seen > 0 && rec.Kind != core.KindClaim && rec.Last() <= seen {
		l.t.counts.skipped.Add(1)
		return nil
	}
	return l.fn(rec)
}

// fetchError judges what the client library could not deal with by itself.
func (l *tail) fetchError(p kgo.FetchTopicPartition) error {
	var lost *kgo.ErrDataLoss
	switch {
	case errors.Is(p.Err, kerr.OffsetOutOfRange):
		return core.NewError(core.CodeNotFound, fmt.Sprintf("shard %d: the log does not hold what comes next any more", p.Partition))
	case errors.As(p.Err, &lost):
		return &core.Error{Code: core.CodeNotFound, Msg: fmt.Sprintf("shard %d: the log lost records that were read", p.Partition), Err: p.Err}
	case errors.Is(p.Err, kerr.UnknownTopicID):
		return core.NewError(core.CodeNotFound, "the topic was made anew")
	case heals(p.Err):
		l.t.counts.restarts.Add(1)
		return nil
	}
	return unavailable(p.Err)
}

// Heads implements core.Log: for each shard the last seq of whoever may write at
// the end of the partition, 0 where there is none.
func (t *Topic) Heads(ctx context.Context) (core.Heads, error) {
	var heads core.Heads
	var at *layout
	err := t.source.again(ctx, func(ctx context.Context) (err error) {
		at, err = t.source.refresh(ctx)
		return err
	})
	if err != nil {
		return heads, unavailable(err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(seekersMax)
	for s := range core.ShardID(min(len(at.leaders), core.ShardsMax)) {
		g.Go(func() error {
			return t.source.settled(ctx, func() (err error) {
				heads[s], err = t.source.seeker(s).last(ctx)
				return err
			})
		})
	}
	if err := g.Wait(); err != nil {
		return core.Heads{}, unavailable(err)
	}
	return heads, nil
}
