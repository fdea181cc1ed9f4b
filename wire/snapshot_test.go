package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

const goldenSnapshotsFile = "testdata/snapshots.json"

// goldenSnapshots are shard snapshots of both widths and the edges of fields.
func goldenSnapshots() []struct {
	Name string
	S    ShardSnapshot
} {
	base := ShardSnapshot{Canvas: 0xfedcba9876543210, Shard: 63, Epoch: 1<<32 - 1, Relay: 9, Next: 1 << 40, TimeMS: 1795000000123}
	of := func(bits uint8, w, h uint16, packed ...byte) ShardSnapshot {
		s := base
		s.Bits, s.Width, s.Height, s.Packed = bits, w, h, packed
		return s
	}
	return []struct {
		Name string
		S    ShardSnapshot
	}{
		{"3 × 3 pixels of 4 bits, the last nibble empty", of(4, 3, 3, 0x01, 0x23, 0x45, 0x67, 0x80)},
		{"2 × 2 pixels of 4 bits", of(4, 2, 2, 0xfe, 0xdc)},
		{"3 × 1 pixels of 8 bits", of(8, 3, 1, 0, 128, 255)},
		{"one pixel, the smallest numbers", ShardSnapshot{Canvas: 1, Next: 1, Bits: 4, Width: 1, Height: 1, Packed: []byte{0xa0}}},
		{"the largest numbers", ShardSnapshot{Canvas: 1<<64 - 1, Shard: 63, Epoch: 1<<32 - 1, Relay: 1<<64 - 1, Next: VarintMax, TimeMS: VarintMax,
			Bits: 8, Width: 1, Height: 2, Packed: []byte{1, 2}}},
	}
}

// malformedSnapshots are faults that every reader must find, in the first golden one.
func malformedSnapshots() []struct {
	Name string
	Code ErrorCode
	B    []byte
} {
	good := goldenSnapshots()[0].S.AppendTo(nil)
	with := func(at int, v ...byte) []byte {
		b := bytes.Clone(good)
		copy(b[at:], v)
		return b
	}
	zeros := make([]byte, 8)
	padded := goldenSnapshots()[0].S
	padded.Packed = []byte{0x01, 0x23, 0x45, 0x67, 0x81}
	return []struct {
		Name string
		Code ErrorCode
		B    []byte
	}{
		{"no bytes", Truncated, nil},
		{"a header without its end", Truncated, good[:46]},
		{"a version of tomorrow", BadVersion, with(0, 2)},
		{"version 0", BadVersion, with(0, 0)},
		{"canvas 0", OutOfRange, with(1, zeros...)},
		{"shard 64", OutOfRange, with(9, 64)},
		{"next seq 0", OutOfRange, with(22, zeros...)},
		{"a next seq beyond 2^53", OutOfRange, with(29, 1)},
		{"a time before 1970", OutOfRange, with(37, 0xff)},
		{"5 bits a pixel", OutOfRange, with(38, 5)},
		{"no columns", OutOfRange, with(39, 0, 0)},
		{"513 rows", OutOfRange, with(41, 1, 2)},
		{"fewer pixels than the area has", Truncated, good[:len(good)-1]},
		{"a byte after the pixels", OutOfRange, append(bytes.Clone(good), 0)},
		{"a bit that turned in the pixels", BadChecksum, with(47, 0x03)},
		{"a bit that turned in the CRC", BadChecksum, with(43, good[43]^1)},
		{"a last nibble that belongs to no pixel", BadPadding, padded.AppendTo(nil)},
	}
}

type goldenSnapshot struct {
	Name string
	Code string `json:",omitempty"`
	Hex  string
}

func TestShardSnapshotsAreTheGoldenBytes(t *testing.T) {
	var have struct{ Good, Malformed []goldenSnapshot }
	for _, g := range goldenSnapshots() {
		have.Good = append(have.Good, goldenSnapshot{Name: g.Name, Hex: hex.EncodeToString(g.S.AppendTo(nil))})
	}
	for _, m := range malformedSnapshots() {
		have.Malformed = append(have.Malformed, goldenSnapshot{m.Name, m.Code.String(), hex.EncodeToString(m.B)})
	}
	sameAsGolden(t, goldenSnapshotsFile, have, "  ")
}

func TestAShardSnapshotComesBackAsItWas(t *testing.T) {
	for _, g := range goldenSnapshots() {
		t.Run(g.Name, func(t *testing.T) {
			b := g.S.AppendTo([]byte("before"))
			got, err := ParseShardSnapshot(b[6:])
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Packed, g.S.Packed) || got.CRC == 0 {
				t.Errorf("pixels %x with CRC %08x, want %x", got.Packed, got.CRC, g.S.Packed)
			}
			got.Packed, got.CRC = nil, 0
			want := g.S
			want.Packed = nil
			if got.AppendTo(nil)[0] != ShardSnapshotVersion || !equalSnapshots(&got, &want) {
				t.Errorf("parsed %+v\nwant   %+v", got, want)
			}
		})
	}
}

func equalSnapshots(a, b *ShardSnapshot) bool {
	return bytes.Equal(a.AppendTo(nil), b.AppendTo(nil)) && a.Canvas == b.Canvas && a.Shard == b.Shard && a.Epoch == b.Epoch &&
		a.Relay == b.Relay && a.Next == b.Next && a.TimeMS == b.TimeMS && a.Bits == b.Bits && a.Width == b.Width && a.Height == b.Height
}

func TestParseShardSnapshotRejects(t *testing.T) {
	for _, m := range malformedSnapshots() {
		t.Run(m.Name, func(t *testing.T) {
			s, err := ParseShardSnapshot(m.B)
			if !errors.Is(err, &Error{Code: m.Code}) {
				t.Errorf("ParseShardSnapshot(%x) = %+v, %v; want %v", m.B, s, err, m.Code)
			}
		})
	}
}

func TestAShardSnapshotIsParsedAndWrittenWithoutAllocating(t *testing.T) {
	s := ShardSnapshot{Canvas: 1, Next: 7, Bits: 4, Width: 512, Height: 512, Packed: make([]byte, 128<<10)}
	b := s.AppendTo(nil)
	if len(b) != ShardSnapshotHeaderBytes+len(s.Packed) {
		t.Errorf("%d bytes", len(b))
	}
	buf := make([]byte, 0, len(b))
	if n := testing.AllocsPerRun(20, func() {
		got, err := ParseShardSnapshot(b)
		if err != nil {
			t.Fatal(err)
		}
		buf = got.AppendTo(buf[:0])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if !bytes.Equal(buf, b) {
		t.Error("wrote other bytes than it read")
	}
}

// An accepted shard snapshot must encode back to the very same bytes.
func FuzzShardSnapshot(f *testing.F) {
	for _, g := range goldenSnapshots() {
		f.Add(g.S.AppendTo(nil))
	}
	for _, m := range malformedSnapshots() {
		f.Add(m.B)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		s, err := ParseShardSnapshot(b)
		if !bytes.Equal(b, before) {
			t.Fatal("the parser wrote to its input")
		}
		if err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		if got := s.AppendTo(nil); !bytes.Equal(got, b) {
			t.Fatalf("round trip\n in %x\nout %x", b, got)
		}
	})
}
