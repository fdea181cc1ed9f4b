// Loadtest drives a Pixelwall server, or the edges of a cluster, as users would,
// through the public protocol alone.
//
//	loadtest replay: a trace of real placements -> painters and watchers -> a report and an exit code
//	loadtest pack: events as Reddit published them -> a trace, which make soak and --start-canvas want
//
// What comes in is a trace and the servers' addresses; what goes out is a report
// whose every figure was counted. It knows the protocol and nothing of the
// server's code, and it never trusts one way of looking at the canvas: what was
// acknowledged, what watchers saw, what REST says and what the trace adds up to
// must all agree.
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

	"github.com/alecthomas/kong"
)

type cli struct {
	Replay ReplayOptions `cmd:"" help:"paint a recorded trace, watch it come back, and compare everything at the end"`
	Pack   PackOptions   `cmd:"" help:"make a .pxt.gz of recorded events"`
}

// errDiffers says that the report holds a difference; it has been printed.
var errDiffers = errors.New("the replay did not end as it should")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := realMain(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "loadtest: %s\n", strings.ReplaceAll(err.Error(), "\n", "\nloadtest: "))
		os.Exit(1)
	}
}

func realMain(ctx context.Context, args []string, out, status io.Writer) error {
	var c cli
	parser, err := kong.New(&c, kong.Name("loadtest"), kong.Description("Drives a Pixelwall server as its users would."),
		kong.Writers(out, status))
	if err != nil {
		return err
	}
	cmd, err := parser.Parse(args)
	if err != nil {
		return fmt.Errorf("%w; see loadtest --help", err)
	}
	if cmd.Selected().Name == "pack" {
		return pack(c.Pack, out)
	}
	report, err := Replay(ctx, c.Replay, status)
	if err != nil {
		return err
	}
	if c.Replay.JSON {
		err = report.writeJSON(out)
	} else {
		err = report.writeText(out)
	}
	if err == nil && len(report.Faults) > 0 {
		err = errDiffers
	}
	return err
}
