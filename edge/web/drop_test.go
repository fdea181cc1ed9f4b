package web

import (
	"bytes"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// A line is a network that can go away and come back.
type line struct {
	url    string
	target string

	mu     sync.Mutex
	change *sync.Cond
	silent bool // what is sent waits, both ways, and whoever connects
	cut    bool // what was open is closed, and whoever connects
	open   map[net.Conn]bool
	asked  int // times that somebody asked for the canvas, or a part of it
}

func newLine(t *testing.T, target string) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{url: "http://" + listener.Addr().String(), target: strings.TrimPrefix(target, "http://"), open: map[net.Conn]bool{}}
	l.change = sync.NewCond(&l.mu)
	t.Cleanup(func() {
		listener.Close()
		l.set(false, true)
	})
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go l.carry(c)
		}
	}()
	return l
}

func (l *line) set(silent, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent, l.cut = silent, cut
	if cut {
		for c := range l.open {
			c.Close()
		}
		clear(l.open)
	}
	l.change.Broadcast()
}

// pass waits while the line is silent, and is false where it is cut.
func (l *line) pass() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.silent {
		l.change.Wait()
	}
	return !l.cut
}

// count looks for requests of the canvas in what passes.
func (l *line) count(sent []byte) {
	const canvas = "GET /api/v1/canvas"
	n := bytes.Count(sent, []byte(canvas)) - bytes.Count(sent, []byte(canvas+"/info"))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked += n
}

func (l *line) askedForCanvas() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// keep closes c when the line is cut.
func (l *line) keep(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[c] = true
}

func (l *line) end(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, c)
	c.Close()
}

func (l *line) carry(client net.Conn) {
	l.keep(client)
	defer l.end(client)
	if !l.pass() {
		return
	}
	server, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	l.keep(server)
	defer l.end(server)
	copyTo := func(to, from net.Conn) {
		buf := make([]byte, 32<<10)
		for {
			n, err := from.Read(buf)
			if !l.pass() {
				return
			}
			l.count(buf[:n])
			if _, wrong := to.Write(buf[:n]); wrong != nil || err != nil {
				return
			}
		}
	}
	go func() {
		copyTo(server, client)
		server.Close()
	}()
	copyTo(client, server)
}

// Two pages lose their network for 20 s while r/place is painted: one's connections
// are closed, the other's only fall silent. Both say so, go on where they were, and
// end with the server's canvas.
func TestTwentySecondsWithoutANetworkDuringAReplay(t *testing.T) {
	path := placeTrace(t)
	s := startEdge(t, "--cooldown", "0", "--start-canvas", path)
	cut, silent := newLine(t, s.url), newLine(t, s.url)
	closed, quiet := openPage(t, cut.url+"/?debug#500,500,1", desktop), openPage(t, silent.url+"/?debug#500,500,1", phone)
	pages := []*page{closed, quiet}
	for _, p := range pages {
		p.untilLive()
		eval[bool](p, "(globalThis.loadedOnce = true)")
	}

	ended := s.replay(path, "--for", "600s", "--speed", "15")
	for _, p := range pages {
		p.until("pixelwall.report().then((r) => r.shards.some((s) => s.watched && s.seq > 100))")
	}
	fetched := cut.askedForCanvas() + silent.askedForCanvas()
	cut.set(false, true)
	silent.set(true, false)
	gone := time.NewTimer(20 * time.Second)
	const says = "!document.getElementById('banner').hidden && /%/.test(document.getElementById('banner').textContent)"
	closed.until(strings.Replace(says, "%", "Connection lost", 1))
	quiet.until(strings.Replace(says, "%", "does not answer", 1))
	seen := eval[string](quiet, seqsOf)
	<-gone.C
	if got := eval[string](quiet, seqsOf); got != seen {
		t.Errorf("the page without a network went from %s to %s", seen, got)
	}
	cut.set(false, false)
	silent.set(false, false)
	for _, p := range pages {
		p.until("document.getElementById('banner').hidden")
		p.untilLive()
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for _, p := range pages {
		if !eval[bool](p, "globalThis.loadedOnce === true") {
			t.Error("a page was loaded again")
		}
	}
	if got := cut.askedForCanvas() + silent.askedForCanvas(); got != fetched || fetched == 0 {
		t.Errorf("the canvas was fetched %d times, %d before the network went", got, fetched)
	}
	s.sameCanvas(closed, quiet)
}

const seqsOf = "pixelwall.report().then((r) => JSON.stringify(r.shards.map((s) => s.seq)))"
