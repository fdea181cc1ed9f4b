package scylla

import (
	"context"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/core/coretest"
	"pixelwall/tools/stack/servers"
	"pixelwall/tools/stack/stacktest"
)

// A node that stands still, is killed and comes back, under one Store.
func TestANodeThatIsLostHoldsNothingUpAndIsNoticed(t *testing.T) {
	stack := stacktest.Own(t, servers.Options{Cassandra: &servers.CassandraOptions{Nodes: 1}})
	node := stack.Cassandra[0]
	o := Options{Hosts: []string{node.Addr()}, Migrate: true}
	s := ready(t, o)
	written := []*core.Record{start(), placements(1, 100)}
	coretest.Eventually(t, "the first rows are written", func() bool { return s.Write(t.Context(), written) == nil })
	before := s.Disturbed()

	if err := node.Pause(); err != nil {
		t.Fatal(err)
	}
	allUnavailable(t, s, testPatience)
	coretest.Eventually(t, "health tells of a node that stands still", func() bool { return s.Health() == "unavailable" })
	if err := node.Continue(); err != nil {
		t.Fatal(err)
	}
	coretest.Eventually(t, "a node that goes on is used", func() bool { return s.Write(t.Context(), written) == nil && s.Health() == "ok" })
	if s.Disturbed() == before {
		t.Error("writes had no answer, and nobody is told to write again")
	}

	before = s.Disturbed()
	if err := node.Kill(); err != nil {
		t.Fatal(err)
	}
	allUnavailable(t, s, testPatience)
	coretest.Eventually(t, "health tells of a node that was killed", func() bool { return s.Health() == "unavailable" })
	if s.Disturbed() == before {
		t.Error("a node was killed, and nobody is told to write again")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*testPatience)
	defer cancel()
	before = s.Disturbed()
	if err := node.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	coretest.Eventually(t, "a node that came back is used", func() bool { return s.Write(t.Context(), written) == nil && s.Health() == "ok" })
	if s.Disturbed() == before {
		t.Error("a node came back, and nobody is told to write again")
	}
	mustMark(t, s, core.Position{Seq: 100})
	if all := mustTail(t, s, 0, 100); len(all) != 3 {
		t.Errorf("%d records", len(all))
	}
}

// With three replicas one node may go without anybody noticing but the archive.
func TestOneNodeOfThreeMayBeKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: three nodes take a minute to start")
	}
	stack := stacktest.Own(t, servers.Options{Cassandra: &servers.CassandraOptions{Nodes: 3}})
	o := Options{Hosts: []string{stack.Cassandra[0].Addr(), stack.Cassandra[1].Addr(), stack.Cassandra[2].Addr()}, Migrate: true, Timeout: 10 * time.Second}
	s := ready(t, o)
	next := uint64(1)
	write := func() error {
		err := s.Write(t.Context(), []*core.Record{start(), placements(next, 50)})
		if err == nil {
			next += 50
		}
		return err
	}
	coretest.Eventually(t, "the first rows are written", func() bool { return write() == nil })
	before := s.Disturbed()
	if err := stack.Cassandra[2].Kill(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if err := write(); err != nil {
			t.Errorf("with two nodes of three: %v", err)
		}
	}
	coretest.Eventually(t, "the archive is told", func() bool { return s.Disturbed() > before })
	h, err := s.Heads(t.Context())
	if err != nil || h[0] != next-1 {
		t.Errorf("Heads = %v, %v, want %d", h[:1], err, next-1)
	}
}
