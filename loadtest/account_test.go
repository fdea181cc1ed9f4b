package main

import (
	"encoding/json"
	"maps"
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
	c, err := serverAt(t, web).Canvas(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAnswersAreCountedByName(t *testing.T) {
	a := newAccount(4, make([]trace.Event, 3), blank(t, 0))
	a.placed(0, wire.Placed{Seq: 1})
	a.retried(1, wire.Refusal{Code: 13}, true)
	a.retried(1, wire.Refusal{Code: 17}, true)
	a.refused(1, wire.Refusal{Code: 13})
	got := a.answers()
	if want := map[string]int64{"placed": 1, "unavailable": 2, "draining": 1}; !maps.Equal(got, want) || a.again.Load() != 2 {
		t.Errorf("%v, %d sent again, want %v", got, a.again.Load(), want)
	}
	if text := counts(got); text != "1 draining, 1 placed, 2 unavailable" {
		t.Errorf("as text: %q", text)
	}
}

// The seqs of a shard jump between the second and the third event.
func TestJourneysFollowEachPlacementToEachWatcher(t *testing.T) {
	a := newAccount(4, make([]trace.Event, 4), blank(t, 10))
	began := time.Unix(1000, 0)
	after := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	meant := []time.Time{after(0), after(10), after(20), after(30)}
	for i, seq := range []uint64{12, 11, 5 + jumpMin} {
		a.placed(int32(i), wire.Placed{Seq: seq})
	}
	a.refused(3, wire.Refusal{Code: 13})
	logs := make([]seenLog, 2)
	logs[0].add(client.Seen{To: 12, At: after(50)})
	logs[0].add(client.Seen{To: 11, At: after(60)}) // fetched anew, older
	logs[0].add(client.Seen{To: 6 + jumpMin, At: after(70)})
	logs[1].add(client.Seen{To: 11, At: after(11)})
	j := a.journeys(meant, logs, [wire.ShardsMax]uint64{11})
	// Event 0 after 50 ms, 1 after 40 and 1 ms, 2 after 50 ms.
	if n := j.histogram.TotalCount(); n != 4 || j.seen != 1 {
		t.Errorf("%d journeys, %d seen by all, want 4 and 1", n, j.seen)
	}
	if low, high := j.histogram.Min(), j.histogram.Max(); low != 1000 || high < 50_000 || high > 50_100 {
		t.Errorf("from %d to %d µs", low, high)
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
	for _, name := range strings.Fields("sent accepted rejected seen lost duplicated p50_ms p99_ms watchers_equal rest_equal fold_equal faults retried answers jumps edges reconnects resyncs resyncs_max_per_watcher") {
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
