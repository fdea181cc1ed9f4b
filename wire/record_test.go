package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

const goldenRecordsFile = "testdata/records.json"

func testRecordConfig() []byte {
	c := RecordConfig{Version: 2, Width: 1000, Height: 700, Bits: 4, Blank: 1, CooldownMS: 5000, BurstMax: 3,
		Colors: []Color{{0xFFFFFF, "white"}, {0x0083C7, "Blau-grün"}}}
	return c.AppendTo(nil)
}

func testRecordEvents() []byte {
	b := AppendRecordEvent(nil, RecordEvent{Offset: 1<<18 - 1, Color: 255, Old: 7, User: 1<<64 - 1, Instance: 0x0123456789abcdef, Number: 1<<32 - 1})
	return AppendRecordEvent(b, RecordEvent{Offset: 513, Color: 3})
}

// goldenRecords are one record of every kind and the edges of fields.
func goldenRecords() []struct {
	Name string
	R    Record
} {
	base := Record{Canvas: 0xfedcba9876543210, Shard: 63, Epoch: 1<<32 - 1, Relay: 9, First: 1 << 40, TimeMS: 1795000000123}
	of := func(k RecordKind, change func(*Record)) Record {
		r := base
		r.Kind = k
		change(&r)
		return r
	}
	return []struct {
		Name string
		R    Record
	}{
		{"two placements", of(RecordOfPlacements, func(r *Record) { r.N, r.Events = 2, testRecordEvents() })},
		{"a blank start canvas", of(RecordOfStart, func(r *Record) { r.First, r.Config = 0, testRecordConfig() })},
		{"a painted start canvas", of(RecordOfStart, func(r *Record) { r.First, r.Config, r.Pixels = 0, testRecordConfig(), []byte{0x12, 0x30} })},
		{"a configuration", of(RecordOfConfig, func(r *Record) { r.Config = testRecordConfig() })},
		{"a claim", of(RecordOfClaim, func(r *Record) { r.First = 0 })},
		{"a marker", of(RecordOfMarker, func(r *Record) { r.LastOld = 1<<40 - 1 })},
		{"a record of the smallest numbers", Record{Kind: RecordOfConfig, Canvas: 1, First: 1, Config: testRecordConfig()}},
	}
}

type goldenRecord struct{ Name, Hex string }

func TestRecordsAreTheGoldenBytes(t *testing.T) {
	var have []goldenRecord
	for _, g := range goldenRecords() {
		have = append(have, goldenRecord{g.Name, hex.EncodeToString(g.R.AppendTo(nil))})
	}
	sameAsGolden(t, goldenRecordsFile, have, "  ")
}

func TestARecordComesBackAsItWas(t *testing.T) {
	for _, g := range goldenRecords() {
		t.Run(g.Name, func(t *testing.T) {
			r, err := ParseRecord(g.R.AppendTo(nil))
			if err != nil {
				t.Fatal(err)
			}
			if r.Kind != g.R.Kind || r.Canvas != g.R.Canvas || r.Shard != g.R.Shard || r.Epoch != g.R.Epoch || r.Relay != g.R.Relay ||
				r.First != g.R.First || r.TimeMS != g.R.TimeMS || r.N != g.R.N || r.LastOld != g.R.LastOld ||
				!bytes.Equal(r.Events, g.R.Events) || !bytes.Equal(r.Config, g.R.Config) || !bytes.Equal(r.Pixels, g.R.Pixels) {
				t.Errorf("parsed %+v\nwant   %+v", r, g.R)
			}
		})
	}
}

func TestARecordsEventsComeBack(t *testing.T) {
	r := Record{N: 2, Events: testRecordEvents()}
	if e := r.Event(0); e != (RecordEvent{1<<18 - 1, 255, 7, 1<<64 - 1, 0x0123456789abcdef, 1<<32 - 1}) {
		t.Errorf("event 0 = %+v", e)
	}
	if e := r.Event(1); e != (RecordEvent{Offset: 513, Color: 3}) {
		t.Errorf("event 1 = %+v", e)
	}
}

func TestParseRecordRejects(t *testing.T) {
	good := goldenRecords()
	placements, start, config, claim := good[0].R.AppendTo(nil), good[2].R.AppendTo(nil), good[3].R.AppendTo(nil), good[4].R.AppendTo(nil)
	with := func(b []byte, at int, v ...byte) []byte {
		b = bytes.Clone(b)
		copy(b[at:], v)
		return b
	}
	longName := with(config, RecordHeaderBytes+22+3, 200)
	for _, tt := range []struct {
		name string // reads on from "ParseRecord rejects ..."
		b    []byte
		want ErrorCode
	}{
		{"no bytes", nil, Truncated},
		{"a header without its end", placements[:40], Truncated},
		{"a version of tomorrow", with(placements, 0, 2), BadVersion},
		{"version 0", with(placements, 0, 0), BadVersion},
		{"kind 0", with(placements, 1, 0), OutOfRange},
		{"kind 6", with(placements, 1, 6), OutOfRange},
		{"canvas 0", with(placements, 2, make([]byte, 8)...), OutOfRange},
		{"shard 64", with(placements, 10, 64), OutOfRange},
		{"placements at seq 0", with(placements, 23, make([]byte, 8)...), OutOfRange},
		{"a seq beyond 2^53", with(placements, 30, 1), OutOfRange},
		{"a start canvas at seq 1", with(start, 23, 1), OutOfRange},
		{"a time before 1970", with(placements, 38, 0xff), OutOfRange},
		{"no placements", with(placements, 39, 0, 0), OutOfRange},
		{"placements in a claim", with(claim, 39, 1, 0), OutOfRange},
		{"more placements than there are", with(placements, 39, 3, 0), Truncated},
		{"fewer placements than there are", with(placements, 39, 1, 0), OutOfRange},
		{"an offset of 2^18", with(placements, RecordHeaderBytes, 0, 0, 4), OutOfRange},
		{"a body in a claim", append(bytes.Clone(claim), 0), OutOfRange},
		{"a configuration without its end", config[:len(config)-1], Truncated},
		{"a byte after a configuration", append(bytes.Clone(config), 0), OutOfRange},
		{"a colour's name that goes on behind the end", longName, Truncated},
		{"257 colours", with(config, RecordHeaderBytes+20, 1, 1), OutOfRange},
		{"256 colours that are not there", with(config, RecordHeaderBytes+20, 0, 1), Truncated},
		{"a name that is no UTF-8", with(config, RecordHeaderBytes+26, 0xff), BadUTF8},
		{"a negative cooldown", with(config, RecordHeaderBytes+17, 0xff), OutOfRange},
		{"a start canvas whose configuration is longer than it", with(start, RecordHeaderBytes, 0xff, 0xff), Truncated},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := ParseRecord(tt.b)
			if !errors.Is(err, &Error{Code: tt.want}) {
				t.Errorf("ParseRecord(%x) = %+v, %v; want %v", tt.b, r, err, tt.want)
			}
		})
	}
}

func TestParsingAndWritingPlacementsAllocatesNothing(t *testing.T) {
	g := goldenRecords()[0].R
	b := g.AppendTo(nil)
	buf := make([]byte, 0, len(b))
	if n := testing.AllocsPerRun(100, func() {
		r, err := ParseRecord(b)
		if err != nil || r.N != 2 {
			t.Fatal(err)
		}
		buf = r.AppendHeader(buf[:0])
		for i := range r.N {
			buf = AppendRecordEvent(buf, r.Event(i))
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if !bytes.Equal(buf, b) {
		t.Errorf("wrote %x, want %x", buf, b)
	}
}

// An accepted record must encode back to the very same bytes, and so must its
// configuration and its events.
func FuzzRecord(f *testing.F) {
	for _, g := range goldenRecords() {
		f.Add(g.R.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRecord(b)
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if got := r.AppendTo(nil); !bytes.Equal(got, b) {
			t.Fatalf("round trip\n in %x\nout %x", b, got)
		}
		var events []byte
		for i := range r.N {
			e := r.Event(i)
			if e.Offset >= 1<<18 {
				t.Fatalf("offset %d", e.Offset)
			}
			events = AppendRecordEvent(events, e)
		}
		if !bytes.Equal(events, r.Events) {
			t.Fatalf("events\n in %x\nout %x", r.Events, events)
		}
		if r.Kind == RecordOfStart || r.Kind == RecordOfConfig {
			c, err := ParseRecordConfig(r.Config)
			if err != nil {
				t.Fatalf("the record was accepted, its configuration was not: %v", err)
			}
			if got := c.AppendTo(nil); !bytes.Equal(got, r.Config) {
				t.Fatalf("configuration\n in %x\nout %x", r.Config, got)
			}
		}
	})
}

func BenchmarkParseRecord(b *testing.B) {
	const n = 1000
	r := Record{Kind: RecordOfPlacements, Canvas: 1, First: 1, N: n, Events: bytes.Repeat(testRecordEvents()[RecordEventBytes:], n)}
	rec := r.AppendTo(nil)
	b.ReportAllocs()
	for b.Loop() {
		r, err := ParseRecord(rec)
		if err != nil {
			b.Fatal(err)
		}
		sum := uint32(0)
		for i := range r.N {
			sum += r.Event(i).Offset
		}
		if sum != n*513 {
			b.Fatal(sum)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/placement")
}
