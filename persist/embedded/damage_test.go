package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pixelwall/core"
	"pixelwall/persist"
)

// painted returns the bytes of a log of one segment with three groups, and where
// each of them ends.
func painted(t *testing.T) (data []byte, ends []int64) {
	t.Helper()
	fsys := newMemFS()
	s := mustOpen(t, memOptions(fsys))
	ends = append(ends, s.log.durable)
	for i := range 3 {
		place(t, s, by(uint64(i+1), i, 1, 2), by(uint64(i+10), i+600, 1, 2), by(uint64(i+20), i, 700, 2))
		ends = append(ends, s.log.durable)
	}
	mustClose(t, s)
	data, err := readFile(fsys, "/canvas/log/"+segmentName(1), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return data, ends
}

// withLog opens a store whose only segment is data.
func withLog(t *testing.T, data []byte) (*Store, *memFS, error) {
	t.Helper()
	fsys := newMemFS()
	mustClose(t, mustOpen(t, memOptions(fsys)))
	f, err := fsys.Create("/canvas/log/" + segmentName(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
	s, err := Open(memOptions(fsys))
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, fsys, err
}

func TestATornTailIsCutToTheLastWholeGroup(t *testing.T) {
	data, ends := painted(t)
	last := ends[2]
	for _, tt := range []struct {
		name string
		data []byte
	}{
		{"nothing follows", data[:last]},
		{"zeros follow", append(bytes.Clone(data[:last]), make([]byte, 5000)...)},
		{"a frame's first byte follows", data[:last+1]},
		{"a group without its last byte follows", data[:ends[3]-1]},
		{"one record of a group of three follows", data[:last+(ends[3]-last)/3]},
		{"a group whose first record was not written follows", flip(data[:ends[3]], last+20)},
		{"a group whose last record was not written follows", flip(data[:ends[3]], ends[3]-1)},
		{"a length beyond the file follows", append(bytes.Clone(data[:last]), 0xff, 0xff, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, fsys, err := withLog(t, tt.data)
			if err != nil {
				t.Fatal(err)
			}
			if s.log.durable != last {
				t.Errorf("the log ends at %d, want %d", s.log.durable, last)
			}
			if b := foldLog(t, s); b.At(0, 512+1) != 2 || b.At(0, 512+2) != 0 {
				t.Error("the second group is gone, or the third is not")
			}
			if o := place(t, s, by(99, 9, 9, 9))[0]; o.Err != nil {
				t.Error(o.Err)
			}
			mustClose(t, s)
			mustClose(t, mustOpen(t, memOptions(fsys)))
		})
	}
}

func flip(b []byte, at int64) []byte {
	b = bytes.Clone(b)
	b[at] ^= 0x10
	return b
}

func TestDamageToWhatWasDurableIsAnErrorThatChangesNothing(t *testing.T) {
	data, ends := painted(t)
	zeros := bytes.Clone(data[:ends[3]])
	clear(zeros[ends[0]+3 : ends[1]+30])
	for _, tt := range []struct {
		name string
		data []byte
		at   int64
	}{
		{"a bit of a record", flip(data[:ends[3]], ends[1]+30), ends[1]},
		{"a bit of a length", flip(data[:ends[3]], ends[0]+1), ends[0]},
		{"a stretch of zeros", zeros, ends[0]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, fsys, err := withLog(t, tt.data)
			name := "/canvas/log/" + segmentName(1)
			if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), fmt.Sprintf("at byte %d:", tt.at)) {
				t.Errorf("Open = %v, want %s and byte %d in it", err, name, tt.at)
			}
			if have, _ := readFile(fsys, name, 1<<30); !bytes.Equal(have, tt.data) {
				t.Error("the file was changed")
			}
		})
	}
}

func TestDamageInAClosedSegmentIsFoundByWhoeverReadsIt(t *testing.T) {
	fsys := newMemFS()
	o := memOptions(fsys)
	o.SegmentBytes, o.AllocateBytes = 2000, 500
	s := mustOpen(t, o)
	for user := range uint64(100) {
		place(t, s, by(user+1, int(user), 1, 2))
	}
	if n := len(s.log.segments); n < 3 {
		t.Fatalf("%d segments", n)
	}
	f, err := fsys.Open("/canvas/log/" + segmentName(2))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xff}, 700); err != nil {
		t.Fatal(err)
	}
	err = s.Tail(context.Background(), core.Heads{}, func(*core.Record) error { return nil })
	if err == nil || !strings.Contains(err.Error(), segmentName(2)) {
		t.Errorf("Tail = %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	newFolder := func(t *testing.T) Options {
		o := testOptions(t)
		s := mustOpen(t, o)
		place(t, s, by(1, 1, 1, 1))
		mustClose(t, s)
		return o
	}
	write := func(t *testing.T, name string, data []byte) {
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name  string // reads on from "Open refuses ..."
		spoil func(t *testing.T, o *Options)
		want  core.Code
		says  string
	}{
		{"a folder written by a newer program", func(t *testing.T, o *Options) {
			write(t, filepath.Join(o.Dir, metaName), []byte(`{"format":3,"canvas":"0000000000000001"}`))
		}, core.CodeMismatch, "newer program"},
		{"a segment written by a newer program", func(t *testing.T, o *Options) {
			name := filepath.Join(o.Dir, logName, segmentName(1))
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			b[7]++
			write(t, name, b)
		}, core.CodeMismatch, "newer program"},
		{"a folder that another process has open", func(t *testing.T, o *Options) { mustOpen(t, *o) }, core.CodeUnavailable, "another process"},
		{"a log of another canvas", func(t *testing.T, o *Options) {
			write(t, filepath.Join(o.Dir, metaName), []byte(`{"format":1,"canvas":"0000000000000001"}`))
		}, core.CodeInternal, "belongs to canvas"},
		{"a painted log without its meta.json", func(t *testing.T, o *Options) {
			if err := os.Remove(filepath.Join(o.Dir, metaName)); err != nil {
				t.Fatal(err)
			}
		}, core.CodeInternal, "nothing was changed"},
		{"a log with a segment missing", func(t *testing.T, o *Options) {
			if err := os.Rename(filepath.Join(o.Dir, logName, segmentName(1)), filepath.Join(o.Dir, logName, segmentName(2))); err != nil {
				t.Fatal(err)
			}
		}, core.CodeInternal, "holds segment 1"},
		{"a configuration that is not valid", func(t *testing.T, o *Options) {
			o.Dir, o.Create.Config.Width = t.TempDir(), 0
		}, core.CodeInvalid, "canvas size"},
		{"a start canvas of another size", func(t *testing.T, o *Options) {
			o.Dir, o.Create.Start = t.TempDir(), core.NewBoard(core.Geometry{Width: 2, Height: 2, Bits: 4}, 0)
		}, core.CodeMismatch, "another size"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newFolder(t)
			tt.spoil(t, &o)
			s, err := Open(o)
			if err == nil {
				s.Close()
				t.Fatal("Open took it")
			}
			if core.CodeOf(err) != tt.want || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Open = %v (%v), want %v and %q", err, core.CodeOf(err), tt.want, tt.says)
			}
		})
	}
}

func TestCheckComparesWhatWasAskedForWithTheFolder(t *testing.T) {
	o := testOptions(t)
	o.Create.StartHash = "aaaa"
	s := mustOpen(t, o)
	ms := int64(9000)
	if next, err := s.Check(core.Want{Width: 1000, Height: 1000, StartHash: "aaaa", CooldownMS: &ms}); err != nil || next == nil || next.Version != 2 || next.CooldownMS != ms {
		t.Errorf("Check = %+v, %v", next, err)
	}
	if _, err := s.Check(core.Want{StartHash: "bbbb"}); core.CodeOf(err) != core.CodeMismatch || !strings.Contains(err.Error(), o.Dir+" holds a canvas with the start canvas aaaa") {
		t.Errorf("Check = %v", err)
	}
}

// Whatever a segment holds, reading it neither panics nor invents: each record
// that is given lies in the file, whole, with its checksum, and cutting the file
// to its whole groups gives the same records once more.
func FuzzSegment(f *testing.F) {
	var g groupWriter
	g.begin(segmentHeaderBytes)
	for shard := range core.ShardID(3) {
		g.open()
		g.buf = persist.AppendRecord(g.buf, &core.Record{Kind: core.KindPlacements, Canvas: 1, Shard: shard, First: 1, Events: make([]core.Event, 2)})
	}
	body := bytes.Clone(g.finish())
	f.Add(body)
	g.begin(segmentHeaderBytes + int64(len(body)))
	g.open()
	g.buf = append(g.buf, 1, 2, 3)
	two := append(bytes.Clone(body), g.finish()...)
	f.Add(two)
	f.Add(append(bytes.Clone(two), make([]byte, 100)...))
	f.Add(flip(two, 40))
	f.Fuzz(func(t *testing.T, body []byte) {
		data := append(make([]byte, segmentHeaderBytes), body...)
		fsys := newMemFS()
		file, err := fsys.Create("/x")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.WriteAt(data, 0); err != nil {
			t.Fatal(err)
		}
		_, end, err := wholeGroups(file, int64(len(data)))
		if err != nil {
			var bad *badFrame
			if !errors.As(err, &bad) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		at := int64(segmentHeaderBytes)
		err = scan(file, end, func(rec []byte) error {
			at += frameHeaderBytes
			if !bytes.Equal(rec, data[at:at+int64(len(rec))]) {
				t.Fatalf("the record at %d is not what lies there", at)
			}
			at += int64(len(rec))
			return nil
		})
		if err != nil || at != end {
			t.Fatalf("scan to %d ends at %d: %v", end, at, err)
		}
		if _, again, err := wholeGroups(file, end); err != nil || again != end {
			t.Fatalf("cut to %d, whole groups end at %d: %v", end, again, err)
		}
		r := frameReader{file: file, at: end, limit: end}
		if _, err := r.next(); err != io.EOF {
			t.Fatalf("behind the end: %v", err)
		}
	})
}
