package servers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Options say which servers to run and where. A nil kind is not run.
type Options struct {
	Redis     *RedisOptions
	Kafka     *KafkaOptions
	Cassandra *CassandraOptions

	Dir   string // configuration, data and logs; made where it is missing
	Cache string // where the jars are kept; "": CacheDir()
	Tied  bool   // the servers die with this process
	// Progress is told what is done, a line at a time; nil: nobody is.
	Progress func(line string)
}

// A Stack is the servers that one Up started.
type Stack struct {
	Redis     []*Server `json:",omitempty"`
	Kafka     []*Server `json:",omitempty"`
	Cassandra []*Server `json:",omitempty"`

	Dir string
}

// A MissingError tells that a program cannot be had on this machine.
type MissingError struct{ What, Why string }

func (e *MissingError) Error() string { return e.What + " cannot be had here: " + e.Why }

// CacheDir returns where downloads are kept: $XDG_CACHE_HOME/pixelwall.
func CacheDir() string {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	return filepath.Join(base, "pixelwall")
}

// Up starts the servers and returns when each has answered. On an error nothing
// is left running.
func Up(ctx context.Context, o Options) (stack *Stack, err error) {
	if o.Cache == "" {
		o.Cache = CacheDir()
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	stack = &Stack{Dir: o.Dir}
	defer func() {
		if err != nil {
			stack.Kill()
			stack = nil
		}
	}()
	if o.Redis != nil {
		o.say("starting Redis")
		if stack.Redis, err = startRedis(ctx, o); err != nil {
			return stack, err
		}
	}
	if o.Kafka != nil {
		o.say("starting Kafka")
		if stack.Kafka, err = startKafka(ctx, o); err != nil {
			return stack, err
		}
	}
	if o.Cassandra != nil {
		o.say("starting Cassandra")
		if stack.Cassandra, err = startCassandra(ctx, o); err != nil {
			return stack, err
		}
	}
	return stack, nil
}

// All returns every server.
func (s *Stack) All() []*Server {
	return append(append(append([]*Server{}, s.Redis...), s.Kafka...), s.Cassandra...)
}

// Find returns the server of a name.
func (s *Stack) Find(name string) (*Server, error) {
	var names []string
	for _, server := range s.All() {
		if server.Name == name {
			return server, nil
		}
		names = append(names, server.Name)
	}
	return nil, fmt.Errorf("there is no server %q; there are %s", name, strings.Join(names, ", "))
}

// Kill ends all servers at once.
func (s *Stack) Kill() error {
	var errs []error
	for _, server := range s.All() {
		errs = append(errs, server.Kill())
	}
	return errors.Join(errs...)
}

// Down ends all servers and deletes their data.
func (s *Stack) Down() error {
	if err := s.Kill(); err != nil {
		return err
	}
	for _, server := range s.All() {
		if err := os.RemoveAll(server.Dir); err != nil {
			return err
		}
	}
	if err := os.Remove(s.stateFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	os.Remove(s.Dir) // stays when there is something in it that is not ours
	return nil
}

// Save writes down what runs, for Load in another process.
func (s *Stack) Save() error {
	text, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	next := s.stateFile() + ".new"
	if err := os.WriteFile(next, append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(next, s.stateFile())
}

// Load reads what Save wrote in dir. Where nothing was saved the error is
// os.ErrNotExist.
func Load(dir string) (*Stack, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	s := &Stack{Dir: dir}
	text, err := os.ReadFile(s.stateFile())
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("%s: %w", s.stateFile(), err)
	}
	s.Dir = dir
	return s, nil
}

func (s *Stack) stateFile() string { return filepath.Join(s.Dir, "stack.json") }

func (o *Options) say(line string) {
	if o.Progress != nil {
		o.Progress(line)
	}
}

func (o *Options) newServer(kind Kind, i int, host string, port int) *Server {
	name := fmt.Sprintf("%s-%d", kind, i+1)
	return &Server{Kind: kind, Name: name, Address: fmt.Sprintf("%s:%d", host, port), Dir: filepath.Join(o.Dir, name), Tied: o.Tied}
}

// probe asks the server once whether it works.
func (s *Server) probe(ctx context.Context) error {
	switch s.Kind {
	case Redis:
		return s.probeRedis(ctx)
	case Kafka:
		return s.probeKafka(ctx)
	case Cassandra:
		return s.probeCassandra(ctx)
	}
	return fmt.Errorf("%s is of the unknown kind %q", s.Name, s.Kind)
}

// until calls fn until it returns nil or a stopTrying, or the context ends; then
// it returns what fn said last.
func until(ctx context.Context, fn func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := fn()
		var stop stopTrying
		if err == nil || errors.As(err, &stop) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

type stopTrying struct{ error }

// Addrs returns the addresses of servers.
func Addrs(of []*Server) []string {
	addrs := make([]string, len(of))
	for i, s := range of {
		addrs[i] = s.Address
	}
	return addrs
}
