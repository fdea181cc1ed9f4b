package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"pixelwall/core/coretest"
)

const crowdLimit = 1000 // descriptors of the child

// TestCrowdChild is no test: it is the server process of the test below.
func TestCrowdChild(t *testing.T) {
	if os.Getenv("PIXELWALL_TEST_CROWD") == "" {
		t.Skip("runs only as a child process")
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: crowdLimit, Max: crowdLimit}); err != nil {
		t.Fatal(err)
	}
	g := startWithHTTP(t, Config{HandshakeTimeout: time.Minute, HelloTimeout: time.Minute}, &echo{})
	fmt.Printf("addr %s max %d\n", g.Addr(), g.adm.max)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); { // each line asks for the counters
		text, _ := json.Marshal(g.Stats())
		fmt.Printf("stats %s\n", text)
	}
}

// child is a server process with few descriptors.
type child struct {
	t     *testing.T
	addr  string
	max   int64
	stdin io.Writer
	lines *bufio.Scanner
}

func startChild(t *testing.T) *child {
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestCrowdChild$", "-test.v")
	cmd.Env = append(os.Environ(), "PIXELWALL_TEST_CROWD=1")
	cmd.Stderr = os.Stderr
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil || cmd.Start() != nil {
		t.Fatal("the child does not start")
	}
	t.Cleanup(func() { stdin.Close(); cancel(); _ = cmd.Wait() })
	c := &child{t: t, stdin: stdin, lines: bufio.NewScanner(stdout)}
	c.lines.Buffer(nil, 1<<20)
	fmt.Sscanf(c.line("addr "), "%s max %d", &c.addr, &c.max)
	return c
}

// line reads on to the next line that begins with prefix.
func (c *child) line(prefix string) string {
	c.t.Helper()
	for c.lines.Scan() {
		if rest, ok := strings.CutPrefix(c.lines.Text(), prefix); ok {
			return rest
		}
	}
	c.t.Fatalf("the child ended: %v", c.lines.Err())
	return ""
}

func (c *child) stats() (s Stats) {
	c.t.Helper()
	fmt.Fprintln(c.stdin)
	if err := json.Unmarshal([]byte(c.line("stats ")), &s); err != nil {
		c.t.Fatal(err)
	}
	return s
}

// The engine dies of the first accept without a free descriptor, so it must
// never come to that, however many knock at once.
func TestFiveThousandConnectsAtOnceAgainstAThousandDescriptors(t *testing.T) {
	c := startChild(t)
	const knocks = 5000
	var mu sync.Mutex
	var open []net.Conn
	var upgraded, refused, cut atomic.Int32
	var all sync.WaitGroup
	gate := make(chan struct{})
	for range knocks {
		all.Go(func() {
			<-gate
			nc, err := net.DialTimeout("tcp", c.addr, 3*patience)
			if err != nil {
				cut.Add(1)
				return
			}
			mu.Lock()
			open = append(open, nc)
			mu.Unlock()
			_ = nc.SetDeadline(time.Now().Add(3 * patience))
			_, _ = io.WriteString(nc, upgradeHead+"\r\n")
			answer := make([]byte, 12)
			switch _, err := io.ReadFull(nc, answer); {
			case err != nil:
				cut.Add(1)
			case string(answer) == "HTTP/1.1 101":
				upgraded.Add(1)
			default:
				refused.Add(1)
			}
		})
	}
	close(gate)
	all.Wait()
	s := c.stats()
	t.Logf("limit %d, %d upgraded, %d refused with an answer, %d cut off; %d open, refused %v", c.max, upgraded.Load(), refused.Load(), cut.Load(), s.Conns, s.Refused)
	if n := int64(upgraded.Load()); n == 0 || n > c.max {
		t.Errorf("%d upgraded, want some and at most %d", n, c.max)
	}
	if s.Refused[503] == 0 {
		t.Error("nobody was refused, so the limit was not reached")
	}

	for _, nc := range open { // now there is room
		nc.Close()
	}
	coretest.Eventually(t, "the sockets gone", func() bool { return c.stats().Sockets == 0 })
	again := &Gateway{addr: addrString(c.addr)}
	one := dial(t, again)
	one.write(ws.OpBinary, "served again")
	one.expect(ws.OpBinary, "served again")
	page := connect(t, again)
	page.send("GET /page HTTP/1.1\r\nHost: h\r\n\r\n")
	if res := page.response(); res.StatusCode != 200 {
		t.Errorf("page: %s", res.Status)
	}
}

// addrString is an address that is known as text only.
type addrString string

func (a addrString) Network() string { return "tcp" }
func (a addrString) String() string  { return string(a) }
