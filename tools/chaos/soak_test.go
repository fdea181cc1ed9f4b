package chaos

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"pixelwall/tools/stack/servers"
)

var (
	soakTrace   = flag.String("soak.trace", os.Getenv("PIXELWALL_SOAK_TRACE"), "a trace to replay through three edges while everything is killed once; nothing runs none")
	soakPalette = flag.String("soak.palette", cmp.Or(os.Getenv("PIXELWALL_SOAK_PALETTE"), "place2017"), "what the trace's colours are numbers of, as --palette of the edge")
	soakFrom    = flag.Duration("soak.from", 10*time.Minute, "where in the trace to begin")
	soakFor     = flag.Duration("soak.for", 30*time.Minute, "how much of the trace")
	soakSpeed   = flag.Float64("soak.speed", 5, "how much faster than it happened")
)

// TestSoak is the long run: three edges, a relay, an archive and a snapshot worker
// over Redis, three brokers and three CQL nodes. A recorded r/place is replayed
// with 300 watchers while one edge, the relay, the archive worker, a broker, a CQL
// node and Redis are each killed with -9 and started again. make soak runs it.
func TestSoak(t *testing.T) {
	if *soakTrace == "" {
		t.Skip("the long run is make soak TRACE=…")
	}
	stack := theRig.stack(t, "soak", servers.Options{
		Redis: &servers.RedisOptions{}, Kafka: &servers.KafkaOptions{Brokers: 3}, Cassandra: &servers.CassandraOptions{Nodes: 3},
	})
	w, stores := soakWall(t, stack)
	began := time.Now()
	say := func(format string, args ...any) {
		fmt.Printf("soak %6.1fs  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	for _, p := range []*process{w.process("relay", relays), w.process("archive", archives), w.process("snapshot", "snapshot")} {
		p.start(upTime)
	}
	var urls []string
	for _, name := range []string{"edge-a", "edge-b", "edge-c"} {
		p := w.process(name, "gateway")
		p.start(upTime)
		urls = append(urls, "ws://"+p.addr+"/ws")
	}
	say("three edges, a relay, an archive and a snapshot worker, Redis, 3 brokers, 3 CQL nodes")
	run, out := startReplay(t, urls)
	wall := time.Duration(float64(*soakFor) / *soakSpeed)
	for i, kill := range w.soakKills(t, stack) {
		lasts(t, wall/14) // so that the last one is back before the replay ends
		kill.fn()
		say("%d. killed and started again: %s", i+1, kill.what)
		if !w.placing("edge-a") {
			t.Errorf("%s: nothing was placed any more when it was back", kill.what)
		}
	}
	if err := run.Wait(); err != nil {
		t.Errorf("the replay: %v", err)
	}
	say("replay: %s", strings.TrimSpace(out.String()))
	w.drained(t, append(stores, "--edge", strings.Join(urls, ",")), say)
	w.askPixels(t, say)
	w.countRows(t, stack, say)
	for _, name := range []string{
		"pixelwall_relay_takeovers_total", "pixelwall_relay_republished_total", "pixelwall_redis_ambiguous_total", "pixelwall_redis_unfenced_total",
		"pixelwall_relay_stale_total", "pixelwall_archive_restarts_total", `pixelwall_failover_switches_total{why="silent"}`, `pixelwall_failover_switches_total{why="stalled"}`, "pixelwall_fanout_resyncs_total", "pixelwall_fanout_gaps_total",
	} {
		say("%s %.0f", name, w.count(name))
	}
}

// soakWall is a canvas that begins as the trace does, and the flags that say where
// it lies.
func soakWall(t *testing.T, stack *servers.Stack) (w *wall, stores []string) {
	w = &wall{t: t, dir: t.TempDir(), name: fmt.Sprintf("soak%x", rand.Uint32()), redis: stack.Redis}
	w.layout.tick = time.Second
	stores = []string{
		"--redis", stack.Redis[0].Addr(), "--redis-prefix", w.name,
		"--kafka", strings.Join(servers.Addrs(stack.Kafka), ","), "--kafka-topic", w.name,
		"--scylla", strings.Join(servers.Addrs(stack.Cassandra), ","), "--scylla-keyspace", w.name,
	}
	w.flags = append([]string{"--key-file", filepath.Join(w.dir, "keys"), "--cooldown", "0", "--palette", *soakPalette, "--start-canvas", *soakTrace}, stores...)
	t.Cleanup(func() {
		for _, p := range w.all {
			if t.Failed() {
				t.Logf("%s:\n%s", p.name, p.tail(30))
			}
			p.kill()
		}
	})
	return w, stores
}

func startReplay(t *testing.T, urls []string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir, "pixelwall/loadtest").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(filepath.Join(dir, "loadtest"), "replay", "--url", strings.Join(urls, ","), "--trace", *soakTrace, "--from", soakFrom.String(),
		"--for", soakFor.String(), "--speed", fmt.Sprint(*soakSpeed), "--watchers", "300", "--reconnect", "--patience", "10m", "--history=-1", "--json")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, &out
}

// A soakKill is one death.
type soakKill struct {
	what string
	fn   func()
}

func (w *wall) soakKills(t *testing.T, stack *servers.Stack) []soakKill {
	again := func(p *process) func() {
		return func() {
			p.kill()
			p.start(upTime)
		}
	}
	server := func(s *servers.Server) func() {
		return func() {
			if err := s.Kill(); err != nil {
				t.Error(err)
			}
			lasts(t, 2*time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), startTime)
			defer cancel()
			if err := s.Restart(ctx); err != nil {
				t.Error(err)
			}
		}
	}
	return []soakKill{
		{"an edge", again(w.get("edge-b"))},
		{"the relay", again(w.get("relay"))},
		{"the archive worker", again(w.get("archive"))},
		{"Redis", server(stack.Redis[0])},
		{"a broker", server(stack.Kafka[1])},
		{"a CQL node", server(stack.Cassandra[2])},
	}
}

// placing reports whether pixels are being placed through the edge.
func (w *wall) placing(edge string) bool {
	placed := func() float64 { return w.get(edge).scrape()[`pixelwall_session_placements_total{result="placed"}`] }
	var before float64
	return poll(feltTime, func() bool { before = placed(); return before > 0 }) &&
		poll(feltTime, func() bool { return placed() > before })
}

// drained waits until the auditor finds all equal, history included.
func (w *wall) drained(t *testing.T, sources []string, say func(string, ...any)) {
	args := append([]string{"--timeout", "5m"}, sources...)
	began := time.Now()
	for {
		out, err := exec.Command(theRig.program(t, "audit"), args...).CombinedOutput()
		if err == nil {
			say("auditor: exit 0, %.0f s after the end\n%s", time.Since(began).Seconds(), out)
			return
		}
		if cmd, ok := err.(*exec.ExitError); !ok || cmd.ExitCode() == 1 || time.Since(began) > 10*time.Minute {
			t.Errorf("auditor: %v\n%s", err, out)
			return
		}
		lasts(t, 5*time.Second)
	}
}

// askPixels measures the history over REST.
func (w *wall) askPixels(t *testing.T, say func(string, ...any)) {
	addr := w.get("edge-a").addr
	var took []time.Duration
	items := 0
	for range 1000 {
		began := time.Now()
		res, err := http.Get(fmt.Sprintf("http://%s/api/v1/pixel?x=%d&y=%d", addr, rand.IntN(1000), rand.IntN(1000)))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		var past struct{ Items []any }
		if err := json.Unmarshal(body, &past); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("pixel: %s %v", res.Status, err)
		}
		if err != nil {
			t.Fatal(err)
		}
		items += len(past.Items)
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	say("GET /api/v1/pixel of 1000 random pixels: %d events, p50 %v, p99 %v", items, took[500].Round(100*time.Microsecond), took[990].Round(100*time.Microsecond))
}

func (w *wall) countRows(t *testing.T, stack *servers.Stack, say func(string, ...any)) {
	cluster := gocql.NewCluster(servers.Addrs(stack.Cassandra)...)
	cluster.Keyspace, cluster.Timeout, cluster.Consistency = w.name, 60*time.Second, gocql.Quorum
	session, err := cluster.CreateSession()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	for _, table := range []string{"event_log", "pixel_history", "user_history"} {
		var n int64
		if err := session.Query("SELECT COUNT(*) FROM " + table).Scan(&n); err != nil {
			t.Error(err)
		}
		say("rows in %s: %d", table, n)
	}
}
