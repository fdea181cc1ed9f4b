package api

import (
	"bytes"
	"io"
	"net/http"
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
