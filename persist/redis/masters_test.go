package redis

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/tools/stack/servers"
)

// A replica takes over, and the master of before lives on.
func TestAPromotedReplicaIsFollowed(t *testing.T) {
	stack := ownServers(t, servers.RedisOptions{Replicas: 2})
	var addrs []string
	for _, s := range stack.Redis {
		addrs = append(addrs, s.Addr())
	}
	c := open(t, Options{Addrs: addrs, CommandTimeout: shortly})
	keepArmed(t, c, testConfig())
	if o := outcomes(t, c, crowd(0, 8)...)[7]; o.Err != nil || core.SeqEpoch(o.Seq) != 1 {
		t.Fatalf("%+v", o)
	}
	direct := func(s *servers.Server, args ...string) {
		t.Helper()
		r, err := c.link.single(s.Addr())
		must(t, err)
		defer r.Close()
		must(t, r.Do(t.Context(), r.B().Arbitrary(args...).Build()).Error())
	}
	promote := func(to, other *servers.Server) {
		direct(to, "REPLICAOF", "NO", "ONE")
		host, port, _ := strings.Cut(to.Addr(), ":")
		direct(other, "REPLICAOF", host, port)
	}
	info := func(s *servers.Server) string {
		r, err := c.link.single(s.Addr())
		if err != nil {
			return ""
		}
		defer r.Close()
		text, _ := r.Do(context.Background(), r.B().Info().Section("replication").Build()).ToString()
		return text
	}
	t.Cleanup(func() {
		if t.Failed() {
			st, err := c.stand(context.Background(), 0)
			t.Logf("the link is to %s, which stands at %+v (%v); %+v", master(c), st, err, c.Stats())
			for _, s := range stack.Redis {
				t.Logf("%s: %s", s.Addr(), info(s))
			}
		}
	})
	followed := func(master *servers.Server) func() bool {
		return func() bool {
			text := info(master)
			_, offset, _ := strings.Cut(text, "master_repl_offset:")
			offset, _, _ = strings.Cut(offset, "\r")
			return strings.Count(text, "state=online,offset="+offset+",") == 2
		}
	}
	until(t, "the replicas have followed", followed(stack.Redis[0]))
	promote(stack.Redis[1], stack.Redis[2]) // the old master has no replica any more, and stops by itself
	takes := func(s *servers.Server, epoch uint32) func() bool {
		return func() bool {
			o := outcomes(t, c, crowd(0, 1)...)[0]
			return o.Err == nil && core.SeqEpoch(o.Seq) >= epoch && master(c) == s.Addr()
		}
	}
	until(t, "placements are taken by the new master", takes(stack.Redis[1], 2))
	// And back: the first one was armed once, and must not take that for now.
	host, port, _ := strings.Cut(stack.Redis[1].Addr(), ":")
	direct(stack.Redis[0], "REPLICAOF", host, port)
	until(t, "the first one has followed", followed(stack.Redis[1]))
	promote(stack.Redis[0], stack.Redis[2])
	direct(stack.Redis[1], "REPLICAOF", strings.Split(stack.Redis[0].Addr(), ":")[0], strings.Split(stack.Redis[0].Addr(), ":")[1])
	until(t, "placements are taken by the first one again, under a fence of their own", takes(stack.Redis[0], 3))
}

// A server that lost a fence, and is still armed by the one before, takes nothing
// from an edge that has seen the later one.
func TestAServerThatLostAFenceIsNotBelieved(t *testing.T) {
	o := testOptions(t)
	o.HoldFor = 30 * time.Millisecond
	c := open(t, o)
	config := testConfig()
	must(t, takeOver(t.Context(), c.Outbox(), 0, 1, &config, new(uint32)))
	if o := outcomes(t, c, crowd(0, 1)...)[0]; o.Err != nil {
		t.Fatal(o.Err)
	}
	c.Sequencer().Armed(0, 7) // by a master that we do not reach
	refusedWith(t, outcomes(t, c, crowd(0, 1)...)[0], core.CodeUnavailable)
	after := uint32(7)
	must(t, takeOver(t.Context(), c.Outbox(), 0, 1, &config, &after))
	if o := outcomes(t, c, crowd(0, 1)...)[0]; o.Err != nil || core.SeqEpoch(o.Seq) != 8 {
		t.Errorf("%+v", o)
	}
}

// Of two masters, each alone and armed, the one that the log tells of is found.
func TestAMasterThatWasDeposedIsLeft(t *testing.T) {
	stack := ownServers(t, servers.RedisOptions{Replicas: 1})
	before, after := stack.Redis[0], stack.Redis[1]
	silent, err := net.Listen("tcp", "127.0.0.1:0") // which makes a look last
	must(t, err)
	defer silent.Close()
	edge := open(t, Options{Addrs: []string{before.Addr(), after.Addr(), silent.Addr().String()}, CommandTimeout: shortly})
	config := testConfig()
	config.Width, config.Height = 1024, 1024
	shards := config.Geometry().Shards()
	for _, s := range shards {
		must(t, takeOver(t.Context(), edge.Outbox(), s, 1, &config, new(uint32)))
		if o := outcomes(t, edge, crowd(s, 1)...)[0]; o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	for _, s := range []*servers.Server{after, before} {
		r, err := edge.link.single(s.Addr())
		must(t, err)
		defer r.Close()
		must(t, r.Do(t.Context(), r.B().Arbitrary("CONFIG", "SET", "min-replicas-to-write", "0").Build()).Error())
		must(t, r.Do(t.Context(), r.B().Arbitrary("REPLICAOF", "NO", "ONE").Build()).Error())
	}
	relay := open(t, Options{Addrs: []string{after.Addr()}, CommandTimeout: shortly})
	for _, s := range shards {
		epoch := uint32(6)
		until(t, "the new master is taken over", func() bool { return takeOver(t.Context(), relay.Outbox(), s, 2, &config, &epoch) == nil })
	}
	if o := outcomes(t, edge, crowd(0, 1)...)[0]; o.Err != nil || master(edge) != before.Addr() {
		t.Fatalf("%s: %+v", master(edge), o.Err) // nobody has told the edge yet
	}
	var placing sync.WaitGroup
	for _, s := range shards {
		edge.Sequencer().Armed(s, 7)
		placing.Go(func() {
			until(t, "the edge goes to the new master", func() bool {
				o := outcomes(t, edge, crowd(s, 1)...)[0]
				return o.Err == nil && core.SeqEpoch(o.Seq) == 7
			})
			for range 200 {
				if o := outcomes(t, edge, crowd(s, 1)...)[0]; o.Err != nil {
					t.Errorf("shard %d, at the new master: %v", s, o.Err)
				}
			}
		})
	}
	placing.Wait()
	if n := edge.link.uses.Load(); n != 2 || master(edge) != after.Addr() {
		t.Errorf("the edge went %d times to a server, and is at %s", n, master(edge))
	}
}

func master(c *Client) string {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.link.master
}

// Three masters share the shards; one of them dies and its replica takes over.
func TestAClusterGoesOnWithoutAMaster(t *testing.T) {
	stack := ownServers(t, servers.RedisOptions{Cluster: true, Replicas: 1})
	var addrs []string
	for _, s := range stack.Redis {
		addrs = append(addrs, s.Addr())
	}
	c := open(t, Options{Addrs: addrs[:3], CommandTimeout: shortly})
	config := testConfig()
	config.Width, config.Height = 2048, 2048 // sixteen shards, some on each
	keepArmed(t, c, config)
	placeAll := func() (refused int) {
		for s := range core.ShardID(16) {
			if outcomes(t, c, crowd(s, 4)...)[3].Err != nil {
				refused++
			}
		}
		return refused
	}
	if n := placeAll(); n != 0 {
		t.Fatalf("%d shards refuse", n)
	}
	publish(t, c, config.Geometry().Shards()...)
	snap, err := c.Canvas().Snapshot(t.Context())
	must(t, err)
	heads, err := c.Stream().Heads(t.Context())
	if err != nil || snap.Heads != heads {
		t.Errorf("the published canvas is at %v, the streams at %v (%v)", snap.Heads[:16], heads[:16], err)
	}
	for _, s := range config.Geometry().Shards() { // a script is one of the node that has its key
		if held, err := c.Outbox().Hold(t.Context(), s, "relay", 1, time.Minute); err != nil || !held {
			t.Errorf("Hold of shard %d is %v, %v", s, held, err)
		}
		must(t, c.Outbox().Release(t.Context(), s, "relay", 1))
	}
	must(t, c.Outbox().Archived(t.Context(), 1, heads))
	before := c.Stats()
	must(t, stack.Redis[0].Kill())
	most := 0
	until(t, "the kill is felt", func() bool {
		most = max(most, placeAll())
		st := c.Stats()
		return most > 0 || st.Ambiguous > before.Ambiguous || st.Openings > before.Openings
	})
	if most == 16 {
		t.Error("the other masters refuse as well")
	}
	until(t, "all shards take placements again", func() bool { return placeAll() == 0 })
}
