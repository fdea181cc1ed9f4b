package scylla

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gocql/gocql"
	"github.com/scylladb/gocqlx/v2"

	"pixelwall/core"
	"pixelwall/core/coretest"
	"pixelwall/tools/stack/stacktest"
)

const (
	testPatience = 2 * time.Minute
	testCanvas   = 0x5eed // coretest.Memory's
	startMS      = 1_491_237_000_000
)

// testOptions are of a keyspace of the test's own, which goes with it.
func testOptions(t *testing.T, hosts ...string) Options {
	t.Helper()
	o := Options{Hosts: hosts, Keyspace: fmt.Sprintf("pw_test_%016x", rand.Uint64()), Migrate: true, PollEvery: 5 * time.Millisecond, Timeout: 10 * time.Second}
	t.Logf("keyspace %s", o.Keyspace)
	t.Cleanup(func() {
		s := openStore(t, Options{Hosts: o.Hosts, Keyspace: o.Keyspace, Timeout: o.Timeout})
		scout, err := s.scout()
		if err != nil {
			t.Error(err)
			return
		}
		defer scout.Close()
		if err := s.change(context.Background(), scout, "DROP KEYSPACE IF EXISTS "+o.Keyspace); err != nil {
			t.Error(err)
		}
	})
	return o
}

func openStore(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// ready returns a Store that is connected.
func ready(t *testing.T, o Options) *Store {
	t.Helper()
	s := openStore(t, o)
	defer func() {
		if t.Failed() {
			t.Logf("the store is %s: %v", s.Health(), s.why.Load())
		}
	}()
	coretest.Eventually(t, "the store connects", func() bool { return s.Health() == "ok" })
	return s
}

// fresh returns a connected Store with a keyspace of its own.
func fresh(t *testing.T) *Store {
	t.Helper()
	return ready(t, testOptions(t, stacktest.CQL(t)))
}

// An observer hears of every statement that a session has run.
type observer func(statement string)

// ObserveQuery implements gocql.QueryObserver.
func (o observer) ObserveQuery(_ context.Context, q gocql.ObservedQuery) { o(q.Statement) }

// observe gives s a session of which o hears.
func observe(t *testing.T, s *Store, o observer) {
	t.Helper()
	old, err := s.connected()
	if err != nil {
		t.Fatal(err)
	}
	cfg := s.cluster(s.life)
	cfg.Keyspace, cfg.QueryObserver = s.o.Keyspace, o
	raw, err := open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c := &session{Session: raw, x: gocqlx.NewSession(raw)}
	c.canvas.Store(old.canvas.Load())
	s.adopt(c, old)
}

// A carrier is coretest's sequencer whose answers come when its records are in
// the archive, and everything up to them is marked.
type carrier struct {
	*coretest.Memory
	s *Store

	mu    sync.Mutex
	heads core.Heads
}

func (c *carrier) Place(ctx context.Context, ps []core.Placement, out []core.Outcome) error {
	if err := c.Memory.Place(ctx, ps, out); err != nil {
		return err
	}
	return c.carry(ctx)
}

func (c *carrier) Configure(ctx context.Context, config core.Config) error {
	if err := c.Memory.Configure(ctx, config); err != nil {
		return err
	}
	return c.carry(ctx)
}

// carry writes what the memory has and the archive has not.
func (c *carrier) carry(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	until, err := c.Memory.Heads(ctx)
	if err != nil {
		return err
	}
	rs, err := recordsOf(ctx, c.Memory, c.heads, until)
	if err != nil {
		return err
	}
	if err := c.s.Write(ctx, rs); err != nil {
		return err
	}
	for shard, seq := range until {
		if seq > c.heads[shard] {
			if err := c.s.SetWatermark(ctx, core.ShardID(shard), core.Position{Seq: seq}); err != nil {
				return err
			}
		}
	}
	c.heads = until
	return nil
}

var errEnough = errors.New("enough")

// recordsOf returns the records of m after from up to until, with the start
// canvas of each shard that has nothing yet.
func recordsOf(ctx context.Context, m core.Log, from, until core.Heads) (rs []*core.Record, err error) {
	if from == until {
		return nil, nil
	}
	reached := from
	err = m.Tail(ctx, from, func(r *core.Record) error {
		if r.Last() <= until[r.Shard] {
			rs = append(rs, r)
			reached[r.Shard] = r.Last()
		}
		if reached == until {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return rs, err
}

// startsOf returns the records of the start canvas, with which a log begins.
func startsOf(t *testing.T, m core.Log) (rs []*core.Record) {
	t.Helper()
	config := testConfig()
	missing := len(config.Geometry().Shards())
	err := m.Tail(t.Context(), core.Heads{}, func(r *core.Record) error {
		rs = append(rs, r)
		if missing--; missing == 0 {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	return rs
}

func testConfig() core.Config {
	p, _ := core.NamedPalette("place2017")
	return core.Config{Version: 1, Width: 600, Height: 520, Bits: 4, Palette: p[:12:12], BurstMax: 1}
}

// opener returns the open function of a contract suite.
func opener(t *testing.T) func(*testing.T, coretest.Setup) *coretest.Store {
	addr := stacktest.CQL(t)
	return func(t *testing.T, setup coretest.Setup) *coretest.Store {
		m, err := coretest.NewMemory(setup)
		if err != nil {
			t.Fatal(err)
		}
		return storeUnderTest(t, testOptions(t, addr), m, ready)
	}
}

func storeUnderTest(t *testing.T, o Options, m *coretest.Memory, open func(*testing.T, Options) *Store) *coretest.Store {
	s := open(t, o)
	mustWrite(t, s, startsOf(t, m)...)
	c := &carrier{Memory: m, s: s}
	return &coretest.Store{
		Sequencer: c, Log: s, History: s, Cooldowns: m, Snapshots: s, Canvas: m.Canvas(),
		Crash: func() *coretest.Store { return storeUnderTest(t, o, m.Crash(), open) },
		Trim:  func(h core.Heads) { trim(t, s, h) },
	}
}

// trim removes the records up to heads, as somebody who needs room might.
func trim(t *testing.T, s *Store, heads core.Heads) {
	t.Helper()
	c, err := s.connected()
	if err != nil {
		t.Fatal(err)
	}
	for shard, seq := range heads {
		for bucket := int64(0); bucket <= int64(seq)>>bucketBits; bucket++ {
			q := c.QueryWithContext(t.Context(), `DELETE FROM event_log WHERE shard = ? AND bucket = ? AND first_seq <= ?`, int8(shard), bucket, int64(seq))
			if err := q.Exec(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// placements returns a record of n placements of shard 0 from first on.
func placements(first uint64, n int) *core.Record {
	r := &core.Record{Kind: core.KindPlacements, Canvas: testCanvas, Epoch: 1, Relay: 9, First: first, TimeMS: startMS + int64(first)}
	for i := range uint64(n) {
		seq := first + i
		r.Events = append(r.Events, core.Event{
			Offset: uint32(seq*7) % 1000, Color: uint8(seq % 12), Old: uint8(seq % 5), User: 1<<63 | seq%3,
			Request: core.Request{Instance: 1<<63 + 5, Number: 1<<31 + uint32(seq)},
		})
	}
	return r
}

func start() *core.Record {
	c := testConfig()
	return &core.Record{Kind: core.KindStart, Canvas: testCanvas, Epoch: 1, Relay: 9, TimeMS: startMS, Config: &c}
}

func marker(epoch uint32, first, lastOld uint64) *core.Record {
	return &core.Record{Kind: core.KindMarker, Canvas: testCanvas, Epoch: epoch, Relay: 10, First: first, LastOld: lastOld, TimeMS: startMS + int64(first)}
}

func mustWrite(t *testing.T, s *Store, rs ...*core.Record) {
	t.Helper()
	if err := s.Write(t.Context(), rs); err != nil {
		t.Fatal(err)
	}
}

func mustMark(t *testing.T, s *Store, p core.Position) {
	t.Helper()
	if err := s.SetWatermark(t.Context(), 0, p); err != nil {
		t.Fatal(err)
	}
}

// dump returns every row of every table that a record goes into, with the write
// time of a column that is no key.
func dump(t *testing.T, s *Store) string {
	t.Helper()
	c, err := s.connected()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for table, column := range map[string]string{
		"event_log": "blob", "log_index": "after_seq", "pixel_history": "uid", "user_history": "px", "watermark": "position",
	} {
		iter := c.QueryWithContext(t.Context(), "SELECT JSON * FROM "+table).Iter()
		var row string
		for iter.Scan(&row) {
			all = append(all, table+" "+row)
		}
		times := c.QueryWithContext(t.Context(), "SELECT WRITETIME("+column+") FROM "+table).Iter()
		var at int64
		for times.Scan(&at) {
			all = append(all, fmt.Sprint(table, " written at ", at))
		}
		if err := errors.Join(iter.Close(), times.Close()); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}
