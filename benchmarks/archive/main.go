// Command archive measures what the archive writes a second, beside a bare gocql
// loop that writes the same rows on the same node in the same run.
//
//	go run ./benchmarks/archive --min-ratio 0.9
//	go run ./benchmarks/archive --cql 127.0.0.1:9042
//
// Without --cql it starts a Cassandra of its own. After a warm-up, in which the
// server's own compiler comes to rest, both write in each round, in short turns; the
// medians and that of the rounds' ratios are printed, and exit 1 says that
// the ratio is below --min-ratio.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"pixelwall/persist/scylla"
	"pixelwall/tools/stack/servers"
)

type config struct {
	cql      string
	rounds   int
	warmup   time.Duration
	part     time.Duration
	writers  int
	records  int
	events   int
	minRatio float64
}

func main() {
	var c config
	flag.StringVar(&c.cql, "cql", "", "`host:port` of a CQL server; one is started when empty")
	flag.IntVar(&c.rounds, "rounds", 5, "interleaved rounds; medians are printed")
	flag.DurationVar(&c.warmup, "warmup", time.Minute, "of both together, before the rounds")
	flag.DurationVar(&c.part, "part", 10*time.Second, "how long each side of a round writes")
	flag.IntVar(&c.writers, "writers", 4, "shards that are written at once")
	flag.IntVar(&c.records, "records", 16, "records a call of Write")
	flag.IntVar(&c.events, "events", 64, "placements a record")
	flag.Float64Var(&c.minRatio, "min-ratio", 0, "exit 1 below it")
	flag.Parse()
	if err := run(context.Background(), &c); err != nil {
		fmt.Fprintln(os.Stderr, "archive:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c *config) error {
	if c.rounds < 1 || c.writers < 1 || c.writers > 64 || c.records < 1 || c.events < 1 || c.events > 65_535 {
		return errors.New("rounds, writers (up to 64), records and events (up to 65 535) must be at least 1")
	}
	if c.cql == "" {
		stop, err := c.start(ctx)
		if err != nil {
			return err
		}
		defer stop()
	}
	fmt.Println(machine())
	bare, err := openBare(ctx, c)
	if err != nil {
		return err
	}
	ours, err := openOurs(ctx, c)
	if err != nil {
		return errors.Join(err, bare.close())
	}
	return errors.Join(c.compare(ctx, [2]side{bare, ours}), bare.close(), ours.close())
}

func (c *config) compare(ctx context.Context, sides [2]side) error {
	if _, err := c.round(ctx, sides, c.warmup/2); err != nil {
		return err
	}
	var rates [2][]float64
	var ratios []float64
	for i := range c.rounds {
		r, err := c.round(ctx, sides, c.part)
		if err != nil {
			return err
		}
		ratios = append(ratios, r[1]/r[0])
		fmt.Printf("round %d: gocql %6.0f rows/s, archive %6.0f rows/s, ratio %.3f\n", i+1, r[0], r[1], ratios[i])
		rates[0], rates[1] = append(rates[0], r[0]), append(rates[1], r[1])
	}
	return c.judge(median(rates[0]), median(rates[1]), median(ratios))
}

// round lets both sides write the same number of rows in short turns, so that
// whatever else the machine does meets both, until each has had d.
func (c *config) round(ctx context.Context, sides [2]side, d time.Duration) (rates [2]float64, err error) {
	var spent [2]time.Duration
	turns := 0
	for ; min(spent[0], spent[1]) < d; turns++ {
		for i := range sides {
			k := (turns + i) % 2
			began := time.Now()
			if err := sides[k].turn(ctx); err != nil {
				return rates, err
			}
			spent[k] += time.Since(began)
		}
	}
	for k := range rates {
		rates[k] = float64(turns*c.rows()) / spent[k].Seconds()
	}
	return rates, nil
}

// callsATurn of each writer make a turn.
const callsATurn = 2

func (c *config) rows() int { return c.writers * callsATurn * c.records * (1 + 2*c.events) }

// start starts a server that ends with this process.
func (c *config) start(ctx context.Context) (stop func(), err error) {
	dir, err := os.MkdirTemp(".", "archive-bench-")
	if err != nil {
		return nil, err
	}
	stack, err := servers.Up(ctx, servers.Options{Cassandra: &servers.CassandraOptions{Nodes: 1}, Dir: dir, Tied: true})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	c.cql = stack.Cassandra[0].Addr()
	return func() {
		if err := errors.Join(stack.Down(), os.RemoveAll(dir)); err != nil {
			fmt.Fprintln(os.Stderr, "archive:", err)
		}
	}, nil
}

func (c *config) judge(bare, ours, ratio float64) error {
	perRow := float64(2*c.events+1) / float64(c.events)
	fmt.Printf("medians: gocql %.0f rows/s, archive %.0f rows/s (%.0f placements/s), ratio %.3f\n", bare, ours, ours/perRow, ratio)
	if ratio < c.minRatio {
		return fmt.Errorf("ratio %.3f, must be at least %g", ratio, c.minRatio)
	}
	return nil
}

func median(all []float64) float64 {
	all = slices.Sorted(slices.Values(all))
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// machine says where and of what the figures are.
func machine() string {
	model := "unknown processor"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	commit := "unknown"
	if out, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		commit = strings.TrimSpace(string(out))
	}
	return fmt.Sprintf("machine: %d cores of %s, %s/%s, %s; commit %s; command: %s",
		runtime.NumCPU(), model, runtime.GOOS, runtime.GOARCH, runtime.Version(), commit, strings.Join(os.Args[1:], " "))
}

// keyspace returns one that was made for this run.
func keyspace(ctx context.Context, c *config, name string) (*scylla.Store, string, error) {
	o := scylla.Options{Hosts: []string{c.cql}, Keyspace: fmt.Sprintf("pw_bench_%s_%08x", name, rand.Uint32()), Timeout: 10 * time.Second}
	s, err := scylla.Open(ctx, o)
	if err != nil {
		return nil, "", err
	}
	if err := s.Migrate(ctx); err != nil {
		return nil, "", errors.Join(err, s.Close())
	}
	for tick := time.Tick(10 * time.Millisecond); s.Health() != "ok"; {
		select {
		case <-tick:
		case <-ctx.Done():
			return nil, "", errors.Join(ctx.Err(), s.Close())
		}
	}
	return s, o.Keyspace, nil
}
