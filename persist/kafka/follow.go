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
	// lookEvery is how often a follower looks for partitions that were added.
	lookEvery = 2 * time.Second
	// seekersMax bounds the searches that run at once.
	seekersMax = 16

	allShards = 1<<core.ShardsMax - 1
)

// A follower reads partitions, each from where find says, as soon as it exists.
// One goroutine looks and finds; claim and take are called by the one of run.
type follower struct {
	t      *Topic
	wanted uint64 // set of shards
	find   func(context.Context, core.ShardID) (place, error)
	claim  func(*core.Record) error // told the claim in force where a partition begins
	take   func(*kgo.Record) error

	cl     *kgo.Client
	source *source
	begun  chan []begin
	failed chan error

	mu   sync.Mutex         // protects following
	wake context.CancelFunc // ends a poll; nil before the first
}

// A begin is a shard that was found.
type begin struct {
	shard core.ShardID
	place
}

// run follows until ctx ends or anything fails, and returns that cause.
func (f *follower) run(ctx context.Context) (err error) {
	if f.cl, err = f.t.o.client(f.t.consumer()...); err != nil {
		return err
	}
	defer f.cl.Close()
	f.source = &source{t: f.t, cl: f.cl}
	f.begun, f.failed = make(chan []begin, 1), make(chan error, 1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(f.t.ctx, func() { cancel(errClosed) })
	var looking sync.WaitGroup
	looking.Go(func() {
		if err := f.look(ctx); err != nil {
			f.failed <- err
			f.interrupt()
		}
	})
	defer func() { // before the client is closed, which the goroutine uses
		stop()
		cancel(nil)
		looking.Wait()
	}()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-f.failed:
			return err
		case begun := <-f.begun:
			err = f.begin(ctx, begun)
		default:
			err = f.poll(ctx)
		}
		if err != nil {
			return err
		}
	}
}

func (t *Topic) consumer() []kgo.Opt {
	return []kgo.Opt{
		kgo.WithHooks(hook{&t.counts}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(t.o.FetchMaxWait),
		kgo.FetchMinBytes(1),
		kgo.FetchMaxBytes(8 << 20),
		kgo.FetchMaxPartitionBytes(1 << 20),
	}
}

// look finds the beginning of each wanted shard.
func (f *follower) look(ctx context.Context) error {
	var id [16]byte
	have := uint64(0)
	for {
		l, err := f.source.layoutNow(ctx)
		if err != nil {
			return unavailable(err)
		}
		if id != [16]byte{} && id != l.id {
			return errMadeAnew
		}
		id = l.id
		missing := f.wanted &^ have
		if n := len(l.leaders); n < core.ShardsMax {
			missing &= 1<<n - 1
		}
		if missing != 0 {
			begun, err := f.findAll(ctx, missing)
			if err != nil {
				return unavailable(err)
			}
			have |= missing
			select {
			case f.begun <- begun:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			f.interrupt()
		}
		if err := persist.Pause(ctx, lookEvery); err != nil {
			return err
		}
	}
}

// findAll finds the beginning of the shards of a set.
func (f *follower) findAll(ctx context.Context, shards uint64) ([]begin, error) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(seekersMax)
	found := make([]begin, 0, core.ShardsMax) // never moves
	for s := range core.ShardID(core.ShardsMax) {
		if shards>>s&1 == 0 {
			continue
		}
		found = append(found, begin{shard: s})
		b := &found[len(found)-1]
		g.Go(func() error {
			return f.source.settled(ctx, func() (err error) {
				b.place, err = f.find(ctx, s)
				return err
			})
		})
	}
	return found, g.Wait()
}

// interrupt ends a poll, so that what look has to say is heard at once.
func (f *follower) interrupt() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.wake != nil {
		f.wake()
	}
}

// begin tells the claims in force and adds the partitions.
func (f *follower) begin(ctx context.Context, begun []begin) error {
	partitions := make(map[int32]kgo.Offset, len(begun))
	for _, b := range begun {
		if b.place.claim != nil {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			if err := f.claim(b.place.claim); err != nil {
				return err
			}
		}
		partitions[int32(b.shard)] = kgo.NewOffset().At(b.offset)
	}
	f.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{f.t.o.Topic: partitions})
	return nil
}

// poll waits for records, or for an interrupt, and gives them to take.
func (f *follower) poll(ctx context.Context) error {
	one, cancel := context.WithCancel(ctx)
	defer cancel()
	f.mu.Lock()
	f.wake = cancel
	f.mu.Unlock()
	if len(f.begun)+len(f.failed) > 0 { // came before there was something to interrupt
		return nil
	}
	fetches := f.cl.PollFetches(one)
	var err error
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		for i := 0; i < len(p.Records) && err == nil; i++ {
			if err = context.Cause(ctx); err == nil {
				err = f.take(p.Records[i])
			}
		}
		if err == nil && p.Err != nil && one.Err() == nil {
			err = f.fetchError(p)
		}
	})
	return err
}

var errMadeAnew = core.NewError(core.CodeNotFound, "the topic was made anew")

// fetchError judges what the client library could not deal with by itself.
func (f *follower) fetchError(p kgo.FetchTopicPartition) error {
	switch lost, is := errors.AsType[*kgo.ErrDataLoss](p.Err); {
	case is:
		return &core.Error{Code: core.CodeNotFound, Msg: fmt.Sprintf("shard %d: the log lost records that were read", p.Partition), Err: lost}
	case errors.Is(p.Err, kerr.OffsetOutOfRange):
		return core.NewError(core.CodeNotFound, fmt.Sprintf("shard %d: the log does not hold what comes next any more", p.Partition))
	case errors.Is(p.Err, kerr.UnknownTopicID):
		return errMadeAnew
	case heals(p.Err):
		f.t.counts.restarts.Add(1)
		return nil
	}
	return unavailable(p.Err)
}
