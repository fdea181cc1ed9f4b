package redis

import (
	"math/rand/v2"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pixelwall/core"
)

// commandTime returns calls and microseconds of a command since the server began.
func commandTime(t testing.TB, c *Client, command string) (calls, us float64) {
	t.Helper()
	for _, m := range regexp.MustCompile(`cmdstat_`+command+`:calls=(\d+),usec=(\d+)`).FindAllStringSubmatch(serverInfo(t, c, "commandstats"), -1) {
		n, _ := strconv.ParseFloat(m[1], 64)
		d, _ := strconv.ParseFloat(m[2], 64)
		calls, us = calls+n, us+d
	}
	return calls, us
}

// serverInfo returns a section of INFO, of all servers.
func serverInfo(t testing.TB, c *Client, section string) (info string) {
	t.Helper()
	r, err := c.link.get()
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range r.Nodes() {
		text, err := node.Do(t.Context(), node.B().Info().Section(section).Build()).ToString()
		if err != nil {
			t.Fatal(err)
		}
		info += text
	}
	return info
}

// crowd returns n placements of different users on shard s.
func crowd(s core.ShardID, n int) []core.Placement {
	ps := make([]core.Placement, n)
	for i := range ps {
		ps[i] = core.Placement{
			Shard: s, Offset: rand.Uint32N(core.ShardPixels), Color: uint8(rand.Uint32N(16)), User: rand.Uint64() >> 12,
			Request: core.Request{Instance: rand.Uint64(), Number: 1},
		}
	}
	return ps
}

func benchConfig(cooldownMS int64) core.Config {
	c := testConfig()
	c.Width, c.Height, c.CooldownMS = 2048, 2048, cooldownMS
	return c
}

// BenchmarkPlace places batches of 64 of different users by several callers.
func BenchmarkPlace(b *testing.B) {
	for _, cooldown := range []int64{0, 300_000} {
		b.Run("cooldown="+strconv.FormatInt(cooldown/1000, 10)+"s", func(b *testing.B) {
			c := open(b, testOptions(b))
			keepArmed(b, c, benchConfig(cooldown))
			_, us := commandTime(b, c, "fcall")
			own, redis := cpuTime(b, c)
			batches, stored := c.stats.batches.Load(), c.stats.placements.Load()
			var wg sync.WaitGroup
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			for caller := range 16 {
				wg.Go(func() {
					for left.Add(-64) > -64 {
						ps := crowd(core.ShardID(caller), 64)
						out := make([]core.Outcome, len(ps))
						if err := c.Sequencer().Place(b.Context(), ps, out); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			_, us2 := commandTime(b, c, "fcall")
			own2, redis2 := cpuTime(b, c)
			n := float64(c.stats.placements.Load() - stored)
			b.ReportMetric((us2-us)/n, "redis-us/placement")
			b.ReportMetric(n/float64(c.stats.batches.Load()-batches), "placements/batch")
			b.ReportMetric(n/b.Elapsed().Seconds(), "placements/s")
			b.ReportMetric((own2-own)*1e6/n, "client-cpu-us/placement")
			b.ReportMetric((redis2-redis)*1e6/n, "redis-cpu-us/placement")
		})
	}
}

// BenchmarkRecall recalls the requests of 200 000 placements into a shard whose
// Redis knows none of them.
func BenchmarkRecall(b *testing.B) {
	const n = 200_000
	c, config := open(b, testOptions(b)), benchConfig(0)
	stored := make([]core.PastEvent, n)
	var us float64
	for i := range b.N {
		s, nowMS := core.ShardID(i%16), time.Now().UnixMilli()
		o, epoch := c.Outbox(), uint32(1+i/16)
		if err := takeOver(b.Context(), o, s, 1, &config, new(uint32)); i < 16 && err != nil {
			b.Fatal(err)
		}
		for j, p := range crowd(s, n) {
			stored[j] = core.PastEvent{Shard: s, Seq: uint64(j + 1), TimeMS: nowMS, Event: core.Event{Request: p.Request}}
		}
		epoch++
		if _, err := o.Fence(b.Context(), s, epoch); err != nil {
			b.Fatal(err)
		}
		_, before := commandTime(b, c, "fcall")
		b.StartTimer()
		if err := o.Recall(b.Context(), s, epoch, stored); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		_, after := commandTime(b, c, "fcall")
		us += after - before
	}
	b.ReportMetric(b.Elapsed().Seconds()*1e6/float64(b.N*n), "us/request")
	b.ReportMetric(us/float64(b.N*n), "redis-us/request")
}

// cpuTime returns the seconds of processor time that this process and the server
// have used: what a placement costs, also on a machine that has other work.
func cpuTime(t testing.TB, c *Client) (us, redis float64) {
	t.Helper()
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		t.Fatal(err)
	}
	us = time.Duration(own.Utime.Nano() + own.Stime.Nano()).Seconds()
	for _, m := range regexp.MustCompile(`used_cpu_(?:sys|user):([0-9.]+)`).FindAllStringSubmatch(serverInfo(t, c, "cpu"), -1) {
		s, _ := strconv.ParseFloat(m[1], 64)
		redis += s
	}
	return us, redis
}
