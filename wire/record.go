package wire

import (
	"encoding/binary"
	"fmt"
)

const (
	// RecordVersion is the version of the record that this package writes.
	RecordVersion = 1
	// RecordHeaderBytes is the length of what every record begins with.
	RecordHeaderBytes = 41
	// RecordEventBytes is the length of one placement in a record.
	RecordEventBytes = 25
	// RecordEventsMax is the largest number of placements in a record.
	RecordEventsMax = 1<<16 - 1
	// RecordConfigBytesMax is the longest configuration in a record.
	RecordConfigBytesMax = 1<<16 - 1
)

// A RecordKind says what a record holds. Values are stored: add at the end.
type RecordKind uint8

const (
	RecordOfPlacements RecordKind = 1 + iota
	RecordOfStart
	RecordOfConfig
	RecordOfClaim
	RecordOfMarker
)

// A Record is one entry of the event log: the same bytes in a segment file, a
// Redis stream, a Kafka value and a CQL blob. Numbers are little endian.
//
//	offset  size  field
//	0       1     version, 1
//	1       1     kind
//	2       8     canvas id, not 0
//	10      1     shard, 0..63
//	11      4     epoch
//	15      8     relay
//	23      8     first seq; 0 for a start canvas, above 0 for placements, configuration and marker
//	31      8     time, unix ms, at most 2^53-1
//	39      2     n, number of placements; 0 for every other kind
//	41            body
//
//	kind  body
//	1 placements     n × offset (3, below 2^18), colour (1), old colour (1), user (8), instance (8), number (4)
//	2 start canvas   length of the configuration (2), configuration, the packed shard (nothing when it is blank)
//	3 configuration  configuration, see RecordConfig
//	4 claim          nothing
//	5 marker         last old seq (8)
type Record struct {
	Kind   RecordKind
	Canvas uint64
	Shard  uint8
	Epoch  uint32
	Relay  uint64
	First  uint64
	TimeMS int64
	N      int

	Events  []byte // N × RecordEventBytes, see Event
	Config  []byte // see ParseRecordConfig
	Pixels  []byte
	LastOld uint64
}

// A RecordEvent is one placement of a record.
type RecordEvent struct {
	Offset     uint32
	Color, Old uint8
	User       uint64
	Instance   uint64
	Number     uint32
}

// AppendTo appends r to dst, like append. It is the inverse of ParseRecord.
func (r *Record) AppendTo(dst []byte) []byte {
	dst = append(r.AppendHeader(dst), r.Events...)
	switch r.Kind {
	case RecordOfStart:
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(r.Config)))
		dst = append(append(dst, r.Config...), r.Pixels...)
	case RecordOfConfig:
		dst = append(dst, r.Config...)
	case RecordOfMarker:
		dst = appendUint64(dst, r.LastOld)
	}
	return dst
}

// AppendHeader appends the first RecordHeaderBytes of r. A writer of placements
// calls AppendRecordEvent r.N times after it and needs no r.Events.
func (r *Record) AppendHeader(dst []byte) []byte {
	dst = append(dst, RecordVersion, byte(r.Kind))
	dst = append(appendUint64(dst, r.Canvas), r.Shard)
	dst = binary.LittleEndian.AppendUint32(dst, r.Epoch)
	dst = appendUint64(dst, r.Relay)
	dst = appendUint64(dst, r.First)
	dst = appendUint64(dst, uint64(r.TimeMS))
	return binary.LittleEndian.AppendUint16(dst, uint16(r.N))
}

// AppendRecordEvent appends one placement. Offset must be below 2^18.
func AppendRecordEvent(dst []byte, e RecordEvent) []byte {
	dst = append(dst, byte(e.Offset), byte(e.Offset>>8), byte(e.Offset>>16), e.Color, e.Old)
	dst = appendUint64(appendUint64(dst, e.User), e.Instance)
	return binary.LittleEndian.AppendUint32(dst, e.Number)
}

// Event returns placement i of r, 0 <= i < r.N.
func (r *Record) Event(i int) RecordEvent {
	b := r.Events[i*RecordEventBytes:][:RecordEventBytes]
	return RecordEvent{
		Offset: uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16,
		Color:  b[3], Old: b[4],
		User:     binary.LittleEndian.Uint64(b[5:]),
		Instance: binary.LittleEndian.Uint64(b[13:]),
		Number:   binary.LittleEndian.Uint32(b[21:]),
	}
}

// ParseRecord parses the single record b. A record of a newer version is
// BadVersion.
//
// Ownership: r.Events, r.Config and r.Pixels alias b, which ParseRecord neither
// writes to nor copies. It allocates for an error only.
func ParseRecord(b []byte) (r Record, err error) {
	f := fields{rest: b}
	if v := f.uint8("version"); f.err == nil && v != RecordVersion {
		return Record{}, &Error{Code: BadVersion, Msg: fmt.Sprintf("record of version %d, written by a newer program; this one knows version %d", v, RecordVersion)}
	}
	r.Kind = RecordKind(f.uint8("kind"))
	r.Canvas = f.uint64("canvas")
	r.Shard = f.shard()
	r.Epoch = f.uint32("epoch")
	r.Relay = f.uint64("relay")
	r.First = f.uint64("first seq")
	r.TimeMS = int64(f.uint64("time"))
	if n := f.take(2, "n"); n != nil {
		r.N = int(binary.LittleEndian.Uint16(n))
	}
	if f.err == nil {
		r.checkHeader(&f)
	}
	if f.err == nil {
		r.parseBody(&f)
	}
	if f.err == nil && len(f.rest) > 0 {
		f.fail(OutOfRange, "bytes after the record")
	}
	if f.err != nil {
		return Record{}, f.err
	}
	return r, nil
}

func (r *Record) checkHeader(f *fields) {
	switch {
	case r.Kind < RecordOfPlacements || r.Kind > RecordOfMarker:
		f.fail(OutOfRange, "kind")
	case r.Canvas == 0:
		f.fail(OutOfRange, "canvas")
	case uint64(r.TimeMS) > VarintMax:
		f.fail(OutOfRange, "time")
	case r.First > VarintMax || r.First+uint64(r.N) > VarintMax:
		f.fail(OutOfRange, "first seq")
	case r.Kind != RecordOfClaim && (r.First == 0) != (r.Kind == RecordOfStart):
		f.fail(OutOfRange, "first seq of this kind")
	case (r.N == 0) == (r.Kind == RecordOfPlacements):
		f.fail(OutOfRange, "n of this kind")
	}
}

func (r *Record) parseBody(f *fields) {
	switch r.Kind {
	case RecordOfPlacements:
		r.Events = f.take(r.N*RecordEventBytes, "placements")
		for i := 2; i < len(r.Events); i += RecordEventBytes {
			if r.Events[i] > 3 {
				f.fail(OutOfRange, "offset")
				return
			}
		}
	case RecordOfStart:
		n := 0
		if b := f.take(2, "configuration length"); b != nil {
			n = int(binary.LittleEndian.Uint16(b))
		}
		r.Config = f.take(n, "configuration")
		checkRecordConfig(f, r.Config)
		r.Pixels = f.take(len(f.rest), "pixels")
	case RecordOfConfig:
		if len(f.rest) > RecordConfigBytesMax {
			f.fail(OutOfRange, "configuration length")
			return
		}
		r.Config = f.take(len(f.rest), "configuration")
		checkRecordConfig(f, r.Config)
	case RecordOfMarker:
		r.LastOld = f.uint64("last old seq")
	}
}
