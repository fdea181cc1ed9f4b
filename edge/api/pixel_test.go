package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"pixelwall/edge/limit"
	"pixelwall/edge/token"
)

// page decodes an answer of /api/v1/pixel.
func (w *world) page(query string) (p struct {
	X, Y  int
	Items []struct {
		Seq   uint64
		Time  string
		Color int
		User  *user
	}
	Next *uint64
}) {
	w.t.Helper()
	a := w.get("/api/v1/pixel?" + query)
	if a.StatusCode != http.StatusOK {
		w.t.Fatal(a)
	}
	if w.checkAgainstSpec(http.MethodGet, "/api/v1/pixel", a) == "" {
		w.t.Fatal(a)
	}
	if err := json.Unmarshal(a.body, &p); err != nil {
		w.t.Fatal(err)
	}
	return p
}

func TestThePastOfAPixelIsToldNewestFirstAndPaged(t *testing.T) {
	w := newWorld(t, 600, 600, "place2017", nil)
	const events = 23
	for i := range events {
		w.place(uint64(i%3), [3]int{520, 3, i % 16}, [3]int{521, 3, 1}) // user 0 is nobody
	}
	for _, limit := range []int{1, 7, 22, 23, 24, 100} {
		var colors []int
		before, pages := "", 0
		last := uint64(1 << 62)
		for {
			p := w.page(fmt.Sprintf("x=520&y=3&limit=%d%s", limit, before))
			pages++
			if p.X != 520 || p.Y != 3 || len(p.Items) > limit {
				t.Fatalf("limit %d: %+v", limit, p)
			}
			for _, item := range p.Items {
				if item.Seq >= last {
					t.Fatalf("limit %d: seq %d after %d", limit, item.Seq, last)
				}
				last = item.Seq
				n := events - 1 - len(colors)
				if id := uint64(n % 3); id == 0 && item.User != nil || id != 0 && (item.User == nil || item.User.ID != token.FormatID(w.keys.PublicID(id)) || item.User.Name != w.keys.Name(id)) {
					t.Fatalf("event %d by %+v", n, item.User)
				}
				if item.Time != "2023-11-14T22:13:20.000Z" {
					t.Fatalf("time %s", item.Time)
				}
				colors = append(colors, item.Color)
			}
			if p.Next == nil {
				break
			}
			before = fmt.Sprintf("&before=%d", *p.Next)
		}
		if want := (events + limit - 1) / limit; pages != want {
			t.Errorf("limit %d: %d pages, want %d", limit, pages, want)
		}
		for i, c := range colors {
			if want := (events - 1 - i) % 16; c != want {
				t.Fatalf("limit %d: colours %v", limit, colors)
			}
		}
		if len(colors) != events {
			t.Errorf("limit %d: %d events, want %d", limit, len(colors), events)
		}
	}
	if p := w.page("x=0&y=0"); len(p.Items) != 0 || p.Next != nil {
		t.Errorf("a pixel that nobody painted: %+v", p)
	}
}

func TestABadQueryIsToldWhatIsWrong(t *testing.T) {
	w := newWorld(t, 1000, 600, "place2017", nil)
	for _, tt := range []struct {
		path, code string
		says       []string
	}{
		{"/api/v1/pixel", "invalid", []string{"x is missing", "y is missing"}},
		{"/api/v1/pixel?x=1", "invalid", []string{"y is missing"}},
		{"/api/v1/pixel?x=&y=1", "invalid", []string{`x="" is not a whole number`}},
		{"/api/v1/pixel?x=-1&y=1", "invalid", []string{`x="-1" is not a whole number`}},
		{"/api/v1/pixel?x=%2B1&y=1", "invalid", []string{`x="+1"`}},
		{"/api/v1/pixel?x=01&y=1", "invalid", []string{`x="01"`}},
		{"/api/v1/pixel?x=1.0&y=1e2", "invalid", []string{`x="1.0"`, `y="1e2"`}},
		{"/api/v1/pixel?x=99999999999999999999&y=1", "invalid", []string{`x="99999999999999999999"`}},
		{"/api/v1/pixel?x=4096&y=1", "invalid", []string{"x=4096 is not within 0 to 4095"}},
		{"/api/v1/pixel?x=1000&y=1", "out_of_canvas", []string{"1000,1", "1000x600"}},
		{"/api/v1/pixel?x=1&y=600", "out_of_canvas", []string{"1,600"}},
		{"/api/v1/pixel?x=1&x=1&y=1", "invalid", []string{"x is given 2 times"}},
		{"/api/v1/pixel?x=1&y=1&limit=0", "invalid", []string{"limit=0 is not within 1 to 100"}},
		{"/api/v1/pixel?x=1&y=1&limit=101", "invalid", []string{"limit=101"}},
		{"/api/v1/pixel?x=1&y=1&before=0", "invalid", []string{"before=0"}},
		{"/api/v1/pixel?x=1&y=1&before=9007199254740992", "invalid", []string{"before=9007199254740992"}},
		{"/api/v1/pixel?x=1&y=1&X=1", "invalid", []string{`unknown parameter "X"`, "known are x, y, limit, before"}},
		{"/api/v1/pixel?x=1&y=1&%0d%0aset-cookie=1", "invalid", []string{`unknown parameter "\r\nset-cookie"`}},
		{"/api/v1/pixel?x=%zz&y=1", "invalid", []string{"%-escapes"}},
		{"/api/v1/pixel?x=1;y=1", "invalid", []string{"name=value"}},
		{"/api/v1/pixel?" + strings.Repeat("y", 4000), "invalid", []string{"yyy…"}},
		{"/api/v1/canvas.png?w=0", "invalid", []string{"w=0"}},
		{"/api/v1/canvas.png?scale=65", "invalid", []string{"scale=65"}},
		{"/api/v1/canvas.png?scale=64", "invalid", []string{"64000x38400", "at most 4194304"}},
		{"/api/v1/canvas.png?x=1000", "out_of_canvas", []string{"pixel 1000,0 is not on"}},
		{"/api/v1/canvas.png?x=1001&y=700", "out_of_canvas", []string{"pixel 1001,700"}},
		{"/api/v1/canvas.png?x=999&y=599&w=1&h=2", "out_of_canvas", []string{"1x2 pixels from 999,599"}},
	} {
		a := w.get(tt.path)
		var p problem
		if err := json.Unmarshal(a.body, &p); err != nil || a.StatusCode != http.StatusBadRequest || p.Code != tt.code {
			t.Errorf("%.60s: %v", tt.path, a)
			continue
		}
		for _, says := range tt.says {
			if !strings.Contains(p.Detail, says) {
				t.Errorf("%.60s says %q, not %q", tt.path, p.Detail, says)
			}
		}
		if len(p.Detail) > 300 {
			t.Errorf("%.60s: the detail has %d bytes", tt.path, len(p.Detail))
		}
	}
}

func TestANetworkHasABudgetOfLookups(t *testing.T) {
	w := newWorld(t, 600, 600, "place2017", func(o *Options) { o.Lookups = limit.NewBudget(6, time.Minute) })
	from := func(addr, path string) answer { return w.do(http.MethodGet, path, "X-Forwarded-For", addr) }
	const pixel, picture = "/api/v1/pixel?x=1&y=1", "/api/v1/canvas.png?w=9&h=9"
	for i := range 3 {
		for _, path := range []string{pixel, picture} {
			if a := from("198.51.100.1", path); a.StatusCode != http.StatusOK {
				t.Fatalf("lookup %d: %v", i, a)
			}
		}
	}
	for _, path := range []string{pixel, picture} {
		a := from("198.51.100.1", path)
		if w.checkAgainstSpec(http.MethodGet, path, a); a.StatusCode != http.StatusTooManyRequests || !strings.Contains(string(a.body), `"too_many"`) || a.Header.Get("Retry-After") != "10" {
			t.Errorf("%s beyond the budget: %v", path, a)
		}
		if a := w.get(path); a.StatusCode != http.StatusOK {
			t.Errorf("%s of loopback: %v", path, a)
		}
	}
	if a := from("198.51.100.1", "/api/v1/canvas/info"); a.StatusCode != http.StatusOK {
		t.Errorf("what needs no budget: %v", a)
	}
	w.clock.add(10 * time.Second)
	if a := from("198.51.100.1", pixel); a.StatusCode != http.StatusOK {
		t.Errorf("at the time that was named: %v", a)
	}
}
