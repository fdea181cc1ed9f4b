// Command place measures the embedded store through the whole of Place: cooldown,
// answers to repeated requests, sequence, group fsync, indexes.
//
//	go run ./benchmarks/place --seconds 60
//	go run ./benchmarks/place --events 10000000 --restart
//
// Users paint in turn, each with a page of their own, so that nobody is refused;
// pixels are uniform over the canvas, which is the worst case for the index.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"time"

	"pixelwall/core"
	"pixelwall/persist/embedded"
)

type config struct {
	seconds    int
	events     int64
	callers    int
	batch      int
	users      int
	side       int
	cooldownMS int64
	dir        string
	min        float64
	maxLag     float64
	maxStart   float64
	restart    bool
	crash      bool
	jsonOut    bool
	cpuProfile string
	memProfile string
}

func main() {
	var c config
	flag.IntVar(&c.seconds, "seconds", 60, "how long to paint, unless --events is given")
	flag.Int64Var(&c.events, "events", 0, "paint so many instead of for --seconds")
	flag.IntVar(&c.callers, "callers", 256, "goroutines that call Place")
	flag.IntVar(&c.batch, "batch", 4, "placements a call")
	flag.IntVar(&c.users, "users", 1_500_000, "users who take turns")
	flag.IntVar(&c.side, "side", 1000, "width and height of the canvas in pixels")
	flag.Int64Var(&c.cooldownMS, "cooldown-ms", 5000, "cooldown in ms")
	flag.StringVar(&c.dir, "dir", "", "data folder, which must be empty; a temporary one in the working folder when not given")
	flag.Float64Var(&c.min, "min", 0, "exit 1 below so many placements a second")
	flag.Float64Var(&c.maxLag, "max-lag", 0, "exit 1 when the index is more seconds behind at the end; 0 for no limit")
	flag.Float64Var(&c.maxStart, "max-start", 0, "exit 1 when the start takes more seconds; 0 for no limit")
	flag.BoolVar(&c.restart, "restart", false, "paint in another process that ends without a word, then open the folder and measure that")
	flag.BoolVar(&c.crash, "crash", false, "end without closing the store")
	flag.BoolVar(&c.jsonOut, "json", false, "print one JSON object")
	flag.StringVar(&c.cpuProfile, "cpuprofile", "", "write a CPU profile of the painting here")
	flag.StringVar(&c.memProfile, "memprofile", "", "write a heap profile of its end here")
	flag.Parse()
	if err := run(&c); err != nil {
		fmt.Fprintln(os.Stderr, "place:", err)
		os.Exit(1)
	}
}

func run(c *config) error {
	if c.dir == "" {
		dir, err := os.MkdirTemp(".", "place-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		c.dir = dir
	}
	var r report
	var err error
	if c.restart {
		err = restart(c, &r)
	} else {
		err = measure(c, &r)
	}
	if err != nil {
		return err
	}
	if err := r.print(c); err != nil {
		return err
	}
	return r.judge(c)
}

func measure(c *config, r *report) error {
	store, err := open(c)
	if err != nil {
		return err
	}
	if err := profiled(c, func() error { return paint(c, store, r) }); err != nil || c.crash {
		return err
	}
	return store.Close()
}

func open(c *config) (*embedded.Store, error) {
	palette, _ := core.NamedPalette("place2017")
	return embedded.Open(embedded.Options{Dir: c.dir, Create: core.Create{
		Canvas: uint64(time.Now().UnixNano()),
		Config: core.Config{Version: 1, Width: c.side, Height: c.side, Bits: 4, Palette: palette, CooldownMS: c.cooldownMS, BurstMax: 1},
	}})
}

func profiled(c *config, fn func() error) error {
	if c.cpuProfile != "" {
		f, err := os.Create(c.cpuProfile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	if err := fn(); err != nil || c.memProfile == "" {
		return err
	}
	f, err := os.Create(c.memProfile)
	if err != nil {
		return err
	}
	defer f.Close()
	return pprof.WriteHeapProfile(f)
}

// A report is what is printed. Names carry their units.
type report struct {
	PerSecond      float64 `json:"placements_per_s"`
	Stored         int64   `json:"stored"`
	Refused        int64   `json:"refused"`
	Seconds        float64 `json:"seconds"`
	Callers        int     `json:"callers"`
	Batch          int     `json:"batch"`
	P50MS          float64 `json:"p50_ms"`
	P99MS          float64 `json:"p99_ms"`
	MaxMS          float64 `json:"max_ms"`
	IndexLagS      float64 `json:"index_lag_s"`
	RSSMB          float64 `json:"rss_mb"`
	RSSMBPerMinute float64 `json:"rss_mb_per_min"`
	HeapMB         float64 `json:"heap_mb"`
	LogMB          float64 `json:"log_mb"`
	StartS         float64 `json:"start_s,omitempty"`
	StartIndexS    float64 `json:"start_index_s,omitempty"`
}

func (r *report) print(c *config) error {
	if c.jsonOut {
		return json.NewEncoder(os.Stdout).Encode(r)
	}
	fmt.Printf("%10.0f placements/s durable (%d in %.1f s, %d refused; %d callers, %d a call)\n", r.PerSecond, r.Stored, r.Seconds, r.Refused, r.Callers, r.Batch)
	fmt.Printf("%10.2f ms p50 of Place, %.2f ms p99, %.1f ms the slowest\n", r.P50MS, r.P99MS, r.MaxMS)
	fmt.Printf("%10.2f s index lag at the end\n", r.IndexLagS)
	fmt.Printf("%10.0f MB RSS at the end, %+.1f MB a minute over the second half, heap %.0f MB, log %.0f MB\n", r.RSSMB, r.RSSMBPerMinute, r.HeapMB, r.LogMB)
	if c.restart {
		fmt.Printf("%10.2f s to start again as after a crash, index caught up %.2f s later\n", r.StartS, r.StartIndexS)
	}
	return nil
}

func (r *report) judge(c *config) error {
	switch {
	case c.min > 0 && r.PerSecond < c.min:
		return fmt.Errorf("%.0f placements a second, wanted %.0f", r.PerSecond, c.min)
	case c.maxLag > 0 && r.IndexLagS > c.maxLag:
		return fmt.Errorf("the index is %.2f s behind, allowed are %.2f", r.IndexLagS, c.maxLag)
	case c.maxStart > 0 && r.StartS > c.maxStart:
		return fmt.Errorf("the start took %.2f s, allowed are %.2f", r.StartS, c.maxStart)
	}
	return nil
}
