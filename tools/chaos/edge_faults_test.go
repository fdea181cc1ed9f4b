package chaos

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"pixelwall/loadtest/client"
	"pixelwall/wire"
)

// A placement in the middle of resuming is tested with thousands of seeds in
// edge/fanout, TestJoinsRaceTicks: it needs no cluster.
var edgeFaults = []scenario{
	{"T1 edge killed", true, edgeKilled},
	{"T3 edge paused", false, edgePaused},
	{"T30 file descriptors", false, descriptorsGone},
	{"T31 sent through two edges", false, sentTwice},
}

// left waits until every client that began at an edge has lost it.
func (l *load) left(edge int) {
	l.t.Helper()
	within(l.t, time.Minute, "the end of all connections to a dead edge", func() bool {
		for _, pt := range l.painters {
			if pt.edge == edge && pt.p.Reconnects.Load() == 0 {
				return false
			}
		}
		for _, wt := range l.watchers {
			if wt.edge == edge && wt.Reconnects.Load() == 0 {
				return false
			}
		}
		return true
	})
}

func edgeKilled(t *testing.T, seed uint64) {
	w := newWall(t, seed, layout{cooldown: time.Second}).open()
	w.get("edge-A").kill()
	began := time.Now()
	w.load.left(0)
	lasts(t, time.Second) // so that the rate is that of the other edge alone
	w.underLoad()
	w.load.note("load_back_after=%.1fs", time.Since(began).Seconds())
	w.get("edge-A").start(upTime)
	w.get("edge-B").kill()
	w.load.left(1)
	w.underLoad()
	w.get("edge-B").start(upTime)
	w.felt("pixelwall_session_resumed_total")
	w.settle(expected{})
}

func edgePaused(t *testing.T, seed uint64) {
	w := newWall(t, seed, layout{cooldown: time.Second}).open()
	a := w.get("edge-A")
	a.pause()
	began := time.Now()
	lasts(t, 20*time.Second)
	for edge, want := range []bool{false, true} {
		if n := w.load.ackedAt(edge, began.Add(time.Second), began.Add(20*time.Second)); n > 0 != want {
			t.Errorf("%d placements were acknowledged to clients of edge %d while edge 0 stood still", n, edge)
		} else {
			w.load.note("acked_at_%d=%d", edge, n)
		}
	}
	a.proceed()
	w.underLoad()
	w.settle(expected{})
}

// descriptorsGone gives an edge few file descriptors and takes them all: who is
// connected paints on, the edge does not spin, and lets new ones in afterwards.
func descriptorsGone(t *testing.T, seed uint64) {
	w := newWall(t, seed, layout{gateways: 1}).open()
	poor := w.process("poor", "gateway")
	poor.args = append([]string{"-c", `ulimit -n 200 && exec "$0" "$@"`, poor.path}, poor.args...)
	poor.path = "/bin/sh"
	poor.start(upTime)
	var hoard []net.Conn
	defer func() {
		for _, c := range hoard {
			c.Close()
		}
	}()
	refused := 0
	for range 400 {
		c, err := net.DialTimeout("tcp", poor.addr, time.Second)
		if err != nil {
			refused++
			continue
		}
		hoard = append(hoard, c)
	}
	began, used := time.Now(), cpuTime(t, poor.cmd.Process.Pid)
	lasts(t, 2*time.Second)
	share := (cpuTime(t, poor.cmd.Process.Pid) - used).Seconds() / time.Since(began).Seconds()
	if open := descriptors(t, poor.cmd.Process.Pid); open > 190 || refused == len(hoard) {
		t.Errorf("%d descriptors are open of 200: the edge has to stop before it has none left", open)
	} else {
		w.load.note("open=%d of 200", open)
	}
	w.load.note("cpu_while_full=%.0f%%", 100*share)
	if share > 0.8 {
		t.Errorf("the edge without descriptors uses %.0f %% of a core", 100*share)
	}
	for _, c := range hoard {
		c.Close()
	}
	server, err := client.NewServer("ws://" + poor.addr + "/ws")
	if err != nil {
		t.Fatal(err)
	}
	within(t, 30*time.Second, "a new client of the edge that was full", func() bool {
		_, err := server.Session(t.Context())
		return err == nil
	})
	w.underLoad()
	poor.stop()
	w.settle(expected{})
}

// ackedAt returns how many placements were acknowledged in a span of time to
// painters that began at an edge.
func (l *load) ackedAt(edge int, from, to time.Time) (n int) {
	for _, pt := range l.painters {
		if pt.edge != edge {
			continue
		}
		pt.mu.Lock()
		for _, s := range pt.strokes {
			if s.fate == placed && s.at.After(from) && s.at.Before(to) {
				n++
			}
		}
		pt.mu.Unlock()
	}
	return n
}

// cpuTime returns what a process has used so far.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')'):]))
	user, _ := strconv.Atoi(f[12])
	system, _ := strconv.Atoi(f[13])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func descriptors(t *testing.T, pid int) int {
	t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// sentTwice sends each request through two edges at once: both must be told the
// same seq.
func sentTwice(t *testing.T, seed uint64) {
	w := newWall(t, seed, layout{cooldown: 20 * time.Millisecond}).open()
	pt := told(w.rnd.Uint64())
	token, err := w.load.servers[0].Session(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var conns []*client.Conn
	for i := range 2 {
		c, err := client.Dial(t.Context(), w.load.servers[i].WS, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Hello(wire.Hello{Instance: pt.instance, Token: token}); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	pace := time.NewTicker(60 * time.Millisecond) // as often as a client may
	defer pace.Stop()
	for n := uint32(1); n <= 200; n++ {
		<-pace.C
		x, y := w.rnd.IntN(side), w.rnd.IntN(side)
		s := stroke{shard: uint8(x/512 | y/512<<1), offset: uint32(y%512*512 + x%512), color: uint8(w.rnd.IntN(colors)), sent: time.Now().UnixMilli(), fate: placed}
		// A copy that comes when the cooldown is over is charged again, until it is
		// found to be one: the next request may have to wait for that.
		var seqs [2]uint64
		for tries := 0; seqs[0] == 0 || seqs[1] == 0; tries++ {
			if tries == 50 {
				t.Fatalf("request %d is refused for %d times", n, tries)
			}
			if tries > 0 {
				<-pace.C
			}
			for _, c := range conns {
				if err := c.Send(wire.Place{Number: n, X: uint16(x), Y: uint16(y), Color: s.color}); err != nil {
					t.Fatal(err)
				}
			}
			for i, c := range conns {
				seqs[i] = answerTo(t, c, n)
			}
		}
		if seqs[0] != seqs[1] {
			t.Errorf("request %d has seq %d at one edge and %d at the other", n, seqs[0], seqs[1])
		}
		s.seq = seqs[0]
		pt.strokes = append(pt.strokes, s)
	}
	w.load.extra = append(w.load.extra, pt)
	w.felt("pixelwall_redis_repeats_total")
	w.settle(expected{})
}

// answerTo returns the seq that request n was placed under, 0 when its user has to
// wait.
func answerTo(t *testing.T, c *client.Conn, n uint32) uint64 {
	t.Helper()
	for {
		msg, err := c.Next()
		if err != nil {
			t.Fatal(err)
		}
		switch wire.TypeOf(msg) {
		case wire.TypePlaced:
			if p, err := wire.ParsePlaced(msg); err != nil || p.Number == n {
				return p.Seq
			}
		case wire.TypeError:
			r, err := wire.ParseRefusal(msg)
			if err == nil && client.CodeName(r.Code) == "cooldown" {
				return 0
			}
			t.Fatalf("request %d is refused: %s %v", n, r.Message, err)
		}
	}
}
