package scylla

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/gocql/gocql"

	"pixelwall/core"
)

// A migration is one file, NNNN_name.cql, of statements that may run again.
//
//go:embed migrations/*.cql
var migrationFiles embed.FS

const agreementWithin = 30 * time.Second // of all nodes on a changed schema

type migration struct {
	name       string
	statements []string
}

// migrations returns all of them; the first takes version 0 to 1.
func migrations() []migration {
	files, err := fs.Glob(migrationFiles, "migrations/*.cql")
	if err != nil {
		panic(err) // a constant pattern
	}
	all := make([]migration, len(files))
	for i, file := range files {
		text, err := migrationFiles.ReadFile(file)
		if err != nil {
			panic(err) // it is in the program
		}
		all[i] = migration{name: strings.TrimPrefix(file, "migrations/"), statements: statements(string(text))}
	}
	return all
}

// statements splits text at semicolons and drops comments, which take whole lines.
func statements(text string) (all []string) {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "--") {
			kept.WriteString(line)
		}
	}
	for part := range strings.SplitSeq(kept.String(), ";") {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}

// SchemaVersion is the version of the tables that this program works with.
func SchemaVersion() int { return len(migrations()) }

// Migrate makes the keyspace and raises its tables to SchemaVersion, whether the
// Store is connected or not. It may be called again, and by several processes at
// once. CodeMismatch means that the tables are of a newer program.
func (s *Store) Migrate(ctx context.Context) error {
	if s.ctx.Err() != nil {
		return core.NewError(core.CodeUnavailable, "the history is closed")
	}
	scout, err := s.scout()
	if err != nil {
		return failure(ctx, err)
	}
	defer scout.Close()
	if err := s.migrate(ctx, scout); err != nil {
		return failure(ctx, err)
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return nil
}

func (s *Store) migrate(ctx context.Context, scout *gocql.Session) error {
	have, err := s.schemaVersion(ctx, scout)
	if err != nil || have == SchemaVersion() {
		return err
	}
	if have > SchemaVersion() {
		return newerSchema(have)
	}
	if err := s.createKeyspace(ctx, scout); err != nil {
		return err
	}
	for i, m := range migrations()[have:] {
		s.o.Logger.Info("history migrates", "keyspace", s.o.Keyspace, "file", m.name)
		for _, statement := range m.statements {
			if err := s.change(ctx, scout, s.qualified(statement)); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
		version := int32(have + i + 1)
		q := scout.QueryWithContext(ctx, s.qualified(`INSERT INTO schema_version (part, version, name) VALUES (0, ?, ?)`), &version, m.name)
		if err := q.Exec(); err != nil {
			return err
		}
	}
	return nil
}

// qualified puts the keyspace before the one table that a statement names.
func (s *Store) qualified(statement string) string {
	for _, before := range []string{"CREATE TABLE IF NOT EXISTS ", "ALTER TABLE ", "INSERT INTO ", "FROM "} {
		if at := strings.Index(statement, before); at >= 0 {
			return statement[:at+len(before)] + s.o.Keyspace + "." + statement[at+len(before):]
		}
	}
	return statement
}

// createKeyspace makes the keyspace and the table of versions.
func (s *Store) createKeyspace(ctx context.Context, scout *gocql.Session) error {
	dc, err := localDC(ctx, scout)
	if err != nil {
		return err
	}
	replication := s.o.Replication
	if replication == 0 {
		nodes := 0
		for _, h := range scout.GetHosts() {
			if h.DataCenter() == dc {
				nodes++
			}
		}
		if replication = 1; nodes >= 3 {
			replication = 3
		}
	}
	err = s.change(ctx, scout, fmt.Sprintf(`CREATE KEYSPACE IF NOT EXISTS %s WITH replication = {'class': 'NetworkTopologyStrategy', '%s': %d}`,
		s.o.Keyspace, strings.ReplaceAll(dc, "'", "''"), replication))
	if err != nil {
		return err
	}
	return s.change(ctx, scout, s.qualified(`CREATE TABLE IF NOT EXISTS schema_version (part tinyint, version int, name text, PRIMARY KEY ((part), version))`))
}

// change carries out one change of the schema by the node with the least id, so
// that processes that migrate at once are put in a row by it, and waits until
// all nodes have it.
func (s *Store) change(ctx context.Context, scout *gocql.Session, statement string) error {
	hosts := slices.DeleteFunc(scout.GetHosts(), func(h *gocql.HostInfo) bool { return !h.IsUp() })
	if len(hosts) == 0 {
		return unavailable("no node of the history is up", nil)
	}
	first := slices.MinFunc(hosts, func(a, b *gocql.HostInfo) int { return cmp.Compare(a.HostID(), b.HostID()) })
	q := scout.QueryWithContext(ctx, statement).SetHostID(first.HostID()).SetRequestTimeout(agreementWithin)
	if err := q.Exec(); err != nil {
		return err
	}
	agreed, cancel := context.WithTimeout(ctx, agreementWithin)
	defer cancel()
	return scout.AwaitSchemaAgreement(agreed)
}

// schemaVersion returns the version of the tables, 0 where there are none.
func (s *Store) schemaVersion(ctx context.Context, scout *gocql.Session) (int, error) {
	var version int
	err := scout.QueryWithContext(ctx, s.qualified(`SELECT max(version) FROM schema_version WHERE part = 0`)).Scan(&version)
	if missing(err) || errors.Is(err, gocql.ErrNotFound) {
		return 0, nil
	}
	return version, err
}

func (s *Store) checkSchema(ctx context.Context, scout *gocql.Session) error {
	switch have, err := s.schemaVersion(ctx, scout); {
	case err != nil:
		return err
	case have > SchemaVersion():
		return newerSchema(have)
	case have < SchemaVersion():
		return unavailable(notMigrated, nil)
	}
	return nil
}

func newerSchema(have int) error {
	return core.NewError(core.CodeMismatch, fmt.Sprintf("the history has tables of version %d, written by a newer program; this one knows version %d", have, SchemaVersion()))
}
