package api

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"pixelwall/edge/token"
)

func (w *world) session(headers ...string) (s struct {
	Token   string
	User    user
	Expires time.Time
}) {
	w.t.Helper()
	a := w.do(http.MethodPost, "/api/v1/session", headers...)
	if w.checkAgainstSpec(http.MethodPost, "/api/v1/session", a) != "POST /api/v1/session 201" {
		w.t.Fatal(a)
	}
	if err := json.Unmarshal(a.body, &s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

func TestASessionIsAUserWhomTheTokenNames(t *testing.T) {
	w := newWorld(t, 8, 8, "place2017", nil)
	s := w.session()
	c, err := w.keys.Verify(s.Token, w.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	if s.User.ID != token.FormatID(w.keys.PublicID(c.UID)) || s.User.Name != w.keys.Name(c.UID) || !s.Expires.Equal(c.Expires) {
		t.Errorf("%+v, but the token says %+v", s, c)
	}
	if other := w.session(); other.User.ID == s.User.ID || other.Token == s.Token {
		t.Error("two guests are one")
	}

	w.clock.add(token.Lifetime + time.Hour) // expired, and renewed all the same
	again := w.session("Authorization", "Bearer "+s.Token)
	if again.User != s.User || again.Token == s.Token || !again.Expires.Equal(w.clock.Now().Add(token.Lifetime)) {
		t.Errorf("renewed: %+v, before %+v", again, s)
	}
}

func TestWhoIsChargedForAGuest(t *testing.T) {
	for _, tt := range []struct {
		name    string // reads on from "of 8 guests ..."
		headers []string
		want    int
		client  func(netip.Addr, []byte) (netip.Addr, bool)
	}{
		{"loopback makes all", nil, 8, nil},
		{"loopback that forwards makes 5", []string{"X-Forwarded-For", "198.51.100.1"}, 5, nil},
		{"loopback that forwards in the standard's way makes 5", []string{"forwarded", "for=198.51.100.1"}, 5, nil},
		{"the client that a proxy names makes 5", []string{"X-Forwarded-For", "198.51.100.1"}, 5, func(peer netip.Addr, headers []byte) (netip.Addr, bool) {
			if !peer.IsLoopback() || !strings.Contains(string(headers), "X-Forwarded-For: 198.51.100.1\r\n") {
				panic("not the peer and the headers")
			}
			return netip.MustParseAddr("198.51.100.1"), false
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 8, 8, "place2017", func(o *Options) { o.ClientAddr = tt.client })
			got := 0
			for range 8 {
				a := w.do(http.MethodPost, "/api/v1/session", tt.headers...)
				switch a.StatusCode {
				case http.StatusCreated:
					got++
				case http.StatusTooManyRequests:
					if a.Header.Get("Retry-After") != "720" {
						t.Errorf("come back after %s s, want 720", a.Header.Get("Retry-After"))
					}
				default:
					t.Fatal(a)
				}
			}
			if got != tt.want {
				t.Errorf("%d guests, want %d", got, tt.want)
			}
		})
	}
}

func TestASessionIsRefusedTo(t *testing.T) {
	w := newWorld(t, 8, 8, "place2017", nil)
	good := w.session().Token
	for _, tt := range []struct {
		name    string
		headers []string
		body    string
		want    int
	}{
		{"a form of another site", []string{"Content-Type", "application/x-www-form-urlencoded", "Origin", "http://" + w.addr}, "a=1", 415},
		{"an empty form", []string{"Content-Type", "application/x-www-form-urlencoded"}, "", 415},
		{"an empty form with files", []string{"Content-Type", "multipart/form-data; boundary=b"}, "", 415},
		{"an empty form of plain text", []string{"Content-Type", "text/plain"}, "", 415},
		{"a body without a type", nil, "{}", 415},
		{"a body of JSON", []string{"Content-Type", "application/json"}, "{}", 415},
		{"a page of another site", []string{"Origin", "https://evil.example"}, "", 403},
		{"a page whose site ends like ours", []string{"Origin", "http://evil" + w.addr}, "", 403},
		{"a page on another port", []string{"Origin", "http://127.0.0.1:1"}, "", 403},
		{"a page without an origin", []string{"Origin", "null"}, "", 403},
		{"another scheme of authorization", []string{"Authorization", "Basic " + good}, "", 401},
		{"an empty token", []string{"Authorization", "Bearer "}, "", 401},
		{"a changed token", []string{"Authorization", "Bearer " + good[:40] + "_" + good[41:]}, "", 401},
	} {
		a := w.send(w.addr, http.MethodPost, "/api/v1/session", []byte(tt.body), tt.headers...)
		if a.StatusCode != tt.want || a.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v", tt.name, a)
		}
		if tt.want == 401 && a.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no WWW-Authenticate", tt.name)
		}
	}
	if a := w.do(http.MethodPost, "/api/v1/session", "Origin", "http://"+w.addr); a.StatusCode != http.StatusCreated {
		t.Errorf("our own page: %v", a)
	}
	for _, kind := range []string{"application/octet-stream", "Application/JSON; charset=utf-8"} {
		if a := w.do(http.MethodPost, "/api/v1/session", "Content-Type", kind); a.StatusCode != http.StatusCreated {
			t.Errorf("a library that adds %s: %v", kind, a)
		}
	}
}

func TestAnAllowedOriginMayReadItsSession(t *testing.T) {
	const page = "https://page.example"
	w := newWorld(t, 8, 8, "place2017", func(o *Options) {
		o.AllowOrigin = func(host, origin string) bool { return origin == page && host != "" }
	})
	for _, method := range []string{http.MethodOptions, http.MethodPost} {
		a := w.do(method, "/api/v1/session", "Origin", page, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization")
		if a.StatusCode/100 != 2 || a.Header.Get("Access-Control-Allow-Origin") != page || !strings.Contains(strings.Join(a.Header.Values("Vary"), ","), "Origin") {
			t.Errorf("%s: %v", method, a)
		}
		if method == http.MethodOptions && a.Header.Get("Access-Control-Allow-Headers") != "Authorization" {
			t.Errorf("preflight: %v", a)
		}
	}
	if a := w.do(http.MethodOptions, "/api/v1/session", "Origin", "https://other.example", "Access-Control-Request-Method", "POST"); a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another origin: %v", a)
	}
}

// A token is in no log line, metric or error, whatever goes wrong with it.
func TestATokenIsNotTold(t *testing.T) {
	var log lockedBuffer
	w := newWorld(t, 8, 8, "place2017", func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		h := o.Health
		o.Health = func() Health {
			if h().Status == "panic" {
				panic("health")
			}
			return h()
		}
	})
	canary := w.session().Token
	var told strings.Builder
	note := func(a answer) { told.WriteString(a.String()) }
	auth := "Bearer " + canary
	note(w.do(http.MethodPost, "/api/v1/session", "Authorization", "Bearer x"+canary))
	note(w.do(http.MethodPost, "/api/v1/session", "Authorization", canary))
	note(w.do(http.MethodPost, "/api/v1/session?x=1", "Authorization", auth))
	note(w.get("/nowhere", "Authorization", auth))
	w.health.set(Health{Status: "panic"})
	note(w.get("/readyz", "Authorization", auth))
	told.WriteString(w.raw("GET /livez HTTP/1.1\r\nHost: h\r\nAuthorization : " + auth + "\r\n\r\n"))
	told.WriteString(w.raw("GET /livez HTTP/1.1\r\nHost: h\r\nAuthorization: " + auth + "\r\nBroken\r\n\r\n"))
	told.WriteString(w.raw("GET /livez HTTP/1.1\r\nHost: h\r\nAuthorization: " + auth + "\r\nX: " + strings.Repeat("x", 9000) + "\r\n\r\n"))
	told.Write(w.get("/metrics").body)
	told.WriteString(log.String())
	if !strings.Contains(log.String(), "panicked") {
		t.Fatal("the log was not listened to")
	}
	if strings.Contains(told.String(), canary[10:30]) {
		t.Errorf("the token is told:\n%s", told.String())
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A handler that panics fails its own request and nothing else.
func TestAPanicIsOneRequestsAffair(t *testing.T) {
	w := newWorld(t, 8, 8, "place2017", func(o *Options) { o.Health = func() Health { panic("broken") } })
	a := w.get("/api/v1/health")
	if a.StatusCode != http.StatusInternalServerError || a.code() != "internal" || !a.Close || strings.Contains(string(a.body), "broken") {
		t.Errorf("%v", a)
	}
	if a := w.get("/livez"); a.StatusCode != http.StatusOK {
		t.Errorf("afterwards: %v", a)
	}
	if err := w.api.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}
