package kafka

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"

	"pixelwall/core"
	"pixelwall/core/coretest"
	"pixelwall/tools/stack/stacktest"
)

// A journal is a log that can be read while it is written.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

func TestATopicIsMadeAsItShouldBe(t *testing.T) {
	brokers := stacktest.Kafka(t)
	topic := open(t, brokers, func(o *Options) { o.Retention, o.Partitions = 7*24*time.Hour, 20 })
	configs, err := kadm.NewClient(topic.cl).DescribeTopicConfigs(coretest.Patiently(t), topic.o.Topic)
	if err != nil || len(configs) != 1 {
		t.Fatal(configs, err)
	}
	want := map[string]string{
		"cleanup.policy": "delete", "retention.ms": "604800000", "unclean.leader.election.enable": "false", "max.message.bytes": "1048576",
		"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": "9223372036854775807", "min.insync.replicas": "1",
	}
	for _, c := range configs[0].Configs {
		if w, asked := want[c.Key]; asked && w != c.MaybeValue() {
			t.Errorf("%s is %s, want %s", c.Key, c.MaybeValue(), w)
		}
		delete(want, c.Key)
	}
	if len(want) > 0 {
		t.Errorf("not told: %v", want)
	}
	if n, err := topic.Partitions(coretest.Patiently(t)); err != nil || n != 20 {
		t.Errorf("%d partitions, %v", n, err)
	}
	ahead := newWriter(0).claim()
	ahead.TimeMS = time.Now().Add(1000 * time.Hour).UnixMilli()
	if err := topic.Append(coretest.Patiently(t), []*core.Record{ahead}); err != nil {
		t.Errorf("a sequencer whose clock is wrong: %v", err)
	}
}

func TestATopicThatStandsOnOtherTermsIsWarnedOf(t *testing.T) {
	cluster := fake(t, kfake.NumBrokers(3))
	compact, short := "compact", "3600000"
	var j journal
	topic, err := Open(Options{Brokers: cluster.ListenAddrs(), Logger: j.logger(), Replication: 5})
	if err != nil {
		t.Fatal(err)
	}
	defer topic.Close()
	_, err = kadm.NewClient(topic.cl).CreateTopic(coretest.Patiently(t), 3, 1, map[string]*string{"cleanup.policy": &compact, "retention.ms": &short}, topic.o.Topic)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to add
		if err := topic.Ensure(coretest.Patiently(t)); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"set it to delete", "forgets earlier", "fewer replicas", "partitions were added"} {
		if !strings.Contains(j.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, j.String())
		}
	}
	if n, err := topic.Partitions(coretest.Patiently(t)); err != nil || n != partitionsMin {
		t.Errorf("%d partitions, %v", n, err)
	}
}

func TestOptionsThatCannotBeAreRefused(t *testing.T) {
	for name, o := range map[string]Options{
		"no brokers":           {},
		"too many partitions":  {Brokers: []string{"b:1"}, Partitions: core.ShardsMax + 1},
		"more in sync":         {Brokers: []string{"b:1"}, Replication: 1, MinISR: 2},
		"no port":              {Brokers: []string{"localhost"}},
		"a broker of nonsense": {Brokers: []string{"b:x:y"}},
		"a time below 1 ms":    {Brokers: []string{"b:1"}, FetchMaxWait: 1},
	} {
		if topic, err := Open(o); core.CodeOf(err) != core.CodeInvalid {
			t.Errorf("%s: %v", name, err)
			if topic != nil {
				topic.Close()
			}
		}
	}
}

func TestANameThatIsNotAllowedIsNotTriedForEver(t *testing.T) {
	topic, err := Open(Options{Brokers: stacktest.Kafka(t), Topic: "pixel events/eu"})
	if err != nil {
		t.Fatal(err)
	}
	defer topic.Close()
	if err := topic.Ensure(coretest.Patiently(t)); core.CodeOf(err) != core.CodeInvalid {
		t.Errorf("Ensure = %v", err)
	}
}
