package wire

// A Placed answers a place: the pixel is stored and will not be lost.
//
//	size  field
//	1     type, 0x42
//	v     number of the place
//	1 v   shard, seq of the event
//	v     time of the event, unix ms
//	v v v allowance
type Placed struct {
	Number    uint32
	Shard     uint8
	Seq       uint64
	TimeMS    uint64
	Allowance Allowance
}

// AppendTo appends p to dst.
func (p Placed) AppendTo(dst []byte) []byte {
	dst = appendVarint(append(dst, byte(TypePlaced)), uint64(p.Number))
	dst = appendVarint(append(dst, p.Shard), p.Seq)
	return p.Allowance.appendFields(appendVarint(dst, p.TimeMS))
}

// ParsePlaced parses a placed.
func ParsePlaced(msg []byte) (p Placed, err error) {
	f := open(msg, TypePlaced)
	p.Number = uint32(f.varint(1<<32-1, "number"))
	if f.err == nil && p.Number == 0 {
		f.fail(OutOfRange, "number")
	}
	p.Shard = f.shard()
	p.Seq = f.varint(VarintMax, "seq")
	p.TimeMS = f.varint(VarintMax, "time")
	p.Allowance = f.allowance()
	return p, f.err
}

// A Refusal is the message "error": what a client asked for did not happen.
//
//	size  field
//	1     type, 0x43
//	1     code (PROTOCOL.md, Error codes)
//	v     number of the place it answers, 0 for any other message
//	v     retry after, ms; 0 when waiting does not help
//	v v v allowance; max 0 where it says nothing
//	v+n   message, a sentence in English for people and logs
type Refusal struct {
	Code         uint8
	Number       uint32
	RetryAfterMS uint64
	Allowance    Allowance
	Message      string
}

// AppendTo appends r to dst.
func (r Refusal) AppendTo(dst []byte) []byte {
	dst = appendVarint(append(dst, byte(TypeError), r.Code), uint64(r.Number))
	dst = r.Allowance.appendFields(appendVarint(dst, r.RetryAfterMS))
	return appendText(dst, r.Message)
}

// ParseRefusal parses an error message.
func ParseRefusal(msg []byte) (r Refusal, err error) {
	f := open(msg, TypeError)
	r.Code = f.uint8("code")
	r.Number = uint32(f.varint(1<<32-1, "number"))
	r.RetryAfterMS = f.varint(VarintMax, "retry after")
	r.Allowance = f.allowance()
	r.Message = f.text(TextBytesMax, "message")
	return r, f.err
}
