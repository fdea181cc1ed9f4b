// Command idle measures what a connection costs that does nothing: the growth of
// the server's resident memory, divided by the connections.
//
//	go build -o bin/ ./edge && go run ./benchmarks/idle --edge bin/edge --conns 15000
//
// It starts an edge of its own on a free port with an empty folder. Each
// connection is upgraded, says hello and watches one shard. Both processes have
// one descriptor a connection; where a process may not have that many, fewer are
// made, the report says so and the exit code is 1. So it is above --max-bytes.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"pixelwall/wire"
)

type report struct {
	Conns         int     `json:"conns"`
	RSSBefore     int64   `json:"rss_before_bytes"`
	RSSAfter      int64   `json:"rss_after_bytes"`
	BytesPerConn  float64 `json:"bytes_per_connection"`
	AcceptPerSec  float64 `json:"connections_per_second"`
	AliveAtTheEnd int     `json:"alive_at_the_end"`
}

func main() {
	edge := flag.String("edge", "bin/edge", "the edge to measure")
	conns := flag.Int("conns", 15000, "connections")
	maxBytes := flag.Float64("max-bytes", 0, "exit 1 when a connection costs more `bytes` than this; 0 for no bound")
	asJSON := flag.Bool("json", false, "print one JSON object")
	flag.Parse()
	r, err := measure(*edge, *conns)
	if err != nil {
		fmt.Fprintln(os.Stderr, "idle:", err)
		os.Exit(1)
	}
	if *asJSON {
		_ = json.NewEncoder(os.Stdout).Encode(r)
	} else {
		fmt.Printf("%d connections: %.0f bytes each (resident memory %.1f MB before, %.1f MB after), %.0f connections/s\n",
			r.Conns, r.BytesPerConn, float64(r.RSSBefore)/1e6, float64(r.RSSAfter)/1e6, r.AcceptPerSec)
	}
	if err := r.misses(*conns, *maxBytes); err != nil {
		fmt.Fprintln(os.Stderr, "idle:", err)
		os.Exit(1)
	}
}

// misses says what r lacks of conns connections at maxBytes each, at most; 0 is
// no bound.
func (r *report) misses(conns int, maxBytes float64) error {
	var errs []error
	if r.Conns < conns {
		errs = append(errs, fmt.Errorf("%d connections were made, want %d", r.Conns, conns))
	}
	if maxBytes > 0 && r.BytesPerConn > maxBytes {
		errs = append(errs, fmt.Errorf("%.0f bytes a connection, want at most %.0f", r.BytesPerConn, maxBytes))
	}
	return errors.Join(errs...)
}

func measure(edge string, n int) (*report, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, err
	}
	if room := int(limit.Cur)*95/100 - 300; n > room {
		fmt.Fprintf(os.Stderr, "idle: the limit of %d descriptors leaves room for %d connections\n", limit.Cur, room)
		n = room
	}
	if n < 1 {
		return nil, fmt.Errorf("%d connections are nothing to measure", n)
	}
	dir, err := os.MkdirTemp("", "pixelwall-idle-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	admin, err := freePort()
	if err != nil {
		return nil, err
	}
	server := exec.Command(edge, "--listen", "127.0.0.1:0", "--data", dir, "--conns-per-address=-1", "--admin-listen", admin)
	server.Stderr = os.Stderr
	out, err := server.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, err
	}
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}()
	addr, err := address(out)
	if err != nil {
		return nil, err
	}
	r := &report{Conns: n}
	if r.RSSBefore, err = settledRSS(server.Process.Pid, admin); err != nil {
		return nil, err
	}
	began := time.Now()
	open := make([]net.Conn, 0, n)
	for i := range n {
		c, err := join(addr, i)
		if err != nil {
			return nil, fmt.Errorf("connection %d: %w", i, err)
		}
		open = append(open, c)
	}
	r.AcceptPerSec = float64(n) / time.Since(began).Seconds()
	if r.RSSAfter, err = settledRSS(server.Process.Pid, admin); err != nil {
		return nil, err
	}
	r.BytesPerConn = float64(r.RSSAfter-r.RSSBefore) / float64(n)
	for _, c := range open {
		if alive(c) {
			r.AliveAtTheEnd++
		}
		c.Close()
	}
	if r.AliveAtTheEnd != n {
		return nil, fmt.Errorf("%d of %d connections were closed by the server", n-r.AliveAtTheEnd, n)
	}
	return r, nil
}

// address reads where the server listens from what it prints.
func address(out io.Reader) (string, error) {
	s := bufio.NewScanner(out)
	found := regexp.MustCompile(`http://(\S+)`)
	for s.Scan() {
		if m := found.FindStringSubmatch(s.Text()); m != nil {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return m[1], nil
		}
	}
	return "", fmt.Errorf("the edge did not say where it listens")
}

// join upgrades a connection, says hello and watches shard 0. Sources are spread
// over 127.0.0.0/8, because an address has 64 512 ports at most.
func join(addr string, i int) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i/20000))}, Timeout: 10 * time.Second}
	c, err := d.Dial("tcp4", addr)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	request := "GET /ws HTTP/1.1\r\nHost: " + addr + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: " + wire.Subprotocol + "\r\n\r\n"
	if _, err := io.WriteString(c, request); err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(c, 512)
	status, err := in.ReadString('\n')
	if err != nil || !strings.Contains(status, " 101 ") {
		return nil, fmt.Errorf("%q, %v", status, err)
	}
	hello := wire.Hello{Version: wire.Version, Instance: uint64(i) + 1}.AppendTo(nil)
	watch := wire.Watch{Canvas: 1, Shards: []wire.WatchShard{{Shard: 0, Resume: true}}}.AppendTo(nil)
	if _, err := c.Write(append(masked(hello), masked(watch)...)); err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Time{})
}

// masked is a client's frame of a short message, masked with zeros.
func masked(msg []byte) []byte {
	return append([]byte{0x82, 0x80 | byte(len(msg)), 0, 0, 0, 0}, msg...)
}

// alive reports whether the server has not closed c.
func alive(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	buf := make([]byte, 4096)
	for {
		if _, err := c.Read(buf); err != nil {
			timeout, ok := err.(net.Error)
			return ok && timeout.Timeout()
		}
	}
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// settledRSS collects the server's garbage and waits until the memory that it
// gave up has gone back to the system: five seconds without a change of 1 %.
func settledRSS(pid int, admin string) (int64, error) {
	last, still := int64(0), 0
	for range 60 {
		res, err := http.Get("http://" + admin + "/debug/pprof/heap?gc=1")
		if err != nil {
			return 0, err
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		now, err := rss(pid)
		if err != nil {
			return 0, err
		}
		if diff := now - last; diff*100 < last && -diff*100 < last {
			still++
		} else {
			still = 0
		}
		if last = now; still == 5 {
			break
		}
		time.Sleep(time.Second)
	}
	return last, nil
}

func rss(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb * 1024, err
		}
	}
	return 0, fmt.Errorf("no VmRSS of process %d", pid)
}
