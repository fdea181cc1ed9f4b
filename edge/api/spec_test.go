package api

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"pixelwall/core"
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
