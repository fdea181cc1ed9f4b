package servers_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gocql/gocql"
	"github.com/redis/rueidis"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"pixelwall/tools/stack/servers"
	"pixelwall/tools/stack/stacktest"
)

// redisDo sends one command to one server and returns the answer as text.
func redisDo(t *testing.T, s *servers.Server, words ...string) (string, error) {
	t.Helper()
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{s.Addr()}, ForceSingleClient: true, DisableCache: true, DisableRetry: true})
	if err != nil {
		return "", err
	}
	defer client.Close()
	answer := client.Do(t.Context(), client.B().Arbitrary(words...).Build())
	if n, err := answer.AsInt64(); err == nil {
		return fmt.Sprint(n), nil
	}
	return answer.ToString()
}

func mustRedis(t *testing.T, s *servers.Server, words ...string) string {
	t.Helper()
	answer, err := redisDo(t, s, words...)
	if err != nil {
		t.Fatalf("%v: %v", words, err)
	}
	return answer
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRedisKeepsItsPortAndDataWhenItIsKilled(t *testing.T) {
	s := stacktest.Own(t, servers.Options{Redis: &servers.RedisOptions{Extra: []string{"maxmemory 16mb"}}}).Redis[0]
	mustRedis(t, s, "SET", "k", "v")
	addr, pid := s.Addr(), s.PID()
	must(t, s.Kill())
	if s.Running() {
		t.Fatal("it runs on after Kill")
	}
	if conn, err := net.Dial("tcp", addr); err == nil {
		conn.Close()
		t.Fatal("somebody answers after Kill")
	}
	must(t, s.Restart(t.Context()))
	if got := mustRedis(t, s, "GET", "k"); got != "v" || s.Addr() != addr || s.PID() == pid {
		t.Errorf("after the restart k = %q at %s, process %d", got, s.Addr(), s.PID())
	}
	if err := s.Launch(); err == nil {
		t.Error("a server that runs can be started again")
	}
}

func TestAPausedServerAnswersNobodyAndGoesOn(t *testing.T) {
	s := stacktest.Own(t, servers.Options{Redis: &servers.RedisOptions{}}).Redis[0]
	must(t, s.Pause())
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := s.Ready(ctx); err == nil || !s.Running() {
		t.Errorf("paused: Ready = %v, Running = %v", err, s.Running())
	}
	must(t, s.Continue())
	must(t, s.Ready(t.Context()))
	must(t, s.Pause())
	must(t, s.Stop()) // it hears of it although it is paused
	if s.Running() {
		t.Error("it runs on after Stop")
	}
	if err := s.Pause(); err == nil {
		t.Error("a server that does not run can be paused")
	}
}

func TestAServerThatCannotStartTellsItsLog(t *testing.T) {
	s := stacktest.Own(t, servers.Options{Redis: &servers.RedisOptions{}}).Redis[0]
	must(t, s.Stop())
	s.Args = append(s.Args, "--no-such-setting", "1")
	if err := s.Restart(t.Context()); err == nil || !strings.Contains(err.Error(), "no-such-setting") {
		t.Errorf("Restart = %v, want the words of the log", err)
	}
}

func TestReplicasFollowAndAreWaitedFor(t *testing.T) {
	stack := stacktest.Own(t, servers.Options{Redis: &servers.RedisOptions{Replicas: 2}})
	mustRedis(t, stack.Redis[0], "SET", "k", "v") // refused unless a replica is in step
	must(t, stack.Redis[0].Kill())
	mustRedis(t, stack.Redis[1], "REPLICAOF", "NO", "ONE")
	stack.Redis[1].Follow(nil)
	stack.Redis[0].Follow(stack.Redis[1])
	must(t, stack.Redis[0].Restart(t.Context()))
	must(t, stack.Ready(t.Context()))
	if role := mustRedis(t, stack.Redis[0], "INFO", "replication"); !strings.Contains(role, "role:slave") {
		t.Errorf("the old master is\n%s", role)
	}
}

func TestAClusterLosesAMasterAndGetsItBack(t *testing.T) {
	stack := stacktest.Own(t, servers.Options{Redis: &servers.RedisOptions{Cluster: true, Replicas: 1}})
	if len(stack.Redis) != 6 {
		t.Fatalf("%d servers", len(stack.Redis))
	}
	must(t, stack.Redis[0].Kill())
	must(t, stack.Redis[0].Restart(t.Context()))
	must(t, stack.Ready(t.Context()))
	if info := mustRedis(t, stack.Redis[0], "CLUSTER", "INFO"); !strings.Contains(info, "cluster_slots_ok:16384") || !strings.Contains(info, "cluster_known_nodes:6") {
		t.Errorf("CLUSTER INFO = %s", info)
	}
}

func TestKafkaKeepsWhatItAcknowledged(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out the restart of a broker, which takes it ten seconds")
	}
	s := stacktest.Own(t, servers.Options{Kafka: &servers.KafkaOptions{Brokers: 1}}).Kafka[0]
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Addr()), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"t": {0: kgo.NewOffset().AtStart()}}))
	must(t, err)
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, "t")
	must(t, err)
	must(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr())
	must(t, s.Kill())
	must(t, s.Restart(t.Context()))
	fetches := client.PollFetches(t.Context())
	for fetches.Empty() && t.Context().Err() == nil {
		fetches = client.PollFetches(t.Context())
	}
	if r := fetches.Records(); len(r) != 1 || string(r[0].Value) != "v" {
		t.Errorf("after the restart there are %d records: %v", len(r), fetches.Errors())
	}
}

func TestCassandraKeepsWhatItAcknowledged(t *testing.T) {
	if testing.Short() {
		t.Skip("-short leaves out two starts of Cassandra")
	}
	s := stacktest.Own(t, servers.Options{Cassandra: &servers.CassandraOptions{Nodes: 1, Group: true}}).Cassandra[0]
	exec := func(statement string, into ...any) {
		t.Helper()
		host, port, err := net.SplitHostPort(s.Addr())
		must(t, err)
		cluster := gocql.NewCluster(host)
		_, err = fmt.Sscan(port, &cluster.Port)
		must(t, err)
		cluster.Timeout = 30 * time.Second
		session, err := cluster.CreateSession()
		must(t, err)
		defer session.Close()
		if q := session.Query(statement); len(into) > 0 {
			must(t, q.Scan(into...))
		} else {
			must(t, q.Exec())
		}
	}
	exec("CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
	exec("CREATE TABLE k.t (id int PRIMARY KEY, v text)")
	exec("INSERT INTO k.t (id, v) VALUES (1, 'v')")
	must(t, s.Kill())
	must(t, s.Restart(t.Context()))
	var v string
	if exec("SELECT v FROM k.t WHERE id = 1", &v); v != "v" {
		t.Errorf("after the restart v = %q", v)
	}
}

func TestAnotherProcessGoesOnWithAStack(t *testing.T) {
	first := stacktest.Own(t, servers.Options{Redis: &servers.RedisOptions{}})
	must(t, first.Save())
	second, err := servers.Load(first.Dir)
	must(t, err)
	s, err := second.Find("redis-1")
	must(t, err)
	must(t, s.Restart(t.Context()))
	if first.Redis[0].Running() {
		t.Error("the first process takes another one's server for its own")
	}
	keep := filepath.Join(first.Dir, "mine")
	must(t, os.WriteFile(keep, nil, 0o644))
	must(t, second.Down())
	if left, err := os.ReadDir(first.Dir); err != nil || len(left) != 1 {
		t.Errorf("Down leaves %v, %v; want only what is not its own", left, err)
	}
	if _, err := servers.Load(first.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Load after Down = %v", err)
	}
	if _, err := second.Find("redis-9"); err == nil || !strings.Contains(err.Error(), "redis-1") {
		t.Errorf("Find = %v, want the names that there are", err)
	}
}

// TestTiedServersDieWithTheirParent starts this test again as the parent.
func TestTiedServersDieWithTheirParent(t *testing.T) {
	const role = "STACK_TEST_PARENT"
	if dir := os.Getenv(role); dir != "" {
		stack, err := servers.Up(t.Context(), servers.Options{Redis: &servers.RedisOptions{}, Dir: dir, Tied: true})
		must(t, err)
		must(t, stack.Save())
		fmt.Println("up")
		select {} // until it is killed
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		stacktest.Missing(t, "Redis", err.Error())
	}
	dir := t.TempDir()
	parent := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	parent.Env = append(os.Environ(), role+"="+dir)
	out, err := parent.StdoutPipe()
	must(t, err)
	must(t, parent.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "up\n" {
		t.Fatalf("the parent says %q, %v", line, err)
	}
	stack, err := servers.Load(dir)
	must(t, err)
	if !stack.Redis[0].Running() {
		t.Fatal("Redis does not run")
	}
	must(t, parent.Process.Kill())
	parent.Wait()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); stack.Redis[0].Running(); <-tick.C {
		if time.Now().After(end) {
			t.Fatal("Redis outlives its parent")
		}
	}
}
