package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"pixelwall/core"
	"pixelwall/edge/token"
)

// spec is openapi.json as an outside reader has it.
var spec = sync.OnceValue(func() *openapi3.T {
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err != nil {
		panic(err)
	}
	return doc
})

func TestTheSpecIsValidOpenAPI(t *testing.T) {
	doc := spec()
	if err := doc.Validate(context.Background()); err != nil {
		t.Error(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("version %s", doc.OpenAPI)
	}
	var names []any
	for _, c := range core.Codes() {
		names = append(names, c.String())
	}
	if got := doc.Components.Schemas["Problem"].Value.Properties["code"].Value.Enum; !slices.Equal(got, names) {
		t.Errorf("the codes are %v, want %v", got, names)
	}
}

func TestEveryCodeHasAStatus(t *testing.T) {
	for _, c := range core.Codes() {
		if s := HTTPStatus(c); s < 400 || s > 599 {
			t.Errorf("%v has status %d", c, s)
		}
	}
}

func TestTheSpecHasEveryRouteAndTheReverse(t *testing.T) {
	w := newWorld(t, 8, 8, "place2017", nil)
	var routes, described []string
	for _, r := range w.api.public.routes {
		routes = append(routes, r.method+" "+r.path)
		op := operation(r.method, r.path)
		if op == nil {
			continue
		}
		var query []string
		for _, p := range op.Parameters {
			if p.Value.In == "query" {
				query = append(query, p.Value.Name)
			}
		}
		if !slices.Equal(query, r.query) {
			t.Errorf("%s %s: the spec has parameters %v, the route %v", r.method, r.path, query, r.query)
		}
	}
	for path, item := range spec().Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	slices.Sort(routes)
	slices.Sort(described)
	if !slices.Equal(routes, described) {
		t.Errorf("routes\n%s\ndescribed\n%s", strings.Join(routes, "\n"), strings.Join(described, "\n"))
	}
}

func operation(method, path string) *openapi3.Operation {
	if item := spec().Paths.Value(path); item != nil {
		return item.GetOperation(method)
	}
	return nil
}

// checkAgainstSpec holds an answer to what the spec says of its request, and
// returns which of the answers that it describes this is: "" for the default.
func (w *world) checkAgainstSpec(method, path string, a answer) (described string) {
	w.t.Helper()
	path, _, _ = strings.Cut(path, "?")
	asked := method
	if method == http.MethodHead {
		asked = http.MethodGet
	}
	route, _, _ := w.api.public.find([]byte(asked), []byte(path))
	if route == nil {
		w.checkBody(a, openapi3.NewContentWithSchema(spec().Components.Schemas["Problem"].Value, []string{"application/problem+json"}), method)
		return ""
	}
	op := operation(route.method, route.path)
	response := op.Responses.Status(a.StatusCode)
	if response == nil {
		if a.StatusCode < 400 {
			w.t.Errorf("%s %s: the spec has no answer %d", method, path, a.StatusCode)
		}
		response = op.Responses.Default()
	} else {
		described = strings.TrimSpace(fmt.Sprintf("%s %s %d %s", route.method, route.path, a.StatusCode, a.code()))
	}
	w.checkHeaders(a, response.Value, method+" "+path)
	w.checkBody(a, response.Value.Content, method)
	return described
}

func (w *world) checkHeaders(a answer, response *openapi3.Response, what string) {
	w.t.Helper()
	for name, h := range response.Headers {
		value := a.Header.Get(name)
		if value == "" {
			if h.Value.Required {
				w.t.Errorf("%s: no header %s in %v", what, name, a)
			}
			continue
		}
		if err := h.Value.Schema.Value.VisitJSON(value, openapi3.EnableJSONSchema2020()); err != nil {
			w.t.Errorf("%s: header %s: %v", what, name, err)
		}
	}
	// What steers a client is written down.
	for _, name := range []string{"ETag", "Location", "Retry-After", "Content-Encoding", "Www-Authenticate", "Upgrade"} {
		described := slices.ContainsFunc(slices.Collect(maps.Keys(response.Headers)), func(s string) bool { return strings.EqualFold(s, name) })
		if a.Header.Get(name) != "" && !described && response != spec().Components.Responses["Problem"].Value {
			w.t.Errorf("%s: %d has a header %s that the spec does not know", what, a.StatusCode, name)
		}
	}
	if a.Header.Get("X-Content-Type-Options") != "nosniff" {
		w.t.Errorf("%s: %d without nosniff", what, a.StatusCode)
	}
}

func (w *world) checkBody(a answer, content openapi3.Content, method string) {
	w.t.Helper()
	kind, _, _ := strings.Cut(a.Header.Get("Content-Type"), ";")
	if content == nil {
		if len(a.body) > 0 || kind != "" {
			w.t.Errorf("a body that the spec does not have: %v", a)
		}
		return
	}
	media := content[kind]
	if media == nil {
		w.t.Errorf("the spec has no %q: %v", kind, a)
		return
	}
	if method == http.MethodHead {
		if len(a.body) > 0 {
			w.t.Errorf("HEAD with a body: %v", a)
		}
		return
	}
	var value any = string(a.body)
	if strings.HasSuffix(kind, "json") && a.Header.Get("Content-Encoding") == "" {
		if err := json.Unmarshal(a.body, &value); err != nil {
			w.t.Errorf("%v: %v", err, a)
			return
		}
	} else if strings.HasSuffix(kind, "json") {
		return
	}
	if err := media.Schema.Value.VisitJSON(value, openapi3.EnableJSONSchema2020()); err != nil {
		w.t.Errorf("%v: %v", err, a)
	}
}

// code returns the code of a problem, or nothing.
func (a answer) code() string {
	var p problem
	if a.StatusCode < 400 || json.Unmarshal(a.body, &p) != nil {
		return ""
	}
	return p.Code
}

// A validator that lets everything pass would make the tests here worthless.
func TestTheValidatorSeesWhatIsWrong(t *testing.T) {
	schema := func(name string) *openapi3.Schema { return spec().Components.Schemas[name].Value }
	for _, tt := range []struct {
		name, schema, value string
		ok                  bool
	}{
		{"a right problem", "Problem", `{"type":"about:blank","title":"T","status":400,"detail":"d","code":"invalid"}`, true},
		{"another const", "Problem", `{"type":"other","title":"T","status":400,"detail":"d","code":"invalid"}`, false},
		{"an unknown code", "Problem", `{"type":"about:blank","title":"T","status":400,"detail":"d","code":"nope"}`, false},
		{"a field too many", "Problem", `{"type":"about:blank","title":"T","status":400,"detail":"d","code":"invalid","x":1}`, false},
		{"a field too few", "Problem", `{"type":"about:blank","title":"T","status":400,"code":"invalid"}`, false},
		{"a null page", "PixelHistory", `{"x":1,"y":1,"items":[],"next":null}`, true},
		{"nobody", "PixelHistory", `{"x":1,"y":1,"items":[{"seq":1,"time":"2026-11-23T12:00:00.000Z","color":1,"user":null}],"next":2}`, true},
		{"a user without a name", "PixelHistory", `{"x":1,"y":1,"items":[{"seq":1,"time":"2026-11-23T12:00:00.000Z","color":1,"user":{"id":"0123456789abcdef"}}],"next":2}`, false},
		{"a time without ms", "PixelHistory", `{"x":1,"y":1,"items":[{"seq":1,"time":"2026-11-23T12:00:00Z","color":1,"user":null}],"next":2}`, false},
	} {
		var v any
		if err := json.Unmarshal([]byte(tt.value), &v); err != nil {
			t.Fatal(err)
		}
		if err := schema(tt.schema).VisitJSON(v, openapi3.EnableJSONSchema2020()); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

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
		{want: "GET /api/v1/canvas.png 429 too_many", path: "/api/v1/canvas.png", before: busy(func(a *API) *gate { return a.work })},
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
		{want: "GET /readyz 503 read_only", path: "/readyz", before: health(StatusReadOnly)},
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
			if strings.Contains(path, "%v") {
				path = strings.Replace(path, "%v", strings.TrimPrefix(w.location(), "/api/v1/canvas/"), 1)
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
