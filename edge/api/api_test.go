package api

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/core/coretest"
	"pixelwall/edge/limit"
	"pixelwall/edge/token"
)

// A world is a server on a real socket over a store in memory.
type world struct {
	t      testing.TB
	api    *API
	board  *boardCanvas
	store  *coretest.Memory
	clock  *clock
	health *healthBox
	issuer *token.Issuer
	keys   *token.Keys
	addr   string // host:port
	client *http.Client
}

// A clock is the time that the server under test sees.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type healthBox struct {
	mu sync.Mutex
	h  Health
}

func (b *healthBox) get() Health {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.h
}

func (b *healthBox) set(h Health) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.h = h
}

// A boardCanvas is a board that follows the log of a store, as the hub does.
type boardCanvas struct {
	mu        sync.Mutex
	id        uint64
	config    core.Config
	board     *core.Board
	follower  core.Follower
	times     [core.ShardsMax]int64
	snapshots int
	resets    uint64
}

func (b *boardCanvas) Resets() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.resets
}

func (b *boardCanvas) Config() *core.Config {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.config
	return &c
}

func (b *boardCanvas) Heads() core.Heads {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.follower.Heads
}

func (b *boardCanvas) Snapshot() *core.Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.snapshots++
	s := &core.Snapshot{Canvas: b.id, Config: b.config, Heads: b.follower.Heads, Times: b.times}
	for _, id := range b.config.Geometry().Shards() {
		s.Shards[id] = b.board.AppendPacked(nil, id)
	}
	return s
}

func (b *boardCanvas) apply(r *core.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.follower.Next(r) != core.Apply {
		return nil
	}
	if r.Kind == core.KindConfig {
		b.config = *r.Config
	}
	b.times[r.Shard] = r.TimeMS
	return b.board.Apply(r)
}

func (b *boardCanvas) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.resets++
}

func (b *boardCanvas) made() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.snapshots
}

// newWorld serves a canvas of width × height over a loopback socket.
func newWorld(t testing.TB, width, height int, palette string, change func(*Options)) *world {
	t.Helper()
	colors, ok := core.NamedPalette(palette)
	if !ok {
		t.Fatalf("no palette %s", palette)
	}
	cfg := core.Config{
		Version: 1, Width: width, Height: height, Bits: core.BitsFor(len(colors)),
		Blank: core.BlankOf(colors), Palette: colors, BurstMax: 1,
	}
	store, err := coretest.NewMemory(coretest.Setup{Config: cfg, Clock: coretest.NewClock(1_700_000_000_000)})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := token.NewKeys(rand.NewChaCha8([32]byte{1}))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, store: store, keys: keys,
		clock:  &clock{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)},
		health: &healthBox{h: Health{Status: StatusOK, Connections: 3, Dependencies: map[string]string{"log": "ok"}}},
		board:  &boardCanvas{id: store.Canvas(), config: cfg, board: core.NewBoard(cfg.Geometry(), cfg.Blank)},
		issuer: token.NewIssuer(keys, limit.NewBudget(5, time.Hour), rand.NewChaCha8([32]byte{2})),
	}
	o := Options{
		Canvas: w.board, CanvasID: store.Canvas(), History: store, Sessions: w.issuer, Health: w.health.get, Now: w.clock.Now,
		User:      func(uid uint64) (uint64, string) { return keys.PublicID(uid), keys.Name(uid) },
		Configure: store.Configure,
	}
	if change != nil {
		change(&o)
	}
	if w.api, err = New(o); err != nil {
		t.Fatal(err)
	}
	w.addr = w.listen(w.api.ServeConn)
	w.client = &http.Client{
		Transport:     &http.Transport{DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       30 * time.Second,
	}
	t.Cleanup(func() {
		w.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := w.api.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	return w
}

// listen serves a loopback port until the test ends, and returns its address.
func (w *world) listen(serve func(net.Conn)) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return ln.Addr().String()
}

// place paints pixels for user through the store and lets the canvas follow.
func (w *world) place(user uint64, pixels ...[3]int) {
	w.t.Helper()
	cfg := w.board.Config()
	for i, p := range pixels {
		placement, err := core.NewPlacement(cfg, p[0], p[1], p[2], user, core.Request{Instance: rand.Uint64(), Number: uint32(i + 1)})
		if err != nil {
			w.t.Fatal(err)
		}
		var out [1]core.Outcome
		if err := w.store.Place(context.Background(), []core.Placement{placement}, out[:]); err != nil || out[0].Err != nil {
			w.t.Fatalf("place: %v, %v", err, out[0].Err)
		}
	}
	w.follow()
}

// follow brings the canvas to the end of the store's log.
func (w *world) follow() {
	w.t.Helper()
	ctx := context.Background()
	heads, err := w.store.Heads(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	done := io.EOF
	if w.board.Heads() == heads {
		return
	}
	err = w.store.Tail(ctx, w.board.Heads(), func(r *core.Record) error {
		if err := w.board.apply(r); err != nil {
			return err
		}
		if w.board.Heads() == heads {
			return done
		}
		return nil
	})
	if err != done {
		w.t.Fatal(err)
	}
}

// An answer is an HTTP answer with its whole body.
type answer struct {
	*http.Response
	body []byte
}

// do sends a request; headers are name, value, name, value.
func (w *world) do(method, path string, headers ...string) answer {
	w.t.Helper()
	return w.send(w.addr, method, path, nil, headers...)
}

func (w *world) get(path string, headers ...string) answer {
	w.t.Helper()
	return w.do(http.MethodGet, path, headers...)
}

func (w *world) send(addr, method, path string, body []byte, headers ...string) answer {
	w.t.Helper()
	req, err := http.NewRequest(method, "http://"+addr+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{resp, data}
}

// raw sends text over a fresh connection and returns all that comes back.
func (w *world) raw(text string) string {
	w.t.Helper()
	c := w.dial()
	if _, err := io.WriteString(c, text); err != nil {
		w.t.Fatal(err)
	}
	data, err := io.ReadAll(c)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		w.t.Fatalf("after %q: %v", data, err)
	}
	return string(data)
}

func (w *world) dial() net.Conn {
	w.t.Helper()
	c, err := net.Dial("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	return c
}

// readAnswer reads one answer from br.
func readAnswer(t *testing.T, br *bufio.Reader) answer {
	t.Helper()
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp, body}
}

func (a answer) String() string {
	return fmt.Sprintf("%s %v %.300q", a.Status, a.Header, a.body)
}
