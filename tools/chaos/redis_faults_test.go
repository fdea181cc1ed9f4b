package chaos

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/tools/stack/servers"
)

var redisFaults = []scenario{
	{"T4 Redis killed, slow fsync", true, redisKilled},
	{"T4 Redis killed, Kafka down", true, redisKilledAlone},
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

// promote makes a replica the master of the others, which are told.
func (w *wall) promote(s *servers.Server, others ...*servers.Server) {
	w.t.Helper()
	host, port, _ := strings.Cut(s.Addr(), ":")
	w.redisCLI(s, "REPLICAOF", "NO", "ONE")
	for _, o := range others {
		w.redisCLI(o, "REPLICAOF", host, port)
	}
}

// redisFailover promotes a replica and leaves the old master alive, with clients
// that still believe in it. It loses its replicas and stops by itself.
func redisFailover(t *testing.T, seed uint64) {
	w := newWall(t, seed, layout{redis: servers.RedisOptions{Replicas: 2}}).open()
	before := w.epochs()
	w.promote(w.redis[1], w.redis[2])
	old := w.redis[0]
	within(t, time.Minute, "NOREPLICAS of the old master", func() bool { return strings.Contains(w.redisCLI(old, "SET", w.name+":probe", "1"), "NOREPLICAS") })
	w.follow(w.redis[1])
	w.tookOver(before, time.Minute)
	w.underLoad()
	w.promoteDone(old, w.redis[1])
	w.felt("pixelwall_redis_unfenced_total", "pixelwall_relay_takeovers_total")
	// What the old master took after the promotion, until it missed its replicas.
	w.settle(expected{lost: 3000, resyncs: true})
}

// follow makes us look at the server that is the master now. Who only reads is not
// told by anybody that a master is one no more.
func (w *wall) follow(master *servers.Server) {
	w.t.Helper()
	w.redis = append([]*servers.Server{master}, without(w.redis, master)...)
	w.client.Close()
	w.see(master.Addr())
}

func without(all []*servers.Server, one *servers.Server) (rest []*servers.Server) {
	for _, s := range all {
		if s != one {
			rest = append(rest, s)
		}
	}
	return rest
}

// promoteDone makes the old master a replica, as an operator would at last.
func (w *wall) promoteDone(old, master *servers.Server) {
	host, port, _ := strings.Cut(master.Addr(), ":")
	w.redisCLI(old, "REPLICAOF", host, port)
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

// redisFull lets Redis run out of memory: it refuses before a function begins.
func redisFull(t *testing.T, seed uint64) {
	w := newWall(t, seed, layout{cooldown: time.Second}).open()
	before := w.epochs()
	w.redisCLI(w.redis[0], "CONFIG", "SET", "maxmemory", "1mb")
	retried := w.load.retried.Load()
	within(t, 20*time.Second, "refusals", func() bool { return w.load.retried.Load() > retried+500 })
	if !poll(10*time.Second, func() bool { return w.load.rate() == 0 }) {
		t.Errorf("%.0f placements a second are acknowledged by a full Redis", w.load.rate())
	}
	w.redisCLI(w.redis[0], "CONFIG", "SET", "maxmemory", "0")
	w.underLoad()
	w.load.note("oom=%s epochs %v to %v", w.errorCount("errorstat_OOM"), before, w.epochs())
	w.settle(expected{})
}

// errorCount returns how often Redis answered with an error.
func (w *wall) errorCount(name string) string {
	for line := range strings.Lines(w.redisCLI(w.redis[0], "INFO", "errorstats")) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), name+":count="); ok {
			return rest
		}
	}
	w.t.Errorf("Redis counts no %s: the fault was not felt", name)
	return "0"
}

// redisDiskFull runs Redis with its append-only file on a small disk. With
// appendfsync always it ends itself rather than acknowledge what it cannot keep.
func redisDiskFull(t *testing.T, seed uint64) {
	if os.Getuid() != 0 {
		t.Log("needs root to mount a small disk: not run here")
		fmt.Println("chaos: T8 disk of Redis full needs root: not run here")
		return
	}
	w := newWall(t, seed, layout{})
	s := w.redis[0]
	dir := filepath.Join(s.Dir, "small")
	kill(t, s)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// The mount lives in the namespace of a process that does nothing.
	holder := exec.Command("unshare", "-m", "sh", "-c", `mount -t tmpfs -o size=24m none "$0" && exec sleep 3600`, dir)
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Process.Kill(); _ = holder.Wait() }()
	inside := filepath.Join(fmt.Sprintf("/proc/%d/root", holder.Process.Pid), dir)
	within(t, 10*time.Second, "the small disk", func() bool {
		out, err := os.ReadFile(fmt.Sprintf("/proc/%d/mounts", holder.Process.Pid))
		return err == nil && strings.Contains(string(out), dir)
	})
	s.Args = append(append([]string{"nsenter", "-t", strconv.Itoa(holder.Process.Pid), "-m"}, s.Args...), "--dir", dir)
	restart(t, s)
	w.open()
	before := w.epochs()
	filler := filepath.Join(inside, "filler")
	fill(t, filler)
	within(t, time.Minute, "the end of Redis on a full disk", func() bool { return !s.Running() })
	if !strings.Contains(s.Tail(40), "No space left on device") {
		t.Errorf("Redis ended for another reason:\n%s", s.Tail(10))
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	restart(t, s)
	w.tookOver(before, time.Minute)
	w.underLoad()
	w.felt("pixelwall_redis_unfenced_total", "pixelwall_relay_takeovers_total")
	w.settle(expected{})
}

// fill writes until there is no space left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 64<<10); ; {
		if _, err := f.Write(block); err != nil {
			return
		}
	}
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

// answersLost drops the answers of batches that were carried out, and then promotes
// a replica that has them: each is one event.
func answersLost(t *testing.T, seed uint64) {
	var door *proxy
	w := newWall(t, seed, layout{redis: servers.RedisOptions{Replicas: 2}, redisAt: func(s *servers.Stack) []string {
		door = newProxy(t, s.Redis[0].Addr())
		return []string{door.addr()}
	}})
	w.open()
	before := w.epochs()
	master := w.redis[0]
	door.mute.Store(true)
	within(t, 20*time.Second, "lost answers", func() bool { return door.lostDown.Load() > 1000 })
	door.deaf.Store(true)
	within(t, 20*time.Second, "replicas in step", func() bool {
		offset := infoField(w.redisCLI(master, "INFO", "replication"), "master_repl_offset")
		return offset == infoField(w.redisCLI(w.redis[1], "INFO", "replication"), "slave_repl_offset")
	})
	kill(t, master)
	w.promote(w.redis[1], w.redis[2])
	target := w.redis[1].Addr()
	door.target.Store(&target)
	door.heal()
	w.follow(w.redis[1])
	w.tookOver(before, time.Minute)
	w.underLoad()
	w.felt("pixelwall_redis_ambiguous_total", "pixelwall_redis_unfenced_total", "pixelwall_redis_repeats_total")
	w.settle(expected{})
}

func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			return rest
		}
	}
	return ""
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

// clusterMasterKilled kills a master of a Redis Cluster; its replica takes its place.
func clusterMasterKilled(t *testing.T, seed uint64) {
	w := newWall(t, seed, layout{redis: servers.RedisOptions{Cluster: true, Replicas: 1}}).open()
	victim, node := w.masterOf(0)
	kill(t, victim)
	within(t, time.Minute, "another master of the slot", func() bool {
		now, _ := w.masterOf(0)
		return now != nil && now != victim
	})
	within(t, time.Minute, "every shard armed", func() bool {
		stands, err := w.stands(t.Context())
		for _, stand := range stands {
			if !stand.Armed {
				return false
			}
		}
		return err == nil
	})
	w.underLoad()
	restart(t, victim)
	w.load.note("killed=%.8s", node)
	w.felt("pixelwall_redis_unfenced_total", "pixelwall_relay_takeovers_total")
	w.settle(expected{lost: 1000, resyncs: true}) // replication within a cluster is not waited for
}

// masterOf returns the server that has the slot of a shard, and its node id. The
// server is nil while nobody that runs has it.
func (w *wall) masterOf(s core.ShardID) (*servers.Server, string) {
	w.t.Helper()
	slot := w.slotOf(s)
	for _, via := range w.redis {
		if !via.Running() {
			continue
		}
		for line := range strings.Lines(w.redisCLI(via, "CLUSTER", "NODES")) {
			f := strings.Fields(line)
			if len(f) < 9 || !strings.Contains(f[2], "master") || strings.Contains(f[2], "fail") {
				continue
			}
			for _, part := range f[8:] {
				low, high, ranged := strings.Cut(part, "-")
				first, err := strconv.Atoi(low)
				if err != nil {
					continue
				}
				last := first
				if ranged {
					last, _ = strconv.Atoi(high)
				}
				if first <= slot && slot <= last {
					addr, _, _ := strings.Cut(f[1], "@")
					for _, server := range w.redis {
						if server.Addr() == addr && server.Running() {
							return server, f[0]
						}
					}
				}
			}
		}
	}
	return nil, ""
}

func (w *wall) slotOf(s core.ShardID) int {
	w.t.Helper()
	tags := []string{"s00b0", "s01c0", "s02p0", "s03a0"} // persist/redis stores the shards under these
	for _, via := range w.redis {
		if via.Running() {
			slot, err := strconv.Atoi(w.redisCLI(via, "CLUSTER", "KEYSLOT", w.name+":{"+tags[s]+"}:meta"))
			if err != nil {
				w.t.Fatal(err)
			}
			return slot
		}
	}
	w.t.Fatal("no node of the cluster runs")
	return 0
}

// slotMigrated moves the slot of a shard to another master, as an operator would
// to grow the cluster, while people paint.
func slotMigrated(t *testing.T, seed uint64) {
	w := newWall(t, seed, layout{redis: servers.RedisOptions{Cluster: true}}).open()
	slot := strconv.Itoa(w.slotOf(0))
	from, fromID := w.masterOf(0)
	var to *servers.Server
	for _, s := range w.redis {
		if s != from {
			to = s
		}
	}
	toID := w.redisCLI(to, "CLUSTER", "MYID")
	before := w.epochs()
	w.redisCLI(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID)
	w.redisCLI(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID)
	host, port, _ := strings.Cut(to.Addr(), ":")
	for {
		keys := strings.Fields(w.redisCLI(from, "CLUSTER", "GETKEYSINSLOT", slot, "100"))
		if len(keys) == 0 {
			break
		}
		w.redisCLI(from, append([]string{"MIGRATE", host, port, "", "0", "5000", "KEYS"}, keys...)...)
	}
	for _, s := range append([]*servers.Server{to, from}, without(without(w.redis, to), from)...) {
		w.redisCLI(s, "CLUSTER", "SETSLOT", slot, "NODE", toID)
	}
	within(t, time.Minute, "the take-over of the shard that moved", func() bool {
		stands, err := w.stands(t.Context())
		return err == nil && stands[0].Armed && stands[0].Epoch > before[0]
	})
	w.underLoad()
	w.felt("pixelwall_redis_unfenced_total", "pixelwall_relay_takeovers_total")
	w.settle(expected{})
}
