package chaos

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/tools/stack/servers"
)

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
	// An edge whose breaker is open for longer than the take-over lasts meets no fence.
	w.load.note("killed=%.8s unfenced=%.0f", node, w.count("pixelwall_redis_unfenced_total"))
	w.felt("pixelwall_redis_breaker_openings_total")
	if n := w.count("pixelwall_relay_takeovers_total"); n <= shards {
		t.Errorf("%.0f take-overs, with those of the start: the fault was not felt", n)
	}
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
