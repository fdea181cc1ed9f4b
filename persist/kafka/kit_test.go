package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"

	"pixelwall/core"
	"pixelwall/core/coretest"
)

// fake starts a broker inside the test.
func fake(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(3)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

var topics sync.Map // number of topics by test, for names

// open opens a topic of its own and makes it.
func open(t *testing.T, brokers []string, change ...func(*Options)) *Topic {
	t.Helper()
	n, _ := topics.LoadOrStore(t.Name(), new(int))
	*n.(*int)++
	o := Options{
		Brokers: brokers, Topic: fmt.Sprintf("test_%d_%d_%d", os.Getpid(), time.Now().UnixNano(), *n.(*int)), FetchMaxWait: 10 * time.Millisecond,
		Retention: -1, // the suites' clocks begin in 2017
		Logger:    slog.New(slog.NewTextHandler(testWriter{t}, nil)),
	}
	for _, c := range change {
		c(&o)
	}
	topic, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(topic.Close)
	if err := topic.Ensure(coretest.Patiently(t)); err != nil {
		t.Fatal(err)
	}
	return topic
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Logf("%s", b)
	}
	return len(b), nil
}

// trim deletes everything before offset of a partition, all of it when offset is -1.
func trim(t *testing.T, topic *Topic, p int32, offset int64) {
	t.Helper()
	offsets := make(kadm.Offsets)
	offsets.Add(kadm.Offset{Topic: topic.o.Topic, Partition: p, At: offset})
	rs, err := kadm.NewClient(topic.cl).DeleteRecords(coretest.Patiently(t), offsets)
	if err == nil {
		err = rs.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A carrier is a store whose sequencer acknowledges what is in the topic.
type carrier struct {
	*coretest.Memory
	topic *Topic

	mu      sync.Mutex
	carried core.Heads
	moved   chan struct{}
}

// carry brings m's records to topic, from where that ends.
func carry(t *testing.T, m *coretest.Memory, topic *Topic) (*carrier, context.CancelFunc) {
	t.Helper()
	c := &carrier{Memory: m, topic: topic, moved: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	from, err := topic.Heads(coretest.Patiently(t))
	if err != nil {
		t.Fatal(err)
	}
	c.carried = from
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = m.Tail(ctx, from, func(r *core.Record) error {
			if err := topic.Append(ctx, []*core.Record{r}); err != nil {
				return err
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.carried[r.Shard] = r.Last()
			close(c.moved)
			c.moved = make(chan struct{})
			return nil
		})
	}()
	stop := func() { cancel(); <-ended }
	t.Cleanup(stop)
	return c, stop
}

func (c *carrier) Place(ctx context.Context, ps []core.Placement, out []core.Outcome) error {
	if err := c.Memory.Place(ctx, ps, out); err != nil {
		return err
	}
	heads, err := c.Memory.Heads(ctx)
	if err != nil {
		return err
	}
	for {
		c.mu.Lock()
		reached, moved := within(heads, c.carried), c.moved
		c.mu.Unlock()
		if reached {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-moved:
		}
	}
}

func within(a, b core.Heads) bool {
	for s := range a {
		if a[s] > b[s] {
			return false
		}
	}
	return true
}
