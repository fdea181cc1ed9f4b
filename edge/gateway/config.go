package gateway

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Config says where a Gateway listens and what it allows. A zero field means
// the default that is named beside it.
type Config struct {
	Addr        string         // host:port to listen on; no default, port 0 takes a free one
	Path        string         // exact path of the WebSocket endpoint; "/ws"
	Loops       int            // event loops; GOMAXPROCS
	Subprotocol string         // chosen when the client offers it; none
	HTTP        func(net.Conn) // gets every connection that does not begin with an upgrade; those are refused with 404 when nil

	FrameBytesMax     int     // largest payload of one incoming frame; 1024
	MessageBytesMax   int     // largest assembled incoming message; FrameBytesMax
	FragmentsMax      int     // most frames of one message; 4
	HandshakeBytesMax int     // largest request head; 8192
	MessagesPerSecond float64 // incoming frames of any kind per connection; 20
	MessageBurst      int     // frames that may come at once; 40

	HandshakeTimeout   time.Duration // connect until the end of the request head; 5 s
	HelloTimeout       time.Duration // 101 until Conn.Introduced; 5 s
	HalfMessageTimeout time.Duration // first until last byte of a message; 10 s
	PingEvery          time.Duration // silence after which the gateway pings; 25 s
	DeadAfter          time.Duration // silence after which a connection is dropped; 60 s
	StuckAfter         time.Duration // time in which a lagging client has to take 16 KiB, or is closed; 30 s
	CloseTimeout       time.Duration // our close frame until the socket is closed anyway; 1 s

	BacklogBytes int // bytes that may wait for one client before broadcasts skip it; 256 KiB

	// BacklogTotalBytes may wait for all clients together. Beyond it those who hold
	// the most are closed, with 4008. A quarter of the memory.
	BacklogTotalBytes int64

	SendBufferBytes int // SO_SNDBUF of upgraded sockets; 64 KiB
	BroadcastsMax   int // broadcasts that may wait on a loop before Broadcast refuses; 16
	PostsMax        int // functions that may wait on a loop before Post refuses; 65536

	ConnsMax        int // connections of all kinds; 95 % of RLIMIT_NOFILE less FilesReserve
	FilesReserve    int // descriptors kept free for log, index and start-up files; 64
	ConnsPerAddress int // connections of one IPv4 address or IPv6 /64, eight times as many of an IPv6 /48; 64, negative for no limit

	Origins        []string       // allowed besides the request's own host, as scheme://host[:port]; "*" allows all
	TrustedProxies []netip.Prefix // peers whose X-Forwarded-For counts

	Sender SenderKind   // SenderAuto
	Logger *slog.Logger // discards

	// sliceMax is how long a loop works off its queue before it looks at its
	// sockets again, so that a long broadcast does not hold up placements; 5 ms.
	sliceMax time.Duration
}

// A SenderKind names a way to hand frames to the kernel.
type SenderKind string

const (
	SenderAuto   SenderKind = ""       // io_uring where the kernel allows it, else sendto
	SenderURing  SenderKind = "uring"  // io_uring or an error from Start
	SenderSendto SenderKind = "sendto" // one raw system call per recipient
)

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// withDefaults returns c with every zero field filled in.
func (c Config) withDefaults() Config {
	orDefault(&c.Path, "/ws")
	orDefault(&c.Loops, runtime.GOMAXPROCS(0))
	orDefault(&c.FrameBytesMax, 1024)
	orDefault(&c.MessageBytesMax, c.FrameBytesMax)
	orDefault(&c.FragmentsMax, 4)
	orDefault(&c.HandshakeBytesMax, 8192)
	orDefault(&c.MessagesPerSecond, 20)
	orDefault(&c.MessageBurst, 40)
	orDefault(&c.HandshakeTimeout, 5*time.Second)
	orDefault(&c.HelloTimeout, 5*time.Second)
	orDefault(&c.HalfMessageTimeout, 10*time.Second)
	orDefault(&c.PingEvery, 25*time.Second)
	orDefault(&c.DeadAfter, 60*time.Second)
	orDefault(&c.StuckAfter, 30*time.Second)
	orDefault(&c.CloseTimeout, time.Second)
	orDefault(&c.BacklogBytes, 256<<10)
	if c.BacklogTotalBytes == 0 {
		c.BacklogTotalBytes = memory() / 4
	}
	orDefault(&c.SendBufferBytes, 64<<10)
	orDefault(&c.BroadcastsMax, 16)
	orDefault(&c.PostsMax, 65536)
	orDefault(&c.sliceMax, 5*time.Millisecond)
	orDefault(&c.FilesReserve, FilesReserve)
	orDefault(&c.ConnsPerAddress, 64)
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return c
}

// memory returns the bytes that this process may use: the machine's, the
// container's, or GOMEMLIMIT.
func memory() int64 {
	limit := debug.SetMemoryLimit(-1)
	for _, file := range cgroupFiles {
		if text, err := os.ReadFile(file); err == nil {
			limit = min(limit, cgroupLimit(string(text)))
		}
	}
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err == nil {
		limit = min(limit, int64(info.Totalram)*int64(info.Unit))
	}
	return limit
}

// cgroupFiles say how much memory a container has, by the second and the first
// version of cgroups.
var cgroupFiles = [...]string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}

// cgroupLimit reads one of cgroupFiles. What is no number, such as "max", is no limit.
func cgroupLimit(text string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n <= 0 {
		return math.MaxInt64
	}
	return n
}

// validate reports every mistake of c at once. It expects the defaults filled in.
func (c Config) validate() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Path[0] != '/' {
		wrong("gateway: path %q does not begin with a slash", c.Path)
	}
	if c.Loops < 1 || c.Loops > 256 {
		wrong("gateway: %d event loops, want 1 to 256", c.Loops)
	}
	if c.FrameBytesMax < 125 || c.MessageBytesMax < c.FrameBytesMax {
		wrong("gateway: frames of %d bytes in messages of %d: frames need at least 125, messages at least as much as a frame", c.FrameBytesMax, c.MessageBytesMax)
	}
	if c.MessagesPerSecond < 0 || c.MessagesPerSecond > 1e6 || c.MessageBurst < 1 { // the bucket counts microseconds
		wrong("gateway: %v messages a second with a burst of %d", c.MessagesPerSecond, c.MessageBurst)
	}
	if c.DeadAfter <= c.PingEvery {
		wrong("gateway: dead after %v does not leave time to answer a ping sent after %v", c.DeadAfter, c.PingEvery)
	}
	for name, d := range map[string]time.Duration{
		"handshake": c.HandshakeTimeout, "hello": c.HelloTimeout, "half message": c.HalfMessageTimeout,
		"ping": c.PingEvery, "stuck": c.StuckAfter, "close": c.CloseTimeout,
	} {
		if d < time.Millisecond {
			wrong("gateway: %s time %v is less than a millisecond", name, d)
		}
	}
	if most := ConnsMax(c.FilesReserve); c.ConnsMax > most {
		wrong("gateway: %d connections are more than the %d that the descriptor limit leaves room for", c.ConnsMax, most)
	}
	switch c.Sender {
	case SenderAuto, SenderURing, SenderSendto:
	default:
		wrong("gateway: unknown sender %q", c.Sender)
	}
	for _, o := range c.Origins {
		if !ValidOrigin(o) {
			wrong("gateway: origin %q is not scheme://host[:port]", o)
		}
	}
	return errors.Join(errs...)
}
