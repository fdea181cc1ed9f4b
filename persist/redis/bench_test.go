package redis

import (
	"math/rand/v2"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/rueidis"

	"pixelwall/core"
)

// commandTime returns calls and microseconds of a command since the server began.
func commandTime(t testing.TB, c *Client, command string) (calls, us float64) {
	t.Helper()
	r, err := c.link.get()
	if err != nil {
		t.Fatal(err)
	}
	var info string
	for _, node := range r.Nodes() {
		text, err := node.Do(t.Context(), node.B().Info().Section("commandstats").Build()).ToString()
		if err != nil {
			t.Fatal(err)
		}
		info += text
	}
	for _, m := range regexp.MustCompile(`cmdstat_`+command+`:calls=(\d+),usec=(\d+)`).FindAllStringSubmatch(info, -1) {
		n, _ := strconv.ParseFloat(m[1], 64)
		d, _ := strconv.ParseFloat(m[2], 64)
		calls, us = calls+n, us+d
	}
	return calls, us
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
			c := open(b, benchOptions(b))
			keepArmed(b, c, benchConfig(cooldown))
			calls, us := commandTime(b, c, "fcall")
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
						if err := c.Sequencer().Place(b.Context(), ps, out); err != nil || out[0].Err != nil {
							b.Errorf("%v %v", err, out[0].Err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			calls2, us2 := commandTime(b, c, "fcall")
			n := float64(c.stats.placements.Load() - stored)
			b.ReportMetric((us2-us)/n, "redis-us/placement")
			b.ReportMetric(n/float64(c.stats.batches.Load()-batches), "placements/batch")
			b.ReportMetric(n/b.Elapsed().Seconds(), "placements/s")
			_ = calls2 - calls
		})
	}
}

func benchOptions(b *testing.B) Options {
	o := testOptions(b)
	return o
}

var _ = rueidis.Nil
