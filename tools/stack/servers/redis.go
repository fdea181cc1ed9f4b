package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// RedisOptions say which Redis servers to run.
type RedisOptions struct {
	Replicas int      // of the one master, or of each of a cluster's three
	Cluster  bool     // three masters that share the slots
	Extra    []string // lines of redis.conf that win over ours: maxmemory 16mb
}

const loopback = "127.0.0.1"

// redisConf is what an operator would set: nothing acknowledged is lost by
// kill -9, and a full server refuses instead of forgetting.
func redisConf(port, busPort int, o RedisOptions) string {
	lines := []string{
		"bind " + loopback,
		"port " + strconv.Itoa(port),
		"dir .",
		"daemonize no",
		"appendonly yes",
		"appendfsync always",
		"save \"\"",
		"maxmemory-policy noeviction",
		"repl-diskless-sync-delay 0",
	}
	if o.Cluster {
		lines = append(lines, "cluster-enabled yes", "cluster-port "+strconv.Itoa(busPort), "cluster-node-timeout 2000")
	}
	if o.Replicas > 1 && !o.Cluster {
		// A deposed master must stop by itself. With one replica this would block the
		// failover too, since nobody is left to replicate to.
		lines = append(lines, "min-replicas-to-write 1", "min-replicas-max-lag 1")
	}
	return settings(lines, o.Extra, " ")
}

// startRedis starts a single server, one with replicas, or a cluster. The first
// server is the master, or the first three are.
func startRedis(ctx context.Context, o Options) ([]*Server, error) {
	program, err := redisProgram(ctx, &o)
	if err != nil {
		return nil, err
	}
	n := 1 + o.Redis.Replicas
	if o.Redis.Cluster {
		n = 3 * (1 + o.Redis.Replicas)
	}
	all := make([]*Server, n)
	for i := range all {
		if all[i], err = newRedis(o, program, i); err != nil {
			return all[:i], err
		}
		if i > 0 && !o.Redis.Cluster {
			all[i].Follow(all[0])
		}
		if err := all[i].Launch(); err != nil {
			return all[:i], err
		}
	}
	if !o.Redis.Cluster {
		return all, nil
	}
	for _, s := range all {
		if err := s.reachable(ctx); err != nil {
			return all, err
		}
	}
	return all, joinCluster(ctx, all, o.Redis.Replicas)
}

func newRedis(o Options, program string, i int) (*Server, error) {
	port, err := freePort(loopback)
	if err != nil {
		return nil, err
	}
	busPort, err := freePort(loopback)
	if err != nil {
		return nil, err
	}
	s := o.newServer(Redis, i, loopback, port)
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	s.Args = []string{program, filepath.Join(s.Dir, "redis.conf")}
	return s, writeFile(s.Args[1], redisConf(port, busPort, *o.Redis))
}

// Follow makes a Redis server a replica of the master, or a master where that is
// nil, from its next start on.
func (s *Server) Follow(master *Server) {
	s.Args = s.Args[:2:2]
	if master != nil {
		s.Args = append(s.Args, "--replicaof", strings.Replace(master.Address, ":", " ", 1))
	}
}

// joinCluster gives the slots to the first three and the rest to them as
// replicas, as an operator would.
func joinCluster(ctx context.Context, all []*Server, replicas int) error {
	args := []string{"--cluster", "create"}
	for _, s := range all {
		args = append(args, s.Address)
	}
	args = append(args, "--cluster-replicas", strconv.Itoa(replicas), "--cluster-yes")
	if out, err := exec.CommandContext(ctx, "redis-cli", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("redis-cli --cluster create: %w:\n%s", err, out)
	}
	return nil
}

// inStep returns nil when each master has all its replicas in step.
func inStep(ctx context.Context, all []*Server) error {
	replicas, online := 0, 0
	for _, s := range all {
		info, err := askRedis(ctx, s.Address, "INFO replication")
		if err != nil {
			return err
		}
		if strings.Contains(info, "role:slave") {
			replicas++
		}
		online += strings.Count(info, "state=online")
	}
	if online < replicas {
		return fmt.Errorf("%d of %d Redis replicas are in step", online, replicas)
	}
	return nil
}

// reachable waits for an answer to PING, which a cluster's node gives before it
// has joined.
func (s *Server) reachable(ctx context.Context) error {
	err := until(ctx, func() error {
		_, err := askRedis(ctx, s.Address, "PING")
		if err != nil && !s.Running() {
			return stopTrying{err}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%s does not answer (%w); its log ends with:\n%s", s.Name, err, s.Tail(15))
	}
	return nil
}

func (s *Server) probeRedis(ctx context.Context) error {
	if _, err := askRedis(ctx, s.Address, "PING"); err != nil {
		return err
	}
	info, err := askRedis(ctx, s.Address, "CLUSTER INFO")
	if err != nil {
		if strings.Contains(err.Error(), "cluster support disabled") {
			return nil
		}
		return err
	}
	if !strings.Contains(info, "cluster_state:ok") {
		return errors.New("the cluster's state is not ok")
	}
	return nil
}

// askRedis sends one command without arguments that hold spaces and returns the
// simple or bulk string of the answer.
func askRedis(ctx context.Context, addr, command string) (string, error) {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
		return "", err
	}
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSpace(line)
	switch {
	case strings.HasPrefix(line, "+"):
		return line[1:], nil
	case strings.HasPrefix(line, "$"):
		n, err := strconv.Atoi(line[1:])
		if err != nil || n < 0 {
			return "", fmt.Errorf("%s: answers %q to %s", addr, line, command)
		}
		body := make([]byte, n)
		_, err = io.ReadFull(r, body)
		return string(body), err
	}
	return "", fmt.Errorf("%s: answers %q to %s", addr, line, command)
}
