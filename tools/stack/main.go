// Command stack starts and stops the real servers that a cluster of edges stands
// on. Out come shell lines that name their addresses as the edge reads them.
//
//	go run ./tools/stack install      installs what is missing and starts nothing
//	go run ./tools/stack up           installs it too and starts Redis, Kafka and Cassandra in the background
//	go run ./tools/stack run -- CMD   starts them for one command only
//	go run ./tools/stack status       tells what runs
//	go run ./tools/stack kill NAME    kills one server as kill -9 does
//	go run ./tools/stack restart NAME starts it again: same port, same data
//	go run ./tools/stack down         stops all and deletes their data
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"pixelwall/tools/stack/servers"
)

type cli struct {
	Dir   string `help:"Folder for configuration, data and logs (a stack of the cache by default)." type:"path"`
	Cache string `help:"Folder in which downloads are kept." type:"path"`

	Install install `cmd:"" help:"Install what up needs, and start nothing."`
	Up      up      `cmd:"" help:"Start the servers in the background and print their addresses."`
	Run     run     `cmd:"" help:"Start the servers for one command, and stop them when it ends."`
	Down    down    `cmd:"" help:"Stop the servers and delete their data."`
	Status  status  `cmd:"" help:"Tell what runs."`
	Kill    kill    `cmd:"" help:"Kill one server, as kill -9 does."`
	Restart restart `cmd:"" help:"Start one server again on its port with its data."`
}

// which says which servers to start.
type which struct {
	RedisReplicas *int     `help:"Replicas of the master, or of each master of a cluster (0; in a cluster 1)." placeholder:"N"`
	RedisCluster  bool     `help:"Three Redis masters that share the slots."`
	Brokers       int      `help:"Kafka brokers." default:"1" enum:"1,3"`
	Nodes         int      `help:"Cassandra nodes." default:"1" enum:"1,3"`
	Only          []string `help:"Start only these." enum:"redis,kafka,cassandra" default:"redis,kafka,cassandra"`
	SkipMissing   bool     `help:"Leave out servers that cannot be had on this machine, instead of failing."`
	Test          bool     `help:"Name the addresses PIXELWALL_TEST_…, which tests read and edges do not."`
}

type up struct{ which }

type (
	install struct{}
	down    struct{}
	status  struct{}
	kill    struct {
		Name string `arg:"" help:"Server, as status names it."`
	}
	restart struct {
		Name string `arg:"" help:"Server, as status names it."`
	}
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c cli
	k := kong.Parse(&c, kong.Name("stack"), kong.Description("Runs the real servers that a cluster of edges stands on."))
	if c.Cache == "" {
		c.Cache = servers.CacheDir()
	}
	if c.Dir == "" {
		c.Dir = filepath.Join(c.Cache, "stack")
	}
	k.BindTo(ctx, (*context.Context)(nil))
	err := k.Run(&c)
	var code exitCode
	if errors.As(err, &code) {
		os.Exit(int(code))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "stack:", err)
		os.Exit(1)
	}
}

// startTime is enough for three nodes of each on two busy cores.
const startTime = 5 * time.Minute

func (u *up) Run(ctx context.Context, c *cli) error {
	old, err := servers.Load(c.Dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return err
	case old.Running():
		return fmt.Errorf("a stack is up in %s already: see status, or take it down first", old.Dir)
	default: // the machine was restarted
		if err := old.Down(); err != nil {
			return err
		}
	}
	stack, err := u.start(ctx, u.options(c.Dir, c.Cache))
	if err != nil {
		return err
	}
	u.print(os.Stdout, stack)
	return nil
}

// start brings the servers up and writes down what runs.
func (u *which) start(ctx context.Context, o servers.Options) (*servers.Stack, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	stack, err := servers.Up(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := stack.Save(); err != nil {
		return nil, errors.Join(err, stack.Down())
	}
	return stack, nil
}

func (u *which) options(dir, cache string) servers.Options {
	o := servers.Options{Dir: dir, Cache: cache, Install: true, SkipMissing: u.SkipMissing, Progress: progress}
	if slices.Contains(u.Only, "redis") {
		o.Redis = &servers.RedisOptions{Cluster: u.RedisCluster}
		switch {
		case u.RedisReplicas != nil:
			o.Redis.Replicas = *u.RedisReplicas
		case u.RedisCluster:
			o.Redis.Replicas = 1
		}
	}
	if slices.Contains(u.Only, "kafka") {
		o.Kafka = &servers.KafkaOptions{Brokers: u.Brokers}
	}
	if slices.Contains(u.Only, "cassandra") {
		o.Cassandra = &servers.CassandraOptions{Nodes: u.Nodes}
	}
	return o
}

func progress(line string) { fmt.Fprintln(os.Stderr, "stack:", line) }

func (install) Run(ctx context.Context, c *cli) error {
	return servers.Install(ctx, servers.Options{Dir: c.Dir, Cache: c.Cache, Progress: progress})
}

// print writes the addresses as lines that a shell can source. Replicas are among
// them: an edge finds the master, and its successor.
func (u *which) print(w io.Writer, s *servers.Stack) {
	prefix := "PIXELWALL_"
	if u.Test {
		prefix = "PIXELWALL_TEST_"
	}
	for _, line := range []struct {
		name string
		of   []*servers.Server
	}{{"REDIS", s.Redis}, {"KAFKA", s.Kafka}, {"SCYLLA", s.Cassandra}} {
		if len(line.of) > 0 {
			fmt.Fprintf(w, "%s%s=%s\n", prefix, line.name, strings.Join(servers.Addrs(line.of), ","))
		}
	}
}

func (down) Run(c *cli) error {
	stack, err := servers.Load(c.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return stack.Down()
}

func (status) Run(c *cli) error {
	stack, err := servers.Load(c.Dir)
	if errors.Is(err, os.ErrNotExist) {
		fmt.Println("nothing is up in", c.Dir)
		return nil
	}
	if err != nil {
		return err
	}
	for _, s := range stack.All() {
		state := "ended"
		if s.Running() {
			state = "runs"
		}
		fmt.Printf("%-12s %-16s %-6s process %-8d log %s\n", s.Name, s.Addr(), state, s.PID(), s.Log())
	}
	return nil
}

func (k *kill) Run(c *cli) error {
	stack, err := servers.Load(c.Dir)
	if err != nil {
		return err
	}
	s, err := stack.Find(k.Name)
	if err != nil {
		return err
	}
	return s.Kill()
}

func (r *restart) Run(ctx context.Context, c *cli) error {
	stack, err := servers.Load(c.Dir)
	if err != nil {
		return err
	}
	s, err := stack.Find(r.Name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	return errors.Join(s.Restart(ctx), stack.Save())
}
