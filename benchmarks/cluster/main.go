// Command cluster measures an edge of a cluster beside one on the embedded store:
// CPU time of the process that serves clients per placement, and the time from
// placing to being seen.
//
//	go run ./benchmarks/cluster --rounds 3 --max-ratio 1.3
//
// It starts Redis, Kafka and Cassandra, two edges that serve clients, a process for
// the other roles, and one embedded edge, and paints the same made-up trace through
// each in turn, with the load test. Watchers are spread over both edges of the
// cluster, so half of what is seen was placed at the other edge.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"pixelwall/tools/stack/servers"
	"pixelwall/tools/trace"
)

type config struct {
	rounds   int
	seconds  int
	rate     int
	watchers int
	tick     time.Duration
	maxRatio float64
}

func main() {
	var c config
	flag.IntVar(&c.rounds, "rounds", 3, "interleaved rounds; medians are printed")
	flag.IntVar(&c.seconds, "seconds", 20, "how long a round paints")
	flag.IntVar(&c.rate, "rate", 2000, "placements a second")
	flag.IntVar(&c.watchers, "watchers", 50, "clients that watch the whole canvas")
	flag.DurationVar(&c.tick, "tick", time.Second, "time between two batches of every edge")
	flag.Float64Var(&c.maxRatio, "max-ratio", 0, "exit 1 when an edge of the cluster takes so many times the CPU a placement; 0 for no bound")
	flag.Parse()
	if err := run(context.Background(), &c); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// A measure is one painting.
type measure struct {
	accepted     float64
	cpuUS        float64 // of the serving processes, a placement
	p50MS, p99MS float64 // from placing to seen
	placedP50    float64
}

func run(ctx context.Context, c *config) error {
	dir, err := os.MkdirTemp(".", "cluster-bench-")
	if err != nil {
		return err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", dir, "pixelwall/edge", "pixelwall/loadtest").CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	file := filepath.Join(dir, "made-up.pxt.gz")
	if err := makeTrace(file, c); err != nil {
		return err
	}
	stack, err := servers.Up(ctx, servers.Options{Redis: &servers.RedisOptions{}, Kafka: &servers.KafkaOptions{Brokers: 1}, Cassandra: &servers.CassandraOptions{Nodes: 1}, Dir: filepath.Join(dir, "stack"), Tied: true})
	if err != nil {
		return err
	}
	defer stack.Down()
	b := bench{c: c, dir: dir, trace: file, flags: []string{
		"--redis", stack.Redis[0].Addr(), "--kafka", stack.Kafka[0].Addr(), "--scylla", stack.Cassandra[0].Addr(),
	}}
	var embedded, cluster []measure
	for round := range c.rounds {
		for _, one := range []struct {
			name string
			run  func(context.Context, int) (measure, error)
			all  *[]measure
		}{{"embedded", b.embedded, &embedded}, {"cluster", b.cluster, &cluster}} {
			m, err := one.run(ctx, round)
			if err != nil {
				return fmt.Errorf("%s: %w", one.name, err)
			}
			*one.all = append(*one.all, m)
			fmt.Printf("round %d, %-8s  %.0f placements, %.1f µs of CPU each, placed p50 %.0f ms, seen p50 %.0f ms, p99 %.0f ms\n", round+1, one.name, m.accepted, m.cpuUS, m.placedP50, m.p50MS, m.p99MS)
		}
	}
	return conclude(c, embedded, cluster)
}

func conclude(c *config, embedded, cluster []measure) error {
	median := func(all []measure, f func(measure) float64) float64 {
		var values []float64
		for _, m := range all {
			values = append(values, f(m))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	cpu := func(m measure) float64 { return m.cpuUS }
	ratio := median(cluster, cpu) / median(embedded, cpu)
	fmt.Printf("median of %d rounds, %d placements/s, %d watchers, tick %v, %d CPUs, %s\n", c.rounds, c.rate, c.watchers, c.tick, runtime.NumCPU(), runtime.Version())
	fmt.Printf("CPU a placement of the serving processes: embedded %.1f µs, cluster %.1f µs, ratio %.2f\n", median(embedded, cpu), median(cluster, cpu), ratio)
	fmt.Printf("placed to seen: embedded p50 %.0f ms p99 %.0f ms, cluster p50 %.0f ms p99 %.0f ms\n",
		median(embedded, func(m measure) float64 { return m.p50MS }), median(embedded, func(m measure) float64 { return m.p99MS }),
		median(cluster, func(m measure) float64 { return m.p50MS }), median(cluster, func(m measure) float64 { return m.p99MS }))
	if c.maxRatio > 0 && ratio > c.maxRatio {
		return fmt.Errorf("the ratio is above %.2f", c.maxRatio)
	}
	return nil
}

// makeTrace writes uniform placements at a steady rate.
func makeTrace(file string, c *config) error {
	rnd := rand.New(rand.NewPCG(1, 1))
	tr := &trace.Trace{Width: 1000, Height: 1000, Colors: 16, StartUnix: 1_491_238_734, Base: make([]byte, 1_000_000)}
	for ms := range c.seconds * 1000 {
		for range c.rate / 1000 {
			tr.Events = append(tr.Events, trace.Event{TimeMs: uint32(ms), Pos: rnd.Uint32N(1_000_000), Color: uint8(rnd.Uint32N(16))})
		}
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := tr.Write(f); err != nil {
		return err
	}
	return f.Close()
}

// A bench is what all rounds share.
type bench struct {
	c     *config
	dir   string
	trace string
	flags []string
}

func (b *bench) embedded(ctx context.Context, round int) (measure, error) {
	e, err := b.serve(ctx, fmt.Sprintf("embedded-%d", round))
	if err != nil {
		return measure{}, err
	}
	defer e.stop()
	return b.paint(ctx, e)
}

func (b *bench) cluster(ctx context.Context, round int) (measure, error) {
	name := fmt.Sprintf("bench%d", round)
	flags := append(slices.Clone(b.flags), "--redis-prefix", name, "--kafka-topic", name, "--scylla-keyspace", name, "--key-file", filepath.Join(b.dir, name+".keys"))
	work, err := b.start(ctx, append([]string{"--roles", "relay,archive,snapshot", "--data", filepath.Join(b.dir, name+"-work"), "--cooldown", "0"}, flags...))
	if err != nil {
		return measure{}, err
	}
	defer work.stop()
	var edges []*process
	for _, letter := range []string{"a", "b"} {
		e, err := b.serve(ctx, name+letter, append([]string{"--roles", "gateway"}, flags...)...)
		if err != nil {
			return measure{}, err
		}
		defer e.stop()
		edges = append(edges, e)
	}
	return b.paint(ctx, edges...)
}

// paint replays the trace through edges and measures.
func (b *bench) paint(ctx context.Context, edges ...*process) (m measure, err error) {
	var urls []string
	before := time.Duration(0)
	for _, e := range edges {
		urls = append(urls, "ws://"+e.addr+"/ws")
		before += e.cpu()
	}
	out, err := exec.CommandContext(ctx, filepath.Join(b.dir, "loadtest"), "replay", "--url", strings.Join(urls, ","), "--trace", b.trace,
		"--watchers", fmt.Sprint(b.c.watchers), "--history=0", "--json").Output()
	if err != nil {
		return m, fmt.Errorf("loadtest: %w\n%s", err, out)
	}
	var said struct {
		Accepted  float64
		P50       float64 `json:"p50_ms"`
		P99       float64 `json:"p99_ms"`
		PlacedP50 float64 `json:"ack_p50_ms"`
	}
	if err := json.Unmarshal(out, &said); err != nil {
		return m, err
	}
	after := time.Duration(0)
	for _, e := range edges {
		after += e.cpu()
	}
	m = measure{accepted: said.Accepted, p50MS: said.P50, p99MS: said.P99, placedP50: said.PlacedP50}
	m.cpuUS = float64((after - before).Microseconds()) / said.Accepted
	return m, nil
}
