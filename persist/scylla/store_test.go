package scylla

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gocql/gocql"

	"pixelwall/core"
	"pixelwall/core/coretest"
	"pixelwall/tools/stack/stacktest"
)

func TestOpenRefusesOptionsThatCannotBe(t *testing.T) {
	good := Options{Hosts: []string{"127.0.0.1"}}
	for name, change := range map[string]func(*Options){
		"no host":               func(o *Options) { o.Hosts = nil },
		"a keyspace with quote": func(o *Options) { o.Keyspace = `a"; DROP` },
		"too much in flight":    func(o *Options) { o.InFlight = InFlightMax + 1 },
		"a negative time":       func(o *Options) { o.Timeout = -1 },
		"negative replication":  func(o *Options) { o.Replication = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			change(&o)
			if _, err := Open(t.Context(), o); core.CodeOf(err) != core.CodeInvalid || err == nil {
				t.Errorf("Open = %v", err)
			}
		})
	}
}

// everyMethod calls all that can fail.
func everyMethod(s *Store) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Watermark":    func(ctx context.Context) error { _, err := s.Watermark(ctx, 0); return err },
		"Write":        func(ctx context.Context) error { return s.Write(ctx, []*core.Record{start(), placements(1, 3)}) },
		"SetWatermark": func(ctx context.Context) error { return s.SetWatermark(ctx, 0, core.Position{}) },
		"Tail": func(ctx context.Context) error {
			return s.Tail(ctx, core.Heads{}, func(*core.Record) error { return nil })
		},
		"Heads":       func(ctx context.Context) error { _, err := s.Heads(ctx); return err },
		"Pixel":       func(ctx context.Context) error { _, err := s.Pixel(ctx, 0, 0, 0, 1); return err },
		"User":        func(ctx context.Context) error { _, err := s.User(ctx, 0, nil, 1); return err },
		"HeadsAt":     func(ctx context.Context) error { _, err := s.HeadsAt(ctx, startMS); return err },
		"Indexed":     func(ctx context.Context) error { _, err := s.Indexed(ctx); return err },
		"Put":         func(ctx context.Context) error { return s.Put(ctx, snapshotAt(startMS, 0)) },
		"Latest":      func(ctx context.Context) error { _, err := s.Latest(ctx); return err },
		"At":          func(ctx context.Context) error { _, err := s.At(ctx, startMS); return err },
		"LatestHeads": func(ctx context.Context) error { _, err := s.LatestHeads(ctx); return err },
	}
}

// allUnavailable checks that every method says so within limit.
func allUnavailable(t *testing.T, s *Store, limit time.Duration) {
	t.Helper()
	for name, call := range everyMethod(s) {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		err := call(ctx)
		cancel()
		e, ok := errors.AsType[*core.Error](err)
		if !ok || e.Code != core.CodeUnavailable || e.RetryAfter <= 0 {
			t.Errorf("%s = %v, want %v with a time to wait", name, err, core.CodeUnavailable)
		}
	}
}

func TestADatabaseThatIsAwayHoldsNothingUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, Options{Hosts: []string{addr}, Password: "geheim", Username: "u"})
	allUnavailable(t, s, testPatience)
	if h := s.Health(); h != "connecting" {
		t.Errorf("Health = %q", h)
	}
	if err := s.Migrate(t.Context()); core.CodeOf(err) != core.CodeUnavailable {
		t.Errorf("Migrate = %v", err)
	}
}

func TestADatabaseThatTakesConnectionsAndSaysNothingHoldsNothingUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var log strings.Builder
	var mu sync.Mutex
	o := Options{Hosts: []string{l.Addr().String()}, Username: "u", Password: "geheim", Timeout: 50 * time.Millisecond,
		Logger: slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	s := openStore(t, o)
	coretest.Eventually(t, "the first try fails", func() bool { return s.why.Load().Msg == "the history does not answer" })
	allUnavailable(t, s, testPatience)
	mu.Lock()
	defer mu.Unlock()
	if strings.Contains(log.String(), o.Password) {
		t.Error("the log has the password")
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	b  *strings.Builder
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func TestAClosedStoreSaysSo(t *testing.T) {
	s, err := Open(t.Context(), Options{Hosts: []string{"127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	for name, call := range everyMethod(s) {
		if err := call(t.Context()); core.CodeOf(err) != core.CodeUnavailable {
			t.Errorf("%s = %v", name, err)
		}
	}
}

func TestMigrationsRunOnceWhoeverStartsThem(t *testing.T) {
	o := testOptions(t, stacktest.CQL(t))
	o.Migrate = false
	s := openStore(t, o)
	coretest.Eventually(t, "the store sees that there are no tables", func() bool { return s.Health() == "not_migrated" })
	if _, err := s.Heads(t.Context()); core.CodeOf(err) != core.CodeUnavailable {
		t.Errorf("Heads without tables = %v", err)
	}
	var all sync.WaitGroup
	for range 4 { // processes that start together
		all.Go(func() {
			if err := s.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := s.Migrate(t.Context()); err != nil {
		t.Errorf("once more: %v", err)
	}
	coretest.Eventually(t, "the store connects", func() bool { return s.Health() == "ok" })
	mustWrite(t, s, start(), placements(1, 3))
	if err := s.Migrate(t.Context()); err != nil {
		t.Errorf("with rows in it: %v", err)
	}
	if h, err := s.Heads(t.Context()); err != nil || h[0] != 3 {
		t.Errorf("Heads = %v, %v", h[:1], err)
	}
}

func TestTablesOfANewerProgramAreLeftAlone(t *testing.T) {
	s := fresh(t)
	execute(t, s, `INSERT INTO schema_version (part, version, name) VALUES (0, ?, 'of tomorrow')`, SchemaVersion()+1)
	other := openStore(t, s.o)
	coretest.Eventually(t, "the store sees it", func() bool { return other.Health() == "mismatch" })
	if _, err := other.Heads(t.Context()); core.CodeOf(err) != core.CodeMismatch {
		t.Errorf("Heads = %v", err)
	}
	if err := other.Migrate(t.Context()); core.CodeOf(err) != core.CodeMismatch {
		t.Errorf("Migrate = %v", err)
	}
}

func TestAKeyspaceHasOneCanvas(t *testing.T) {
	s := fresh(t)
	if s.Canvas() != 0 {
		t.Errorf("canvas %x before anything was written", s.Canvas())
	}
	mustWrite(t, s, start())
	if s.Canvas() != testCanvas {
		t.Errorf("canvas %x", s.Canvas())
	}
	foreign := placements(1, 3)
	foreign.Canvas++
	if err := s.Write(t.Context(), []*core.Record{foreign}); core.CodeOf(err) != core.CodeMismatch {
		t.Errorf("a record of another canvas: %v", err)
	}
	o := s.o
	o.Canvas = testCanvas + 1
	other := openStore(t, o)
	coretest.Eventually(t, "the store sees it", func() bool { return other.Health() == "mismatch" })
	if _, err := other.Pixel(t.Context(), 0, 0, 0, 1); core.CodeOf(err) != core.CodeMismatch {
		t.Errorf("Pixel = %v", err)
	}
	if got := ready(t, s.o).Canvas(); got != testCanvas {
		t.Errorf("canvas %x after a restart", got)
	}
}

func TestAKeyspaceThatWasDroppedIsBegunAnew(t *testing.T) {
	s := fresh(t)
	mustWrite(t, s, start(), placements(1, 3))
	mustMark(t, s, core.Position{Seq: 3})
	before := s.Disturbed()
	scout, err := s.scout()
	if err != nil {
		t.Fatal(err)
	}
	defer scout.Close()
	if err := s.change(t.Context(), scout, "DROP KEYSPACE "+s.o.Keyspace); err != nil {
		t.Fatal(err)
	}
	coretest.Eventually(t, "the watermark is that of a new keyspace", func() bool {
		p, err := s.Watermark(t.Context(), 0)
		return err == nil && p.Seq == 0
	})
	if s.Disturbed() == before {
		t.Error("nobody is told to write again")
	}
	mustWrite(t, s, start(), placements(1, 5))
}

func TestTheDriversErrorsAreUnderstood(t *testing.T) {
	s := fresh(t)
	c, err := s.connected()
	if err != nil {
		t.Fatal(err)
	}
	err = c.QueryWithContext(t.Context(), `SELECT nothing FROM nowhere WHERE part = 0`).Exec()
	if !missing(err) || !refused(err) || !answered(err) {
		t.Errorf("%v: missing %v, refused %v, answered %v", err, missing(err), refused(err), answered(err))
	}
	if core.CodeOf(failure(t.Context(), err)) != core.CodeInternal {
		t.Errorf("%v", failure(t.Context(), err))
	}
	for _, err := range []error{gocql.ErrNoConnections, gocql.ErrTimeoutNoResponse, gocql.ErrConnectionClosed, context.DeadlineExceeded} {
		if refused(err) || answered(err) || core.CodeOf(failure(t.Context(), err)) != core.CodeUnavailable {
			t.Errorf("%v = %v", err, failure(t.Context(), err))
		}
	}
	mine := errors.New("mine")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(mine)
	if err := failure(ctx, context.Canceled); !errors.Is(err, mine) {
		t.Errorf("the caller's own cause became %v", err)
	}
}
