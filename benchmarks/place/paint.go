package main

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"pixelwall/core"
	"pixelwall/persist/embedded"
)

// paint lets all callers paint and fills in r.
func paint(c *config, store *embedded.Store, r *report) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if c.events == 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(c.seconds)*time.Second)
		defer cancel()
	}
	var tally tally
	var wg sync.WaitGroup
	painters := make([]*painter, c.callers)
	begin := time.Now()
	for i := range painters {
		painters[i] = newPainter(c, i)
		wg.Go(func() { painters[i].run(ctx, c, store, &tally) })
	}
	memory := watchMemory(ctx)
	wg.Wait()
	seconds := time.Since(begin).Seconds()
	cancel()
	if err := tally.err.Load(); err != nil {
		return *err
	}
	lag, err := indexLag(store)
	if err != nil {
		return err
	}
	total := hdrhistogram.New(1, 60_000_000, 3)
	for _, p := range painters {
		total.Merge(p.latency)
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	*r = report{
		PerSecond: float64(tally.stored.Load()) / seconds, Stored: tally.stored.Load(), Refused: tally.refused.Load(), Seconds: seconds,
		Callers: c.callers, Batch: c.batch, IndexLagS: lag.Seconds(), HeapMB: float64(mem.HeapAlloc) / 1e6,
		P50MS: float64(total.ValueAtQuantile(50)) / 1000, P99MS: float64(total.ValueAtQuantile(99)) / 1000, MaxMS: float64(total.Max()) / 1000,
	}
	r.RSSMB, r.RSSMBPerMinute = memory()
	r.LogMB, err = folderMB(filepath.Join(c.dir, "log"))
	return err
}

type tally struct {
	stored, refused atomic.Int64
	err             atomic.Pointer[error]
}

// A painter is one caller of Place, for users who take turns.
type painter struct {
	random  *rand.Rand
	user    int // the next one
	step    int
	users   int
	number  uint32
	side    int
	latency *hdrhistogram.Histogram
}

func newPainter(c *config, i int) *painter {
	return &painter{
		random: rand.New(rand.NewPCG(1, uint64(i))), user: i, step: c.callers, users: c.users, number: 1, side: c.side,
		latency: hdrhistogram.New(1, 60_000_000, 3),
	}
}

func (p *painter) run(ctx context.Context, c *config, store *embedded.Store, t *tally) {
	ps, out := make([]core.Placement, c.batch), make([]core.Outcome, c.batch)
	for ctx.Err() == nil && (c.events == 0 || t.stored.Load() < c.events) {
		for i := range ps {
			ps[i] = p.next()
		}
		begin := time.Now()
		err := store.Place(context.Background(), ps, out)
		if err != nil {
			t.err.Store(&err)
			return
		}
		if err := p.latency.RecordValue(time.Since(begin).Microseconds()); err != nil {
			t.err.Store(&err)
			return
		}
		stored := 0
		for i := range out {
			if out[i].Err == nil {
				stored++
			}
		}
		t.stored.Add(int64(stored))
		t.refused.Add(int64(len(ps) - stored))
	}
}

func (p *painter) next() core.Placement {
	user := uint64(p.user) + 1
	if p.user += p.step; p.user >= p.users {
		p.user %= p.step
		p.number++
	}
	shard, off := core.Locate(p.random.IntN(p.side), p.random.IntN(p.side))
	return core.Placement{
		Shard: shard, Offset: off, Color: uint8(p.random.IntN(16)), User: user,
		Request: core.Request{Instance: user * 0x9e3779b97f4a7c15, Number: p.number},
	}
}

// indexLag is how long the index takes to reach what is stored now.
func indexLag(store *embedded.Store) (time.Duration, error) {
	want, err := store.Heads(context.Background())
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	for {
		have, err := store.History().Indexed(context.Background())
		if err != nil {
			return 0, err
		}
		if have == want {
			return time.Since(begin), nil
		}
		if time.Since(begin) > 5*time.Minute {
			return 0, errors.New("the index does not catch up")
		}
		time.Sleep(time.Millisecond)
	}
}

// watchMemory samples the resident memory each second until ctx ends. The
// result's slope is a line through the second half of the samples.
func watchMemory(ctx context.Context) func() (lastMB, slopeMBPerMinute float64) {
	var samples []float64
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				samples = append(samples, rssMB())
			}
		}
	}()
	return func() (float64, float64) {
		<-done
		return rssMB(), slope(samples[len(samples)/2:]) * 60
	}
}

func slope(y []float64) float64 {
	n := float64(len(y))
	if n < 2 {
		return 0
	}
	var sx, sy, sxy, sxx float64
	for i, v := range y {
		x := float64(i)
		sx, sy, sxy, sxx = sx+x, sy+v, sxy+x*v, sxx+x*x
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}

func rssMB() float64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	pages, err := strconv.ParseFloat(fields[1], 64)
	if err != nil {
		return 0
	}
	return pages * float64(os.Getpagesize()) / 1e6
}

func folderMB(dir string) (mb float64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			mb += float64(info.Size()) / 1e6
		}
		return err
	})
	return mb, err
}
