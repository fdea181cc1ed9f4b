// Command sequencer measures placements through one Redis, cooldown and request
// memory included, beside redis-benchmark's SET on the same server in the same run.
//
//	go run ./benchmarks/sequencer --rounds 5 --check
//
// It starts a Redis of its own with appendfsync always. Each round runs SET with
// one command a round trip, SET with 64, and placements; medians are printed. All
// of them share the machine's cores with whoever asks.
//
// What is held is how placements compare with SET: where redis-benchmark comes to
// 94 000 SET a second alone and 1.45 million in pipelines of 64, the bounds are
// 150 000 placements a second and 1.5 µs each. On a slower machine both sides are.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"pixelwall/core"
	"pixelwall/persist/redis"
	"pixelwall/tools/stack/servers"
)

type config struct {
	rounds  int
	seconds float64
	callers int
	batch   int
	check   bool
	min     float64
	max     float64
}

func main() {
	var c config
	flag.IntVar(&c.rounds, "rounds", 5, "interleaved rounds; medians are printed")
	flag.Float64Var(&c.seconds, "seconds", 4, "how long each part of a round places")
	flag.IntVar(&c.callers, "callers", 48, "goroutines that call Place, spread over 16 shards")
	flag.IntVar(&c.batch, "batch", 64, "placements a call")
	flag.BoolVar(&c.check, "check", false, "exit 1 when a bound is missed")
	flag.Float64Var(&c.min, "min", 1.6, "bound: placements a second, in SETs at -P 1")
	flag.Float64Var(&c.max, "max", 2.2, "bound: Redis' command time of a placement, in times of a SET at -P 64")
	flag.Parse()
	if err := run(context.Background(), &c); err != nil {
		fmt.Fprintln(os.Stderr, "sequencer:", err)
		os.Exit(1)
	}
}

// A round is what one round measured.
type round struct{ set1, set64, placements, perBatch, microseconds float64 }

func run(ctx context.Context, c *config) error {
	dir, err := os.MkdirTemp(".", "sequencer-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	stack, err := servers.Up(ctx, servers.Options{Redis: &servers.RedisOptions{}, Dir: dir, Tied: true})
	if err != nil {
		return err
	}
	defer stack.Down()
	addr := stack.Redis[0].Addr()
	client, err := redis.Open(ctx, redis.Options{Addrs: []string{addr}})
	if err != nil {
		return err
	}
	defer client.Close()
	for range 50 { // the client connects by itself
		if err = arm(ctx, client); core.CodeOf(err) != core.CodeUnavailable || err == nil {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	raw, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{addr}, DisableCache: true})
	if err != nil {
		return err
	}
	defer raw.Close()
	var rounds []round
	for i := range c.rounds {
		var r round
		if r.set1, err = setBenchmark(ctx, addr, 1); err != nil {
			return err
		}
		if r.set64, err = setBenchmark(ctx, addr, 64); err != nil {
			return err
		}
		if err := place(ctx, c, client, raw, &r); err != nil {
			return err
		}
		fmt.Printf("round %d: SET -P 1 %.0f/s, SET -P 64 %.0f/s, placements %.0f/s in batches of %.1f, %.2f µs each in Redis\n",
			i+1, r.set1, r.set64, r.placements, r.perBatch, r.microseconds)
		rounds = append(rounds, r)
	}
	return conclude(c, rounds)
}

func conclude(c *config, rounds []round) error {
	median := func(f func(round) float64) float64 {
		var all []float64
		for _, r := range rounds {
			all = append(all, f(r))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	beside := median(func(r round) float64 { return r.placements / r.set1 })
	each := median(func(r round) float64 { return r.microseconds * r.set64 / 1e6 })
	fmt.Printf("median of %d: placements %.0f/s = %.2f × SET -P 1; %.2f µs of command time each = %.2f × that of a SET at -P 64\n", len(rounds),
		median(func(r round) float64 { return r.placements }), beside, median(func(r round) float64 { return r.microseconds }), each)
	fmt.Printf("appendfsync always, cooldown 5 minutes, %d callers, %d CPUs, %s\n", c.callers, runtime.NumCPU(), runtime.Version())
	if c.check && (beside < c.min || each > c.max) {
		return fmt.Errorf("a bound is missed: at least %.2f × SET -P 1, at most %.2f × the time of a SET at -P 64", c.min, c.max)
	}
	return nil
}

// arm makes a canvas of 16 shards that takes placements.
func arm(ctx context.Context, client *redis.Client) error {
	palette, _ := core.NamedPalette("place2017")
	config := core.Config{Version: 1, Width: 2048, Height: 2048, Bits: 4, Palette: palette, CooldownMS: 300_000, BurstMax: 1}
	board := core.NewBoard(config.Geometry(), 0)
	for _, s := range config.Geometry().Shards() {
		o := client.Outbox()
		if _, err := o.Fence(ctx, s, 1); err != nil {
			return err
		}
		if err := o.Rebuild(ctx, s, 1, core.Base{Canvas: 7, Config: &config, Pixels: board.Pixels(s)}); err != nil {
			return err
		}
		if err := o.Arm(ctx, s, core.Holder{Epoch: 1, Relay: 1}, core.EpochSeq(1), 0); err != nil {
			return err
		}
	}
	return nil
}

var perSecond = regexp.MustCompile(`([0-9.]+) requests per second`)

// setBenchmark runs redis-benchmark's SET with p commands a round trip.
func setBenchmark(ctx context.Context, addr string, p int) (float64, error) {
	host, port := addr[:len(addr)-len(regexp.MustCompile(`:\d+$`).FindString(addr))], regexp.MustCompile(`\d+$`).FindString(addr)
	n := 100_000 * min(p, 10)
	out, err := exec.CommandContext(ctx, "redis-benchmark", "-h", host, "-p", port, "-t", "set", "-n", strconv.Itoa(n), "-r", "1000000", "-P", strconv.Itoa(p), "-q").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("redis-benchmark: %w: %s", err, out)
	}
	all := perSecond.FindAllSubmatch(out, -1)
	if len(all) == 0 {
		return 0, fmt.Errorf("redis-benchmark printed no rate: %s", out)
	}
	return strconv.ParseFloat(string(all[len(all)-1][1]), 64)
}

// place paints with ever new users for the given time.
func place(ctx context.Context, c *config, client *redis.Client, raw rueidis.Client, r *round) error {
	calls, us, err := commandTime(ctx, raw)
	if err != nil {
		return err
	}
	before := client.Stats()
	end := time.Now().Add(time.Duration(c.seconds * float64(time.Second)))
	var wg sync.WaitGroup
	var failed atomic.Pointer[error]
	var refused atomic.Int64
	began := time.Now()
	for caller := range c.callers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(rand.Uint64(), uint64(caller)))
			ps, out := make([]core.Placement, c.batch), make([]core.Outcome, c.batch)
			for time.Now().Before(end) {
				for i := range ps {
					ps[i] = core.Placement{
						Shard: core.ShardID(caller % 16), Offset: rnd.Uint32N(core.ShardPixels), Color: uint8(rnd.Uint32N(16)),
						User: rnd.Uint64(), Request: core.Request{Instance: rnd.Uint64(), Number: 1},
					}
				}
				err := client.Sequencer().Place(ctx, ps, out)
				if err == nil && out[0].Err != nil {
					err = out[0].Err
				}
				if core.CodeOf(err) == core.CodeUnavailable && err != nil { // a breaker opened: a busy machine
					refused.Add(1)
					time.Sleep(10 * time.Millisecond)
				} else if err != nil {
					failed.Store(&err)
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(began).Seconds()
	if err := failed.Load(); err != nil {
		return *err
	}
	calls2, us2, err := commandTime(ctx, raw)
	if err != nil {
		return err
	}
	if n := refused.Load(); n > 0 {
		fmt.Printf("  %d calls were refused because Redis did not answer in time\n", n)
	}
	n := float64(client.Stats().Placements - before.Placements)
	r.placements, r.perBatch, r.microseconds = n/took, n/(calls2-calls), (us2-us)/n
	return nil
}

var fcall = regexp.MustCompile(`cmdstat_fcall:calls=(\d+),usec=(\d+)`)

// commandTime returns how many FCALLs the server has done and how long they took.
func commandTime(ctx context.Context, raw rueidis.Client) (calls, us float64, err error) {
	info, err := raw.Do(ctx, raw.B().Info().Section("commandstats").Build()).ToString()
	if err != nil {
		return 0, 0, err
	}
	if m := fcall.FindStringSubmatch(info); m != nil {
		calls, _ = strconv.ParseFloat(m[1], 64)
		us, _ = strconv.ParseFloat(m[2], 64)
	}
	return calls, us, nil
}
