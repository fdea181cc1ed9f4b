package kafka

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"pixelwall/core"
)

// A Topic is a core.Topic in Kafka. It may be used concurrently.
type Topic struct {
	o      Options
	cl     *kgo.Client // writes and asks; each Tail has a client of its own
	source *source
	ctx    context.Context // until Close
	close  context.CancelCauseFunc
	lanes  [core.ShardsMax]lane
	counts counts
}

var _ core.Topic = (*Topic)(nil)

// counts are what Stats tells.
type counts struct {
	produced, produceErrors, produceRetries atomic.Int64
	dataLoss, restarts                      atomic.Int64
	lastFetchNS                             atomic.Int64
	fetchFailed                             atomic.Bool  // since the last answer
	partitions                              atomic.Int32 // known to exist
}

// Stats are counters since Open.
type Stats struct {
	Produced       int64 // records acknowledged
	ProduceErrors  int64 // records that were given up
	ProduceRetries int64 // requests that failed on their way and were sent again
	DataLoss       int64 // times that a partition was found to have lost acknowledged records
	Restarts       int64 // searches and fetches that failed and were made again
}

var errClosed = core.NewError(core.CodeUnavailable, "the topic is closed")

// Open returns the topic without asking a broker for anything: who uses it waits
// until Kafka answers.
func Open(o Options) (*Topic, error) {
	o.ensureDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	t := &Topic{o: o}
	var err error
	if t.cl, err = o.client(t.producer()...); err != nil {
		return nil, err
	}
	t.source = &source{t: t, cl: t.cl}
	t.ctx, t.close = context.WithCancelCause(context.Background())
	for i := range t.lanes {
		t.lanes[i].init(t)
	}
	return t, nil
}

// Close ends every call. Records under way get a moment to arrive.
func (t *Topic) Close() {
	flush, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = t.cl.Flush(flush) // who appended them was told that it is unknown
	t.close(errClosed)
	t.cl.Close()
}

// Name returns the name of the topic.
func (t *Topic) Name() string { return t.o.Topic }

// Partitions returns how many partitions the topic has, once it is there.
func (t *Topic) Partitions(ctx context.Context) (int, error) {
	l, err := t.source.layoutNow(ctx)
	if err != nil {
		return 0, unavailable(err)
	}
	return len(l.leaders), nil
}

// LastFetch returns when a broker last answered a fetch of any Tail, also with
// nothing new; the zero time when none ever did. It says that the log can be
// read, not that relays can write it.
func (t *Topic) LastFetch() time.Time {
	ns := t.counts.lastFetchNS.Load()
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

// Failing reports whether a fetch of any Tail has failed since one was answered. One
// that the client itself gave up, as when a partition moves, has not.
func (t *Topic) Failing() bool { return t.counts.fetchFailed.Load() }

// Healthy reports whether LastFetch was within the given time.
func (t *Topic) Healthy(within time.Duration) bool { return time.Since(t.LastFetch()) <= within }

// Stats returns the present counters.
func (t *Topic) Stats() Stats {
	c := &t.counts
	return Stats{
		Produced: c.produced.Load(), ProduceErrors: c.produceErrors.Load(), ProduceRetries: c.produceRetries.Load(),
		DataLoss: c.dataLoss.Load(), Restarts: c.restarts.Load(),
	}
}

// A hook watches the requests of a client.
type hook struct{ *counts }

const (
	produceKey = 0
	fetchKey   = 1
)

// OnBrokerE2E implements kgo.HookBrokerE2E.
func (h hook) OnBrokerE2E(_ kgo.BrokerMetadata, key int16, e2e kgo.BrokerE2E) {
	err := e2e.Err()
	failed := err != nil
	if key == fetchKey && !errors.Is(err, context.Canceled) && !errors.Is(err, kgo.ErrClientClosed) {
		h.fetchFailed.Store(failed)
	}
	switch {
	case key == fetchKey && !failed:
		h.lastFetchNS.Store(time.Now().UnixNano())
	case key == fetchKey:
		h.restarts.Add(1)
	case key == produceKey && failed:
		h.produceRetries.Add(1)
	}
}
