package main

import (
	"net"
	"regexp"
	"slices"
	"time"
)

// The roles of a process in a cluster.
const (
	roleGateway  = "gateway"  // serves clients
	roleRelay    = "relay"    // Redis -> Kafka
	roleArchive  = "archive"  // the log -> history
	roleSnapshot = "snapshot" // the log -> snapshots, and the published canvas
)

var allRoles = []string{roleGateway, roleRelay, roleArchive, roleSnapshot}

// clustered reports whether the canvas lies in Redis and not in a folder.
func (s *settings) clustered() bool { return len(s.Redis) > 0 }

// topic returns the topic that this process follows.
func (s *settings) topic() string {
	if s.Region != "" {
		return s.KafkaTopic + "." + s.Region
	}
	return s.KafkaTopic
}

var (
	topicName    = regexp.MustCompile(`^[A-Za-z0-9._-]{1,200}$`)
	keyspaceName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,47}$`)
	prefixName   = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,40}$`)
)

// readCluster checks the flags about services and roles.
func (s *settings) readCluster(wrong wrongFunc) {
	for flag, addrs := range map[string][]string{"redis": s.Redis, "limiter-redis": s.LimiterRedis, "kafka": s.Kafka, "scylla": s.Scylla} {
		for _, addr := range addrs {
			if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || !isPort(port) || port == "0" {
				wrong(flag, "%q is not host:port", addr)
			}
		}
	}
	if !s.clustered() {
		for flag, given := range map[string]bool{"kafka": len(s.Kafka) > 0, "scylla": len(s.Scylla) > 0, "limiter-redis": len(s.LimiterRedis) > 0, "region": s.Region != ""} {
			if given {
				wrong(flag, "needs --redis, where the canvas of a cluster lies")
			}
		}
	}
	if len(s.Kafka) > 0 != (len(s.Scylla) > 0) && s.clustered() {
		wrong("kafka", "goes with --scylla: the log forgets, the history does not")
	}
	if s.Region != "" && len(s.Kafka) == 0 && s.clustered() {
		wrong("region", "needs --kafka: a region follows a mirror of the log")
	}
	if !topicName.MatchString(s.topic()) {
		wrong("kafka-topic", "%q is not a name of letters, digits, dot, underscore and dash", s.topic())
	}
	if !keyspaceName.MatchString(s.ScyllaKeyspace) {
		wrong("scylla-keyspace", "%q is not a name of small letters, digits and underscore", s.ScyllaKeyspace)
	}
	if !prefixName.MatchString(s.RedisPrefix) {
		wrong("redis-prefix", "%q is not a name of letters, digits, dot, underscore and dash", s.RedisPrefix)
	}
	if s.KafkaPatience < 50*time.Millisecond {
		wrong("kafka-patience", "%v: must be at least 50ms", s.KafkaPatience)
	}
	s.roles = make(map[string]bool)
	for _, r := range s.Roles {
		if !slices.Contains(allRoles, r) {
			wrong("roles", "%q is none of %v", r, allRoles)
		}
		s.roles[r] = true
	}
	if s.clustered() && s.roles[roleGateway] && s.KeyFile == "" {
		wrong("key-file", "must be given with --redis, the same on every edge: a guest of one edge is a guest of all")
	}
	switch {
	case len(s.roles) == 0:
		wrong("roles", "must name at least one of %v", allRoles)
	case !s.clustered() && len(s.roles) != len(allRoles):
		wrong("roles", "needs --redis: one process does everything for a canvas in a folder")
	case s.Region != "" && (s.roles[roleRelay] || s.roles[roleArchive] || s.roles[roleSnapshot]):
		// The defaults are for the write region; a mirror has nothing to write.
		if slices.Equal(s.Roles, allRoles) {
			s.roles = map[string]bool{roleGateway: true}
		} else {
			wrong("roles", "a region that follows a mirror has the role gateway only")
		}
	}
}
