package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A process is a running edge.
type process struct {
	cmd  *exec.Cmd
	addr string // of clients, empty for a worker
}

var addrLine = regexp.MustCompile(`http://(\S+)`)

// serve starts an edge that serves clients.
func (b *bench) serve(ctx context.Context, name string, flags ...string) (*process, error) {
	return b.start(ctx, append([]string{
		"--listen", "127.0.0.1:0", "--data", filepath.Join(b.dir, name), "--cooldown", "0", "--tick", b.c.tick.String(), "--start-canvas", b.trace,
		"--guests-per-hour", "1000000", "--conns-per-address=-1",
	}, flags...))
}

// start runs the edge and waits until it says that it is there.
func (b *bench) start(ctx context.Context, flags []string) (*process, error) {
	if !strings.Contains(strings.Join(flags, " "), "--start-canvas") {
		flags = append(flags, "--start-canvas", b.trace)
	}
	p := &process{cmd: exec.CommandContext(ctx, filepath.Join(b.dir, "edge"), flags...)}
	p.cmd.Stderr = os.Stderr
	p.cmd.Env = append(os.Environ(), "PIXELWALL_LOG_LEVEL=error")
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	s := bufio.NewScanner(out)
	for s.Scan() {
		if m := addrLine.FindStringSubmatch(s.Text()); m != nil && p.addr == "" {
			p.addr = m[1]
		}
		if strings.Contains(s.Text(), "stop with") {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return p, nil
		}
	}
	return nil, fmt.Errorf("an edge ended at its start: %w", p.cmd.Wait())
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// clockTick is USER_HZ, which is 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// cpu returns the CPU time of the process so far, from /proc/PID/stat.
func (p *process) cpu() time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+2:]))
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick
}
