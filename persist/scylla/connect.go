package scylla

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/gocql/gocql"
	"github.com/scylladb/gocqlx/v2"

	"pixelwall/core"
)

const (
	notMigrated   = "the history has no tables of this program yet"
	probeEvery    = time.Second
	reconnectFrom = 200 * time.Millisecond // pause after a failed connect, doubled up to
	reconnectUpTo = 2 * time.Second
	giveUpAfter   = 10 // probes without an answer before a new session is made
)

// keepConnected connects, asks the database once a second how it is, and makes a
// new session where the driver does not find back by itself.
func (s *Store) keepConnected() {
	defer func() {
		if c := s.current.Load(); c != nil {
			c.Close()
		}
	}()
	pause, failed := reconnectFrom, 0
	for s.ctx.Err() == nil {
		c := s.current.Load()
		if c != nil && failed < giveUpAfter {
			failed = s.probe(c, failed)
			s.nap(probeEvery)
			continue
		}
		next, err := s.connect(s.ctx)
		if err != nil {
			s.sayWhy(err)
			s.nap(pause)
			pause = min(2*pause, reconnectUpTo)
			continue
		}
		pause, failed = reconnectFrom, 0
		s.adopt(next, c)
	}
}

// nap waits for d, or until Migrate has done its work.
func (s *Store) nap(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.wake:
	case <-s.ctx.Done():
	}
}

func (s *Store) adopt(next, old *session) {
	s.life.counting.Store(true)
	if old != nil {
		s.life.disturbed.Add(1)
	}
	s.current.Store(next)
	s.silent.Store(false)
	s.o.Logger.Info("history connected", "keyspace", s.o.Keyspace)
	if old != nil {
		old.Close()
	}
}

func (s *Store) sayWhy(err error) {
	why, ok := errors.AsType[*core.Error](err)
	if !ok {
		why = unavailable("the history does not answer", err)
	}
	if last := s.why.Swap(why); last.Msg != why.Msg {
		s.o.Logger.Warn("history not connected", "err", why)
	}
}

// probe asks for the watermarks at a quorum, as everybody's work does. It returns
// how often that has failed in a row.
func (s *Store) probe(c *session, failed int) int {
	ctx, cancel := context.WithTimeout(s.ctx, s.o.Timeout)
	defer cancel()
	_, err := marks(ctx, c)
	if s.silent.Store(err != nil); err == nil {
		return 0
	}
	s.why.Store(unavailable("the history does not answer", err))
	if failed == 0 {
		s.o.Logger.Warn("history does not answer", "err", err)
	}
	if missing(err) { // somebody dropped the keyspace: nothing that was learnt holds
		s.current.Store(nil)
		s.life.disturbed.Add(1)
		c.Close()
	}
	return failed + 1
}

// cluster is what all sessions share but their way to the nodes.
func (s *Store) cluster(life *lifeline) *gocql.ClusterConfig {
	cfg := gocql.NewCluster(s.o.Hosts...)
	if _, port, err := net.SplitHostPort(s.o.Hosts[0]); err == nil {
		if n, err := strconv.Atoi(port); err == nil {
			cfg.Port = n
		}
	}
	if s.o.Username != "" {
		cfg.Authenticator = gocql.PasswordAuthenticator{Username: s.o.Username, Password: s.o.Password}
	}
	cfg.Dialer = life
	cfg.Timeout, cfg.ConnectTimeout, cfg.WriteTimeout = s.o.Timeout, s.o.Timeout, s.o.Timeout
	cfg.MetadataSchemaRequestTimeout = 2 * s.o.Timeout
	cfg.MaxWaitSchemaAgreement = agreementWithin
	cfg.ReconnectInterval = time.Second
	// Nobody changes our tables but migrate, and an event about another keyspace makes the
	// driver use a connection that it still sets up (gocql 1.17.3): a data race.
	cfg.Events.DisableSchemaEvents = true
	cfg.Consistency, cfg.SerialConsistency = gocql.LocalQuorum, gocql.LocalSerial
	cfg.DefaultIdempotence, cfg.RetryPolicy = true, patience{}
	cfg.Logger = driverLog{s.o.Logger}
	return cfg
}

// scout opens a session that knows neither keyspace nor data centre yet.
func (s *Store) scout() (*gocql.Session, error) {
	return open(s.cluster(newLifeline(s.ctx, s.o.Timeout)))
}

// open is CreateSession, which leaves a session that fails lying around.
func open(cfg *gocql.ClusterConfig) (*gocql.Session, error) {
	c, err := gocql.NewSessionNonBlocking(*cfg)
	if err != nil {
		return nil, err
	}
	if err := c.WaitUntilReady(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// connect finds out about the cluster, checks the tables and the canvas, and
// opens the session that everybody uses.
func (s *Store) connect(ctx context.Context) (*session, error) {
	scout, err := s.scout()
	if err != nil {
		return nil, err
	}
	defer scout.Close()
	if s.o.Migrate {
		err = s.migrate(ctx, scout)
	} else {
		err = s.checkSchema(ctx, scout)
	}
	if err != nil {
		return nil, err
	}
	dc, err := localDC(ctx, scout)
	if err != nil {
		return nil, err
	}
	cfg := s.cluster(s.life)
	cfg.Keyspace = s.o.Keyspace
	cfg.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(gocql.DCAwareRoundRobinPolicy(dc))
	raw, err := open(cfg)
	if err != nil {
		return nil, err
	}
	c := &session{Session: raw, x: gocqlx.NewSession(raw)}
	if err = prepare(ctx, c); err == nil {
		err = s.checkCanvas(ctx, c)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// localDC returns the data centre of the node that answers.
func localDC(ctx context.Context, scout *gocql.Session) (dc string, err error) {
	err = scout.QueryWithContext(ctx, `SELECT data_center FROM system.local`).Consistency(gocql.One).Scan(&dc)
	return dc, err
}

// prepare makes the driver know the statements that run many at a time. At their
// first use it would prepare them once for all who wait, and where that fails it
// gives all of them one error, which each then writes to (gocql 1.17.3 to 1.19.0,
// queryExecutor.do): a data race. Where there is no connection at that moment, it
// never again sends them to the nodes that have the row.
func prepare(ctx context.Context, c *session) error {
	for _, statement := range []string{
		insertPixel, insertUser, insertLog, insertDay, insertIndex, insertMark, insertShard,
		selectPixel, selectUser, selectOlder, selectRows, selectLog, selectShard, selectPresent,
	} {
		nothing := make([]any, strings.Count(statement, "?"))
		if _, err := c.QueryWithContext(ctx, statement, nothing...).GetRoutingKey(); err != nil {
			return fmt.Errorf("prepare %q: %w", statement, err)
		}
	}
	return nil
}

func (s *Store) checkCanvas(ctx context.Context, c *session) error {
	var have int64
	err := c.QueryWithContext(ctx, `SELECT canvas FROM canvas WHERE part = 0`).Scan(&have)
	if err != nil && !errors.Is(err, gocql.ErrNotFound) {
		return err
	}
	if id := uint64(have); id != 0 && s.o.Canvas != 0 && id != s.o.Canvas {
		return mismatch(id, s.o.Canvas)
	}
	c.canvas.Store(uint64(have))
	return nil
}

func mismatch(have, want uint64) error {
	return core.NewError(core.CodeMismatch, fmt.Sprintf("the history is of canvas %016x, not of %016x", have, want))
}

// driverLog hands on what the driver says as details.
type driverLog struct{ *slog.Logger }

func (l driverLog) Print(v ...any)            { l.Debug("cql driver", "says", fmt.Sprint(v...)) }
func (l driverLog) Printf(f string, v ...any) { l.Debug("cql driver", "says", fmt.Sprintf(f, v...)) }
func (l driverLog) Println(v ...any)          { l.Debug("cql driver", "says", fmt.Sprint(v...)) }
