package deploy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// deadline is how long anything may take before a test gives up. Nothing waits
// for it when all is well.
const deadline = 20 * time.Second

// program is the server, built once for all tests.
var program = struct {
	once sync.Once
	dir  string
	err  error
}{}

func TestMain(m *testing.M) {
	code := m.Run()
	if program.dir != "" {
		os.RemoveAll(program.dir)
	}
	os.Exit(code)
}

func edgeProgram(t *testing.T) string {
	t.Helper()
	program.once.Do(func() {
		if program.dir, program.err = os.MkdirTemp("", "pixelwall-deploy"); program.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-o", filepath.Join(program.dir, "pixelwall"), "pixelwall/edge").CombinedOutput()
		if err != nil {
			program.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if program.err != nil {
		t.Fatal(program.err)
	}
	return filepath.Join(program.dir, "pixelwall")
}

// A process is a program that runs beside the test.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	log  *transcript
	done chan struct{} // closed when it has ended
	err  error         // how; valid after done
}

// A transcript keeps what a process said, for when a test fails.
type transcript struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *transcript) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *transcript) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs a program until the test ends. stdout gets what it prints, or nil.
func start(t *testing.T, stdout io.Writer, env []string, path string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: filepath.Base(path), cmd: exec.Command(path, args...), log: &transcript{}, done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr, p.cmd.Stdout = p.log, io.MultiWriter(p.log)
	if stdout != nil {
		p.cmd.Stdout = io.MultiWriter(p.log, stdout)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.terminate()
		p.wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", p.name, p.log)
		}
	})
	return p
}

// terminate sends SIGTERM.
func (p *process) terminate() { _ = p.cmd.Process.Signal(syscall.SIGTERM) }

// wait returns how the process ended.
func (p *process) wait() error {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(deadline):
		p.t.Errorf("%s does not end", p.name)
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	return p.err
}

// An edge is a running server.
type edge struct {
	*process
	addr string
}

var saysAddr = regexp.MustCompile(`http://(\S+)`)

// serve starts the server with the command line of pixelwall.service, and more.
func serve(t *testing.T, more ...string) *edge {
	t.Helper()
	return serveAt(t, "127.0.0.1:0", t.TempDir(), more...)
}

// serveAt does the same at an address and with a folder that the test chose.
func serveAt(t *testing.T, addr, folder string, more ...string) *edge {
	t.Helper()
	args := unitArgs(t, map[string]string{
		"127.0.0.1:8080":     addr,
		"127.0.0.1:8081":     "127.0.0.1:0",
		"/var/lib/pixelwall": folder,
	})
	args = append(args, "--size", "64x64", "--tick", "20ms", "--cooldown", "0")
	out, in := io.Pipe()
	e := &edge{process: start(t, in, nil, edgeProgram(t), append(args, more...)...)}
	go func() {
		<-e.done
		in.CloseWithError(io.EOF)
	}()
	lines := bufio.NewScanner(out)
	for e.addr == "" && lines.Scan() {
		if m := saysAddr.FindStringSubmatch(lines.Text()); m != nil {
			e.addr = m[1]
		}
	}
	if e.addr == "" {
		t.Fatal("the server ended before it served")
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return e
}

// unitArgs returns the arguments of the server in pixelwall.service. Each key of
// replace must be among them, and stands for the flag's value in the test.
func unitArgs(t *testing.T, replace map[string]string) []string {
	t.Helper()
	_, line, ok := strings.Cut(strings.ReplaceAll(readFile(t, "pixelwall.service"), "\\\n", " "), "\nExecStart=")
	if !ok {
		t.Fatal("pixelwall.service has no ExecStart")
	}
	line, _, _ = strings.Cut(line, "\n")
	args := strings.Fields(line)[1:]
	for old, now := range replace {
		found := false
		for i := range args {
			if args[i] == old {
				args[i], found = now, true
			}
		}
		if !found {
			t.Fatalf("pixelwall.service does not name %s", old)
		}
	}
	return args
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// freePort returns a port of loopback on which nobody listens now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
