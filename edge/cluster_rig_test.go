package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gocql/gocql"
	"github.com/redis/rueidis"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"pixelwall/core"
	"pixelwall/tools/stack/stacktest"
)

// A wall is a canvas of a test's own in Redis, and in Kafka and CQL where it is
// not in Redis alone.
type wall struct {
	t      *testing.T
	redis  string // address
	prefix string // of the keys, and name of the topic and the keyspace
	kafka  []string
	cql    string
	keys   string // file
	size   string // WxH of the canvas
	own    bool   // nobody else uses that Redis
}

// sharedWall is a canvas in the servers that all tests share.
func sharedWall(t *testing.T) *wall {
	w := sharedRedis(t)
	w.kafka, w.cql = stacktest.Kafka(t), stacktest.CQL(t)
	w.forgetLog()
	return w
}

// sharedRedis is a canvas in the Redis that all tests share, without Kafka and CQL.
func sharedRedis(t *testing.T) *wall {
	w := newWall(t, stacktest.Redis(t))
	t.Cleanup(func() {
		c := w.client()
		for cursor := uint64(0); ; {
			found, err := c.Do(context.Background(), c.B().Scan().Cursor(cursor).Match(w.prefix+":*").Count(1000).Build()).AsScanEntry()
			if err != nil {
				t.Error(err)
				return
			}
			if len(found.Elements) > 0 {
				if err := c.Do(context.Background(), c.B().Unlink().Key(found.Elements...).Build()).Error(); err != nil {
					t.Error(err)
				}
			}
			if cursor = found.Cursor; cursor == 0 {
				return
			}
		}
	})
	return w
}

func newWall(t *testing.T, redis string) *wall {
	t.Helper()
	seed := rand.Uint64()
	w := &wall{t: t, redis: redis, prefix: fmt.Sprintf("e%x", seed), keys: filepath.Join(t.TempDir(), "keys"), size: "1000x1000"}
	t.Logf("names begin with %s", w.prefix)
	return w
}

// forgetLog removes topic and keyspace when the test ends.
func (w *wall) forgetLog() {
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		cl, err := kgo.NewClient(kgo.SeedBrokers(w.kafka...))
		if err != nil {
			w.t.Error(err)
			return
		}
		defer cl.Close()
		if _, err := kadm.NewClient(cl).DeleteTopics(ctx, w.prefix, w.prefix+".eu"); err != nil {
			w.t.Error(err)
		}
		s, err := w.session(ctx)
		if err != nil {
			w.t.Error(err)
			return
		}
		defer s.Close()
		if err := s.Query("DROP KEYSPACE IF EXISTS " + w.prefix).WithContext(ctx).Exec(); err != nil {
			w.t.Error(err)
		}
	})
}

func (w *wall) session(ctx context.Context) (*gocql.Session, error) {
	host, port, _ := strings.Cut(w.cql, ":")
	c := gocql.NewCluster(host)
	_, _ = fmt.Sscan(port, &c.Port)
	c.Timeout, c.ConnectTimeout, c.DisableInitialHostLookup = time.Minute, time.Minute, true
	return c.CreateSession()
}

// client is ours, to look into Redis and to do harm.
func (w *wall) client() rueidis.Client {
	w.t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{w.redis}, ForceSingleClient: true, DisableCache: true, ConnWriteTimeout: 10 * time.Second})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

// flags are the command line of an edge of w, apart from what more says.
func (w *wall) flags(more ...string) []string {
	flags := []string{"--redis", w.redis, "--redis-prefix", w.prefix, "--key-file", w.keys, "--admin-listen", "127.0.0.1:0", "--drain", "2s",
		"--ping-every", "30m", "--dead-after", "1h"} // the clients of a test do not answer while it waits for something else
	if w.size != "" {
		flags = append(flags, "--size", w.size)
	}
	if w.kafka != nil {
		flags = append(flags, "--kafka", strings.Join(w.kafka, ","), "--kafka-topic", w.prefix, "--scylla", w.cql, "--scylla-keyspace", w.prefix)
	}
	return append(flags, more...)
}

// edge starts an edge of w and waits until it serves.
func (w *wall) edge(more ...string) *running {
	w.t.Helper()
	return serve(w.t, w.flags(more...)...)
}

// begin starts an edge of w and waits for nothing.
func (w *wall) begin(more ...string) *running {
	w.t.Helper()
	return begin(w.t, w.flags(more...)...)
}

// refuses starts an edge that must end with an error, which it returns.
func (w *wall) refuses(more ...string) error {
	w.t.Helper()
	r := w.begin(more...)
	select {
	case err := <-r.done:
		r.done <- nil // it ended as it should
		if err == nil {
			w.t.Fatalf("%v: it ended without an error", more)
		}
		return err
	case <-r.opened:
		w.t.Fatalf("%v: it serves", more)
	case <-time.After(60 * time.Second):
		w.t.Fatalf("%v: it waits:\n%s", more, r.log)
	}
	return nil
}

// configure changes the configuration at one edge, and waits until it and others
// know of it.
func (r *running) configure(change string, others ...*running) {
	r.t.Helper()
	req, _ := http.NewRequest("PATCH", "http://"+r.admin()+"/admin/v1/config", strings.NewReader(change))
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	var answer struct {
		Version int
		Detail  string
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || res.StatusCode != 200 {
		r.t.Fatalf("the change %s is answered with %s: %s %v", change, res.Status, answer.Detail, err)
	}
	for _, at := range append(others, r) {
		waitFor(r.t, fmt.Sprintf("version %d of the configuration at every edge", answer.Version), func() bool {
			var has struct{ Version int }
			admin := *at
			admin.addr = at.admin()
			admin.getJSON("/admin/v1/config", &has)
			return has.Version == answer.Version
		})
	}
}

// A health is what /api/v1/health says.
type health struct {
	Status, Reason string
	Dependencies   map[string]string
}

func (r *running) health() (h health) {
	r.t.Helper()
	_, body := r.get("/api/v1/health")
	if err := json.Unmarshal(body, &h); err != nil {
		r.t.Fatalf("%s: %v", body, err)
	}
	return h
}

// becomes waits until the health is as is says.
func (r *running) becomes(what string, is func(health) bool) {
	r.t.Helper()
	var h health
	defer func() {
		if r.t.Failed() {
			r.t.Logf("the last health is %+v", h)
		}
	}()
	waitFor(r.t, what, func() bool { h = r.health(); return is(h) })
}

func isOK(h health) bool { return h.Status == "ok" }

// moves brings a client to another edge, or back to one that was started again,
// with what it holds: it must not have to fetch anything.
func (p *peer) moves(r *running, token string, mask uint64) *peer {
	p.t.Helper()
	p.conn.Close()
	p.addr, p.follow, p.lost, p.answers = r.addr, 0, 0, nil
	p.hello(token).watch(mask)
	if p.lost != 0 {
		p.t.Errorf("client %d has to fetch shards %b again", p.instance, p.lost)
	}
	return p
}

// shows waits until p has seen a pixel that was placed.
func (p *peer) shows(shard uint8, seq uint64) {
	p.t.Helper()
	p.until(fmt.Sprintf("seq %d of shard %d", seq, shard), func() bool { return p.seqs[shard] >= seq })
}

// equal waits until all peers have seen the same of the shards that they follow, and
// compares what they hold.
func equal(t *testing.T, peers ...*peer) {
	t.Helper()
	for behind := true; behind; {
		var heads core.Heads
		for _, p := range peers {
			for s := range heads {
				if p.follow>>s&1 == 1 {
					heads[s] = max(heads[s], p.seqs[s])
				}
			}
		}
		behind = false
		for _, p := range peers {
			level := func() bool {
				for s := range heads {
					if p.follow>>s&1 == 1 && p.seqs[s] < heads[s] {
						return false
					}
				}
				return true
			}
			if !level() {
				behind = true
				p.until("what others have seen", level)
			}
		}
	}
	for _, p := range peers[1:] {
		for _, s := range p.board.Geometry().Shards() {
			if string(p.board.Pixels(s)) != string(peers[0].board.Pixels(s)) {
				t.Errorf("shard %d: clients %d and %d hold other pixels", s, peers[0].instance, p.instance)
			}
		}
	}
}

// getJSON reads an answer of the API into v, and returns its status.
func (r *running) getJSON(path string, v any) int {
	r.t.Helper()
	status, body := r.get(path)
	if err := json.Unmarshal(body, v); err != nil {
		r.t.Fatalf("%s: %s: %v", path, body, err)
	}
	return status
}

// A past is what the API tells of a pixel.
type past struct {
	Items []struct {
		Seq   uint64
		Color int
		User  *struct{ Name string }
	}
	Next *uint64
}

// tempDir is a folder that outlives the edges of the test.
func tempDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
