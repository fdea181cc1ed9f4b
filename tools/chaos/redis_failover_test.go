package chaos

import (
	"strings"
	"testing"
	"time"

	"pixelwall/tools/stack/servers"
)

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
	// A batch counts as ambiguous a good while after it was sent: those of now were
	// sent when no answer came through any more, and Redis has carried them out.
	unanswered := w.count("pixelwall_redis_ambiguous_total")
	within(t, 20*time.Second, "batches without an answer", func() bool { return w.count("pixelwall_redis_ambiguous_total") > unanswered+1 })
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
