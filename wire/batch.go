package wire

// A Batch is one shard's changes of one tick. It is right only for a client that
// holds exactly the state at its start, because no-ops and overwrites are gone.
//
//	size  field
//	1     0x80 | coding<<5 | parameter
//	1     shard
//	v     advance: the shard's seq rises by this much
//	v     time advance, tenths of a second since the shard's last batch
//	...   payload, to the end of the message
type Batch struct {
	Coding  Coding
	Param   uint8 // 5 bits, belongs to the coding
	Shard   uint8
	Advance uint64
	TimeAdv uint64
	Payload []byte
}

// AppendBatchHeader appends all of a batch but its payload.
func AppendBatchHeader(dst []byte, b Batch) []byte {
	dst = append(dst, byte(TypeBatch)|byte(b.Coding)<<5|b.Param, b.Shard)
	return appendVarint(appendVarint(dst, b.Advance), b.TimeAdv)
}

// AppendTo appends b to dst.
func (b Batch) AppendTo(dst []byte) []byte { return append(AppendBatchHeader(dst, b), b.Payload...) }

// ParseBatch parses a batch of any coding. Payload aliases msg.
func ParseBatch(msg []byte) (b Batch, err error) {
	f := fields{rest: msg}
	first := f.uint8("type")
	if f.err == nil && Type(first) < TypeBatch {
		f.fail(BadType, "batch")
	}
	b.Coding, b.Param = Coding(first>>5&3), first&31
	b.Shard = f.shard()
	b.Advance = f.varint(VarintMax, "advance")
	b.TimeAdv = f.varint(VarintMax, "time advance")
	b.Payload = f.rest
	return b, f.err
}

// A CatchUp is every pixel that was touched after From up to To with the colour
// it has at To, no-ops included, always in Rice. A client whose seq lies within
// [From, To] may apply it.
//
//	size  field
//	1     type, 0x4a
//	1     shard
//	v v   from, to
//	v     time of To, tenths of a second since 1970
//	1     Rice parameter
//	...   payload, to the end of the message
type CatchUp struct {
	Shard      uint8
	From, To   uint64
	TimeTenths uint64
	Param      uint8
	Payload    []byte
}

// AppendTo appends c to dst.
func (c CatchUp) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(TypeCatchUp), c.Shard)
	dst = appendVarint(appendVarint(dst, c.From), c.To)
	dst = append(appendVarint(dst, c.TimeTenths), c.Param)
	return append(dst, c.Payload...)
}

// ParseCatchUp parses a catch-up. Payload aliases msg.
func ParseCatchUp(msg []byte) (c CatchUp, err error) {
	f := open(msg, TypeCatchUp)
	c.Shard = f.shard()
	c.From = f.varint(VarintMax, "from")
	c.To = f.varint(VarintMax, "to")
	c.TimeTenths = f.varint(VarintMax, "time")
	c.Param = f.uint8("parameter")
	if f.err == nil && (c.To < c.From || c.Param > 31) {
		f.fail(OutOfRange, "to or parameter")
	}
	c.Payload = f.rest
	return c, f.err
}
