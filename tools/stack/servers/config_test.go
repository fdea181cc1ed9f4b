package servers

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func TestConfigurations(t *testing.T) {
	for name, got := range map[string]string{
		"redis.conf":         redisConf(7001, 7002, RedisOptions{}),
		"redis-replicas":     redisConf(7001, 7002, RedisOptions{Replicas: 2, Extra: []string{"appendfsync everysec", "maxmemory 16mb"}}),
		"redis-cluster":      redisConf(7001, 7002, RedisOptions{Cluster: true, Replicas: 1}),
		"server.properties":  serverProperties(0, []int{9001}, []int{9101}, "/d/data", nil),
		"server-2-of-3":      serverProperties(1, []int{9001, 9002, 9003}, []int{9101, 9102, 9103}, "/d/data", []string{"min.insync.replicas=1"}),
		"cassandra.yaml":     cassandraYAML("127.0.0.1", "/d", 7000, 9042, CassandraOptions{}),
		"cassandra-2-groups": cassandraYAML("127.0.0.2", "/d", 7000, 9042, CassandraOptions{Group: true, Extra: []string{"num_tokens: 1"}}),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join("testdata", name+".golden")
			if *rewrite {
				if err := writeFile(path, got); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("go test ./tools/stack/servers -rewrite writes it anew; it is now\n%s", got)
			}
		})
	}
}

func TestOneReplicaDoesNotBlockItsOwnFailover(t *testing.T) {
	const line = "min-replicas-to-write"
	if contains(redisConf(1, 2, RedisOptions{Replicas: 1}), line) {
		t.Error("with one replica the promoted one has none, and would refuse every write")
	}
}

func TestPortsLieBelowThoseOfOutgoingConnections(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		port, err := freePort(loopback, "127.0.0.2")
		if err != nil {
			t.Fatal(err)
		}
		if port >= ephemeral() || seen[port] {
			t.Errorf("port %d: outgoing connections begin at %d, given before: %v", port, ephemeral(), seen[port])
		}
		seen[port] = true
	}
}
