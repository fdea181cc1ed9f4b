package api

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/edge/token"
)

// brokenHistory fails with one error.
type brokenHistory struct {
	core.History
	err error
}

func (b *brokenHistory) Pixel(ctx context.Context, _ core.ShardID, _ uint32, _ uint64, _ int) ([]core.PastEvent, error) {
	return nil, b.err
}

// notYet is a canvas that is still being read.
type notYet struct{ *boardCanvas }

func (notYet) Snapshot() *core.Snapshot { return nil }

// What the spec describes and what the server does are the same set: each status
// and code in it is provoked here over a socket, and nothing else comes.
func TestEveryAnswerInTheSpecIsGiven(t *testing.T) {
	unready := func(o *Options) { o.Canvas = notYet{o.Canvas.(*boardCanvas)} }
	history := func(err error) func(*Options) {
		return func(o *Options) { o.History = &brokenHistory{err: err} }
	}
	busy := func(pick func(*API) *gate) func(*world) {
		return func(w *world) { pick(w.api).most = 0 }
	}
	health := func(s Status) func(*world) {
		return func(w *world) { w.health.set(Health{Status: s}) }
	}
	const bearer = "Authorization"
	expired := func(w *world) string {
		long := w.clock.Now().Add(-60 * 24 * time.Hour)
		return "Bearer " + w.keys.Sign(token.Claim{UID: 5, Issued: long, Expires: long.Add(time.Hour)})
	}
	forwarded := []string{"X-Forwarded-For", "203.0.113.1"}
	for _, tt := range []struct {
		want    string // as checkAgainstSpec returns it
		path    string // "%v" is the name of the newest version
		headers []string
		options func(*Options)
		before  func(*world)
		token   func(*world) string
	}{
		{want: "GET /api/v1/canvas 302", path: "/api/v1/canvas"},
		{want: "GET /api/v1/canvas 400 invalid", path: "/api/v1/canvas?now"},
		{want: "GET /api/v1/canvas 503 unavailable", path: "/api/v1/canvas", options: unready},
		{want: "GET /api/v1/canvas/{version} 200", path: "/api/v1/canvas/%v"},
		{want: "GET /api/v1/canvas/{version} 304", path: "/api/v1/canvas/%v", headers: []string{"If-None-Match", "*"}},
		{want: "GET /api/v1/canvas/{version} 400 invalid", path: "/api/v1/canvas/%v?x=1"},
		{want: "GET /api/v1/canvas/{version} 404 not_found", path: "/api/v1/canvas/0123456789abcdef01234567"},
		{want: "GET /api/v1/canvas/{version}/{shard} 200", path: "/api/v1/canvas/%v/3"},
		{want: "GET /api/v1/canvas/{version}/{shard} 304", path: "/api/v1/canvas/%v/3", headers: []string{"If-None-Match", "*"}},
		{want: "GET /api/v1/canvas/{version}/{shard} 400 invalid", path: "/api/v1/canvas/%v/03"},
		{want: "GET /api/v1/canvas/{version}/{shard} 404 unknown_shard", path: "/api/v1/canvas/%v/4"},
		{want: "GET /api/v1/canvas/{version}/{shard} 404 not_found", path: "/api/v1/canvas/0123456789abcdef01234567/0"},
		{want: "GET /api/v1/canvas/info 200", path: "/api/v1/canvas/info"},
		{want: "GET /api/v1/canvas/info 400 invalid", path: "/api/v1/canvas/info?x=1"},
		{want: "GET /api/v1/canvas.png 200", path: "/api/v1/canvas.png"},
		{want: "GET /api/v1/canvas.png 304", path: "/api/v1/canvas.png", headers: []string{"If-None-Match", "*"}},
		{want: "GET /api/v1/canvas.png 400 invalid", path: "/api/v1/canvas.png?scale=0"},
		{want: "GET /api/v1/canvas.png 400 out_of_canvas", path: "/api/v1/canvas.png?x=999&w=2"},
		{want: "GET /api/v1/canvas.png 429 too_many", path: "/api/v1/canvas.png", before: busy(func(a *API) *gate { return a.drawing })},
		{want: "GET /api/v1/canvas.png 503 unavailable", path: "/api/v1/canvas.png", options: unready},
		{want: "GET /api/v1/pixel 200", path: "/api/v1/pixel?x=1&y=1"},
		{want: "GET /api/v1/pixel 400 invalid", path: "/api/v1/pixel?x=1"},
		{want: "GET /api/v1/pixel 400 out_of_canvas", path: "/api/v1/pixel?x=1000&y=1"},
		{want: "GET /api/v1/pixel 429 too_many", path: "/api/v1/pixel?x=1&y=1", before: busy(func(a *API) *gate { return a.past })},
		{want: "GET /api/v1/pixel 503 unavailable", path: "/api/v1/pixel?x=1&y=1", options: history(core.NewError(core.CodeUnavailable, "down"))},
		{want: "", path: "/api/v1/pixel?x=1&y=1", options: history(errors.New("the shelf is on fire"))},
		{want: "GET /api/v1/health 200", path: "/api/v1/health"},
		{want: "GET /api/v1/health 400 invalid", path: "/api/v1/health?v"},
		{want: "GET /api/v1/openapi.json 200", path: "/api/v1/openapi.json"},
		{want: "GET /api/v1/openapi.json 400 invalid", path: "/api/v1/openapi.json?v"},
		{want: "GET /livez 200", path: "/livez"},
		{want: "GET /livez 400 invalid", path: "/livez?v"},
		{want: "GET /readyz 200", path: "/readyz"},
		{want: "GET /readyz 400 invalid", path: "/readyz?v"},
		{want: "GET /readyz 200", path: "/readyz", before: health(StatusReadOnly)},
		{want: "GET /readyz 503 draining", path: "/readyz", before: health(StatusDraining)},
		{want: "GET /metrics 200", path: "/metrics"},
		{want: "GET /metrics 400 invalid", path: "/metrics?v"},
		{want: "GET /ws 426 invalid", path: "/ws?any=1"},
		{want: "POST /api/v1/session 201", path: "/api/v1/session"},
		{want: "POST /api/v1/session 400 invalid", path: "/api/v1/session?name=me"},
		{want: "POST /api/v1/session 401 unauthorized", path: "/api/v1/session", headers: []string{bearer, "Bearer x"}},
		{want: "POST /api/v1/session 401 token_expired", path: "/api/v1/session", token: expired},
		{want: "POST /api/v1/session 403 unauthorized", path: "/api/v1/session", headers: []string{"Origin", "https://other.example"}},
		{want: "POST /api/v1/session 415 invalid", path: "/api/v1/session", headers: []string{"Content-Type", "text/plain"}},
		{want: "POST /api/v1/session 429 too_many", path: "/api/v1/session", headers: forwarded, before: func(w *world) {
			for range 5 {
				if _, err := w.issuer.Issue(netip.MustParseAddr("127.0.0.1"), false, w.clock.Now()); err != nil {
					w.t.Fatal(err)
				}
			}
		}},
	} {
		name := tt.want
		if name == "" {
			name = "an error without a code"
		}
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1000, 1000, "place2017", tt.options)
			path := tt.path
			if before, after, named := strings.Cut(path, "%v"); named {
				path = before + strings.TrimPrefix(w.location(), "/api/v1/canvas/") + after
			}
			if tt.before != nil {
				tt.before(w)
			}
			headers := tt.headers
			if tt.token != nil {
				headers = []string{bearer, tt.token(w)}
			}
			method, _, _ := strings.Cut(tt.want, " ")
			if method == "" {
				method = http.MethodGet
			}
			a := w.do(method, path, headers...)
			if got := w.checkAgainstSpec(method, path, a); got != tt.want {
				t.Fatalf("%q: %v", got, a)
			}
			if strings.Contains(string(a.body), "shelf") {
				t.Errorf("the answer tells what only our log may know: %s", a.body)
			}
			provoked.note(tt.want)
		})
	}
	t.Run("GET /ws 101", func(t *testing.T) {
		provokeUpgrade(t)
		provoked.note("GET /ws 101")
	})
	if t.Failed() {
		return
	}
	for _, want := range describedAnswers() {
		if !provoked.has(want) {
			t.Errorf("the spec describes %q, which no test provokes", want)
		}
	}
}

type answerSet struct {
	mu  sync.Mutex
	all map[string]bool
}

var provoked = answerSet{all: make(map[string]bool)}

func (s *answerSet) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[what] = true
}

func (s *answerSet) has(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[what]
}

// describedAnswers lists every operation, status and code of the spec.
func describedAnswers() (all []string) {
	for path, item := range spec().Paths.Map() {
		for method, op := range item.Operations() {
			for status, response := range op.Responses.Map() {
				if _, err := strconv.Atoi(status); err != nil {
					continue // the default
				}
				what := method + " " + path + " " + status
				media := response.Value.Content["application/problem+json"]
				if media == nil {
					all = append(all, what)
					continue
				}
				for _, code := range media.Schema.Value.AllOf[1].Value.Properties["code"].Value.Enum {
					all = append(all, what+" "+code.(string))
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

// provokeUpgrade sends a handshake over a connection that served HTTP before.
func provokeUpgrade(t *testing.T) {
	w, taken := upgrades(t)
	c := w.dial()
	if _, err := c.Write([]byte("GET /livez HTTP/1.1\r\nHost: h\r\n\r\n" + handshake)); err != nil {
		t.Fatal(err)
	}
	h := <-taken
	defer h.nc.Close()
	if !bytes.Equal(h.head, []byte(handshake)) {
		t.Errorf("handed over:\n%q\nwant\n%q", h.head, handshake)
	}
}
