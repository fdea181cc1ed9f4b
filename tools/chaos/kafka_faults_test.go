package chaos

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"pixelwall/loadtest/client"
	"pixelwall/tools/stack/servers"
)

var kafkaFaults = []scenario{
	{"T9 Kafka down", false, kafkaDown},
	{"T10 a leader killed", false, leaderKilled},
	{"T14 an edge cut off from Kafka", false, cutFromKafka},
}

// threeBrokers are for faults that need more than one.
func threeBrokers(t *testing.T) []*servers.Server {
	t.Helper()
	theRig.drop(t, "kafka") // two cores are few
	return theRig.stack(t, "kafka-3", servers.Options{Kafka: &servers.KafkaOptions{Brokers: 3}}).Kafka
}

func restart(t *testing.T, all ...*servers.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	for _, s := range all {
		if err := s.Launch(); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range all {
		if err := s.Ready(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

func kill(t *testing.T, all ...*servers.Server) {
	t.Helper()
	for _, s := range all {
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
	}
}

// seenWithin is how long a pixel may take from its acknowledgement at one edge to
// a client of another one, beyond a tick.
const seenWithin = 500 * time.Millisecond

// A sight is how long a pixel took from its acknowledgement at one edge to a
// watcher of another one.
type sight struct {
	took time.Duration
	at   time.Time // of the acknowledgement
}

// sights returns those of the pixels that were acknowledged at edge from between two
// times, at the watchers of edge to, the quickest first. Painters that moved to
// another edge do not count, and a watcher counts from its first batch on: that one
// brings a newcomer what was painted before it came.
func (w *wall) sights(from, to int, since, until time.Time) (all []sight) {
	for _, wt := range w.load.watchers {
		if wt.edge != to {
			continue
		}
		wt.mu.Lock()
		var steps [shards][]client.Seen
		for _, s := range wt.seen {
			steps[s.Shard] = append(steps[s.Shard], s)
		}
		wt.mu.Unlock()
		for _, pt := range w.load.painters {
			if pt.edge != from || pt.p.Reconnects.Load() > 0 {
				continue
			}
			pt.mu.Lock()
			for _, s := range pt.strokes {
				if s.fate != placed || s.at.Before(since) || s.at.After(until) {
					continue
				}
				i, _ := slices.BinarySearchFunc(steps[s.shard], s.seq, func(step client.Seen, seq uint64) int { return cmp.Compare(step.To, seq) })
				if 0 < i && i < len(steps[s.shard]) {
					all = append(all, sight{steps[s.shard][i].At.Sub(s.at), s.at})
				}
			}
			pt.mu.Unlock()
		}
	}
	slices.SortFunc(all, func(a, b sight) int { return cmp.Compare(a.took, b.took) })
	return all
}

// across fails the test when a pixel that was acknowledged at edge from between two
// times took too long to a watcher of edge to.
func (w *wall) across(from, to int, since, until time.Time) {
	w.t.Helper()
	all, most := w.sights(from, to, since, until), w.layout.tick+seenWithin
	if len(all) == 0 {
		w.t.Error("no watcher of the other edge saw anything")
		return
	}
	worst := all[len(all)-1]
	w.load.note("seen_after p50=%v p99=%v max=%v", all[len(all)/2].took.Round(time.Millisecond), all[len(all)*99/100].took.Round(time.Millisecond), worst.took.Round(time.Millisecond))
	if late := len(all) - sort.Search(len(all), func(i int) bool { return all[i].took > most }); late > 0 {
		w.t.Errorf("%d of %d pixels were seen at the other edge later than %v after their acknowledgement; the last one, %v after the fault, took %v",
			late, len(all), most, worst.at.Sub(since).Round(time.Millisecond), worst.took.Round(time.Millisecond))
	}
}

// kafkaDown kills all brokers: everybody goes on over the streams of Redis, a
// client joins and an edge restarts meanwhile.
func kafkaDown(t *testing.T, seed uint64) {
	down, brokers := 12*time.Second, []*servers.Server(nil)
	if full() {
		down, brokers = time.Minute, threeBrokers(t)
	} else {
		theRig.kafka(t)
		brokers = theRig.stacks["kafka"].Kafka
	}
	w := newWall(t, seed, layout{kafka: servers.Addrs(brokers), gateways: 3}).open()
	since := time.Now()
	kill(t, brokers...)
	within(t, 20*time.Second, "a switch to the streams of every edge", func() bool {
		return w.get("edge-A").count("pixelwall_failover_active") > 0 && w.get("edge-B").count("pixelwall_failover_active") > 0
	})
	lasts(t, down/2)
	w.underLoad()
	c := w.get("edge-C")
	c.kill()
	joined := w.load.addWatchers(2)
	c.start(upTime)
	lasts(t, down/2)
	w.underLoad()
	for _, wt := range joined {
		if wt.Head(0) == 0 {
			t.Error("a client that joined while Kafka was down has seen nothing")
		}
	}
	back := time.Now()
	restart(t, brokers...)
	within(t, time.Minute, "the way back to Kafka", func() bool { return w.count("pixelwall_failover_active") == 0 })
	w.across(0, 1, since, back) // brokers that start leave two cores little for anybody else
	if all := w.sights(0, 1, back, time.Now()); len(all) > 0 {
		w.load.note("seen_after_return max=%v", all[len(all)-1].took.Round(time.Millisecond))
	}
	w.felt("pixelwall_failover_switches_total", "pixelwall_redis_placements_total")
	w.settle(expected{})
}

// leaderKilled kills the broker that leads most partitions.
func leaderKilled(t *testing.T, seed uint64) {
	brokers := threeBrokers(t)
	defer theRig.drop(t, "kafka-3")
	w := newWall(t, seed, layout{kafka: servers.Addrs(brokers)}).open()
	victim := brokers[leaderOf(t, w.layout.kafka, w.name)-1]
	kill(t, victim)
	lasts(t, 5*time.Second)
	w.underLoad()
	restart(t, victim)
	w.underLoad()
	if w.count("pixelwall_kafka_retries_total")+w.count("pixelwall_kafka_restarts_total")+w.count("pixelwall_failover_switches_total") == 0 {
		t.Error("nobody had to ask Kafka again: the fault was not felt")
	}
	w.load.note("kafka_retries=%.0f kafka_restarts=%.0f switches=%.0f", w.count("pixelwall_kafka_retries_total"),
		w.count("pixelwall_kafka_restarts_total"), w.count("pixelwall_failover_switches_total"))
	w.settle(expected{})
}

// leaderOf returns the node that leads most partitions of ours.
func leaderOf(t *testing.T, brokers []string, topic string) int32 {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	details, err := kadm.NewClient(c).ListTopics(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	leads := map[int32]int{}
	for _, p := range details[topic].Partitions.Sorted() {
		if p.Partition < shards {
			leads[p.Leader]++
		}
	}
	most := int32(1)
	for node, n := range leads {
		if n > leads[most] || n == leads[most] && node < most {
			most = node
		}
	}
	return most
}

// A sideDoor is a second listener of the broker, whose clients come through a
// proxy, also after the broker told them where it is.
type sideDoor struct {
	addr  string
	proxy *proxy
}

// openSideDoor starts the shared broker again with one more listener.
func openSideDoor(t *testing.T) *sideDoor {
	t.Helper()
	theRig.drop(t, "kafka-3")
	theRig.kafka(t)
	broker := theRig.stacks["kafka"].Kafka[0]
	inside := freePort(t)
	p := newProxy(t, inside)
	conf := filepath.Join(broker.Dir, "server.properties")
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		name, value, _ := strings.Cut(line, "=")
		switch name {
		case "listeners":
			line += ",SIDE://" + inside
			lines = append(lines, "advertised.listeners=PLAINTEXT://"+broker.Addr()+",SIDE://"+p.addr())
		case "listener.security.protocol.map":
			line += ",SIDE:PLAINTEXT"
		}
		_ = value
		lines = append(lines, line)
	}
	kill(t, broker)
	if err := os.WriteFile(conf, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	restart(t, broker)
	t.Cleanup(func() { // the next one begins with the door closed
		kill(t, broker)
		if err := os.WriteFile(conf, text, 0o644); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), startTime)
		defer cancel()
		if err := broker.Restart(ctx); err != nil {
			t.Error(err)
		}
	})
	return &sideDoor{addr: p.addr(), proxy: p}
}

// cutFromKafka takes Kafka away from one edge only.
func cutFromKafka(t *testing.T, seed uint64) {
	door := openSideDoor(t)
	w := newWall(t, seed, layout{})
	w.instead = map[string][]string{"edge-B": {"--kafka", door.addr}}
	w.open()
	b := w.get("edge-B")
	since := time.Now()
	door.proxy.hole()
	within(t, 20*time.Second, "a switch to the streams", func() bool { return b.count("pixelwall_failover_active") > 0 })
	lasts(t, 5*time.Second)
	w.underLoad()
	door.proxy.heal()
	within(t, time.Minute, "the way back to Kafka", func() bool { return b.count("pixelwall_failover_active") == 0 })
	w.across(0, 1, since, time.Now())
	w.felt("pixelwall_failover_switches_total")
	w.settle(expected{})
}
