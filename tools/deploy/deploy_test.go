package deploy

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pixelwall/core/coretest"
	"pixelwall/wire"
)

func TestThePageComesOverHTTP2AndPlainHTTPLeadsToIt(t *testing.T) {
	eachProxy(t, func(t *testing.T, k kind) {
		p := k.before(t, serve(t).addr)
		v := p.visitor("127.0.0.1")
		a := v.get("/")
		if a.StatusCode != 200 || a.ProtoMajor != 2 || !bytes.Contains(a.body, []byte("<script")) {
			t.Errorf("the page: %s %s, %d bytes", a.Proto, a.Status, len(a.body))
		}
		a = v.do(http.MethodGet, "http://"+name+":"+p.plain+"/some?query")
		to := a.Header.Get("Location")
		if a.StatusCode/100 != 3 || !strings.HasPrefix(to, "https://"+name) || !strings.HasSuffix(to, "/some?query") {
			t.Errorf("plain HTTP: %s to %q", a.Status, to)
		}
		// The unit gives /metrics an address of its own.
		if a := v.get("/metrics"); a.StatusCode != http.StatusNotFound {
			t.Errorf("/metrics is public: %s", a.Status)
		}
	})
}

func TestTheCanvasKeepsItsCodingsAndETags(t *testing.T) {
	eachProxy(t, func(t *testing.T, k kind) {
		e := serve(t)
		p := k.before(t, e.addr)
		v := p.visitor("127.0.0.1")
		to := v.newest()
		plain := v.get(to).body
		if _, err := wire.ParseCanvasFile(plain); err != nil {
			t.Fatal(err)
		}
		// Twice: the second answer may be out of a cache.
		for _, coding := range []string{"", "zstd", "br", "gzip", "", "zstd", "br", "gzip"} {
			var accept []string
			if coding != "" {
				accept = []string{"Accept-Encoding", coding}
			}
			direct := v.do(http.MethodGet, "http://"+e.addr+to, accept...)
			a := v.get(to, accept...)
			tag := a.Header.Get("ETag")
			if a.StatusCode != 200 || a.Header.Get("Content-Encoding") != coding || !bytes.Equal(a.decoded(t), plain) {
				t.Errorf("asked for %q: %s, coding %q", coding, a.Status, a.Header.Get("Content-Encoding"))
			}
			if tag == "" || tag != direct.Header.Get("ETag") || strings.HasPrefix(tag, "W/") {
				t.Errorf("asked for %q: ETag %q, the server's is %q", coding, tag, direct.Header.Get("ETag"))
			}
			if a := v.get(to, append(accept, "If-None-Match", tag)...); a.StatusCode != http.StatusNotModified || len(a.body) > 0 {
				t.Errorf("asked for %q once more: %s", coding, a.Status)
			}
		}
	})
}

func TestNginxAnswersForAVersionThatItHas(t *testing.T) {
	eachProxy(t, func(t *testing.T, k kind) {
		e := serve(t)
		tp := newTap(t, e.addr)
		p := k.before(t, tp.addr)
		v := p.visitor("127.0.0.1")
		to := v.newest()
		for range 5 {
			if a := v.get(to, "Accept-Encoding", "br"); a.StatusCode != 200 {
				t.Fatal(a.Status)
			}
		}
		if n := tp.count("GET " + to + " "); n != 1 {
			t.Errorf("the server was asked %d times for one version", n)
		}
	}, "nginx")
}

func TestAPixelGoesFromOneVisitorToAnother(t *testing.T) {
	eachProxy(t, func(t *testing.T, k kind) {
		p := k.before(t, serve(t).addr)
		v := p.visitor("127.0.0.1")
		file := v.get(v.newest()).body
		painter, watcher := v.socket(), v.socket()
		painter.join(v.token(), file)
		watcher.join("", file)
		const x, y, color = 40, 50, 9
		if painter.color(x, y) == color {
			t.Fatal("the pixel has its colour already")
		}
		painter.send(wire.Place{Number: 1, X: x, Y: y, Color: color})
		painter.until("placed", func() bool { return painter.placed != nil })
		for _, s := range []*socket{painter, watcher} {
			s.until("the batch", func() bool { return s.seq >= painter.placed.Seq })
			if s.batches == 0 || s.color(x, y) != color {
				t.Errorf("%d batches, colour %d", s.batches, s.color(x, y))
			}
		}
	})
}

func TestOnlyPagesOfThisSiteMayConnect(t *testing.T) {
	eachProxy(t, func(t *testing.T, k kind) {
		p := k.before(t, serve(t).addr)
		v := p.visitor("127.0.0.1")
		for _, c := range []struct {
			who    string
			origin string
			status int
		}{
			{"a page of this site", p.origin(), 101},
			{"a bot, which has no origin", "", 101},
			{"a page of another site", "https://elsewhere.example.org", 403},
			{"a page of the server's inner address", "http://" + p.to, 403},
			{"a page of this name on another port", "https://" + name + ":1", 403},
		} {
			if _, status := v.upgrade(v.connect(), c.origin); status != c.status {
				t.Errorf("%s is answered with %d, want %d", c.who, status, c.status)
			}
		}
		a := v.do(http.MethodPost, p.url("/api/v1/session"), "Origin", "https://elsewhere.example.org")
		if a.StatusCode != http.StatusForbidden {
			t.Errorf("a page of another site makes a session: %s", a.Status)
		}
	})
}

func TestAnUpgradeFollowsHTTPOnOneConnection(t *testing.T) {
	eachProxy(t, func(t *testing.T, k kind) {
		tp := newTap(t, serve(t).addr)
		p := k.before(t, tp.addr)
		v := p.visitor("127.0.0.1")
		token := v.token()
		// A proxy may need a moment to take the connection of an answer back, so
		// this is tried until the two meet. Each try has to work all the same.
		coretest.Eventually(t, "an upgrade on a connection that served HTTP before", func() bool {
			c := v.connect()
			defer c.Close()
			v.first(c, "/api/v1/canvas/info")
			s, status := v.upgrade(c, p.origin())
			if s == nil {
				t.Fatalf("the upgrade was answered with %d", status)
			}
			s.hello(token)
			return !k.reuses || tp.together("GET /api/v1/canvas/info ", "GET /ws ")
		})
	})
}

// A place that is counted and not given back would lock a visitor out for good.
func TestUpgradesOnSharedConnectionsGiveTheirPlaceBack(t *testing.T) {
	eachProxy(t, func(t *testing.T, k kind) {
		p := k.before(t, serve(t, "--conns-per-address", "2").addr)
		v := p.visitor("127.0.0.2")
		open := func(origin string) int {
			c := v.connect()
			defer c.Close()
			v.first(c, "/api/v1/canvas/info")
			s, status := v.upgrade(c, origin)
			if s != nil {
				s.hello("")
			}
			return status
		}
		for range 4 {
			if got := open("https://elsewhere.example.org"); got != 403 {
				t.Fatalf("a page of another site is answered with %d", got)
			}
			// The server hears of the end of the one before through the proxy.
			coretest.Eventually(t, "room for another connection", func() bool {
				status := open(p.origin())
				if status != 101 && status != 429 {
					t.Fatalf("answered with %d", status)
				}
				return status == 101
			})
		}
	})
}

func TestLimitsOfAnAddressAreTheVisitorsNotTheProxys(t *testing.T) {
	eachProxy(t, func(t *testing.T, k kind) {
		p := k.before(t, serve(t, "--guests-per-hour", "2", "--conns-per-address", "2").addr)
		one, other := p.visitor("127.0.0.2"), p.visitor("127.0.0.3")
		guest := func(v *visitor) int {
			// What a visitor says of its own address must not help it.
			return v.do(http.MethodPost, p.url("/api/v1/session"), "X-Forwarded-For", "192.0.2.1", "Forwarded", "for=192.0.2.1").StatusCode
		}
		if got, want := fmt.Sprint(guest(one), guest(one), guest(one), guest(other)), "201 201 429 201"; got != want {
			t.Errorf("two sessions an address: %s, want %s", got, want)
		}
		socket := func(v *visitor) int {
			_, status := v.upgrade(v.connect(), "")
			return status
		}
		if got, want := fmt.Sprint(socket(one), socket(one), socket(one), socket(other)), "101 101 429 101"; got != want {
			t.Errorf("two connections an address: %s, want %s", got, want)
		}
	})
}

// One source address has ports for 28 232 visitors.
func TestVisitorsComeFromFourAddressesOfTheProxy(t *testing.T) {
	eachProxy(t, func(t *testing.T, k kind) {
		tp := newTap(t, serve(t).addr)
		p := k.before(t, tp.addr)
		v := p.visitor("127.0.0.1")
		want := []string{"127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.14"}
		coretest.Eventually(t, "a visitor by each address", func() bool {
			v.socket().hello("")
			got := tp.sources()
			for _, from := range want {
				if !slices.Contains(got, from) {
					return false
				}
			}
			return true
		})
	}, "nginx", "haproxy")
}

func TestPingsKeepASilentVisitor(t *testing.T) {
	eachProxy(t, func(t *testing.T, k kind) {
		t.Run("when they come before the proxy's patience ends", func(t *testing.T) {
			// A ping may be late by nine times its interval, an answer by a minute.
			p := k.before(t, serve(t, "--ping-every", "300ms", "--dead-after", "60s").addr, k.idle, edit(t, k.idle, "75s", "3s"))
			s := p.visitor("127.0.0.1").socket()
			s.hello("")
			began := time.Now()
			s.until("pings of more than that time", func() bool { return time.Since(began) > 4*time.Second })
			if s.pings == 0 {
				t.Error("no pings")
			}
		})
		t.Run("but not when they come later", func(t *testing.T) {
			p := k.before(t, serve(t, "--ping-every", "30s").addr, k.idle, edit(t, k.idle, "75s", "1s"))
			s := p.visitor("127.0.0.1").socket()
			s.hello("")
			for !s.ended() {
				if err := s.read(); err != nil {
					t.Fatal(err)
				}
			}
			if s.code != 0 {
				t.Errorf("the server closed with %d; it should have been the proxy", s.code)
			}
		})
	}, "nginx", "haproxy")
}

func TestARestartIsAnnouncedAndVisitorsGoOnAfterIt(t *testing.T) {
	eachProxy(t, func(t *testing.T, k kind) {
		folder, addr := t.TempDir(), "127.0.0.1:"+freePort(t)
		e := serveAt(t, addr, folder)
		p := k.before(t, addr)
		v := p.visitor("127.0.0.1")
		s := v.socket()
		s.join("", v.get(v.newest()).body)
		e.terminate()
		s.until("bye", func() bool { return s.bye })
		s.until("the close", func() bool { return s.ended() })
		if s.code != 1012 {
			t.Errorf("closed with %d, %v", s.code, s.err)
		}
		if err := e.wait(); err != nil {
			t.Errorf("the server ended with %v", err)
		}

		serveAt(t, addr, folder)
		again := v.socket()
		again.board, again.id, again.seq = s.board, s.id, s.seq
		again.hello("")
		again.watch()
	})
}

// What asks too little or too much of a server takes it out of service.
func TestHAProxysCheckFindsTheServerAlive(t *testing.T) {
	eachProxy(t, func(t *testing.T, k kind) {
		tp := newTap(t, serve(t).addr)
		p := k.before(t, tp.addr, "check inter 2s", "check inter 20ms fall 1")
		coretest.Eventually(t, "some checks", func() bool { return tp.count("GET /readyz HTTP/1.0") >= 5 })
		if a := p.visitor("127.0.0.1").get("/"); a.StatusCode != 200 {
			t.Errorf("the page: %s", a.Status)
		}
	}, "haproxy")
}
