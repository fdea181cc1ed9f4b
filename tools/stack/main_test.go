package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"pixelwall/tools/stack/servers"
	"pixelwall/tools/stack/stacktest"
)

// TestMain lets the tests start the command itself.
func TestMain(m *testing.M) {
	if os.Getenv("STACK_TEST_COMMAND") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func stack(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		stacktest.Missing(t, "Redis", err.Error())
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "STACK_TEST_COMMAND=1")
	return cmd
}

func output(t *testing.T, args ...string) string {
	t.Helper()
	cmd := stack(t, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("stack %v: %v\n%s", args, err, said.String())
	}
	return string(out)
}

func TestUpRunsInTheBackgroundUntilDown(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "stack")
	in := "--dir=" + dir
	t.Cleanup(func() { stack(t, "down", in).Run() })
	out := output(t, "up", in, "--only=redis", "--redis-replicas=1")
	addr, ok := strings.CutPrefix(strings.TrimSpace(out), "PIXELWALL_REDIS=127.0.0.1:")
	addr, replica, both := strings.Cut(addr, ",127.0.0.1:")
	if !ok || !both || strings.ContainsAny(replica, ",\n") {
		t.Fatalf("up prints %q, want one line of the master and its replica", out)
	}
	if text, err := stack(t, "up", in, "--only=redis").CombinedOutput(); err == nil || !strings.Contains(string(text), "already") {
		t.Errorf("a second up: %v, %s", err, text)
	}
	output(t, "kill", in, "redis-2")
	if out := output(t, "status", in); strings.Count(out, " runs ") != 1 || strings.Count(out, " ended ") != 1 || !strings.Contains(out, addr) {
		t.Errorf("status after kill:\n%s", out)
	}
	output(t, "restart", in, "redis-2")
	if out := output(t, "status", in); strings.Count(out, " runs ") != 2 {
		t.Errorf("status after restart:\n%s", out)
	}
	running, err := servers.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	output(t, "down", in)
	if running.Redis[0].Running() || running.Redis[1].Running() {
		t.Error("servers run on after down")
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder after down: %v", err)
	}
	output(t, "down", in) // nothing to do
}

func TestAStackThatEndedIsReplaced(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "stack")
	in := "--dir=" + dir
	t.Cleanup(func() { stack(t, "down", in).Run() })
	output(t, "up", in, "--only=redis")
	output(t, "kill", in, "redis-1")
	output(t, "up", in, "--only=redis")
	if out := output(t, "status", in); strings.Count(out, " runs ") != 1 {
		t.Errorf("status:\n%s", out)
	}
}

func TestACommandRunsWithItsServersAndNoLonger(t *testing.T) {
	cmd := stack(t, "run", "--only=redis", "--test", "--", "sh", "-c",
		`redis-cli -p "${PIXELWALL_TEST_REDIS#*:}" INFO server | grep ^process_id; echo "b.TestB needs x" >>"$PIXELWALL_TEST_MISSING"; echo "a.TestA needs x" >>"$PIXELWALL_TEST_MISSING"; exit 3`)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("run = %v, want the command's 3", err)
	}
	if lines := strings.TrimSpace(said.String()); !strings.HasSuffix(lines, "stack: 2 tests did not run: a.TestA needs x, b.TestB needs x") {
		t.Errorf("it ends with\n%s", lines)
	}
	pid, ok := strings.CutPrefix(strings.TrimSpace(string(out)), "process_id:")
	if !ok {
		t.Fatalf("the command saw no Redis: %q", out)
	}
	if _, err := os.Stat("/proc/" + pid + "/exe"); err == nil {
		t.Error("Redis outlives the command")
	}
}

func TestCtrlCEndsCommandAndServers(t *testing.T) {
	cmd := stack(t, "run", "--only=redis", "--", "sh", "-c", `trap 'exit 7' INT; echo up; while :; do sleep 0.05; done`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	if _, err := out.Read(make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 7 {
			t.Errorf("run = %v, want what the command said to Ctrl-C", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("it does not end")
	}
}

func TestAddresses(t *testing.T) {
	server := func(addr string) *servers.Server { return &servers.Server{Address: addr} }
	s := &servers.Stack{
		Redis:     []*servers.Server{server("127.0.0.1:1"), server("127.0.0.1:2")},
		Kafka:     []*servers.Server{server("127.0.0.1:3"), server("127.0.0.1:4")},
		Cassandra: []*servers.Server{server("127.0.0.1:5")},
	}
	for _, tt := range []struct {
		w    which
		want string
	}{
		{which{}, "PIXELWALL_REDIS=127.0.0.1:1,127.0.0.1:2\nPIXELWALL_KAFKA=127.0.0.1:3,127.0.0.1:4\nPIXELWALL_SCYLLA=127.0.0.1:5\n"},
		{which{Test: true}, "PIXELWALL_TEST_REDIS=127.0.0.1:1,127.0.0.1:2\nPIXELWALL_TEST_KAFKA=127.0.0.1:3,127.0.0.1:4\nPIXELWALL_TEST_SCYLLA=127.0.0.1:5\n"},
	} {
		var out bytes.Buffer
		if tt.w.print(&out, s); out.String() != tt.want {
			t.Errorf("print gives\n%s want\n%s", out.String(), tt.want)
		}
	}
}

func TestFlags(t *testing.T) {
	for _, tt := range []struct {
		args              []string
		replicas, brokers int
	}{
		{[]string{"up"}, 0, 1},
		{[]string{"up", "--redis-cluster"}, 1, 1},
		{[]string{"up", "--redis-cluster", "--redis-replicas=0", "--brokers=3"}, 0, 3},
		{[]string{"up", "--redis-replicas=2"}, 2, 1},
	} {
		var c cli
		parser, err := kong.New(&c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(tt.args); err != nil {
			t.Fatal(err)
		}
		o := c.Up.options("d", "c")
		if o.Redis.Replicas != tt.replicas || o.Kafka.Brokers != tt.brokers || o.Cassandra.Nodes != 1 {
			t.Errorf("%v: %+v %+v %+v", tt.args, o.Redis, o.Kafka, o.Cassandra)
		}
	}
}
