package api

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"pixelwall/core"
)

// admin serves the admin listener of w and returns its address.
func (w *world) admin() string {
	w.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	server := w.api.AdminServer()
	go func() { _ = server.Serve(ln) }()
	w.t.Cleanup(func() {
		w.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.ShutdownWithContext(ctx); err != nil {
			w.t.Errorf("admin: %v", err)
		}
	})
	return ln.Addr().String()
}

func (w *world) patch(addr, body string, headers ...string) answer {
	w.t.Helper()
	return w.send(addr, http.MethodPatch, "/admin/v1/config", []byte(body), append([]string{"Content-Type", "application/json"}, headers...)...)
}

func configIn(t *testing.T, a answer) (c config) {
	t.Helper()
	if err := json.Unmarshal(a.body, &c); err != nil || a.StatusCode != http.StatusOK {
		t.Fatalf("%v: %v", err, a)
	}
	return c
}

func TestTheConfigurationIsChangedForEverybody(t *testing.T) {
	w := newWorld(t, 500, 500, "place2022", nil)
	addr := w.admin()
	before := configIn(t, w.send(addr, http.MethodGet, "/admin/v1/config", nil))
	if before.Version != 1 || before.Width != 500 || len(before.Colors) != 32 || before.Bits != 8 {
		t.Fatalf("%+v", before)
	}
	changed := configIn(t, w.patch(addr, `{"version":1,"width":600,"height":510,"cooldown_ms":2500,"max":3,"append_colors":[{"name":"mud","hex":"#4a3b2C"}]}`))
	w.follow()
	after := configIn(t, w.send(addr, http.MethodGet, "/admin/v1/config", nil))
	if after.Version != 2 || after.Width != 600 || after.Height != 510 || after.CooldownMS != 2500 || after.Max != 3 ||
		after.Bits != 8 || after.Blank != before.Blank || !slices.Equal(after.Colors, append(before.Colors, infoColor{32, "mud", "#4a3b2c"})) {
		t.Errorf("after: %+v", after)
	}
	if changed.Version != after.Version || !slices.Equal(changed.Colors, after.Colors) {
		t.Errorf("the answer %+v is not what is in force, %+v", changed, after)
	}
	// Painters see it.
	var shown info
	a := w.get("/api/v1/canvas/info")
	w.checkAgainstSpec(http.MethodGet, "/api/v1/canvas/info", a)
	if err := json.Unmarshal(a.body, &shown); err != nil || shown.Width != 600 || shown.CooldownMS != 2500 || shown.Max != 3 || len(shown.Colors) != 33 {
		t.Errorf("%v: %v", err, a)
	}
	w.place(3, [3]int{599, 509, 32})
	w.sameAsBoard(w.fetch())
	// A palette that grows alone changes no pixel, and still has a picture of its own.
	picture := w.get("/api/v1/canvas.png").Header.Get("ETag")
	configIn(t, w.patch(addr, `{"append_colors":[{"name":"more mud","hex":"#4a3b2d"}]}`))
	w.follow()
	w.clock.add(time.Second)
	if got := w.get("/api/v1/canvas.png").Header.Get("ETag"); got == picture {
		t.Error("the picture with another palette has the same tag")
	}
}

func TestAChangeOfTheConfigurationIsRefused(t *testing.T) {
	w := newWorld(t, 500, 500, "place2017", nil)
	addr := w.admin()
	for _, tt := range []struct {
		name, body string
		headers    []string
		status     int
		says       string
	}{
		{"another version", `{"version":7}`, nil, 409, "the present version is 1"},
		{"a smaller canvas", `{"width":499}`, nil, 400, "cannot shrink"},
		{"a canvas that is too large", `{"width":4097}`, nil, 400, "each side"},
		{"a negative cooldown", `{"cooldown_ms":-1}`, nil, 400, "cooldown of -1 ms"},
		{"a burst of 0", `{"max":0}`, nil, 400, "burst of 0"},
		{"a 17th colour in 4 bits", `{"append_colors":[{"name":"a","hex":"#000001"}]}`, nil, 400, "17 colours do not fit 4 bits"},
		{"a colour without #", `{"append_colors":[{"name":"a","hex":"000001a"}]}`, nil, 400, "append_colors[0].hex"},
		{"a colour of ##", `{"append_colors":[{"name":"a","hex":"##00000"}]}`, nil, 400, "append_colors[0].hex"},
		{"a field that is unknown", `{"colour":1}`, nil, 400, "unknown field"},
		{"a number in quotes", `{"width":"600"}`, nil, 400, "not a change"},
		{"no JSON", `width=600`, nil, 400, "not a change"},
		{"two changes", `{"width":600}{"width":601}`, nil, 400, "something follows"},
		{"nothing", ``, nil, 400, "not a change"},
		{"a form", `{"width":600}`, []string{"Content-Type", "text/plain"}, 415, "application/json"},
	} {
		headers := tt.headers
		if headers == nil {
			headers = []string{"Content-Type", "application/json"}
		}
		a := w.send(addr, http.MethodPatch, "/admin/v1/config", []byte(tt.body), headers...)
		var p problem
		if err := json.Unmarshal(a.body, &p); err != nil || a.StatusCode != tt.status || !strings.Contains(p.Detail, tt.says) {
			t.Errorf("%s: %v", tt.name, a)
		}
	}
	w.follow()
	if c := w.board.Config(); c.Version != 1 {
		t.Errorf("version %d", c.Version)
	}
}

// Of several who change the same version at once, one does.
func TestOneOfManyChangesWins(t *testing.T) {
	w := newWorld(t, 500, 500, "place2017", nil)
	addr := w.admin()
	answers := make(chan answer)
	for i := range 8 {
		go func() { answers <- w.patch(addr, `{"cooldown_ms":`+itoa(1000+i)+`}`) }()
	}
	won := 0
	for range 8 {
		a := <-answers
		switch {
		case a.StatusCode == http.StatusOK:
			won++
		case a.StatusCode != http.StatusConflict || a.code() != "mismatch":
			t.Error(a)
		}
	}
	w.follow()
	if c := w.board.Config(); won != 1 || c.Version != 2 {
		t.Errorf("%d changes won, version %d", won, c.Version)
	}
}

func TestAFailedChangeIsTold(t *testing.T) {
	for want, err := range map[int]error{
		http.StatusServiceUnavailable:  core.NewError(core.CodeReadOnly, "the disk is full"),
		http.StatusInternalServerError: errors.New("broken"),
	} {
		w := newWorld(t, 8, 8, "place2017", func(o *Options) {
			o.Configure = func(context.Context, core.Config) error { return err }
		})
		if a := w.patch(w.admin(), `{"max":2}`); a.StatusCode != want {
			t.Errorf("%v", a)
		}
	}
	w := newWorld(t, 8, 8, "place2017", func(o *Options) { o.Configure = nil })
	if a := w.patch(w.admin(), `{"max":2}`); a.StatusCode != http.StatusServiceUnavailable || a.code() != "unavailable" {
		t.Errorf("%v", a)
	}
}

func TestWhoMayAdminister(t *testing.T) {
	const secret = "a long admin secret"
	for _, tt := range []struct {
		name, token string
		headers     []string
		want        int
	}{
		{"anybody at loopback, where there is no token", "", nil, 200},
		{"anybody at localhost, where there is no token", "", []string{"Host", "localhost:9090"}, 200},
		{"anybody at ::1, where there is no token", "", []string{"Host", "[::1]:9090"}, 200},
		{"no page whose name was made to resolve to loopback", "", []string{"Host", "evil.example:9090"}, 403},
		{"nobody without the token", secret, nil, 401},
		{"nobody with another token", secret, []string{"Authorization", "Bearer a long admin secre"}, 401},
		{"nobody with the token as a password", secret, []string{"Authorization", "Basic " + secret}, 401},
		{"who has the token", secret, []string{"Authorization", "Bearer " + secret}, 200},
		{"who has the token, by any name", secret, []string{"Authorization", "Bearer " + secret, "Host", "wall.example"}, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 8, 8, "place2017", func(o *Options) { o.AdminToken = tt.token })
			addr := w.admin()
			for _, path := range []string{"/admin/v1/config", "/metrics", "/debug/pprof/", "/debug/pprof/heap", "/readyz"} {
				a := w.send(addr, http.MethodGet, path, nil, tt.headers...)
				if a.StatusCode != tt.want || a.Header.Get("Access-Control-Allow-Origin") != "" || strings.Contains(string(a.body), secret) {
					t.Errorf("%s: %v", path, a)
				}
				if tt.want == 200 && len(a.body) == 0 {
					t.Errorf("%s is empty", path)
				}
			}
			if a := w.patch(addr, `{"max":2}`, tt.headers...); a.StatusCode != tt.want {
				t.Errorf("PATCH: %v", a)
			}
		})
	}
}

func TestTheListenersHaveTheirOwnPaths(t *testing.T) {
	w := newWorld(t, 8, 8, "place2017", func(o *Options) {
		o.HasAdmin = true
		o.Page = func(ctx *fasthttp.RequestCtx) bool {
			ctx.SetBodyString("page")
			return string(ctx.Path()) == "/"
		}
	})
	addr := w.admin()
	for _, tt := range []struct {
		path          string
		public, admin int
	}{
		{"/metrics", 404, 200}, {"/admin/v1/config", 404, 200}, {"/debug/pprof/", 404, 200}, {"/debug/pprof/goroutine", 404, 200}, {"/debug/pprof/cmdline", 404, 404},
		{"/livez", 200, 200}, {"/readyz", 200, 200}, {"/", 200, 404}, {"/api/v1/canvas/info", 200, 404}, {"/api/v1/canvas", 302, 404},
	} {
		if a := w.get(tt.path); a.StatusCode != tt.public {
			t.Errorf("public %s: %v", tt.path, a)
		}
		if a := w.send(addr, http.MethodGet, tt.path, nil); a.StatusCode != tt.admin {
			t.Errorf("admin %s: %v", tt.path, a)
		}
	}
}
