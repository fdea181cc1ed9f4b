package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"pixelwall/core"
	"pixelwall/core/coretest"
	"pixelwall/tools/stack/stacktest"
)

func TestTheContractOfALogOnAFakeBroker(t *testing.T) {
	coretest.TestLog(t, func(t *testing.T, s coretest.Setup) *coretest.Store {
		dir := t.TempDir()
		cluster := fake(t, kfake.DataDir(dir), kfake.SyncWrites())
		topic := open(t, cluster.ListenAddrs())
		m, err := coretest.NewMemory(s)
		if err != nil {
			t.Fatal(err)
		}
		st, stop := store(t, m, topic)
		st.Crash = func() *coretest.Store {
			stop()
			topic.Close()
			cluster.Close()
			again := fake(t, kfake.DataDir(dir), kfake.SyncWrites())
			o := topic.o
			o.Brokers = again.ListenAddrs()
			topic := open(t, again.ListenAddrs(), func(new *Options) { new.Topic = o.Topic })
			st, _ := store(t, m.Crash(), topic)
			return st
		}
		return st
	})
}

func TestTheContractOfALogOnARealBroker(t *testing.T) {
	brokers := stacktest.Kafka(t)
	coretest.TestLog(t, func(t *testing.T, s coretest.Setup) *coretest.Store {
		m, err := coretest.NewMemory(s)
		if err != nil {
			t.Fatal(err)
		}
		st, _ := store(t, m, open(t, brokers))
		return st
	})
}

func store(t *testing.T, m *coretest.Memory, topic *Topic) (*coretest.Store, func()) {
	t.Helper()
	c, stop := carry(t, m, topic)
	return &coretest.Store{
		Sequencer: c, Log: topic, Canvas: m.Canvas(),
		Trim: func(heads core.Heads) {
			for s, h := range heads {
				if h > 0 {
					trim(t, topic, int32(s), -1)
				}
			}
		},
	}, stop
}
