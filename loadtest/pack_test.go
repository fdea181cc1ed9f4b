package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pixelwall/tools/trace"
)

// The rows are in no order, and the colours in another one than the palette's.
const recorded = `timestamp,user_id,pixel_color,coordinate
2022-04-04 00:53:51.577 UTC,abc==,#00CCC0,"2,1"
2022-04-04 00:53:50.9 UTC,def==,#000000,"0,0"
2022-04-04 00:53:51.001 UTC,def==,#FFFFFF,"0,0"
2022-04-04 00:53:53 UTC,ghi==,#00CCC0,"0,1,1,2"
`

func packRecorded(t *testing.T) (path, palette string) {
	t.Helper()
	dir := t.TempDir()
	events := filepath.Join(dir, "recorded.csv")
	if err := os.WriteFile(events, []byte(recorded), 0o644); err != nil {
		t.Fatal(err)
	}
	path, palette = filepath.Join(dir, "place.pxt.gz"), filepath.Join(dir, "place.palette")
	if err := realMain(t.Context(), []string{"pack", events, path}, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	return path, palette
}

func TestPackKeepsWhatWasPainted(t *testing.T) {
	path, palette := packRecorded(t)
	tr, err := trace.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if tr.Width != 3 || tr.Height != 3 || tr.Colors != 3 || tr.Frames || tr.StartUnix != 1_649_033_630 || slices.Max(tr.Base) != 0 {
		t.Errorf("%dx%d, %d colours, frames %v, from %d, begins as %v", tr.Width, tr.Height, tr.Colors, tr.Frames, tr.StartUnix, tr.Base)
	}
	want := []trace.Event{
		{TimeMs: 0, Pos: 0, Color: 2}, {TimeMs: 1000, Pos: 0, Color: 0}, {TimeMs: 1000, Pos: 5, Color: 1},
		{TimeMs: 3000, Pos: 3, Color: 1}, {TimeMs: 3000, Pos: 4, Color: 1}, {TimeMs: 3000, Pos: 6, Color: 1}, {TimeMs: 3000, Pos: 7, Color: 1},
	}
	if !slices.Equal(tr.Events, want) {
		t.Errorf("events %v, want %v", tr.Events, want)
	}
	colors, err := os.ReadFile(palette)
	if want := "colour 1 #ffffff\ncolour 2 #00ccc0\ncolour 3 #000000\n"; err != nil || string(colors) != want {
		t.Errorf("palette %q, %v", colors, err)
	}
}

func TestWhatWasPackedCanBeReplayed(t *testing.T) {
	path, palette := packRecorded(t)
	e := startEdge(t, "--listen", "127.0.0.1:0", "--data", t.TempDir(), "--cooldown", "0", "--palette", palette, "--start-canvas", path)
	r, err := run(context.Background(), "--url", "ws://"+e.listen+"/ws", "--trace", path, "--watchers", "2")
	if err != nil || len(r.Faults) > 0 {
		t.Errorf("%v, %v", err, r.Faults)
	}
}

func TestPackRefuses(t *testing.T) {
	packed, _ := packRecorded(t)
	large := filepath.Join(t.TempDir(), "large.csv")
	if err := os.WriteFile(large, []byte(recorded+"2022-04-04 00:53:54 UTC,ghi==,#00CCC0,\"2999,1999\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, events, trace, says string }{
		{"what is packed", packed, filepath.Join(t.TempDir(), "a.pxt.gz"), "does not say which colours"},
		{"a canvas that is too large", large, filepath.Join(t.TempDir(), "large.pxt.gz"), "room for 4194304 pixels"},
		{"a name of another kind", packed, filepath.Join(t.TempDir(), "a.csv"), "must end in .pxt.gz"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := realMain(t.Context(), []string{"pack", tt.events, tt.trace}, io.Discard, io.Discard)
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want %q", err, tt.says)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(tt.trace), "*")); len(left) > 0 {
				t.Errorf("%v was written", left)
			}
		})
	}
}
