package scylla

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gocql/gocql"
	"github.com/scylladb/gocqlx/v2"

	"pixelwall/core"
)

// A Store is a core.Archive, the core.Log that its records are, a core.History
// and core.Snapshots. It may be used concurrently.
type Store struct {
	o      Options
	life   *lifeline
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	loops  sync.WaitGroup

	current atomic.Pointer[session]    // nil while there is none
	why     atomic.Pointer[core.Error] // what callers hear then
	silent  atomic.Bool                // the last probe had no answer
	wake    chan struct{}              // connect now

	jobs  chan job      // to the pool that writes
	reads chan struct{} // one for each read on its way
}

// A session is a connection to the database in the state that was found when it
// was made, and what has been learnt over it.
type session struct {
	*gocql.Session
	x      gocqlx.Session
	canvas atomic.Uint64 // 0: the keyspace has none yet

	mu      sync.Mutex
	minutes [core.ShardsMax]indexed // what log_index was told last
}

// Open returns a Store that connects by itself, now and again after each loss.
// Until it has, every method fails with CodeUnavailable, or with CodeMismatch
// when the keyspace holds another canvas or tables of a newer program. ctx is for
// opening only; Close ends the Store.
func Open(_ context.Context, o Options) (*Store, error) {
	o.ensureDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &Store{o: o, wake: make(chan struct{}, 1), jobs: make(chan job), reads: make(chan struct{}, o.InFlight)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.life = newLifeline(s.ctx, o.Timeout)
	s.why.Store(unavailable("the history is being connected", nil))
	s.loops.Go(s.keepConnected)
	for range o.InFlight {
		s.loops.Go(s.writeJobs)
	}
	return s, nil
}

// Close ends the Store and its connections. What is on its way fails.
func (s *Store) Close() error {
	s.cancel()
	s.loops.Wait()
	return nil
}

// Health says in a word how the database is: ok, connecting, unavailable (it was
// there), not_migrated or mismatch.
func (s *Store) Health() string {
	why := s.why.Load()
	switch {
	case s.current.Load() != nil && !s.silent.Load():
		return "ok"
	case s.current.Load() != nil:
		return "unavailable"
	case why.Code == core.CodeMismatch:
		return "mismatch"
	case why.Msg == notMigrated:
		return "not_migrated"
	default:
		return "connecting"
	}
}

// Canvas returns the id of the canvas whose history this is, 0 while that is not known.
func (s *Store) Canvas() uint64 {
	if c := s.current.Load(); c != nil && c.canvas.Load() != 0 {
		return c.canvas.Load()
	}
	return s.o.Canvas
}

// Disturbed implements core.Archive.
func (s *Store) Disturbed() uint64 { return s.life.disturbed.Load() }

// connected returns the present session.
func (s *Store) connected() (*session, error) {
	if s.ctx.Err() != nil {
		return nil, core.NewError(core.CodeUnavailable, "the history is closed")
	}
	if c := s.current.Load(); c != nil {
		return c, nil
	}
	return nil, s.why.Load()
}

// read calls fn with the session and at most Timeout, and translates its error.
func (s *Store) read(ctx context.Context, fn func(context.Context, *session) error) error {
	c, err := s.connected()
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, s.o.Timeout)
	defer cancel()
	select {
	case s.reads <- struct{}{}:
		defer func() { <-s.reads }()
	case <-limited.Done():
		return failure(ctx, limited.Err())
	}
	return failure(ctx, fn(limited, c))
}

// claim makes the keyspace that of canvas id, or fails when it is another's.
func (s *Store) claim(ctx context.Context, c *session, id uint64) error {
	if have := c.canvas.Load(); have == id && id != 0 {
		return nil
	}
	if want := s.o.Canvas; id == 0 || want != 0 && id != want {
		return mismatch(want, id)
	}
	have := int64(id)
	if c.canvas.Load() == 0 {
		var part int8
		q := c.QueryWithContext(ctx, `INSERT INTO canvas (part, canvas) VALUES (0, ?) IF NOT EXISTS`, &have)
		mine, err := q.ScanCAS(&part, &have)
		if err != nil {
			return err
		}
		if mine {
			have = int64(id)
		}
		c.canvas.Store(uint64(have))
	}
	if c.canvas.Load() != id {
		return mismatch(c.canvas.Load(), id)
	}
	return nil
}

// waitOr waits for d, or less when ctx or the Store ends, which it reports.
func (s *Store) waitOr(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-s.ctx.Done():
		return false
	}
}
