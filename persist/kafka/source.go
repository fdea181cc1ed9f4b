package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pixelwall/core"
	"pixelwall/persist"
)

// A layout is where the partitions of the topic lie.
type layout struct {
	id      [16]byte // changes when the topic is made anew
	leaders []int32  // by partition, -1 for none
}

// A source reads single stretches of the topic, which a consumer of the client
// library cannot do without losing what it has fetched.
type source struct {
	t  *Topic
	cl *kgo.Client

	mu     sync.Mutex // protects following
	layout *layout    // nil while unknown
	id     [16]byte   // of the topic as it was last seen
	since  time.Time  // of the first failure in a row, zero after a success
	warned bool
}

const (
	// askTime is how long one request may take.
	askTime = 10 * time.Second
	// warnAfter is for how long failures are what one expects of brokers.
	warnAfter = 3 * time.Second
)

var decompress = kgo.DefaultDecompressor()

// refresh asks for the layout.
func (s *source) refresh(ctx context.Context) (*layout, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr(s.t.o.Topic)
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, s.cl)
	if err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 {
		return nil, fmt.Errorf("metadata of %d topics where one was asked for", len(resp.Topics))
	}
	if err := kerr.ErrorForCode(resp.Topics[0].ErrorCode); err != nil {
		return nil, fmt.Errorf("topic %s: %w", s.t.o.Topic, err)
	}
	l := &layout{id: resp.Topics[0].TopicID, leaders: make([]int32, len(resp.Topics[0].Partitions))}
	for _, p := range resp.Topics[0].Partitions {
		if int(p.Partition) < len(l.leaders) {
			l.leaders[p.Partition] = p.Leader
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id != [16]byte{} && s.id != l.id && s.cl == s.t.cl {
		// The client would wait for the old topic for ever. What it still had fails,
		// and who appended it does so again.
		s.t.o.Logger.Error("the topic was made anew: what it held is lost to those who follow it", "topic", s.t.o.Topic)
		s.cl.PurgeTopicsFromProducing(s.t.o.Topic)
	}
	s.layout, s.id = l, l.id
	return l, nil
}

// layoutNow is refresh that goes on until it is answered.
func (s *source) layoutNow(ctx context.Context) (l *layout, err error) {
	err = s.again(ctx, func(ctx context.Context) (err error) {
		l, err = s.refresh(ctx)
		return err
	})
	return l, err
}

// leader returns who leads partition p.
func (s *source) leader(ctx context.Context, p core.ShardID) (*kgo.Broker, *layout, error) {
	s.mu.Lock()
	l := s.layout
	s.mu.Unlock()
	if l == nil {
		var err error
		if l, err = s.refresh(ctx); err != nil {
			return nil, nil, err
		}
	}
	if int(p) >= len(l.leaders) {
		return nil, nil, kerr.UnknownTopicOrPartition
	}
	if l.leaders[p] < 0 {
		return nil, nil, kerr.LeaderNotAvailable
	}
	return s.cl.Broker(int(l.leaders[p])), l, nil
}

// note takes down a success or a failure. After a failure the layout is asked for again.
func (s *source) note(failure error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if failure == nil {
		if s.warned {
			s.t.o.Logger.Info("Kafka answers again", "topic", s.t.o.Topic)
		}
		s.since, s.warned = time.Time{}, false
		return
	}
	s.layout = nil
	switch now := time.Now(); {
	case s.since.IsZero():
		s.since = now
	case !s.warned && now.Sub(s.since) > warnAfter:
		s.warned = true
		s.t.o.Logger.Warn("Kafka does not answer; it is asked until it does", "topic", s.t.o.Topic, "err", failure)
	}
}

// again calls fn until it returns nil or an error that time does not heal.
func (s *source) again(ctx context.Context, fn func(context.Context) error) error {
	for failures := 0; ; failures++ {
		one, cancel := context.WithTimeout(ctx, askTime)
		err := fn(one)
		cancel()
		switch {
		case err == nil || !heals(err):
			s.note(nil)
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		s.t.counts.restarts.Add(1)
		s.note(err)
		if err := persist.Pause(ctx, backoff(failures)); err != nil {
			return err
		}
	}
}

// heals reports whether err may be gone when one asks again: a broker that is
// down, a leader that moves, a topic that is not made yet.
func heals(err error) bool {
	if errors.Is(err, kgo.ErrClientClosed) {
		return false
	}
	if _, ours := errors.AsType[*core.Error](err); ours {
		return false
	}
	if ke, ok := errors.AsType[*kerr.Error](err); ok {
		return ke.Retriable
	}
	return true
}

// unavailable makes an error of ours of one of Kafka's: CodeInvalid when asking
// again is of no use, as of a name that is not allowed or a right that is missing.
func unavailable(err error) error {
	if _, ours := errors.AsType[*core.Error](err); ours || err == nil {
		return err
	}
	if ke, is := errors.AsType[*kerr.Error](err); is && !ke.Retriable && ke != kerr.InvalidReplicationFactor {
		return &core.Error{Code: core.CodeInvalid, Msg: "Kafka refuses", Err: err}
	}
	return &core.Error{Code: core.CodeUnavailable, Msg: "Kafka", RetryAfter: time.Second, Err: err}
}

// seeker returns a search in the partition of shard s.
func (s *source) seeker(shard core.ShardID) *seeker {
	return &seeker{log: sourcePartition{s, shard}, shard: shard, back: seekBack}
}

// settled makes a search again whose records were deleted while it went on.
func (s *source) settled(ctx context.Context, search func() error) error {
	for {
		err := search()
		if !errors.Is(err, kerr.OffsetOutOfRange) {
			return err
		}
		s.t.counts.restarts.Add(1)
		if err := persist.Pause(ctx, backoff(1)); err != nil {
			return err
		}
	}
}

// A sourcePartition is one partition of a source; it implements partition.
type sourcePartition struct {
	*source
	shard core.ShardID
}

func (p sourcePartition) bounds(ctx context.Context) (begin, end int64, err error) {
	err = p.again(ctx, func(ctx context.Context) error {
		if begin, err = p.list(ctx, -2); err != nil {
			return err
		}
		end, err = p.list(ctx, -1)
		return err
	})
	return begin, end, err
}

// list returns the first offset (timestamp -2) or the one behind the last (-1).
func (p sourcePartition) list(ctx context.Context, timestamp int64) (int64, error) {
	broker, _, err := p.leader(ctx, p.shard)
	if err != nil {
		return 0, err
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = p.t.o.Topic
	part := kmsg.NewListOffsetsRequestTopicPartition()
	part.Partition, part.Timestamp = int32(p.shard), timestamp
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	resp, err := broker.Request(ctx, req)
	if err != nil {
		return 0, err
	}
	r := resp.(*kmsg.ListOffsetsResponse)
	if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 1 {
		return 0, errors.New("offsets of another partition than the one asked for")
	}
	return r.Topics[0].Partitions[0].Offset, kerr.ErrorForCode(r.Topics[0].Partitions[0].ErrorCode)
}

func (p sourcePartition) read(ctx context.Context, offset int64, bytesMax int32) (es []entry, next int64, err error) {
	err = p.again(ctx, func(ctx context.Context) error {
		fetched, err := p.fetch(ctx, offset, bytesMax)
		if err != nil {
			return err
		}
		es, next = es[:0], offset
		for _, r := range fetched.Records {
			e, err := parseEntry(r.Value, p.shard, r.Offset, p.t.o.Canvas())
			if err != nil {
				return err
			}
			es = append(es, e)
			next = r.Offset + 1
		}
		if len(es) == 0 {
			return kerr.OffsetNotAvailable // there is something, as the caller knows
		}
		return nil
	})
	return es, next, err
}

// fetch returns the records from offset on that one answer of the leader holds.
func (p sourcePartition) fetch(ctx context.Context, offset int64, bytesMax int32) (kgo.FetchPartition, error) {
	broker, l, err := p.leader(ctx, p.shard)
	if err != nil {
		return kgo.FetchPartition{}, err
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis = int32(p.t.o.FetchMaxWait.Milliseconds())
	req.MinBytes, req.MaxBytes = 1, bytesMax
	req.SessionEpoch = -1 // no session
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = p.t.o.Topic, l.id
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset, part.PartitionMaxBytes = int32(p.shard), offset, bytesMax
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	answer, err := broker.Request(ctx, req)
	if err != nil {
		return kgo.FetchPartition{}, err
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return kgo.FetchPartition{}, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return kgo.FetchPartition{}, errors.New("records of another partition than the one asked for")
	}
	opts := kgo.ProcessFetchPartitionOpts{Offset: offset, Topic: p.t.o.Topic, Partition: int32(p.shard)}
	fetched, _ := kgo.ProcessFetchPartition(opts, &resp.Topics[0].Partitions[0], decompress, nil)
	return fetched, fetched.Err
}
