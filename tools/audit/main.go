// Audit compares what everybody holds of a canvas, while people paint it.
//
//	published copies of Redis ─┐
//	edges, by their checks     ├─> (shard, seq, CRC) -> the same CRC in the fold of Kafka
//	event_log of CQL          ─┘                        and of event_log at that very seq
//
// What comes in are addresses; what goes out is a line a shard and an exit code:
// 0 all agree, 1 two differ, 2 a source is down or incomplete, which is never
// taken for agreement. Nothing is written anywhere but to the terminal.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

// Options is every flag of the audit. Their names and environment variables are
// those of the edge.
type Options struct {
	Redis          []string      `help:"host:port of Redis: one server, a master and its replicas, or nodes of a Redis Cluster" required:""`
	RedisUser      string        `help:"ACL user for Redis"`
	RedisPassword  string        `help:"its password; better in the environment"`
	RedisPrefix    string        `help:"first part of every Redis key" default:"pw"`
	Kafka          []string      `help:"host:port of Kafka brokers; without it the streams of Redis are the log"`
	KafkaTopic     string        `help:"topic of the log" default:"pixel_events"`
	Scylla         []string      `help:"host:port of ScyllaDB or Cassandra"`
	ScyllaKeyspace string        `help:"keyspace of the history" default:"pixelwall"`
	ScyllaUser     string        `help:"user for CQL"`
	ScyllaPassword string        `help:"its password; better in the environment"`
	Edge           []string      `help:"WebSocket address of an edge, ws://host:port/ws; may be given several times"`
	Timeout        time.Duration `help:"how long all sources together may take" default:"2m"`
	JSON           bool          `help:"one JSON object a shard"`
}

// Exit codes.
const (
	exitEqual      = 0
	exitDiffers    = 1
	exitIncomplete = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := realMain(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "audit: %s\n", strings.ReplaceAll(err.Error(), "\n", "\naudit: "))
	}
	os.Exit(code)
}

func realMain(ctx context.Context, args []string, out, errs io.Writer) (int, error) {
	var o Options
	parser, err := kong.New(&o, kong.Name("audit"), kong.Description("Compares what Redis, Kafka, the history and edges hold of a canvas."),
		kong.DefaultEnvars("PIXELWALL"), kong.Writers(out, errs))
	if err != nil {
		return exitIncomplete, err
	}
	if _, err := parser.Parse(args); err != nil {
		return exitIncomplete, fmt.Errorf("%w; see audit --help", err)
	}
	if o.Timeout < time.Second {
		return exitIncomplete, errors.New("--timeout: must be at least 1s")
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	report, err := audit(ctx, &o)
	if err != nil {
		return exitIncomplete, err
	}
	if o.JSON {
		err = report.writeJSON(out)
		for _, m := range report.missing {
			fmt.Fprintln(errs, "audit: incomplete:", m)
		}
	} else {
		err = report.writeText(out)
	}
	return report.exit(), err
}
