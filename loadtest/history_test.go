package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pixelwall/loadtest/client"
)

func TestHistoryIsComparedRequestByRequest(t *testing.T) {
	want := wanted{events: []wantedEvent{{9, 2}, {5, 1}}}
	past := func(seqColor ...uint64) (all []client.PastEvent) {
		for i := 0; i < len(seqColor); i += 2 {
			all = append(all, client.PastEvent{Seq: seqColor[i], Color: uint8(seqColor[i+1])})
		}
		return all
	}
	for _, tt := range []struct {
		name        string
		got         []client.PastEvent
		lost, extra int64
	}{
		{"the same", past(9, 2, 5, 1), 0, 0},
		{"one is missing", past(9, 2), 1, 0},
		{"one is too many", past(9, 2, 7, 2, 5, 1), 0, 1},
		{"one is there twice", past(9, 2, 9, 2, 5, 1), 0, 1},
		{"one has another colour", past(9, 3, 5, 1), 1, 1},
		{"nothing is there", nil, 2, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if lost, extra := want.compare(tt.got); lost != tt.lost || extra != tt.extra {
				t.Errorf("compare = %d, %d, want %d, %d", lost, extra, tt.lost, tt.extra)
			}
		})
	}
}

func TestHistoryIsAskedAgainWhileItLags(t *testing.T) {
	asked := 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		body := `{"items":[],"next":null}`
		switch {
		case asked == 2:
			w.WriteHeader(http.StatusServiceUnavailable)
		case asked > 2 && r.URL.Query().Get("before") == "":
			body = `{"items":[{"seq":9,"color":2,"user":{"id":"1"}}],"next":9}`
		case asked > 2:
			body = `{"items":[{"seq":5,"color":1,"user":null},{"seq":3,"color":1}],"next":3}`
		}
		_, _ = w.Write([]byte(body))
	}))
	defer web.Close()
	s := serverAt(t, web)
	picked := []wanted{{events: []wantedEvent{{9, 2}, {5, 1}}}}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := checkHistory(ctx, []*client.Server{s}, blank(t, 4), picked)
	if err != nil || r.lost+r.extra != 0 || r.pixels != 1 || r.events != 2 || asked != 4 {
		t.Errorf("%+v, %v after %d questions", r, err, asked)
	}
	gone, stop := context.WithCancel(t.Context())
	stop()
	picked[0].events = append(picked[0].events, wantedEvent{4000, 1})
	if r, _ := checkHistory(gone, []*client.Server{s}, blank(t, 4), picked); r.lost != 1 || len(r.faults) != 1 {
		t.Errorf("an event that never comes: %+v", r)
	}
}

// One edge has lost its archive; the others still answer.
func TestHistoryIsAskedFromWhoeverAnswers(t *testing.T) {
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer down.Close()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"items":[{"seq":9,"color":2}],"next":null}`))
	}))
	defer up.Close()
	servers := []*client.Server{serverAt(t, down), serverAt(t, up)}
	picked := []wanted{{x: 0, events: []wantedEvent{{9, 2}}}, {x: 1, events: []wantedEvent{{9, 2}}}}
	gone, stop := context.WithCancel(t.Context())
	stop() // each is asked once only
	if r, err := checkHistory(gone, servers, blank(t, 4), picked); err != nil || r.lost+r.extra != 0 || r.pixels != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := checkHistory(gone, servers[:1], blank(t, 4), picked); err == nil {
		t.Error("nobody answers, and nobody is told")
	}
}

func serverAt(t *testing.T, web *httptest.Server) *client.Server {
	t.Helper()
	s, err := client.NewServer("ws" + strings.TrimPrefix(web.URL, "http") + "/ws")
	if err != nil {
		t.Fatal(err)
	}
	return s
}
