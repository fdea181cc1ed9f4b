package servers

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gocql/gocql"
)

// CassandraOptions say how many nodes to run, on 127.0.0.1, 127.0.0.2, 127.0.0.3.
type CassandraOptions struct {
	Nodes int // 1 or 3
	// Group makes a write wait for the disk (commitlog_sync: group). Without it
	// kill -9 takes up to ten seconds of acknowledged rows, as is the default of
	// Cassandra and ScyllaDB.
	Group bool
	Extra []string // lines of cassandra.yaml that win over ours
}

const cassandraHeap = "384m"

func cassandraYAML(host, dir string, storagePort, nativePort int, o CassandraOptions) string {
	lines := []string{
		"cluster_name: pixelwall",
		"num_tokens: 4",
		"partitioner: org.apache.cassandra.dht.Murmur3Partitioner",
		"endpoint_snitch: SimpleSnitch",
		"data_file_directories: [" + filepath.Join(dir, "data") + "]",
		"listen_address: " + host,
		"rpc_address: " + host,
		fmt.Sprintf("storage_port: %d", storagePort),
		fmt.Sprintf("native_transport_port: %d", nativePort),
		fmt.Sprintf("seed_provider: [{class_name: org.apache.cassandra.locator.SimpleSeedProvider, parameters: [{seeds: \"%s:%d\"}]}]", loopback, storagePort),
		"memtable_allocation_type: heap_buffers",
		"auto_snapshot: false",
	}
	for _, folder := range []string{"commitlog", "saved_caches", "hints", "cdc_raw"} {
		name := folder + "_directory"
		lines = append(lines, name+": "+filepath.Join(dir, folder))
	}
	if o.Group {
		// Each waiting write holds a thread, and 32 of them are soon used up.
		lines = append(lines, "commitlog_sync: group", "commitlog_sync_group_window: 10ms", "concurrent_writes: 512")
	} else {
		lines = append(lines, "commitlog_sync: periodic", "commitlog_sync_period: 10000ms")
	}
	return settings(lines, o.Extra, ":")
}

const logbackXML = `<configuration>
  <appender name="out" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%-5level %date{ISO8601} %F:%L - %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="out"/></root>
</configuration>
`

// openToAll are the packages that Cassandra reaches into; Java 17 keeps them shut.
var openToAll = map[string]string{
	"java.base": "jdk.internal.misc jdk.internal.ref jdk.internal.loader jdk.internal.reflect jdk.internal.math jdk.internal.module jdk.internal.util.jar " +
		"sun.nio.ch java.io java.nio java.lang java.lang.reflect java.lang.module java.util java.util.concurrent java.util.concurrent.atomic java.net sun.net",
	"java.rmi":            "sun.rmi.registry sun.rmi.server sun.rmi.transport sun.rmi.transport.tcp",
	"java.management.rmi": "com.sun.jmx.remote.internal.rmi",
	"jdk.management":      "com.sun.management.internal",
}

func cassandraArgs(v jvm, dir string, jmxPort int) []string {
	more := []string{
		"-javaagent:" + filepath.Join(v.lib, "jamm-0.4.0.jar"),
		"-Dcassandra.config=file://" + filepath.Join(dir, "cassandra.yaml"),
		"-Dlogback.configurationFile=" + filepath.Join(dir, "logback.xml"),
		"-Dcassandra.storagedir=" + dir,
		"-Dcassandra.jmx.local.port=" + strconv.Itoa(jmxPort),
		"-Dcassandra.ring_delay_ms=3000", // nodes here know each other at once
		"-Dcassandra.consistent.rangemovement=false",
		"-Dcassandra.skip_wait_for_gossip_to_settle=0",
		"-Djdk.attach.allowAttachSelf=true",
		"-Dio.netty.tryReflectionSetAccessible=true",
	}
	for _, module := range []string{"java.base", "java.rmi", "java.management.rmi", "jdk.management"} {
		for _, pkg := range strings.Fields(openToAll[module]) {
			more = append(more, "--add-exports="+module+"/"+pkg+"=ALL-UNNAMED", "--add-opens="+module+"/"+pkg+"=ALL-UNNAMED")
		}
	}
	return v.command(more, "org.apache.cassandra.service.CassandraDaemon")
}

// startCassandra starts the nodes one after the other, because only one may join
// at a time.
func startCassandra(ctx context.Context, o Options) ([]*Server, error) {
	v, err := newJVM(ctx, &o, Cassandra, cassandraHeap)
	if err != nil {
		return nil, err
	}
	hosts := make([]string, o.Cassandra.Nodes)
	for i := range hosts {
		hosts[i] = fmt.Sprintf("127.0.0.%d", i+1)
	}
	storagePort, err := freePort(hosts...)
	if err != nil {
		return nil, err
	}
	nativePort, err := freePort(hosts...)
	if err != nil {
		return nil, err
	}
	var all []*Server
	for i, host := range hosts {
		s := o.newServer(Cassandra, i, host, nativePort)
		if err := s.makeDir(); err != nil {
			return all, err
		}
		jmxPort, err := freePort(loopback)
		if err != nil {
			return all, err
		}
		s.Args = cassandraArgs(v, s.Dir, jmxPort)
		if err := writeFile(filepath.Join(s.Dir, "cassandra.yaml"), cassandraYAML(host, s.Dir, storagePort, nativePort, *o.Cassandra)); err != nil {
			return all, err
		}
		if err := writeFile(filepath.Join(s.Dir, "logback.xml"), logbackXML); err != nil {
			return all, err
		}
		all = append(all, s)
		if err := s.Launch(); err != nil {
			return all, err
		}
		if err := s.Ready(ctx); err != nil {
			return all, err
		}
	}
	return all, nil
}

// probeCassandra asks a node, and no other, about itself.
func (s *Server) probeCassandra(ctx context.Context) error {
	session, err := cqlSession(s.Address)
	if err != nil {
		return err
	}
	defer session.Close()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	var state string
	if err := session.Query("SELECT bootstrapped FROM system.local").WithContext(ctx).Scan(&state); err != nil {
		return err
	}
	if state != "COMPLETED" {
		return fmt.Errorf("%s is still joining (%s)", s.Name, state)
	}
	return nil
}

// reachAll returns nil when each node reaches all of them: Cassandra keeps three
// copies of its own repair log, and a read at ALL wants an answer from each.
func reachAll(ctx context.Context, all []*Server) error {
	if len(all) < 3 {
		return nil // fewer nodes than copies
	}
	for _, s := range all {
		session, err := cqlSession(s.Address)
		if err != nil {
			return err
		}
		err = session.Query("SELECT id FROM system_distributed.repair_history WHERE keyspace_name = '' AND columnfamily_name = ''").
			WithContext(ctx).Consistency(gocql.All).Iter().Close()
		session.Close()
		if err != nil {
			return fmt.Errorf("%s does not reach all nodes: %w", s.Name, err)
		}
	}
	return nil
}

func cqlSession(addr string) (*gocql.Session, error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, err
	}
	cluster := gocql.NewCluster(host)
	cluster.Port = port
	cluster.NumConns = 1
	cluster.ConnectTimeout, cluster.Timeout = 2*time.Second, 3*time.Second
	cluster.DisableInitialHostLookup = true
	cluster.Events.DisableTopologyEvents, cluster.Events.DisableNodeStatusEvents, cluster.Events.DisableSchemaEvents = true, true, true
	cluster.Logger = log.New(io.Discard, "", 0)
	cluster.Consistency = gocql.One
	return cluster.CreateSession()
}
