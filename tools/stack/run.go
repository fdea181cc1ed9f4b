package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"pixelwall/tools/stack/servers"
)

// A run starts servers for one command. They die with it, however it ends.
type run struct {
	which
	Command []string `arg:"" passthrough:"" help:"Command and its arguments, after --."`
}

// exitCode is how the command ended; main ends in the same way.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("the command ended with %d", int(e)) }

func (r *run) Run(ctx context.Context, c *cli) error {
	dir, err := os.MkdirTemp("", "pixelwall-stack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	o := r.options(filepath.Join(dir, "servers"), c.Cache)
	o.Tied = true
	stack, err := r.start(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		if err := stack.Down(); err != nil {
			progress(err.Error())
		}
	}()
	var addresses bytes.Buffer
	r.print(&addresses, stack)
	notes := filepath.Join(dir, "missing")
	env := append(strings.Fields(addresses.String()), "PIXELWALL_TEST_MISSING="+notes)
	code, err := command(r.Command, env)
	if err != nil {
		return err
	}
	summary(os.Stderr, notes, stack)
	if code != 0 {
		return exitCode(code)
	}
	return nil
}

// command runs a command in a process group of its own and passes Ctrl-C and
// SIGTERM on to the whole group: the servers have to outlive it.
func command(args, env []string) (code int, err error) {
	if args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		return 0, errors.New("which command?")
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case sig := <-signals:
			syscall.Kill(-cmd.Process.Pid, sig.(syscall.Signal))
		case err := <-ended:
			var exit *exec.ExitError
			if errors.As(err, &exit) && exit.Exited() {
				return exit.ExitCode(), nil
			}
			return 0, err // nil, or a signal
		}
	}
}

// summary tells in one line which tests did not run, and why.
func summary(w io.Writer, notes string, stack *servers.Stack) {
	text, err := os.ReadFile(notes)
	if err != nil {
		return // nobody missed anything
	}
	tests := strings.Split(strings.TrimSpace(string(text)), "\n")
	slices.Sort(tests)
	tests = slices.Compact(tests)
	line := fmt.Sprintf("stack: %d tests did not run: %s", len(tests), strings.Join(tests, ", "))
	if len(stack.Missing) > 0 {
		line += " (" + strings.Join(stack.Missing, "; ") + ")"
	}
	fmt.Fprintln(w, line)
}
