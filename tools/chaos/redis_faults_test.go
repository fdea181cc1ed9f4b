package chaos

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pixelwall/tools/stack/servers"
)

var redisFaults = []scenario{
	{"T4 Redis killed, slow fsync", true, redisKilled},
	{"T4 Redis killed, Kafka down", true, redisKilledAlone},
	{"Redis alone killed", false, redisAlone},
	{"T5 Redis frozen", false, redisFrozen},
	{"T6 Redis failover", false, redisFailover},
	{"T7 AOF torn", false, aofTorn},
	{"T8 Redis full", false, redisFull},
	{"T8 disk of Redis full", false, redisDiskFull},
	{"T14 an edge cut off from Redis", false, cutFromRedis},
	{"T32 FLUSHALL, FUNCTION FLUSH", false, flushed},
	{"T33 answers lost, then failover", true, answersLost},
	{"phantoms", true, phantomsSeen},
	{"Cluster master killed", false, clusterMasterKilled},
	{"Cluster slot migrated", false, slotMigrated},
}

// redisCLI runs one command on a server as an operator would.
func (w *wall) redisCLI(s *servers.Server, args ...string) string {
	w.t.Helper()
	_, port, _ := strings.Cut(s.Addr(), ":")
	out, err := exec.Command("redis-cli", append([]string{"-p", port}, args...)...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("redis-cli %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// keys returns the keys of the first Redis that match.
func (w *wall) keys(pattern string) []string {
	return strings.Fields(w.redisCLI(w.redis[0], "KEYS", pattern))
}

// slowDisk writes and syncs beside the append-only file of Redis until the
// function that it returns is called: each fsync of Redis then waits for ours.
func (w *wall) slowDisk() (end func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	syncs := 0
	for i := range 2 {
		f, err := os.Create(filepath.Join(w.redis[0].Dir, fmt.Sprintf("ballast-%d", i)))
		if err != nil {
			w.t.Fatal(err)
		}
		parts.Go(func() {
			defer f.Close()
			block := make([]byte, 2<<20)
			for n := int64(0); ctx.Err() == nil; n++ {
				_, err := f.WriteAt(block, n%8*int64(len(block)))
				if err == nil {
					err = f.Sync()
				}
				if err != nil {
					w.t.Error(err)
					return
				}
				if i == 0 {
					syncs++
				}
			}
		})
	}
	return func() {
		cancel()
		parts.Wait()
		w.load.note("ballast_syncs=%d", syncs)
	}
}

// redisKilled kills Redis again and again while its disk is busy.
func redisKilled(t *testing.T, seed uint64) {
	w := newWall(t, seed, layout{cooldown: time.Second}).open()
	rounds := 3
	if full() {
		rounds = 10
	}
	end := w.slowDisk()
	for range rounds {
		w.underLoad()
		before := w.epochs()
		kill(t, w.redis[0])
		lasts(t, time.Duration(w.rnd.IntN(800))*time.Millisecond)
		restart(t, w.redis[0])
		w.tookOver(before, time.Minute)
	}
	end()
	w.underLoad()
	w.load.note("rounds=%d", rounds)
	w.felt("pixelwall_redis_unfenced_total", "pixelwall_redis_ambiguous_total", "pixelwall_relay_takeovers_total", "pixelwall_redis_breaker_openings_total")
	w.settle(expected{})
}

// redisAlone kills Redis, the relay and the archive by turns where there is nothing
// else: the streams are the log, and the archive is a folder.
func redisAlone(t *testing.T, seed uint64) {
	w := newWall(t, seed, layout{alone: true}).open()
	for _, name := range []string{"", "relay-1", "", "worker-1", ""} {
		w.underLoad()
		before := w.epochs()
		if name != "" {
			w.get(name).kill()
		}
		kill(t, w.redis[0])
		lasts(t, time.Duration(w.rnd.IntN(800))*time.Millisecond)
		restart(t, w.redis[0])
		if name != "" {
			w.get(name).start(upTime)
		}
		w.tookOver(before, time.Minute)
	}
	w.underLoad()
	w.felt("pixelwall_redis_unfenced_total", "pixelwall_redis_ambiguous_total", "pixelwall_relay_takeovers_total", "pixelwall_redis_breaker_openings_total")
	w.settle(expected{})
}

// redisKilledAlone kills Redis while the stream is the only copy of what was
// acknowledged. Nobody can claim then: placements are refused until Kafka is back.
func redisKilledAlone(t *testing.T, seed uint64) {
	theRig.kafka(t)
	brokers := theRig.stacks["kafka"].Kafka
	w := newWall(t, seed, layout{}).open()
	kill(t, brokers...)
	within(t, 20*time.Second, "a switch to the streams", func() bool { return w.get("edge-A").count("pixelwall_failover_active") > 0 })
	w.underLoad()
	lasts(t, 3*time.Second)
	w.underLoad()
	before := w.epochs()
	kill(t, w.redis[0])
	restart(t, w.redis[0])
	retried := w.load.retried.Load()
	within(t, 30*time.Second, "refusals with a time to try again", func() bool { return w.load.retried.Load() > retried+100 })
	if rate := w.load.rate(); rate > 0 && !poll(5*time.Second, func() bool { return w.load.rate() == 0 }) {
		t.Errorf("%.0f placements a second are acknowledged although nobody can claim", rate)
	}
	restart(t, brokers...)
	w.tookOver(before, time.Minute)
	w.underLoad()
	w.felt("pixelwall_redis_unfenced_total", "pixelwall_failover_switches_total", "pixelwall_relay_republished_total")
	w.settle(expected{})
}

// redisFrozen stops Redis where it is: connections stay open and nothing answers.
func redisFrozen(t *testing.T, seed uint64) {
	w := newWall(t, seed, layout{cooldown: time.Second}).open()
	a := w.get("edge-A")
	goroutines := a.scrape()["go_goroutines"]
	if err := w.redis[0].Pause(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	within(t, 10*time.Second, "open breakers", func() bool { return a.scrape()["pixelwall_redis_breakers_open"] > 0 })
	w.load.note("breaker_after=%.2fs", time.Since(began).Seconds())
	if _, err := w.load.servers[0].Canvas(t.Context()); err != nil {
		t.Errorf("there is no canvas while Redis is frozen: %v", err)
	}
	lasts(t, 10*time.Second-time.Since(began))
	if now := a.scrape()["go_goroutines"]; now > 2*goroutines+2000 {
		t.Errorf("%.0f goroutines, %.0f before Redis froze", now, goroutines)
	}
	if err := w.redis[0].Continue(); err != nil {
		t.Fatal(err)
	}
	w.underLoad()
	w.felt("pixelwall_redis_breaker_openings_total")
	if w.count("pixelwall_canvas_source_total") == 0 {
		t.Error("nobody served a canvas")
	}
	w.settle(expected{})
}

// aofFile returns the newest append-only file of a server.
func aofFile(t *testing.T, s *servers.Server) string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(s.Dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(all) == 0 {
		t.Fatalf("no append-only file in %s: %v", s.Dir, err)
	}
	return all[len(all)-1]
}

// cut takes bytes from the end of a file, as a disk that lied would.
func cut(t *testing.T, path string, bytes int64) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, max(0, info.Size()-bytes)); err != nil {
		t.Fatal(err)
	}
}

// aofTorn cuts the file in the middle of a transaction: no half of a batch may be left.
func aofTorn(t *testing.T, seed uint64) {
	w := newWall(t, seed, layout{}).open()
	relay := w.get("relay-1")
	before := w.epochs()
	kill(t, w.redis[0])
	relay.pause() // so that nobody repairs what we want to look at
	cut(t, aofFile(t, w.redis[0]), 60)
	restart(t, w.redis[0])
	within(t, 30*time.Second, "an answer of Redis", func() bool { _, err := w.stands(t.Context()); return err == nil })
	stands, err := w.stands(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for s, stand := range stands {
		if stand.Top != 0 && stand.Top != stand.Seq {
			t.Errorf("shard %d has half a batch: seq %d, top of its stream %d", s, stand.Seq, stand.Top)
		}
		if stand.Armed {
			t.Errorf("shard %d takes placements after a restart", s)
		}
	}
	relay.proceed()
	w.tookOver(before, time.Minute)
	w.underLoad()
	w.felt("pixelwall_redis_unfenced_total", "pixelwall_relay_takeovers_total")
	w.settle(expected{lost: 128, resyncs: true}) // the batch that the cut took
}

// cutFromRedis takes Redis away from one edge only.
func cutFromRedis(t *testing.T, seed uint64) {
	var door *proxy
	w := newWall(t, seed, layout{cooldown: time.Second})
	door = newProxy(t, w.redis[0].Addr())
	w.instead = map[string][]string{"edge-A": {"--redis", door.addr()}}
	w.open()
	a := w.get("edge-A")
	door.hole()
	within(t, 20*time.Second, "open breakers", func() bool { return a.scrape()["pixelwall_redis_breakers_open"] > 0 })
	health := ""
	if !poll(5*time.Second, func() bool {
		res, err := http.Get("http://" + a.addr + "/api/v1/health")
		if err != nil {
			return false
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		health = string(body)
		return strings.Contains(health, `"redis":"down`)
	}) {
		t.Errorf("health does not say that Redis is down: %s", health)
	}
	lasts(t, 8*time.Second)
	door.heal()
	within(t, 30*time.Second, "closed breakers", func() bool { return a.scrape()["pixelwall_redis_breakers_open"] == 0 })
	w.underLoad()
	w.felt("pixelwall_redis_ambiguous_total", "pixelwall_redis_breaker_openings_total")
	w.settle(expected{})
}

// flushed is an operator who types the two worst commands.
func flushed(t *testing.T, seed uint64) {
	w := newWall(t, seed, layout{cooldown: time.Second}).open()
	before := w.epochs()
	w.redisCLI(w.redis[0], "FUNCTION", "FLUSH")
	w.tookOver(before, time.Minute)
	w.underLoad()
	before = w.epochs()
	w.redisCLI(w.redis[0], "FLUSHALL")
	began := time.Now()
	w.tookOver(before, time.Minute)
	w.load.note("rebuilt_after=%.1fs", time.Since(began).Seconds())
	w.underLoad()
	w.felt("pixelwall_redis_unfenced_total", "pixelwall_relay_takeovers_total")
	// What was acknowledged and not carried yet went with the flush, and so did every cooldown.
	w.settle(expected{lost: 300, resyncs: true, extra: len(w.load.painters)})
}

// phantomsSeen lets watchers follow the streams and then takes their end away:
// whoever saw it is told to fetch the canvas.
func phantomsSeen(t *testing.T, seed uint64) {
	theRig.kafka(t)
	brokers := theRig.stacks["kafka"].Kafka
	w := newWall(t, seed, layout{}).open()
	kill(t, brokers...)
	within(t, 20*time.Second, "a switch to the streams", func() bool {
		return w.get("edge-A").count("pixelwall_failover_active") > 0 && w.get("edge-B").count("pixelwall_failover_active") > 0
	})
	lasts(t, 2*time.Second)
	w.underLoad()
	before := w.epochs()
	// What is seen is a tick behind what is stored, so the load ends before the cut.
	heads := w.pauseLoad()
	within(t, 20*time.Second, "watchers that saw all of the streams", func() bool {
		for _, wt := range w.load.watchers {
			for s := range shards {
				if wt.Head(uint8(s)) < heads[s] {
					return false
				}
			}
		}
		return true
	})
	kill(t, w.redis[0])
	batches := cutBatches(t, aofFile(t, w.redis[0]), 10)
	restart(t, w.redis[0])
	restart(t, brokers...)
	w.tookOver(before, time.Minute)
	w.load.resume()
	w.underLoad()
	w.load.note("batches_cut=%d", batches)
	within(t, 30*time.Second, "shards that are loaded anew", func() bool { return w.count("pixelwall_fanout_reloads_total") > 0 })
	w.felt("pixelwall_fanout_phantoms_total", "pixelwall_failover_switches_total", "pixelwall_fanout_reloads_total")
	w.settle(expected{lost: 128 * batches, resyncs: true})
	for i, wt := range w.load.watchers {
		if wt.Resyncs.Load() == 0 {
			t.Errorf("watcher %d saw what was lost and was not told to fetch the canvas", i)
		}
	}
}

// cutBatches takes the last n batches of placements from an append-only file, and
// returns how many it took.
func cutBatches(t *testing.T, path string, n int) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := len(text)
	for i := range n {
		if at = strings.LastIndex(string(text[:at]), "\r\nXADD\r\n"); at < 0 {
			t.Fatalf("only %d batches are in the file", i)
		}
	}
	if err := os.Truncate(path, int64(at)); err != nil {
		t.Fatal(err)
	}
	return n
}
