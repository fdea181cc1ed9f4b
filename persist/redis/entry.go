package redis

import (
	"encoding/binary"
	"fmt"

	"github.com/redis/rueidis"

	"pixelwall/core"
	"pixelwall/persist"
	"pixelwall/wire"
)

const (
	batchMax    = 512 // events, asked or recalled requests in one call of the library
	recallBytes = 28
)

// appendEvent appends p as the event of a record whose old colour Redis fills in.
func appendEvent(dst []byte, p *core.Placement) []byte {
	return wire.AppendRecordEvent(dst, wire.RecordEvent{
		Offset: p.Offset, Color: p.Color, User: p.User, Instance: p.Request.Instance, Number: p.Request.Number,
	})
}

// appendAsked appends a request: instance (8), number (4).
func appendAsked(dst []byte, r core.Request) []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint64(dst, r.Instance), r.Number)
}

// appendRecalled appends instance (8), number (4), seq (8), time (8).
func appendRecalled(dst []byte, e *core.PastEvent) []byte {
	dst = binary.LittleEndian.AppendUint64(appendAsked(dst, e.Request), e.Seq)
	return binary.LittleEndian.AppendUint64(dst, uint64(e.TimeMS))
}

// appendJumps appends from (8), to (8) of each.
func appendJumps(dst []byte, jumps []core.Jump) []byte {
	for _, j := range jumps {
		dst = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(dst, j.From), j.To)
	}
	return dst
}

// A status is what place says of one event or asked request.
type status uint8

const (
	statusStored status = iota
	statusRepeated
	statusExpired
	statusNotStored
)

// An answer reads what place said, see library.lua.
type answer struct {
	next   uint64 // seq of the next event that was stored
	timeMS int64
	rest   string
}

func parseAnswer(s string) (answer, error) {
	if len(s) < 16 {
		return answer{}, errAnswer
	}
	return answer{uint64At(s, 0), int64(uint64At(s, 8)), s[16:]}, nil
}

// one returns what became of the next event or asked request.
func (a *answer) one() (st status, seq uint64, timeMS int64, err error) {
	if len(a.rest) == 0 {
		return 0, 0, 0, errAnswer
	}
	st = status(a.rest[0])
	a.rest = a.rest[1:]
	switch st {
	case statusStored:
		a.next++
		return st, a.next - 1, a.timeMS, nil
	case statusRepeated:
		if len(a.rest) < 16 {
			return 0, 0, 0, errAnswer
		}
		seq, timeMS = uint64At(a.rest, 0), int64(uint64At(a.rest, 8))
		a.rest = a.rest[16:]
		return st, seq, timeMS, nil
	case statusExpired, statusNotStored:
		return st, 0, 0, nil
	}
	return 0, 0, 0, errAnswer
}

var errAnswer = core.NewError(core.CodeMalformed, "Redis answers place in another way than we know")

func uint64At(s string, i int) (n uint64) {
	for j := 7; j >= 0; j-- {
		n = n<<8 | uint64(s[i+j])
	}
	return n
}

// decodeEntry sets r to an entry of the stream of shard s.
func decodeEntry(s core.ShardID, entry *rueidis.RedisMessage, r *core.Record) error {
	id, bytes, olds, err := entryParts(entry)
	if err != nil {
		return &core.Error{Code: core.CodeMalformed, Msg: fmt.Sprintf("an entry of the stream of shard %d", s), Err: err}
	}
	if err := persist.DecodeRecord(bytes, r); err != nil {
		return &core.Error{Code: core.CodeMalformed, Msg: fmt.Sprintf("entry %s of the stream of shard %d", id, s), Err: err}
	}
	if r.Shard != s || entrySeq(id) != r.Last() || len(olds) != len(r.Events) {
		return core.NewError(core.CodeMalformed, fmt.Sprintf("entry %s of the stream of shard %d is seq %d of shard %d with %d old colours", id, s, r.Last(), r.Shard, len(olds)))
	}
	for i := range r.Events {
		r.Events[i].Old = olds[i]
	}
	return nil
}

// entryParts returns the bytes of the record, in which the old colours are 0, and
// the old colours. Redis writes them apart, because putting each in its place
// costs a sixth of the time that a placement takes there.
func entryParts(entry *rueidis.RedisMessage) (id string, b []byte, olds string, err error) {
	parts, err := entry.ToArray()
	if err != nil {
		return "", nil, "", err
	}
	if len(parts) != 2 {
		return "", nil, "", errEntry
	}
	if id, err = parts[0].ToString(); err != nil {
		return "", nil, "", err
	}
	fields, err := parts[1].ToArray()
	if err != nil {
		return id, nil, "", err
	}
	if len(fields) != 2 && len(fields) != 4 {
		return id, nil, "", errEntry
	}
	if b, err = fields[1].AsBytes(); err == nil && len(fields) == 4 {
		olds, err = fields[3].ToString()
	}
	return id, b, olds, err
}

var errEntry = core.NewError(core.CodeMalformed, "it has other fields than we know")

// pack returns the valid area of shard s of a canvas of geometry g, as
// core.Board.AppendPacked has it, from all its pixels as core.Board.Pixels has them.
func pack(g core.Geometry, s core.ShardID, pixels []byte) []byte {
	w, h := g.Area(s)
	if w == core.ShardSide {
		return append([]byte(nil), pixels[:w*h*int(g.Bits)/8]...)
	}
	b := core.NewBoard(core.Geometry{Width: w, Height: h, Bits: g.Bits}, 0)
	for y := range h {
		for x := range w {
			off := uint32(y*core.ShardSide + x)
			c := pixels[off*uint32(g.Bits)/8]
			if g.Bits == 4 {
				c = c >> (^off & 1 << 2) & 0x0f
			}
			b.Set(0, off, c)
		}
	}
	return b.AppendPacked(nil, 0)
}
