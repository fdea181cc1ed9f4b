package persist

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"pixelwall/core"
	"pixelwall/wire"
)

func testRecords() map[string]*core.Record {
	p, _ := core.NamedPalette("place2022")
	c := &core.Config{Version: 4, Width: 4096, Height: 1, Bits: 8, Blank: 31, Palette: p, CooldownMS: core.CooldownMSMax, BurstMax: 1000}
	return map[string]*core.Record{
		"placements": {Kind: core.KindPlacements, Canvas: 1, Epoch: 2, Relay: 3, Shard: 63, First: 4, TimeMS: 5, Events: []core.Event{
			{Offset: core.ShardPixels - 1, Color: 255, Old: 1, User: 1<<64 - 1, Request: core.Request{Instance: 1<<64 - 1, Number: 1<<32 - 1}},
			{Offset: 0, Color: 0, Old: 255},
		}},
		"a blank start":   {Kind: core.KindStart, Canvas: 1, TimeMS: 5, Config: c},
		"a painted start": {Kind: core.KindStart, Canvas: 1, TimeMS: 5, Config: c, Pixels: []byte{1, 2, 3}},
		"a configuration": {Kind: core.KindConfig, Canvas: 1, First: 9, Config: c},
		"a claim":         {Kind: core.KindClaim, Canvas: 1, Epoch: 7, Relay: 8},
		"a marker":        {Kind: core.KindMarker, Canvas: 1, First: 1 << 20, LastOld: 77},
	}
}

func TestARecordComesBackAsItWas(t *testing.T) {
	var got core.Record
	for name, want := range testRecords() {
		t.Run(name, func(t *testing.T) {
			b := AppendRecord([]byte("before"), want)
			if !bytes.HasPrefix(b, []byte("before")) {
				t.Fatal("what was there before is gone")
			}
			if err := DecodeRecord(b[6:], &got); err != nil {
				t.Fatal(err)
			}
			have := got
			if have.Events = nil; want.Events != nil {
				have.Events = got.Events
			}
			if !reflect.DeepEqual(&have, want) {
				t.Errorf("have %+v\nwant %+v", have, *want)
			}
		})
	}
}

func TestDecodeRecordFailsWithATypedErrorAndNothingElse(t *testing.T) {
	b := AppendRecord(nil, testRecords()["placements"])
	b[0]++
	var r core.Record
	if err := DecodeRecord(b, &r); !errors.Is(err, &wire.Error{Code: wire.BadVersion}) {
		t.Errorf("a newer version: %v", err)
	}
}

func TestPlacementsAreConvertedWithoutAllocating(t *testing.T) {
	want := testRecords()["placements"]
	b := AppendRecord(nil, want)
	if len(b) != RecordBytes(len(want.Events)) {
		t.Errorf("%d bytes, RecordBytes says %d", len(b), RecordBytes(len(want.Events)))
	}
	r := core.Record{Events: make([]core.Event, 0, 8)}
	buf := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() {
		if err := DecodeRecord(b, &r); err != nil {
			t.Fatal(err)
		}
		buf = AppendRecord(buf[:0], &r)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if !bytes.Equal(buf, b) {
		t.Errorf("wrote %x, want %x", buf, b)
	}
}
