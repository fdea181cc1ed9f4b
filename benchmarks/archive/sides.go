package main

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/gocql/gocql"
	"golang.org/x/sync/errgroup"

	"pixelwall/core"
	"pixelwall/persist"
	"pixelwall/persist/scylla"
)

// A side writes the rows of a turn.
type side interface {
	turn(ctx context.Context) error
	close() error // and drop what was written
}

const canvas = 0xbe9c4

// A source makes the log of one shard, as the 2017 trace spreads over it.
type source struct {
	shard core.ShardID
	seq   uint64
}

func (s *source) record(events int) *core.Record {
	r := &core.Record{Kind: core.KindPlacements, Canvas: canvas, Epoch: 1, Relay: 1, Shard: s.shard, First: s.seq + 1, TimeMS: 1_491_237_000_000 + int64(s.seq/2)}
	for range events {
		s.seq++
		mixed := s.seq * 0x9e3779b97f4a7c15
		r.Events = append(r.Events, core.Event{
			Offset: uint32(mixed >> 46), Color: uint8(mixed & 15), Old: uint8(mixed >> 4 & 15), User: mixed >> 44,
			Request: core.Request{Instance: mixed, Number: uint32(s.seq)},
		})
	}
	return r
}

func sources(n int) []*source {
	all := make([]*source, n)
	for i := range all {
		all[i] = &source{shard: core.ShardID(i)}
	}
	return all
}

// ours is the archive as its worker uses it: a few shards at once, each with one
// call on its way.
type ours struct {
	c    *config
	s    *scylla.Store
	name string
	from []*source
}

func openOurs(ctx context.Context, c *config) (*ours, error) {
	s, name, err := keyspace(ctx, c, "archive")
	return &ours{c, s, name, sources(c.writers)}, err
}

func (o *ours) close() error { return errors.Join(o.s.Close(), drop(o.c, o.name)) }

func (o *ours) turn(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, from := range o.from {
		group.Go(func() error {
			for range callsATurn {
				var rs []*core.Record
				for range o.c.records {
					rs = append(rs, from.record(o.c.events))
				}
				if err := o.s.Write(ctx, rs); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// bare is the loop that anybody would write first: as many goroutines as the
// archive has statements on their way, each with the next row.
type bare struct {
	c    *config
	s    *gocql.Session
	name string
	from []*source
}

func openBare(ctx context.Context, c *config) (*bare, error) {
	s, name, err := keyspace(ctx, c, "gocql")
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	session, err := connect(c, name, 10*time.Second)
	return &bare{c, session, name, sources(c.writers)}, err
}

func (b *bare) close() error {
	b.s.Close()
	return drop(b.c, b.name)
}

func connect(c *config, keyspace string, timeout time.Duration) (*gocql.Session, error) {
	cfg := gocql.NewCluster(c.cql)
	if _, port, err := net.SplitHostPort(c.cql); err == nil {
		if cfg.Port, err = strconv.Atoi(port); err != nil {
			return nil, err
		}
	}
	cfg.Keyspace, cfg.Consistency, cfg.Timeout = keyspace, gocql.LocalQuorum, timeout
	cfg.PoolConfig.HostSelectionPolicy = gocql.TokenAwareHostPolicy(gocql.RoundRobinHostPolicy())
	return cfg.CreateSession()
}

func drop(c *config, keyspace string) error {
	s, err := connect(c, "", time.Minute)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Query("DROP KEYSPACE " + keyspace).Exec()
}

// A statement is one row to write.
type statement struct {
	cql    string
	values []any
}

const (
	insertPixel = `INSERT INTO pixel_history (shard, px, seq, color, old, uid, ts, instance, number) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?`
	insertUser  = `INSERT INTO user_history (uid, ts, shard, seq, px, color, old, instance, number) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?`
	insertLog   = `INSERT INTO event_log (shard, bucket, first_seq, after_seq, n, epoch, relay, ts, blob) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?`
)

func (b *bare) turn(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	next := make(chan statement)
	var makers sync.WaitGroup
	for _, from := range b.from {
		makers.Add(1)
		group.Go(func() error {
			defer makers.Done()
			for range callsATurn * b.c.records {
				for _, row := range statements(from.record(b.c.events)) {
					select {
					case next <- row:
					case <-ctx.Done():
						return ctx.Err()
					}
				}
			}
			return nil
		})
	}
	for range scylla.InFlightMax {
		group.Go(func() error {
			for row := range next {
				q := b.s.Query(row.cql, row.values...)
				err := q.Exec()
				q.Release()
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	makers.Wait()
	close(next)
	return group.Wait()
}

func statements(r *core.Record) []statement {
	shard, at := int8(r.Shard), r.TimeMS*1000
	rows := make([]statement, 0, 2*len(r.Events)+1)
	for i, e := range r.Events {
		seq, px, color, old := int64(r.First)+int64(i), int32(e.Offset), int8(e.Color), int8(e.Old)
		user, instance, number := int64(e.User), int64(e.Request.Instance), int32(e.Request.Number)
		rows = append(rows,
			statement{insertPixel, []any{shard, px, seq, color, old, user, r.TimeMS, instance, number, at}},
			statement{insertUser, []any{user, r.TimeMS, shard, seq, px, color, old, instance, number, at}})
	}
	after := int64(r.First) - 1
	return append(rows, statement{insertLog, []any{
		shard, int64(r.First) >> 17, int64(r.First), after, int32(len(r.Events)), int64(r.Epoch), int64(r.Relay), r.TimeMS, persist.AppendRecord(nil, r), at,
	}})
}
