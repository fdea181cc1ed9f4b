package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pixelwall/loadtest/client"
	"pixelwall/tools/trace"
	"pixelwall/wire"
)

// blank returns a canvas of one shard that is at a seq.
func blank(t *testing.T, seq uint64) *client.Canvas {
	t.Helper()
	f := wire.CanvasFile{Canvas: 7, Width: 4, Height: 2, Bits: 4, Shards: []wire.CanvasShard{{Seq: seq, Packed: make([]byte, 4)}}}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(f.AppendTo(nil)) }))
	defer web.Close()
	s, err := client.NewServer("ws" + strings.TrimPrefix(web.URL, "http") + "/ws")
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.Canvas(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBalanceFindsWhatIsLostAndWhatIsThereTwice(t *testing.T) {
	for _, tt := range []struct {
		name             string
		seqs             []uint64 // acknowledged, 0: refused
		end, others      uint64
		lost, duplicated int64
	}{
		{"all is well", []uint64{11, 12, 13}, 13, 0, 0, 0},
		{"a refusal takes no place", []uint64{11, 0, 12}, 12, 0, 0, 0},
		{"an acknowledgement beyond the end is lost", []uint64{11, 12, 13}, 12, 0, 1, 0},
		{"an acknowledgement from before the start is lost, and its place is somebody's", []uint64{10, 11}, 12, 0, 1, 1},
		{"a place that two were given has lost one of them", []uint64{11, 11}, 11, 0, 1, 0},
		{"a place that nobody was given is one too many", []uint64{11, 13}, 13, 0, 0, 1},
		{"a change of configuration takes a place", []uint64{11, 13}, 13, 1, 0, 0},
		{"a wiped log has lost everything", []uint64{11, 12}, 2, 0, 2, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAccount(4, make([]trace.Event, len(tt.seqs)), blank(t, 10))
			for i, seq := range tt.seqs {
				if seq == 0 {
					a.refused(int32(i), wire.Refusal{Code: 13})
				} else {
					a.placed(int32(i), wire.Placed{Seq: seq})
				}
			}
			b := a.balance([wire.ShardsMax]uint64{tt.end}, tt.others)
			if b.lost != tt.lost || b.duplicated != tt.duplicated || (len(b.faults) > 0) != (tt.lost+tt.duplicated > 0) {
				t.Errorf("%+v, want %d lost and %d duplicated", b, tt.lost, tt.duplicated)
			}
		})
	}
}

func TestFoldIsTheStartAndWhatWasAccepted(t *testing.T) {
	events := []trace.Event{{Pos: 1, Color: 3}, {Pos: 6, Color: 4}, {Pos: 1, Color: 5}, {Pos: 2, Color: 9}}
	a := newAccount(4, events, blank(t, 0))
	for i := range 3 {
		a.placed(int32(i), wire.Placed{Seq: uint64(i + 1)})
	}
	a.refused(3, wire.Refusal{Code: 13})
	fold, want := a.fold(), []uint8{0, 5, 0, 0, 0, 0, 4, 0}
	for i, c := range want {
		if got := fold.Shards[0].View.At(i); got != c {
			t.Errorf("pixel %d is %d, want %d", i, got, c)
		}
	}
	if d := fold.Differs(a.start); d == "" {
		t.Error("the fold changed the start canvas, or Differs does not look")
	}
}

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
	s, err := client.NewServer("ws" + strings.TrimPrefix(web.URL, "http"))
	if err != nil {
		t.Fatal(err)
	}
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

func TestSampleIsBoundedAndNewestFirst(t *testing.T) {
	var events []trace.Event
	for i := range 24 {
		events = append(events, trace.Event{Pos: uint32(i % 8), Color: uint8(i % 16)})
	}
	a := newAccount(4, events, blank(t, 0))
	for i := range events {
		a.placed(int32(i), wire.Placed{Seq: uint64(i + 1)})
	}
	if got := a.samplePixels(-1); len(got) != 8 {
		t.Errorf("all are %d pixels, want 8", len(got))
	}
	got := a.samplePixels(3)
	if len(got) != 3 {
		t.Fatalf("%d pixels, want 3", len(got))
	}
	for _, w := range got {
		pos := uint64(w.y*4 + w.x)
		if len(w.events) != 3 || w.events[0].seq != pos+17 || w.events[2].seq != pos+1 {
			t.Errorf("%+v", w)
		}
	}
}

// Scripts of others read these names.
func TestReportHasItsNames(t *testing.T) {
	var b strings.Builder
	r := Report{Sent: 3, Accepted: 2, WatchersEqual: true}
	if err := r.writeJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields("sent accepted rejected seen lost duplicated p50_ms p99_ms watchers_equal rest_equal fold_equal faults") {
		if _, ok := got[name]; !ok {
			t.Errorf("no %s in %s", name, b.String())
		}
	}
	if strings.Count(b.String(), "\n") != 1 {
		t.Error("not one line")
	}
	b.Reset()
	r.fault("a thing is wrong")
	if err := r.writeText(&b); err != nil || !strings.Contains(b.String(), "FAULT: a thing is wrong") || strings.Contains(b.String(), "all is well") {
		t.Errorf("%v: %s", err, b.String())
	}
}

func TestProgressTellsWhenItWillEnd(t *testing.T) {
	for _, tt := range []struct {
		name     string
		accepted int64
		elapsed  time.Duration
		want     string
	}{
		{"a server that keeps up ends with the trace", 500, 50 * time.Second, "ETA 50s"},
		{"one that does not takes as long as it did", 500, 200 * time.Second, "ETA 3m20s"},
		{"nothing is known at the start", 0, 0, "ETA 1m40s"},
		{"nothing is left at the end", 1000, 100 * time.Second, "ETA 0s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAccount(1, make([]trace.Event, 1000), nil)
			a.accepted.Store(tt.accepted)
			if got := progressLine(a, tt.elapsed, 100*time.Second); !strings.Contains(got, tt.want) {
				t.Errorf("%q, want %s", got, tt.want)
			}
		})
	}
}

func TestOptionsAreCheckedAllAtOnce(t *testing.T) {
	o := ReplayOptions{Speed: 0, Watchers: -1, Painters: clientsMax + 1, History: -2, From: -1, Patience: 0}
	err := o.validate()
	for _, flag := range []string{"--url", "--speed", "--watchers", "--painters", "--history", "--from", "--patience"} {
		if err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%v does not name %s", err, flag)
		}
	}
	good := ReplayOptions{URL: []string{"ws://a/ws"}, Speed: 100, Watchers: 200, Patience: time.Minute}
	if err := good.validate(); err != nil {
		t.Error(err)
	}
}
