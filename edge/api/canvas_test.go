package api

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"pixelwall/core"
	"pixelwall/wire"
)

// fetch follows /api/v1/canvas and returns the file.
func (w *world) fetch() wire.CanvasFile {
	w.t.Helper()
	a := w.get(w.location())
	if a.StatusCode != http.StatusOK {
		w.t.Fatal(a)
	}
	file, err := wire.ParseCanvasFile(a.body)
	if err != nil {
		w.t.Fatal(err)
	}
	return file
}

func (w *world) location() string {
	w.t.Helper()
	a := w.get("/api/v1/canvas")
	if a.StatusCode != http.StatusFound || len(a.body) != 0 {
		w.t.Fatal(a)
	}
	return a.Header.Get("Location")
}

// sameAsBoard checks a canvas file against the board that it shows.
func (w *world) sameAsBoard(file wire.CanvasFile) {
	w.t.Helper()
	s := w.board.Snapshot()
	if file.Canvas != s.Canvas || int(file.Width) != s.Config.Width || int(file.Height) != s.Config.Height || file.Bits != s.Config.Bits {
		w.t.Fatalf("head %x %dx%d %d bits", file.Canvas, file.Width, file.Height, file.Bits)
	}
	ids := s.Config.Geometry().Shards()
	if len(file.Shards) != len(ids) {
		w.t.Fatalf("%d shards, want %d", len(file.Shards), len(ids))
	}
	for i, id := range ids {
		got := file.Shards[i]
		if core.ShardID(got.Shard) != id || got.Seq != s.Heads[id] || got.TimeMS != uint64(s.Times[id]) || !bytes.Equal(got.Packed, s.Shards[id]) {
			w.t.Fatalf("shard %d: %d seq %d time %d, want seq %d time %d; pixels equal: %v", id, got.Shard, got.Seq, got.TimeMS, s.Heads[id], s.Times[id], bytes.Equal(got.Packed, s.Shards[id]))
		}
	}
}

func TestTheCanvasIsTheBoardInEveryCoding(t *testing.T) {
	for _, size := range []struct {
		width, height int
		palette       string
	}{{1000, 1000, "place2017"}, {513, 7, "place2017"}, {33, 1, "place2022"}, {1, 1, "place2017"}} {
		w := newWorld(t, size.width, size.height, size.palette, nil)
		w.place(7, [3]int{0, 0, 3}, [3]int{size.width - 1, size.height - 1, 5})
		where := w.location()
		for coding, open := range map[string]func(io.Reader) (io.Reader, error){
			"":     func(r io.Reader) (io.Reader, error) { return r, nil },
			"gzip": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
			"br":   func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil },
			"zstd": func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r) },
		} {
			a := w.get(where, "Accept-Encoding", coding)
			if a.StatusCode != http.StatusOK || a.Header.Get("Content-Encoding") != coding {
				t.Fatalf("%q: %v", coding, a)
			}
			plain, err := open(bytes.NewReader(a.body))
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(plain)
			if err != nil {
				t.Fatal(err)
			}
			file, err := wire.ParseCanvasFile(data)
			if err != nil {
				t.Fatal(err)
			}
			w.sameAsBoard(file)
		}
	}
}

func TestAShardIsItsPartOfTheCanvas(t *testing.T) {
	w := newWorld(t, 1030, 520, "place2017", nil)
	w.place(7, [3]int{0, 0, 3}, [3]int{1029, 519, 5}, [3]int{600, 3, 7}, [3]int{3, 515, 9})
	where, whole := w.location(), w.fetch()
	for _, s := range whole.Shards {
		a := w.get(where + "/" + itoa(int(s.Shard)))
		file, err := wire.ParseCanvasFile(a.body)
		if err != nil || len(file.Shards) != 1 {
			t.Fatalf("shard %d: %v, %v", s.Shard, err, a)
		}
		got := file.Shards[0]
		if file.Canvas != whole.Canvas || file.Width != whole.Width || got.Shard != s.Shard || got.Seq != s.Seq || got.TimeMS != s.TimeMS || !bytes.Equal(got.Packed, s.Packed) {
			t.Errorf("shard %d differs from its part of the whole", s.Shard)
		}
	}
	for _, bad := range []string{"2x", "-1", "+1", "00", "256", "64", "", "5/", "5/6", "%35"} {
		if a := w.get(where + "/" + bad); a.StatusCode < 400 || a.StatusCode > 404 {
			t.Errorf("%q: %v", bad, a)
		}
	}
}

func TestAConditionalGetIsAnsweredPerCoding(t *testing.T) {
	w := newWorld(t, 64, 64, "place2017", nil)
	where := w.location()
	tags := map[string]bool{}
	for _, coding := range []string{"", "gzip", "br", "zstd"} {
		full := w.get(where, "Accept-Encoding", coding)
		tag := full.Header.Get("ETag")
		if tags[tag] || strings.HasPrefix(tag, "W/") {
			t.Errorf("%q: tag %s is weak or that of another coding", coding, tag)
		}
		tags[tag] = true
		same := w.get(where, "Accept-Encoding", coding, "If-None-Match", `"x", `+tag)
		if same.StatusCode != http.StatusNotModified || len(same.body) > 0 || same.Header.Get("ETag") != tag || same.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: %v", coding, same)
		}
		head := w.do(http.MethodHead, where, "Accept-Encoding", coding)
		for _, name := range []string{"Content-Length", "Content-Type", "ETag", "Content-Encoding", "Cache-Control", "Vary", "Access-Control-Allow-Origin"} {
			if head.Header.Get(name) != full.Header.Get(name) {
				t.Errorf("%q: HEAD has %s %q, GET %q", coding, name, head.Header.Get(name), full.Header.Get(name))
			}
		}
		if head.StatusCode != http.StatusOK || len(head.body) > 0 || head.ContentLength != int64(len(full.body)) {
			t.Errorf("%q: HEAD %v", coding, head)
		}
	}
	if a := w.get(where, "Accept-Encoding", "gzip", "If-None-Match", w.get(where, "Accept-Encoding", "br").Header.Get("ETag")); a.StatusCode != http.StatusOK {
		t.Errorf("the tag of another coding: %v", a.Status)
	}
}

func TestTheRedirectLeadsTo(t *testing.T) {
	for _, tt := range []struct {
		name, canvasURL, publicURL, want, info string
	}{
		{"this host by path", "", "", "/api/v1/canvas/", "/api/v1/canvas"},
		{"this host by path, whatever its public name", "", "https://wall.example/", "/api/v1/canvas/", "/api/v1/canvas"},
		{"the CDN", "https://cdn.example/wall", "https://wall.example", "https://cdn.example/wall/", "https://wall.example/api/v1/canvas"},
		{"the CDN with a slash", "https://cdn.example/wall/", "", "https://cdn.example/wall/", "/api/v1/canvas"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, 8, 8, "place2017", func(o *Options) { o.CanvasURL, o.PublicURL = tt.canvasURL, tt.publicURL })
			got := w.location()
			name := strings.TrimPrefix(got, tt.want)
			if name == got || w.get("/api/v1/canvas/"+name).StatusCode != http.StatusOK {
				t.Errorf("Location %s", got)
			}
			if w.api.CanvasURL() != tt.info {
				t.Errorf("CanvasURL = %s", w.api.CanvasURL())
			}
		})
	}
}

func TestTheLargestCanvasIsServed(t *testing.T) {
	w := newWorld(t, core.SideMax, core.SideMax, "place2022", nil)
	w.place(7, [3]int{0, 0, 3}, [3]int{4095, 4095, 31}, [3]int{4095, 0, 30}, [3]int{2047, 2048, 29})
	where := w.location()
	want := w.get(where).body
	if len(want) != 18+64*17+core.SideMax*core.SideMax {
		t.Fatalf("%d bytes", len(want))
	}
	for _, coding := range []string{"gzip", "br", "zstd"} {
		var plain io.Reader
		var err error
		body := bytes.NewReader(w.get(where, "Accept-Encoding", coding).body)
		switch coding {
		case "gzip":
			plain, err = gzip.NewReader(body)
		case "br":
			plain = brotli.NewReader(body)
		case "zstd":
			plain, err = zstd.NewReader(body)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(plain); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", coding, len(got), err)
		}
	}
	file, err := wire.ParseCanvasFile(want)
	if err != nil {
		t.Fatal(err)
	}
	w.sameAsBoard(file)
}
