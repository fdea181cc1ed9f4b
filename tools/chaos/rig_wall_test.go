package chaos

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/persist/kafka"
	"pixelwall/persist/redis"
	"pixelwall/persist/scylla"
	"pixelwall/tools/stack/servers"
)

// layout says what a fault needs that is not as always.
type layout struct {
	redis    servers.RedisOptions
	kafka    []string // instead of the shared brokers
	cql      []string
	alone    bool                          // Redis is all there is
	cooldown time.Duration                 // of a user; 0: none
	tick     time.Duration                 // 100 ms when 0
	flags    []string                      // for every process
	gateways int                           // two when 0
	redisAt  func(*servers.Stack) []string // the addresses of Redis that processes get; nil: those of the stack
	separate bool                          // archive and snapshot worker are two processes
}

// A wall is one canvas and the processes that serve it.
type wall struct {
	t      *testing.T
	seed   uint64
	rnd    *rand.Rand
	layout layout
	dir    string
	name   string // of prefix, topic and keyspace
	redis  []*servers.Server
	flags  []string
	all    []*process // in the order of their start
	load   *load
	// instead are flags of single processes that replace those of all.
	instead map[string][]string
	began   time.Time

	client *redis.Client // ours, to look into Redis
	topic  *kafka.Topic
	store  *scylla.Store
}

// newWall starts a Redis and says nothing to anybody yet.
func newWall(t *testing.T, seed uint64, l layout) *wall {
	t.Helper()
	w := &wall{t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 0)), layout: l, dir: t.TempDir(), began: time.Now()}
	w.name = fmt.Sprintf("c%x", seed&0xffffffffff)
	if w.layout.tick == 0 {
		w.layout.tick = 100 * time.Millisecond
	}
	stack := theRig.stack(t, w.name, servers.Options{Redis: &l.redis})
	t.Cleanup(func() { theRig.drop(t, w.name) })
	w.redis = stack.Redis
	addrs := servers.Addrs(stack.Redis)
	if l.redisAt != nil {
		addrs = l.redisAt(stack)
	}
	w.flags = append(w.flags, "--redis", strings.Join(addrs, ","), "--redis-prefix", w.name, "--key-file", filepath.Join(w.dir, "keys"),
		"--size", "1024x1024", "--cooldown", l.cooldown.String())
	if !l.alone {
		if w.layout.kafka == nil {
			w.layout.kafka = theRig.kafka(t)
		}
		if w.layout.cql == nil {
			w.layout.cql = theRig.cql(t)
		}
		w.flags = append(w.flags, "--kafka", strings.Join(w.layout.kafka, ","), "--kafka-topic", w.name,
			"--scylla", strings.Join(w.layout.cql, ","), "--scylla-keyspace", w.name)
	}
	w.flags = append(w.flags, l.flags...)
	t.Cleanup(w.end)
	return w
}

// roles of the processes that serve no clients.
const (
	relays   = "relay"
	archives = "archive"
	workers  = "archive,snapshot"
)

// process makes a process that does not run yet.
func (w *wall) process(name, roles string, flags ...string) *process {
	w.t.Helper()
	p := &process{t: w.t, name: name, addr: freePort(w.t), path: theRig.program(w.t, "edge"), log: filepath.Join(w.dir, name+".log")}
	data := filepath.Join(w.dir, name)
	if err := os.MkdirAll(data, 0o755); err != nil {
		w.t.Fatal(err)
	}
	p.args = append(replaced(w.flags, w.instead[name]), "--roles", roles, "--data", data)
	if strings.Contains(roles, "gateway") {
		p.args = append(p.args, "--listen", p.addr, "--tick", w.layout.tick.String(), "--guests-per-hour", "1000000", "--conns-per-address=-1")
	} else {
		p.args = append(p.args, "--admin-listen", p.addr)
	}
	p.args = append(p.args, flags...)
	w.all = append(w.all, p)
	return p
}

// replaced returns flags with the values that instead gives.
func replaced(flags, instead []string) []string {
	flags = slices.Clone(flags)
	for i := 0; i < len(instead); i += 2 {
		if at := slices.Index(flags, instead[i]); at >= 0 {
			flags[at+1] = instead[i+1]
		} else {
			flags = append(flags, instead[i], instead[i+1])
		}
	}
	return flags
}

// upTime is enough for a process, its tables and its topic on two busy cores.
const upTime = 90 * time.Second

// open starts a relay, the workers and the gateways, and clients that paint.
func (w *wall) open() *wall {
	w.t.Helper()
	w.process("relay-1", relays).start(upTime)
	if w.layout.separate {
		w.process("archive-1", archives).start(upTime)
		w.process("snapshot-1", "snapshot").start(upTime)
	} else {
		w.process("worker-1", workers).start(upTime)
	}
	n := w.layout.gateways
	if n == 0 {
		n = 2
	}
	for i := range n {
		w.process("edge-"+string(rune('A'+i)), "gateway").start(upTime)
	}
	w.connect()
	w.load = newLoad(w)
	w.underLoad()
	return w
}

// connect opens our own eyes on the servers.
func (w *wall) connect() {
	w.t.Helper()
	w.see(servers.Addrs(w.redis)...)
	w.t.Cleanup(func() { w.client.Close() })
	if w.layout.alone {
		return
	}
	quiet := slog.New(slog.DiscardHandler)
	var err error
	if w.topic, err = kafka.Open(kafka.Options{Brokers: w.layout.kafka, Topic: w.name, Logger: quiet}); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.topic.Close)
	if w.store, err = scylla.Open(w.t.Context(), scylla.Options{Hosts: w.layout.cql, Keyspace: w.name, Logger: quiet}); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { w.store.Close() })
}

// see opens our eyes on Redis.
func (w *wall) see(addrs ...string) {
	w.t.Helper()
	client, err := redis.Open(w.t.Context(), redis.Options{Addrs: addrs, Prefix: w.name, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		w.t.Fatal(err)
	}
	w.client = client
}

// get returns a process by its name.
func (w *wall) get(name string) *process {
	w.t.Helper()
	i := slices.IndexFunc(w.all, func(p *process) bool { return p.name == name })
	if i < 0 {
		w.t.Fatalf("there is no process %s", name)
	}
	return w.all[i]
}

// gateways returns the processes that serve clients.
func (w *wall) gateways() (some []*process) {
	for _, p := range w.all {
		if strings.HasPrefix(p.name, "edge-") {
			some = append(some, p)
		}
	}
	return some
}

// count sums a counter over all processes and their earlier lives.
func (w *wall) count(name string) (n float64) {
	for _, p := range w.all {
		n += p.count(name)
	}
	return n
}

// feltTime is how long a fault may take to be noticed; what has no answer is sent again
// for 30 s.
const feltTime = 40 * time.Second

// felt fails the test unless each counter comes above zero: a fault that nothing
// noticed tests nothing.
func (w *wall) felt(names ...string) {
	w.t.Helper()
	for _, name := range names {
		n := 0.0
		if !poll(feltTime, func() bool { n = w.count(name); return n > 0 }) {
			w.t.Errorf("%s is 0: the fault was not felt", name)
		}
		w.load.note("%s=%.0f", strings.TrimSuffix(strings.TrimPrefix(name, "pixelwall_"), "_total"), n)
	}
}

// loadMin is the load under which a fault has to happen, acknowledged placements a second.
const loadMin = 500

// enough is loadMin, or less for the short list: it runs with every change, on
// machines that do other things as well.
func enough() float64 {
	if full() {
		return loadMin
	}
	return loadMin / 4
}

// underLoad waits until the clients get through what they should.
func (w *wall) underLoad() {
	w.t.Helper()
	if !poll(2*time.Minute, func() bool { return w.load.rate() >= enough() }) {
		w.t.Fatalf("the load came to %.0f acknowledged placements a second, want %.0f", w.load.rate(), enough())
	}
	w.load.atFault(w.load.rate())
}

// stands returns what Redis says of each shard.
func (w *wall) stands(ctx context.Context) (all map[core.ShardID]core.Stand, err error) {
	all = map[core.ShardID]core.Stand{}
	for s := range core.ShardID(shards) {
		if all[s], err = w.client.Outbox().Stand(ctx, s); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// epochs returns the fence of each shard.
func (w *wall) epochs() (all [shards]uint32) {
	w.t.Helper()
	within(w.t, time.Minute, "an answer of Redis", func() bool {
		stands, err := w.stands(w.t.Context())
		for s, stand := range stands {
			all[s] = stand.Epoch
		}
		return err == nil
	})
	return all
}

// tookOver waits until every shard is armed under a higher epoch than before.
func (w *wall) tookOver(before [shards]uint32, limit time.Duration) {
	w.t.Helper()
	within(w.t, limit, "the take-over of every shard", func() bool {
		stands, err := w.stands(w.t.Context())
		for s, stand := range stands {
			if !stand.Armed || stand.Epoch <= before[s] {
				return false
			}
		}
		return err == nil
	})
}

// end kills what still runs and, after a failure, shows what it said.
func (w *wall) end() {
	if w.load != nil {
		w.load.cancel()
	}
	for _, p := range w.all {
		if p.running() {
			if w.t.Failed() && !p.paused {
				w.t.Logf("%s counts %s", p.name, p.counts())
			}
			p.cmd.Process.Kill()
			<-p.ended
		}
		if w.t.Failed() {
			w.t.Logf("the log of %s ends with:\n%s", p.name, p.tail(40))
		}
	}
	if w.t.Failed() {
		for _, s := range w.redis {
			w.t.Logf("the log of %s ends with:\n%s", s.Name, s.Tail(8))
		}
	}
}
