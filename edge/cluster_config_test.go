package main

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pixelwall/core"
)

func TestEveryShardOfACanvasHasAPartition(t *testing.T) {
	for _, g := range []core.Geometry{{Width: 1, Height: 1}, {Width: 1000, Height: 1000}, {Width: 4096, Height: 512}, {Width: 512, Height: 4096}, {Width: 4096, Height: 4096}} {
		n := partitions(g)
		for _, s := range g.Shards() {
			if int(s) >= n {
				t.Errorf("%dx%d: shard %d of %d partitions", g.Width, g.Height, s, n)
			}
		}
		if !g.Has(core.ShardID(n - 1)) {
			t.Errorf("%dx%d: the last of %d partitions is of no shard", g.Width, g.Height, n)
		}
	}
}

func TestMistakesInFlagsOfAClusterAreAllReportedAtOnce(t *testing.T) {
	for _, tt := range []struct {
		name  string
		args  []string
		wrong []string
	}{
		{"services without Redis", []string{"--kafka", "a:1", "--scylla", "b:1", "--limiter-redis", "c:1", "--region", "eu", "--roles", "gateway"},
			[]string{"--kafka", "--scylla", "--limiter-redis", "--region", "--roles"}},
		{"values", []string{"--redis", "nonsense,r:0", "--limiter-redis", ":6379", "--kafka", "k:99999", "--scylla", "s", "--redis-prefix", "{x}", "--kafka-topic", "a b",
			"--scylla-keyspace", "Big", "--kafka-patience", "1ms", "--roles", "gateway,janitor"},
			[]string{"--redis", "--limiter-redis", "--kafka", "--scylla", "--redis-prefix", "--kafka-topic", "--scylla-keyspace", "--kafka-patience", "--roles", "--key-file"}},
		{"Kafka alone", []string{"--redis", "r:1", "--kafka", "k:1", "--key-file", "keys"}, []string{"--kafka"}},
		{"CQL alone", []string{"--redis", "r:1", "--scylla", "s:1", "--key-file", "keys"}, []string{"--kafka"}},
		{"a region without Kafka", []string{"--redis", "r:1", "--region", "eu", "--key-file", "keys"}, []string{"--region"}},
		{"a region that writes", []string{"--redis", "r:1", "--kafka", "k:1", "--scylla", "s:1", "--region", "eu", "--roles", "gateway,relay", "--key-file", "keys"}, []string{"--roles"}},
		{"a region whose name is none", []string{"--redis", "r:1", "--kafka", "k:1", "--scylla", "s:1", "--region", "e/u", "--key-file", "keys"}, []string{"--kafka-topic"}},
		{"no role", []string{"--redis", "r:1", "--roles", "", "--key-file", "keys"}, []string{"--roles"}},
		{"an edge of a fleet without the fleet's keys", []string{"--redis", "r:1"}, []string{"--key-file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(tt.args...)
			if err == nil {
				t.Fatal("it is accepted")
			}
			reported := map[string]bool{}
			for line := range strings.Lines(err.Error()) {
				flag, _, _ := strings.Cut(line, ":")
				reported[flag] = true
			}
			slices.Sort(tt.wrong)
			if got := slices.Sorted(maps.Keys(reported)); !slices.Equal(got, tt.wrong) {
				t.Errorf("reported are %v, want %v:\n%v", got, tt.wrong, err)
			}
		})
	}
}

func TestDefaultsOfACluster(t *testing.T) {
	for _, tt := range []struct {
		name  string
		args  []string
		topic string
		roles []string
	}{
		{"a folder", nil, "pixel_events", allRoles},
		{"Redis alone", []string{"--redis", "r:1", "--key-file", "keys"}, "pixel_events", allRoles},
		{"all services", []string{"--redis", "r:1,r:2", "--kafka", "k:1", "--scylla", "s:1", "--key-file", "keys"}, "pixel_events", allRoles},
		{"a region serves only", []string{"--redis", "r:1", "--kafka", "k:1", "--scylla", "s:1", "--region", "eu", "--key-file", "keys"}, "pixel_events.eu", []string{roleGateway}},
		{"workers need no keys", []string{"--redis", "r:1", "--roles", "relay,archive"}, "pixel_events", []string{roleArchive, roleRelay}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := parse(tt.args...)
			if err != nil {
				t.Fatal(err)
			}
			if s.topic() != tt.topic || s.RedisPrefix != "pw" || s.ScyllaKeyspace != "pixelwall" || s.KafkaPatience != 300*time.Millisecond {
				t.Errorf("topic %q, prefix %q, keyspace %q, patience %v", s.topic(), s.RedisPrefix, s.ScyllaKeyspace, s.KafkaPatience)
			}
			want := slices.Sorted(slices.Values(tt.roles))
			if got := slices.Sorted(maps.Keys(s.roles)); !slices.Equal(got, want) {
				t.Errorf("roles %v, want %v", got, want)
			}
		})
	}
}

func TestSecretsOfServicesAreNotPrinted(t *testing.T) {
	for _, name := range []string{"REDIS_PASSWORD", "SCYLLA_PASSWORD", "ADMIN_TOKEN"} {
		t.Setenv("PIXELWALL_"+name, "canary")
	}
	args := []string{"--redis", "r:1", "--kafka", "k:1", "--scylla", "s:1", "--redis-user", "ann", "--scylla-user", "bob", "--key-file", "keys", "--admin-listen", ":9"}
	for _, command := range []string{"print", "check"} {
		var out bytes.Buffer
		if err := realMain(append([]string{"config", command}, args...), &out); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "canary") {
			t.Errorf("config %s tells a secret:\n%s", command, out.String())
		}
		if command == "print" && (!strings.Contains(out.String(), `"redis-user": "ann"`) || !strings.Contains(out.String(), `"scylla-user": "bob"`)) {
			t.Errorf("the names are missing in\n%s", out.String())
		}
	}
}
