package servers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options say which servers to run and where. A nil kind is not run.
type Options struct {
	Redis     *RedisOptions
	Kafka     *KafkaOptions
	Cassandra *CassandraOptions

	Dir   string // configuration, data and logs; made where it is missing
	Cache string // where the jars are kept; "": CacheDir()
	Tied  bool   // the servers die with this process
	// Install allows to install Debian's packages and to fetch jars. Without it
	// what is missing is a MissingError.
	Install bool
	// SkipMissing leaves out servers that cannot be had here, instead of failing.
	SkipMissing bool
	// Progress is told what is done, a line at a time and by several goroutines;
	// nil: nobody is.
	Progress func(line string)
}

// A Stack is the servers that one Up started.
type Stack struct {
	Redis     []*Server `json:",omitempty"`
	Kafka     []*Server `json:",omitempty"`
	Cassandra []*Server `json:",omitempty"`

	Dir     string
	Missing []string `json:",omitempty"` // why the servers are left out that SkipMissing left out
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

// Up starts the servers and returns when all have answered and know each other.
// On an error nothing is left, neither processes nor data.
func Up(ctx context.Context, o Options) (*Stack, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	stack := &Stack{Dir: o.Dir}
	if _, err := os.Stat(stack.stateFile()); err == nil {
		return nil, fmt.Errorf("%s is the folder of another stack", o.Dir)
	}
	var missing sync.Mutex
	g, startCtx := errgroup.WithContext(ctx)
	start := func(kind Kind, wanted bool, to *[]*Server, fn func(context.Context, Options) ([]*Server, error)) {
		if !wanted {
			return
		}
		g.Go(func() (err error) {
			o.say("starting " + titles[kind])
			*to, err = fn(startCtx, o)
			var lacking *MissingError
			if o.SkipMissing && errors.As(err, &lacking) {
				o.say(err.Error())
				missing.Lock()
				defer missing.Unlock()
				stack.Missing = append(stack.Missing, err.Error())
				return nil
			}
			return err
		})
	}
	start(Redis, o.Redis != nil, &stack.Redis, startRedis)
	start(Kafka, o.Kafka != nil, &stack.Kafka, startKafka)
	start(Cassandra, o.Cassandra != nil, &stack.Cassandra, startCassandra)
	err := g.Wait()
	if err == nil {
		err = stack.Ready(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, stack.Down())
	}
	return stack, nil
}

// Ready waits until every server answers and those of a kind know each other.
func (s *Stack) Ready(ctx context.Context) error {
	for _, server := range s.All() {
		if err := server.Ready(ctx); err != nil {
			return err
		}
	}
	return until(ctx, func() error {
		return errors.Join(inStep(ctx, s.Redis), knowAll(ctx, s.Kafka), reachAll(ctx, s.Cassandra))
	})
}

// All returns every server.
func (s *Stack) All() []*Server {
	return slices.Concat(s.Redis, s.Kafka, s.Cassandra)
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

// Running reports whether any server runs.
func (s *Stack) Running() bool { return slices.ContainsFunc(s.All(), (*Server).Running) }

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

func (o *Options) setDefaults() (err error) {
	if o.Cache == "" {
		o.Cache = CacheDir()
	}
	o.Dir, err = filepath.Abs(o.Dir)
	return err
}

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
