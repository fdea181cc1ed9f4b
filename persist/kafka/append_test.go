package kafka

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pixelwall/core"
	"pixelwall/core/coretest"
)

func TestManyShardsAreAppendedToAtOnce(t *testing.T) {
	topic := open(t, fake(t).ListenAddrs())
	r := read(t, topic, core.Heads{})
	var wg sync.WaitGroup
	for s := range core.ShardID(16) {
		wg.Go(func() {
			w := newWriter(s)
			rs := append([]*core.Record{w.claim(), w.start()}, w.batches(300)...)
			for len(rs) > 0 {
				n := min(len(rs), 1+rand.IntN(20))
				if err := topic.Append(coretest.Patiently(t), rs[:n]); err != nil {
					t.Errorf("shard %d: %v", s, err)
					return
				}
				rs = rs[n:]
			}
		})
	}
	wg.Wait()
	for s := range core.ShardID(16) {
		r.reaches(t, s, 300)
	}
	if st := topic.Stats(); st.Produced != 16*302 || st.ProduceErrors != 0 || st.DataLoss != 0 {
		t.Errorf("%+v", st)
	}
	if n := r.count(core.Stale) + r.count(core.Gap); n > 0 {
		t.Errorf("%d records do not follow", n)
	}
}

// TestAnswersThatAreLostDoNotDouble lets the broker store a request and lose the
// connection before it answers.
func TestAnswersThatAreLostDoNotDouble(t *testing.T) {
	cluster := fake(t, kfake.NumBrokers(1))
	topic := open(t, cluster.ListenAddrs())
	lost := loseAnswers(t, cluster, 3)
	w := newWriter(0)
	r := read(t, topic, core.Heads{})
	mustAppend(t, topic, w.claim(), w.start())
	for range 60 {
		mustAppend(t, topic, w.batches(1+rand.IntN(5))...)
	}
	r.reaches(t, 0, w.seq)
	if lost.Load() == 0 || topic.Stats().ProduceRetries == 0 {
		t.Errorf("%d answers were lost, %+v: the fault was not felt", lost.Load(), topic.Stats())
	}
	if d := r.count(core.Duplicate); d > r.claims {
		t.Errorf("%d records came twice", d-r.claims)
	}
}

// loseAnswers cuts the connection after every nth produce request was stored: the
// request is stored by a client of its own, as the fake cannot do both.
func loseAnswers(t *testing.T, cluster *kfake.Cluster, nth int64) *atomic.Int64 {
	t.Helper()
	raw, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(raw.Close)
	var seen, lost atomic.Int64
	var passing atomic.Bool
	cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if passing.Load() || seen.Add(1)%nth != 0 {
			return nil, nil, false
		}
		passing.Store(true)
		defer passing.Store(false)
		var err error
		cluster.SleepControl(func() {
			broker := raw.Broker(0)
			_, err = broker.Request(t.Context(), req)
		})
		if err != nil {
			t.Errorf("the request was not stored: %v", err)
		}
		lost.Add(1)
		return nil, errors.New("the answer is lost"), true
	})
	return &lost
}

func TestACallerThatGivesUpPilesNothingUp(t *testing.T) {
	cluster := fake(t)
	topic := open(t, cluster.ListenAddrs())
	w := newWriter(2)
	mustAppend(t, topic, w.claim(), w.start())
	fault := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: -1})
	rs := w.batches(5)
	mine := errors.New("mine")
	for range 20 {
		ctx, cancel := context.WithCancelCause(t.Context())
		asked := fault.Hits()
		go func() {
			defer cancel(mine)
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for fault.Hits() == asked && t.Context().Err() == nil {
				<-tick.C
			}
		}()
		err := topic.Append(ctx, rs)
		if !errors.Is(err, mine) || core.CodeOf(err) != core.CodeUnavailable {
			t.Fatalf("Append = %v, want an unknown outcome because of %v", err, mine)
		}
	}
	if n := topic.cl.BufferedProduceRecords(); n > int64(len(rs)) {
		t.Errorf("%d records are under way, want those of one call", n)
	}
	fault.Remove()
	mustAppend(t, topic, rs...)
	mustAppend(t, topic, w.batches(3)...)
	r := read(t, topic, core.Heads{})
	r.reaches(t, 2, w.seq)
	// The first call's records arrived as well.
	if d := r.count(core.Duplicate) - r.claims; d != len(rs) {
		t.Errorf("%d records came twice, want %d", d, len(rs))
	}
}

func TestAppendRefusesWhatItCannotStore(t *testing.T) {
	topic := open(t, fake(t).ListenAddrs())
	w := newWriter(0)
	big := w.batch(50_000)
	for name, rs := range map[string][]*core.Record{
		"too many":      w.batches(AppendMax + 1),
		"of two shards": {w.batch(1), newWriter(1).batch(1)},
		"too long":      {big},
		"no such shard": {{Kind: core.KindClaim, Canvas: 1, Shard: core.ShardsMax}},
	} {
		if err := topic.Append(coretest.Patiently(t), rs); core.CodeOf(err) != core.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := topic.Append(t.Context(), nil); err != nil {
		t.Errorf("nothing: %v", err)
	}
}

func TestLeadersMoveWhileRecordsAreWritten(t *testing.T) {
	cluster := fake(t)
	topic := open(t, cluster.ListenAddrs())
	r := read(t, topic, core.Heads{})
	w := newWriter(3)
	mustAppend(t, topic, w.claim(), w.start())
	for range 50 {
		mustAppend(t, topic, w.batches(4)...)
		cluster.ShufflePartitionLeaders()
	}
	r.reaches(t, 3, w.seq)
	if d := r.count(core.Duplicate) - r.claims; d > 0 {
		t.Errorf("%d records came twice", d)
	}
}

func TestAShardThatTheCanvasGrewIntoGetsAPartition(t *testing.T) {
	topic := open(t, fake(t).ListenAddrs())
	r := read(t, topic, core.Heads{})
	w := newWriter(20)
	rs := append([]*core.Record{w.claim(), w.start()}, w.batches(10)...)
	// The client that writes may learn of the partition a moment later.
	coretest.Eventually(t, "the records are stored", func() bool {
		err := topic.Append(coretest.Patiently(t), rs)
		if err != nil && core.CodeOf(err) != core.CodeUnavailable {
			t.Fatal(err)
		}
		return err == nil
	})
	r.reaches(t, 20, 10)
	if n, err := topic.Partitions(coretest.Patiently(t)); err != nil || n != 21 {
		t.Errorf("%d partitions, %v", n, err)
	}
}

func TestATopicThatIsClosedSaysSo(t *testing.T) {
	topic := open(t, fake(t).ListenAddrs())
	r := read(t, topic, core.Heads{})
	topic.Close()
	if err := r.end(t); !errors.Is(err, errClosed) {
		t.Errorf("Tail = %v", err)
	}
	if err := topic.Append(t.Context(), newWriter(0).batches(1)); core.CodeOf(err) != core.CodeUnavailable {
		t.Errorf("Append = %v", err)
	}
}

func BenchmarkAppend(b *testing.B) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BlackholeProduce())
	if err != nil {
		b.Fatal(err)
	}
	defer cluster.Close()
	topic, err := Open(Options{Brokers: cluster.ListenAddrs()})
	if err != nil {
		b.Fatal(err)
	}
	defer topic.Close()
	if err := topic.Ensure(b.Context()); err != nil {
		b.Fatal(err)
	}
	w := newWriter(0)
	rs := []*core.Record{w.claim()}
	for len(rs) < 64 {
		rs = append(rs, w.batch(64))
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := topic.Append(b.Context(), rs); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*63*64)/b.Elapsed().Seconds(), "placements/s")
}
