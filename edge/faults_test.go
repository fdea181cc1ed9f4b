package main

import (
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/wire"
)

// A crowd paints random pixels through several connections until stop, and
// counts what was stored.
type crowd struct {
	stored atomic.Int64
	stop   func()
}

// flood lets n painters paint as fast as they are answered.
func (r *running) flood(n int) *crowd {
	c := &crowd{}
	var end atomic.Bool
	var done sync.WaitGroup
	c.stop = func() { end.Store(true); done.Wait() }
	r.t.Cleanup(c.stop)
	for i := range n {
		p := r.fresh(uint64(1000 + i)).hello(r.token())
		rnd := rand.New(rand.NewPCG(uint64(i), 7))
		done.Go(func() {
			const window = 32 // below the 64 that may be unanswered
			for !end.Load() {
				for range window {
					p.place(rnd.IntN(1000), rnd.IntN(1000), rnd.IntN(16))
				}
				for len(p.answers) < window {
					if p.read(); p.closed != nil {
						r.t.Errorf("painter %d: the server closed with %d %s", i, p.closed.Code, p.closed.Reason)
						return
					}
				}
				for _, a := range p.answers {
					if _, ok := a.(wire.Placed); ok {
						c.stored.Add(1)
					}
				}
				p.answers = p.answers[:0]
			}
			p.conn.Close()
		})
	}
	return c
}

var quick = []string{"--messages-per-sec", "10000", "--message-burst", "1000000"}

// smallBacklog makes a server that soon leaves a slow client out, sooner than an
// operator may ask for.
func smallBacklog(s *settings) { s.BacklogBytes = 2048 }

// smallBuffer makes a connection that soon has no room for what it does not read.
func (p *peer) smallBuffer() {
	tcp := p.conn.(*net.TCPConn)
	if err := tcp.SetReadBuffer(4096); err != nil {
		p.t.Fatal(err)
	}
}

// waitFor waits for cond, which looks at the server from outside.
func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !cond(); {
		if time.Now().After(deadline) {
			t.Fatalf("it never came to: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A phone that stops reading for a while is left out, catches up when it reads
// again, and ends with the same canvas, without fetching it.
func TestASlowPhoneCatchesUp(t *testing.T) {
	r := beginWith(t, smallBacklog, quick...).serves()
	phone := r.fresh(1).hello("").watch(all4)
	phone.smallBuffer()
	crowd := r.flood(8)
	waitFor(t, "a skipped broadcast", func() bool { return r.metric("pixelwall_gateway_skipped_total") > 0 })
	crowd.stop()
	if phone.same(r); phone.lost != 0 {
		t.Errorf("it had to fetch shards %b", phone.lost)
	}
	var total uint64
	for _, s := range r.canvas().Shards {
		total += s.Seq
	}
	if int64(total) != crowd.stored.Load() {
		t.Errorf("%d are stored, %d were acknowledged", total, crowd.stored.Load())
	}
}

// A slow phone that also looks around: it changes what it watches while batches
// are being left out for it, and still never shows anything wrong.
func TestASlowPhoneThatLooksAroundStaysRight(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	r := beginWith(t, smallBacklog, quick...).serves()
	phone := r.fresh(1).hello("").watch(all4)
	phone.smallBuffer()
	crowd := r.flood(8)
	for i := range 12 {
		if i%3 == 0 { // it does not read for some ticks, at first until it is left out
			ticks := r.metric("pixelwall_fanout_ticks_total")
			waitFor(t, "ticks without reading", func() bool {
				return r.metric("pixelwall_fanout_ticks_total") > ticks+20 && (i > 0 || r.metric("pixelwall_gateway_skipped_total") > 0)
			})
		}
		for range 1 + rnd.IntN(3) {
			phone.look(rnd.Uint64() & all4)
		}
		for range rnd.IntN(60) {
			if n := len(phone.got); phone.follow != 0 {
				phone.until("a message", func() bool { return len(phone.got) > n })
			}
		}
	}
	crowd.stop()
	phone.look(all4)
	phone.until("all shards", func() bool { return phone.follow == all4 })
	if phone.same(r); phone.lost != 0 {
		t.Errorf("it had to fetch shards %b", phone.lost)
	}
}

// look watches the shards in mask: those that it follows go on, the others are
// resumed. It does not wait for an answer.
func (p *peer) look(mask uint64) {
	w := wire.Watch{Canvas: p.canvas}
	for s := range uint8(core.ShardsMax) {
		if mask>>s&1 == 1 {
			keep := p.follow>>s&1 == 1
			w.Shards = append(w.Shards, wire.WatchShard{Shard: s, Resume: !keep, Held: map[bool]uint64{false: p.seqs[s]}[keep]})
		}
	}
	p.follow &= mask
	p.send(w)
}

func TestAClientThatReadsNothingIsClosedInTheEnd(t *testing.T) {
	r := beginWith(t, smallBacklog, append(quick, "--stuck-after", "300ms")...).serves()
	deaf := r.fresh(1).hello("").watch(all4)
	deaf.smallBuffer()
	crowd := r.flood(8)
	waitFor(t, "a close with 4008", func() bool {
		_, body := r.get("/metrics")
		return strings.Contains(string(body), `pixelwall_gateway_closes_total{code="4008"} 1`)
	})
	crowd.stop()
}

// The store is full: everything but placing goes on, everybody is told, and
// placing goes on by itself when there is room.
func TestAFullDiskIsReadOnly(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=128m"); err != nil {
		t.Skipf("a disk that can be filled needs root: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	r := serve(t, append(quick, "--data", filepath.Join(dir, "data"))...)
	p := r.fresh(1).hello(r.token()).watch(all4)
	first := p.placed(p.place(1, 1, 1))

	ballast, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	chunk := make([]byte, 64<<10)
	for len(chunk) > 0 {
		if _, err := ballast.Write(chunk); err != nil {
			chunk = chunk[:len(chunk)/2]
		}
	}
	crowd := r.flood(6) // uses up what was reserved
	readOnly := func() bool {
		_, body := r.get("/api/v1/health")
		return strings.Contains(string(body), `"status":"read_only"`)
	}
	waitFor(t, "a store that is read-only", readOnly)
	crowd.stop()
	waitFor(t, "a line about it in the log", func() bool { return strings.Contains(r.log.String(), "to=read_only reason=") })
	a, ok := p.answer(p.place(2, 2, 2)).(wire.Refusal)
	if !ok || core.Code(a.Code) != core.CodeReadOnly || a.RetryAfterMS == 0 {
		t.Errorf("a placement got %+v", a)
	}
	p.until("the banner", func() bool { return len(p.configs) > 0 && p.configs[len(p.configs)-1].ReadOnly })
	if status, body := r.get("/readyz"); status != 200 { // it still shows the canvas
		t.Errorf("/readyz answers %d: %s", status, body)
	}
	p.same(r) // reads and watching go on
	if status, _ := r.get("/api/v1/pixel?x=1&y=1"); status != 200 {
		t.Errorf("the history answers %d", status)
	}

	ballast.Close()
	if err := os.Remove(ballast.Name()); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "a store that is writable again", func() bool { return !readOnly() })
	p.until("the end of the banner", func() bool { return !p.configs[len(p.configs)-1].ReadOnly })
	again := p.placed(p.place(2, 2, 2))
	if again.Seq <= first.Seq {
		t.Errorf("seq %d after %d", again.Seq, first.Seq)
	}
	p.same(r)
	stored := r.canvas()
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	r = serve(t, "--data", filepath.Join(dir, "data"))
	after := r.canvas()
	for i := range stored.Shards {
		if stored.Shards[i].Seq > after.Shards[i].Seq {
			t.Errorf("shard %d was at %d and is at %d after a restart", i, stored.Shards[i].Seq, after.Shards[i].Seq)
		}
	}
}

func TestStartCanvases(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := picture(t, 5, 3, func(x, y int) uint32 { return []uint32{0xFFFFFF, 0x222222, 0xE50000}[(x+y)%3] })
	data := filepath.Join(dir, "data")
	r := serve(t, "--data", data, "--start-canvas", write("good.png", good))
	p := r.fresh(1).hello("").watch(1)
	if g := p.board.Geometry(); g.Width != 5 || g.Height != 3 {
		t.Fatalf("the canvas is %dx%d", g.Width, g.Height)
	}
	for y := range 3 {
		for x := range 5 {
			if got, want := p.board.At(0, uint32(y*512+x)), []uint8{0, 3, 5}[(x+y)%3]; got != want {
				t.Errorf("pixel %d,%d is colour %d, want %d", x, y, got, want)
			}
		}
	}
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	serve(t, "--data", data, "--start-canvas", filepath.Join(dir, "good.png")).end() // the same command line works again
	many, _ := madeUp(t)
	other := picture(t, 5, 3, func(int, int) uint32 { return 0xFFFFFF })
	for _, tt := range []struct{ name, file, want string }{
		{"another start canvas than the folder's", write("other.png", other), "start canvas"},
		{"a colour that the palette lacks", write("odd.png", picture(t, 2, 1, func(int, int) uint32 { return 0x123456 })), "#123456"},
		{"a trace of more colours than the palette has", many, "32 colours, the palette 16"},
		{"a picture that is larger than a canvas may be", write("wide.png", picture(t, 4097, 1, func(int, int) uint32 { return 0xFFFFFF })), "4097"},
		{"a file that is neither", write("text", []byte("hello")), "text"},
		{"no file", filepath.Join(dir, "none"), "none"},
	} {
		s, err := parse("--data", data, "--start-canvas", tt.file, "--listen", "127.0.0.1:0")
		if err == nil {
			err = run(t.Context(), s, os.Stderr, newLogger(Config{LogLevel: "error"}))
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want a word of %q", tt.name, err, tt.want)
		}
	}
}
