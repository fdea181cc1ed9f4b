package api

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"pixelwall/core"
)

func TestAVersionIsMadeWhenSomethingChangedAndASecondIsOver(t *testing.T) {
	w := newWorld(t, 16, 16, "place2017", nil)
	first := w.location()
	for _, step := range []struct {
		name string
		do   func()
		same bool
	}{
		{"nothing happened", func() {}, true},
		{"time passed and nothing changed", func() { w.clock.add(time.Hour) }, true},
		{"a pixel changed a second after the last version", func() { w.place(1, [3]int{1, 1, 1}) }, false},
		{"a pixel changed within a second of it", func() { w.place(1, [3]int{1, 1, 2}); w.clock.add(999 * time.Millisecond) }, true},
		{"the second is over", func() { w.clock.add(time.Millisecond) }, false},
		{"clients were told to fetch it again within a second", func() { w.place(1, [3]int{1, 1, 3}); w.board.reset() }, false},
		{"they were told, and nothing is newer", func() { w.board.reset() }, true},
	} {
		step.do()
		next := w.location()
		if (next == first) != step.same {
			t.Errorf("%s: %s after %s", step.name, next, first)
		}
		first = next
	}
	if made := w.board.made(); made != 4 {
		t.Errorf("%d snapshots were taken, want 4", made)
	}
	w.sameAsBoard(w.fetch())
}

func TestAVersionIsKeptForAMinuteAfterANewerOne(t *testing.T) {
	w := newWorld(t, 16, 16, "place2017", nil)
	old := w.location()
	before := w.get(old)
	w.clock.add(time.Hour) // the newest one is kept for ever
	w.place(1, [3]int{1, 1, 1})
	if w.location() == old {
		t.Fatal("no newer version")
	}
	w.clock.add(time.Minute)
	if a := w.get(old); a.StatusCode != http.StatusOK || string(a.body) != string(before.body) || a.Header.Get("ETag") != before.Header.Get("ETag") {
		t.Errorf("after a minute: %v", a)
	}
	w.clock.add(versionKept - time.Minute)
	if a := w.get(old); a.StatusCode != http.StatusNotFound || a.code() != "not_found" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("after its time: %v", a)
	}
	w.fetch()
}

// With no room for another version clients get an older canvas; nothing that was
// promised for a minute is dropped, and nothing grows beyond the bound.
func TestVersionsStayWithinTheirBytes(t *testing.T) {
	const most = 64 << 10
	w := newWorld(t, 128, 128, "place2017", func(o *Options) { o.CanvasBytesMax = most })
	random := rand.New(rand.NewPCG(1, 2))
	last := map[string]time.Time{} // when each version was last the newest
	made := 0
	for range 300 {
		w.clock.add(time.Second)
		w.place(1, [3]int{random.IntN(128), random.IntN(128), random.IntN(16)})
		where := w.location()
		if _, known := last[where]; !known {
			made++
		}
		last[where] = w.clock.Now()
		for _, coding := range []string{"zstd", "br", "gzip", ""} {
			if a := w.get(where, "Accept-Encoding", coding); a.StatusCode != http.StatusOK {
				t.Fatal(a)
			}
		}
		for name, seen := range last {
			if w.clock.Now().Sub(seen) <= time.Minute {
				if a := w.do(http.MethodHead, name); a.StatusCode != http.StatusOK {
					t.Fatalf("a version is gone %v after it was the newest: %v", w.clock.Now().Sub(seen), a)
				}
			}
		}
		if total := w.api.versions.total(); total > most {
			t.Fatalf("%d bytes are kept", total)
		}
	}
	if made < 10 || made > 100 {
		t.Errorf("%d versions in 300 s", made)
	}
}

func (vs *versions) total() (sum int64) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	for _, v := range vs.kept {
		sum += v.bytes.Load()
	}
	return sum
}

// Two servers that follow the same log give the same bytes the same name, so a
// CDN may ask either.
func TestOriginsAgree(t *testing.T) {
	one := newWorld(t, 600, 30, "place2022", nil)
	other := newWorld(t, 600, 30, "place2022", nil)
	other.store, other.board.id = one.store, one.board.id
	random := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		one.place(uint64(random.IntN(5)+1), [3]int{random.IntN(600), random.IntN(30), random.IntN(32)})
	}
	other.follow()
	where := one.location()
	if got := other.location(); got != where {
		t.Fatalf("%s and %s", where, got)
	}
	for _, path := range []string{where, where + "/0", where + "/1"} {
		for _, coding := range []string{"zstd", "br", "gzip", ""} {
			a, b := one.get(path, "Accept-Encoding", coding), other.get(path, "Accept-Encoding", coding)
			if string(a.body) != string(b.body) || a.Header.Get("ETag") != b.Header.Get("ETag") {
				t.Errorf("%s in %q differs: %v and %v", path, coding, a, b)
			}
		}
	}
}

func TestOtherCanvasesHaveOtherNames(t *testing.T) {
	base := core.Snapshot{Canvas: 1, Config: core.Config{Width: 10, Height: 20, Bits: 4}}
	names := map[string]string{versionName(&base): "the same"}
	for what, change := range map[string]func(*core.Snapshot){
		"another id":     func(s *core.Snapshot) { s.Canvas = 2 },
		"another width":  func(s *core.Snapshot) { s.Config.Width = 20 },
		"another height": func(s *core.Snapshot) { s.Config.Height = 10 },
		"other bits":     func(s *core.Snapshot) { s.Config.Bits = 8 },
		"another seq":    func(s *core.Snapshot) { s.Heads[0] = 1 },
		"the seq of another shard": func(s *core.Snapshot) {
			s.Heads[63] = 1
		},
	} {
		s := base
		change(&s)
		name := versionName(&s)
		if had, ok := names[name]; ok {
			t.Errorf("%s has the name of %s", what, had)
		}
		names[name] = what
	}
	again := base
	again.TimeMS = 5
	if _, ok := names[versionName(&again)]; !ok {
		t.Error("the time of a snapshot is in its name, which no two servers agree on")
	}
}

// A crowd that asks at once costs one snapshot and one encoding.
func TestACrowdSharesOneEncoding(t *testing.T) {
	w := newWorld(t, 1000, 1000, "place2017", nil)
	w.place(1, [3]int{1, 1, 1})
	w.client.Transport.(*http.Transport).MaxIdleConnsPerHost = 100
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			a := w.get(w.location(), "Accept-Encoding", "zstd")
			if a.StatusCode != http.StatusOK || a.Header.Get("Content-Encoding") != "zstd" {
				t.Error(a)
			}
		})
	}
	wg.Wait()
	encoded := len(w.get(w.location(), "Accept-Encoding", "zstd").body)
	raw := len(w.get(w.location()).body)
	if total := w.api.versions.total(); w.board.made() != 1 || total != int64(raw+encoded) {
		t.Errorf("%d snapshots; %d bytes are kept, want %d", w.board.made(), total, raw+encoded)
	}
}

func TestTheCounterOfCanvasBytesIsExact(t *testing.T) {
	w := newWorld(t, 600, 600, "place2017", nil)
	want := map[string]int{}
	check := func(what string) {
		t.Helper()
		text := string(w.get("/metrics").body)
		for _, kind := range []string{"canvas", "shard", "png"} {
			line := fmt.Sprintf("pixelwall_canvas_bytes_total{kind=%q} %v\n", kind, float64(want[kind]))
			if !strings.Contains(text, line) {
				t.Errorf("%s: no line %q in\n%s", what, line, grep(text, "pixelwall_canvas"))
			}
		}
	}
	check("at the start")
	where := w.location()
	w.do(http.MethodHead, where)
	etag := w.get(where, "If-None-Match", "*").Header.Get("ETag")
	w.get(where, "If-None-Match", etag)
	w.get("/api/v1/canvas.png", "If-None-Match", "*")
	w.do(http.MethodHead, "/api/v1/canvas.png")
	w.get(where + "/9")
	check("without a body")
	for range 3 {
		want["canvas"] += len(w.get(where, "Accept-Encoding", "br").body)
		want["canvas"] += len(w.get(where).body)
		want["shard"] += len(w.get(where+"/3", "Accept-Encoding", "gzip").body)
		want["png"] += len(w.get("/api/v1/canvas.png").body)
	}
	check("with bodies")
}

func grep(text, what string) string {
	var found []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, what) {
			found = append(found, line)
		}
	}
	return strings.Join(found, "")
}
