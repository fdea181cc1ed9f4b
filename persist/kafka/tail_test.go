package kafka

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"pixelwall/core"
	"pixelwall/core/coretest"
	"pixelwall/tools/stack/stacktest"
)

// everywhere runs a test on the fake broker, and on the real one where it is.
func everywhere(t *testing.T, test func(t *testing.T, brokers []string)) {
	t.Run("fake", func(t *testing.T) { test(t, fake(t).ListenAddrs()) })
	t.Run("real", func(t *testing.T) { test(t, stacktest.Kafka(t)) })
}

// freePort returns a port for a broker that comes later, and comes back.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestAReaderBeginsAnywhereInARandomHistory(t *testing.T) {
	everywhere(t, func(t *testing.T, brokers []string) {
		topic := open(t, brokers)
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		records := makeHistory(rand.New(rand.NewPCG(seed, 0)), 1500)
		var all run
		for o, r := range records {
			all.next(r, int64(o))
		}
		mustAppend(t, topic, records...)
		heads, err := topic.Heads(coretest.Patiently(t))
		if err != nil || heads[layoutShard] != all.Heads[layoutShard] {
			t.Fatalf("seed %d: Heads %d, %v, want %d", seed, heads[layoutShard], err, all.Heads[layoutShard])
		}
		n := len(all.ends)
		for _, i := range []int{0, 1, n / 7, n / 3, n / 2, n - 40, n - 2, n - 1} {
			from := core.Heads{layoutShard: all.ends[i]}
			r := read(t, topic, from, layoutShard)
			r.reaches(t, layoutShard, all.Heads[layoutShard])
			if applied := r.count(core.Apply); applied != n-1-i && i > 0 {
				t.Errorf("seed %d: from %d: %d records, want %d", seed, all.ends[i], applied, n-1-i)
			}
			r.stop()
		}
	})
}

func TestTheClaimInForceComesFirst(t *testing.T) {
	everywhere(t, func(t *testing.T, brokers []string) {
		topic := open(t, brokers)
		w := newWriter(1)
		old := *w
		mustAppend(t, topic, w.claim(), w.start())
		mustAppend(t, topic, w.batches(10)...)
		w.Holder = core.Holder{Epoch: 2, Relay: 22}
		hasty := w.claim()
		hasty.Canvas++ // its author did not know which canvas it is
		mustAppend(t, topic, hasty)
		mustAppend(t, topic, w.batches(10)...)
		mustAppend(t, topic, old.batches(15)...) // a deposed relay, at the very end
		heads, err := topic.Heads(coretest.Patiently(t))
		if err != nil || heads[1] != 20 {
			t.Errorf("Heads = %d, %v, want 20", heads[1], err)
		}
		for _, from := range []uint64{5, 10, 15, 20, 25} {
			var first *core.Record
			err := topic.TailShards(coretest.Patiently(t), []core.ShardID{1}, core.Heads{1: from}, func(r *core.Record) error {
				first = r
				return errHole
			})
			want := uint32(2)
			if from < 10 {
				want = 1
			}
			if !errors.Is(err, errHole) || first.Kind != core.KindClaim || first.Epoch != want || first.Canvas != layoutCanvas {
				t.Errorf("from %d: %v, %+v, want the claim of epoch %d", from, err, first, want)
			}
		}
		r := read(t, topic, core.Heads{})
		r.reaches(t, 1, 20)
		coretest.Eventually(t, "the deposed relay's records are stale", func() bool { return r.count(core.Stale) == 15 })
	})
}

func TestAReaderGetsOnlyTheShardsItAsksFor(t *testing.T) {
	topic := open(t, fake(t).ListenAddrs())
	for s := range core.ShardID(6) {
		w := newWriter(s)
		mustAppend(t, topic, w.claim(), w.start(), w.batch(3))
	}
	r := read(t, topic, core.Heads{}, 1, 4)
	r.reaches(t, 1, 3)
	r.reaches(t, 4, 3)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.records != 6 {
		t.Errorf("%d records, want 6", r.records)
	}
}

func TestAReaderIsToldWhatIsGone(t *testing.T) {
	everywhere(t, func(t *testing.T, brokers []string) {
		topic := open(t, brokers)
		w := newWriter(0)
		mustAppend(t, topic, w.claim(), w.start())
		mustAppend(t, topic, w.batches(100)...) // seq n at offset n+1
		trim(t, topic, 0, 50)
		for from, want := range map[uint64]bool{0: false, 1: false, 47: false, 48: true, 60: true, 100: true} {
			r := read(t, topic, core.Heads{0: from}, 0)
			if want {
				r.reaches(t, 0, 100)
			} else if err := r.end(t); core.CodeOf(err) != core.CodeNotFound {
				t.Errorf("from %d: %v", from, err)
			}
			r.stop()
		}
		trim(t, topic, 0, -1) // nothing is there that says what is missing
		r := read(t, topic, core.Heads{0: 100}, 0)
		mustAppend(t, topic, w.claim(), w.batch(1))
		r.reaches(t, 0, 101)
		behind := read(t, topic, core.Heads{0: 99}, 0)
		if err := behind.end(t); core.CodeOf(err) != core.CodeNotFound {
			t.Errorf("behind what is left: %v", err)
		}
	})
}

func TestAReaderThatIsOvertakenByRetentionMustReload(t *testing.T) {
	everywhere(t, func(t *testing.T, brokers []string) {
		topic := open(t, brokers)
		w := newWriter(0)
		mustAppend(t, topic, w.claim(), w.start(), w.batch(1))
		stuck, goOn := make(chan struct{}), make(chan struct{})
		ended := make(chan error, 1)
		calls := 0
		go func() {
			ended <- topic.TailShards(t.Context(), []core.ShardID{0}, core.Heads{}, func(*core.Record) error {
				if calls++; calls == 3 {
					close(stuck)
					<-goOn
				}
				return nil
			})
		}()
		<-stuck
		// What is fetched ahead is at most what is there when the next answer comes.
		fetched := topic.LastFetch()
		mustAppend(t, topic, w.batch(1))
		coretest.Eventually(t, "it fetches ahead", func() bool { return topic.LastFetch().After(fetched) })
		mustAppend(t, topic, w.batches(10)...)
		trim(t, topic, 0, -1)
		mustAppend(t, topic, w.batch(1))
		close(goOn)
		select {
		case err := <-ended:
			if core.CodeOf(err) != core.CodeNotFound {
				t.Errorf("Tail = %v", err)
			}
		case <-coretest.Patiently(t).Done():
			t.Fatal("Tail goes on over the hole")
		}
	})
}

func TestAnotherCanvasIsRefused(t *testing.T) {
	topic := open(t, fake(t).ListenAddrs(), func(o *Options) { o.Canvas = func() uint64 { return layoutCanvas + 1 } })
	w := newWriter(0)
	mustAppend(t, topic, w.claim(), w.start(), w.batch(1))
	for _, from := range []uint64{0, 1} {
		r := read(t, topic, core.Heads{0: from}, 0)
		if err := r.end(t); core.CodeOf(err) != core.CodeMismatch || !strings.Contains(err.Error(), "partition 0 offset ") {
			t.Errorf("from %d: %v", from, err)
		}
	}
}

func TestAValueThatIsNoRecordIsNamed(t *testing.T) {
	topic := open(t, fake(t).ListenAddrs())
	w := newWriter(3)
	mustAppend(t, topic, w.claim(), w.start(), w.batch(1))
	if err := topic.cl.ProduceSync(coretest.Patiently(t), &kgo.Record{Topic: topic.o.Topic, Partition: 3, Value: []byte("not ours")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for _, from := range []uint64{0, 1} {
		r := read(t, topic, core.Heads{3: from}, 3)
		if err := r.end(t); core.CodeOf(err) != core.CodeMalformed || !strings.Contains(err.Error(), "partition 3 offset 3") {
			t.Errorf("from %d: %v", from, err)
		}
	}
}

func TestATopicThatIsMadeAnewMustBeReadAnew(t *testing.T) {
	cluster := fake(t)
	topic := open(t, cluster.ListenAddrs())
	w := newWriter(0)
	mustAppend(t, topic, w.claim(), w.start(), w.batch(1))
	r := read(t, topic, core.Heads{})
	r.reaches(t, 0, 1)
	if err := cluster.DeleteTopic(topic.o.Topic); err != nil {
		t.Fatal(err)
	}
	if err := topic.Ensure(coretest.Patiently(t)); err != nil {
		t.Fatal(err)
	}
	if err := r.end(t); core.CodeOf(err) != core.CodeNotFound {
		t.Errorf("Tail = %v", err)
	}
	// From now on what the sequencer still has is the log.
	r = read(t, topic, core.Heads{0: 1}, 0)
	again := &writer{Holder: core.Holder{Epoch: 2, Relay: 5}, shard: 0, seq: 1}
	rs := []*core.Record{again.claim(), again.batch(4)}
	coretest.Eventually(t, "who wrote the old topic writes the new one", func() bool { return topic.Append(coretest.Patiently(t), rs) == nil })
	r.reaches(t, 0, 5)
}

func TestABrokerThatIsNotThereYetIsWaitedFor(t *testing.T) {
	port := freePort(t)
	broker := []string{net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	topic, err := Open(Options{Brokers: broker, FetchMaxWait: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer topic.Close()
	r := read(t, topic, core.Heads{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := topic.Partitions(ctx); core.CodeOf(err) != core.CodeUnavailable {
		t.Errorf("Partitions = %v", err)
	}
	if topic.Healthy(time.Hour) || !topic.LastFetch().IsZero() {
		t.Error("healthy without a broker")
	}
	fake(t, kfake.NumBrokers(1), kfake.Ports(port))
	if err := topic.Ensure(coretest.Patiently(t)); err != nil {
		t.Fatal(err)
	}
	w := newWriter(0)
	mustAppend(t, topic, w.claim(), w.start(), w.batch(1))
	r.reaches(t, 0, 1)
	if !topic.Healthy(coretest.Patience) {
		t.Errorf("the last fetch was at %v", topic.LastFetch())
	}
}

func TestABrokerThatRestartsCostsNothing(t *testing.T) {
	port, dir := freePort(t), t.TempDir()
	opts := []kfake.Opt{kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir), kfake.SyncWrites()}
	cluster := fake(t, opts...)
	topic := open(t, cluster.ListenAddrs())
	r := read(t, topic, core.Heads{})
	w := newWriter(0)
	mustAppend(t, topic, w.claim(), w.start())
	for range 3 {
		mustAppend(t, topic, w.batches(20)...)
		r.reaches(t, 0, w.seq)
		failed := func() int64 { return topic.Stats().Restarts + topic.Stats().ProduceRetries }
		before := failed()
		cluster.Close()
		down := time.Now()
		under := w.batches(5)
		stored := make(chan error, 1)
		go func() { stored <- topic.Append(t.Context(), under) }()
		coretest.Eventually(t, "requests fail", func() bool { return failed() > before })
		coretest.Eventually(t, "the last fetch has failed", topic.Failing)
		if topic.LastFetch().After(down.Add(time.Second)) {
			t.Error("fetches without a broker")
		}
		cluster = fake(t, opts...)
		select {
		case err := <-stored:
			if err != nil {
				t.Fatal(err)
			}
		case <-coretest.Patiently(t).Done():
			t.Fatal("the append did not end")
		}
		r.reaches(t, 0, w.seq)
		if topic.Failing() {
			t.Error("the last fetch has failed, and brought records")
		}
		if !topic.LastFetch().After(down) {
			t.Error("no fetch since the restart")
		}
	}
	if d := r.count(core.Duplicate) - r.claims; d > 0 {
		t.Logf("%d records came twice", d)
	}
}

func TestPartitionsOfOneTailBeginEachAtItsOwnSeq(t *testing.T) {
	topic := open(t, fake(t).ListenAddrs())
	from := core.Heads{}
	for s := range core.ShardID(8) {
		w := newWriter(s)
		mustAppend(t, topic, w.claim(), w.start())
		mustAppend(t, topic, w.batches(50)...)
		from[s] = uint64(s) * 7
	}
	r := read(t, topic, from)
	for s := range core.ShardID(8) {
		r.reaches(t, s, 50)
	}
	if got := r.count(core.Apply); got != 8*50-7*28+1 { // and the start of shard 0
		t.Errorf("%d records", got)
	}
}

func TestWhatAFetchMayAnswer(t *testing.T) {
	f := follower{t: open(t, fake(t).ListenAddrs())}
	for _, c := range []struct {
		err  error
		want core.Code
	}{
		{kerr.OffsetOutOfRange, core.CodeNotFound},
		{&kgo.ErrDataLoss{Topic: "t", ConsumedTo: 9, ResetTo: 5}, core.CodeNotFound}, // an unclean election
		{kerr.UnknownTopicID, core.CodeNotFound},
		{kerr.TopicAuthorizationFailed, core.CodeInvalid},
	} {
		if err := f.fetchError(kgo.FetchTopicPartition{FetchPartition: kgo.FetchPartition{Err: c.err}}); core.CodeOf(err) != c.want {
			t.Errorf("%v: %v, want %v", c.err, err, c.want)
		}
	}
	for _, heals := range []error{kerr.NotLeaderForPartition, kerr.UnknownTopicOrPartition, net.ErrClosed} {
		if err := f.fetchError(kgo.FetchTopicPartition{FetchPartition: kgo.FetchPartition{Err: heals}}); err != nil {
			t.Errorf("%v ends the Tail: %v", heals, err)
		}
	}
}

func BenchmarkTail(b *testing.B) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		b.Fatal(err)
	}
	defer cluster.Close()
	topic, err := Open(Options{Brokers: cluster.ListenAddrs(), FetchMaxWait: 10 * time.Millisecond})
	if err != nil {
		b.Fatal(err)
	}
	defer topic.Close()
	if err := topic.Ensure(b.Context()); err != nil {
		b.Fatal(err)
	}
	w := newWriter(0)
	rs := []*core.Record{w.claim()}
	for len(rs) < AppendMax {
		rs = append(rs, w.batch(64))
	}
	const appends = 40
	for range appends {
		if err := topic.Append(b.Context(), rs); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		err := topic.TailShards(b.Context(), []core.ShardID{0}, core.Heads{}, func(*core.Record) error {
			if n++; n == appends*AppendMax {
				return errHole
			}
			return nil
		})
		if !errors.Is(err, errHole) {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*appends*(AppendMax-1)*64)/b.Elapsed().Seconds(), "placements/s")
}
