package trace

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"reflect"
	"strings"
	"testing"

	"pixelwall/wire"
)

func small(colors int) *Trace {
	return &Trace{
		Width: 3, Height: 1, Colors: colors, StartUnix: 1_491_000_000,
		Base: []byte{0, 1, 2},
		Events: []Event{
			{TimeMs: 0, Pos: 0, Color: 1}, {TimeMs: 0, Pos: 2, Color: 0},
			{TimeMs: 1000, Pos: 0, Color: 2}, {TimeMs: 1000, Pos: 0, Color: 0}, {TimeMs: 1000, Pos: 1, Color: 1},
		},
	}
}

func plain(t *testing.T, tr *Trace) []byte {
	t.Helper()
	var packed bytes.Buffer
	if err := tr.Write(&packed); err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(&packed)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func zipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b) // a bytes.Buffer takes everything
	z.Close()
	return out.Bytes()
}

func TestATraceIsReadAsItWasWritten(t *testing.T) {
	for _, colors := range []int{3, 16, 17, 255} {
		for _, frames := range []bool{false, true} {
			want := small(colors)
			want.Frames = frames
			got, err := Read(bytes.NewReader(zipped(plain(t, want))))
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%d colours, frames %v: %+v, %v", colors, frames, got, err)
			}
		}
	}
}

func TestReadRejects(t *testing.T) {
	change := func(offset int, b ...byte) func([]byte) []byte {
		return func(file []byte) []byte { copy(file[offset:], b); return file }
	}
	for _, tt := range []struct {
		name   string // reads on from "Read rejects ..."
		change func([]byte) []byte
		want   string
	}{
		{"another magic", change(0, 'Q'), `magic is "QXT1"`},
		{"an empty file", func(b []byte) []byte { return nil }, "head: the file ends too early"},
		{"half a head", func(b []byte) []byte { return b[:10] }, "head: the file ends too early"},
		{"no width", change(4, 0, 0), "size 0x1"},
		{"more pixels than positions", change(4, 0xff, 0xff, 0xff, 0xff), "size 65535x65535"},
		{"no colours", change(8, 0), "no colours"},
		{"unknown flags", change(9, 2), "unknown flags 02"},
		{"four billion events", change(16, 0xff, 0xff, 0xff, 0xff), "4294967295 events"},
		{"more events than there are", change(16, 6), "event 5 of 6: the file ends too early"},
		{"fewer events than there are", change(16, 4), "bytes follow the 4 events"},
		{"a canvas cut short", func(b []byte) []byte { return b[:21] }, "start canvas: the file ends too early"},
		{"a canvas with an unknown colour", change(20, 0x30), "colour 3 at position 0"},
		{"a position behind the canvas", change(26, 3), "event 0: position 3"},
		{"an unknown colour", change(28, 0xc0), "event 0: colour 3"},
		{"a time that falls", change(22, 1), "event 1: time falls from 1 to 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read(bytes.NewReader(zipped(tt.change(plain(t, small(3))))))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
	if _, err := Read(strings.NewReader("PXT1")); err == nil || !strings.Contains(err.Error(), "not a gzip") {
		t.Errorf("a plain file: %v", err)
	}
	whole := zipped(plain(t, small(3)))
	if _, err := Read(bytes.NewReader(whole[:len(whole)-3])); err == nil {
		t.Error("a gzip file without its checksum was read")
	}
}

func TestSpreadFillsTheSecondAndKeepsTheOrder(t *testing.T) {
	tr := small(3)
	tr.Spread(1)
	want := []Event{{0, 0, 1}, {500, 2, 0}, {1000, 0, 2}, {1333, 0, 0}, {1666, 1, 1}}
	if !reflect.DeepEqual(tr.Events, want) {
		t.Errorf("got %v, want %v", tr.Events, want)
	}
}

func TestSpreadShufflesAFrameOverItsInterval(t *testing.T) {
	tr := small(3)
	tr.Frames = true
	for i := range tr.Events {
		tr.Events[i].TimeMs = 5000
	}
	before := append([]Event(nil), tr.Events...)
	tr.Spread(1)
	left := map[uint32]int{}
	for i, e := range tr.Events {
		left[e.Pos<<8|uint32(e.Color)]++
		left[before[i].Pos<<8|uint32(before[i].Color)]--
		if e.TimeMs != uint32(i)*1000 {
			t.Errorf("event %d at %d ms", i, e.TimeMs)
		}
	}
	for key, n := range left {
		if n != 0 {
			t.Errorf("event %x is there %+d times more than before", key, n)
		}
	}
}

func TestCutAndNet(t *testing.T) {
	tr := small(3)
	natural := tr.CutNatural()
	if len(natural) != 2 || len(natural[0]) != 2 || len(natural[1]) != 3 {
		t.Fatalf("natural batches %v", natural)
	}
	if cut := tr.Cut(4); len(cut) != 2 || len(cut[0]) != 4 || len(cut[1]) != 1 {
		t.Errorf("batches of four %v", cut)
	}
	if got, want := Net(tr.Base, natural[0]), []Event{{0, 0, 1}, {0, 2, 0}}; !reflect.DeepEqual(got, want) {
		t.Errorf("net of the first second %v, want %v", got, want)
	}
	// Position 0 is painted twice and ends as it began, 1 is painted as it is.
	if got := Net(tr.Base, natural[1]); len(got) != 0 {
		t.Errorf("net of the second second %v, want nothing", got)
	}
}

func TestTheRealTracesAreAsTheirReadmeSays(t *testing.T) {
	for _, tt := range []struct {
		file   string
		frames bool
		events int
	}{
		{"place2017_last89min_1000x1000.pxt.gz", false, 473_214},
		{"place2022_day1_frames_1000x1000.pxt.gz", true, 584_609},
	} {
		path, err := Recorded(tt.file)
		if err != nil {
			t.Skip(err)
		}
		tr, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if tr.Width != 1000 || tr.Height != 1000 || tr.Colors != 16 || tr.Frames != tt.frames || len(tr.Events) != tt.events {
			t.Errorf("%s: %dx%d, %d colours, frames %v, %d events", tt.file, tr.Width, tr.Height, tr.Colors, tr.Frames, len(tr.Events))
		}
	}
}

// Whatever is read can be written, and is then read as the same trace.
func FuzzRead(f *testing.F) {
	for _, colors := range []int{3, 17} {
		tr := small(colors)
		var b bytes.Buffer
		if err := tr.Write(&b); err != nil {
			f.Fatal(err)
		}
		z, _ := gzip.NewReader(&b)
		file, _ := io.ReadAll(z)
		f.Add(file)
		f.Add(binary.LittleEndian.AppendUint32(file[:16:16], 1<<27))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		tr, err := Read(bytes.NewReader(zipped(file)))
		if err != nil {
			return
		}
		again, err := Read(bytes.NewReader(zipped(plain(t, tr))))
		if err != nil || !reflect.DeepEqual(again, tr) {
			t.Fatalf("%v\n in %+v\nout %+v", err, tr, again)
		}
	})
}

func TestShardsHoldTheCanvasInSquares(t *testing.T) {
	for _, colors := range []int{16, 17} {
		tr := &Trace{Width: 5, Height: 3, Colors: colors, Base: make([]byte, 15)}
		for i := range tr.Base {
			tr.Base[i] = byte(i)
		}
		s := tr.Shards(2)
		if len(s.Canvases) != 6 || s.Canvases[2].Width != 1 || s.Canvases[5].Height != 1 {
			t.Fatalf("%d colours: canvases %+v", colors, s.Canvases)
		}
		// Position 9 is (4, 1): the second row of the shard at the right edge.
		if got := s.Canvases[2].At(1); got != 9 {
			t.Errorf("%d colours: (4,1) is %d, want 9", colors, got)
		}
		split := s.Split([]Event{{0, 3, 1}, {0, 7, 2}, {0, 14, 3}})
		if !reflect.DeepEqual(split[1], []wire.Pixel{{Index: 1, Color: 1}, {Index: 2, Color: 2}}) ||
			!reflect.DeepEqual(split[5], []wire.Pixel{{Index: 0, Color: 3}}) {
			t.Errorf("%d colours: split %v", colors, split)
		}
	}
}
