package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"pixelwall/persist/redis"
)

// workPaths are all that a process without the role gateway shows.
var workPaths = []string{"/metrics", "/livez", "/readyz", "/debug/pprof/"}

func TestAWorkerShowsItselfTo(t *testing.T) {
	client, err := redis.Open(t.Context(), redis.Options{Addrs: []string{"127.0.0.1:1"}}) // nobody needs it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	for _, tt := range []struct {
		name                       string // reads on from "a worker shows itself to ..."
		token, host, authorization string
		want                       int
	}{
		{"nobody without the token", "secret", "localhost", "", 401},
		{"nobody with another token", "secret", "localhost", "Bearer Secret", 401},
		{"nobody with the token in another scheme", "secret", "localhost", "Basic secret", 401},
		{"one with the token", "secret", "workers.example", "Bearer secret", 200},
		{"nobody who names another host, where there is no token", "", "evil.example:6060", "", 401},
		{"one who asks by address, where there is no token", "", "127.0.0.1:6060", "", 200},
		{"one who asks for localhost, where there is no token", "", "localhost:6060", "", 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &edge{s: settings{adminToken: tt.token}, log: slog.New(slog.DiscardHandler)}
			handler := e.workHandler(&cluster{s: &e.s, redis: client})
			for _, path := range workPaths {
				r := httptest.NewRequest(http.MethodGet, path, nil)
				r.Host = tt.host
				if tt.authorization != "" {
					r.Header.Set("Authorization", tt.authorization)
				}
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				if w.Code != tt.want {
					t.Errorf("%s is answered with %d, want %d", path, w.Code, tt.want)
				}
				if tt.want == 200 && w.Body.Len() == 0 {
					t.Errorf("%s is empty", path)
				}
				if tt.want == 200 && path == "/metrics" && !strings.Contains(w.Body.String(), "\npixelwall_store_writable 0\n") {
					t.Errorf("it does not tell that nothing can be stored:\n%s", w.Body)
				}
			}
		})
	}
}
