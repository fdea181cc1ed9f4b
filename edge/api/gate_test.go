package api

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"pixelwall/core"
	"pixelwall/edge/seldom"
)

// slowHistory answers nothing until it is let go, and knows how many ask at once.
type slowHistory struct {
	core.History
	asking, most atomic.Int64
	leave        chan struct{}
}

func (s *slowHistory) Pixel(context.Context, core.ShardID, uint32, uint64, int) ([]core.PastEvent, error) {
	n := s.asking.Add(1)
	defer s.asking.Add(-1)
	for {
		most := s.most.Load()
		if n <= most || s.most.CompareAndSwap(most, n) {
			break
		}
	}
	<-s.leave
	return nil, nil
}

// A flood of questions to a slow store asks a few at a time, keeps a bounded
// number waiting, and tells the rest to come back at once.
func TestAFloodOfQuestionsIsBounded(t *testing.T) {
	const flood, atOnce, waiting = 400, 32, 256
	history := &slowHistory{leave: make(chan struct{})}
	w := newWorld(t, 8, 8, "place2017", func(o *Options) { o.History = history })
	answers := make(chan answer, flood)
	for range flood {
		go func() { answers <- w.get("/api/v1/pixel?x=1&y=1") }()
	}
	for range flood - atOnce - waiting { // they come while all others wait
		if a := <-answers; a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") != "1" {
			t.Errorf("%v", a)
		}
	}
	close(history.leave)
	for range atOnce + waiting {
		if a := <-answers; a.StatusCode != http.StatusOK {
			t.Errorf("%v", a)
		}
	}
	if most := history.most.Load(); most > atOnce {
		t.Errorf("%d asked at once", most)
	}
}

// Whoever can make requests fail cannot fill the log.
func TestAFloodOfFailuresIsOneLineInTenSeconds(t *testing.T) {
	var out bytes.Buffer
	w := newWorld(t, 8, 8, "place2017", func(o *Options) {
		o.History = &brokenHistory{err: core.NewError(core.CodeUnavailable, "down")}
		o.Log = slog.New(slog.NewTextHandler(&out, nil))
	})
	for range 50 {
		if a := w.get("/api/v1/pixel?x=1&y=1"); a.StatusCode != http.StatusServiceUnavailable {
			t.Fatal(a)
		}
	}
	w.clock.add(seldom.Every)
	w.get("/api/v1/pixel?x=1&y=1")
	if got := strings.Count(out.String(), "an HTTP request failed"); got != 2 || !strings.Contains(out.String(), "untold=49") {
		t.Errorf("%d lines:\n%s", got, &out)
	}
}

func TestAGateIsFreeAfterAPanic(t *testing.T) {
	g := newGate(1, 0)
	func() {
		defer func() { _ = recover() }()
		_ = g.run(func() error { panic("drawing") })
	}()
	want := errors.New("ran")
	if err := g.run(func() error { return want }); err != want {
		t.Errorf("run = %v", err)
	}
}
