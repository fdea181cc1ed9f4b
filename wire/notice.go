package wire

// A Resync tells the client to fetch some shards' canvas and watch them again.
//
//	size  field
//	1     type, 0x44
//	1     reason: 1 too old, 2 another canvas, 3 the canvas grew; 4 is reserved
//	v     n, 1..64
//	n ×   shard (1), rising
type Resync struct {
	Reason uint8
	Shards []uint8
}

// Reasons of a Resync.
const (
	ResyncTooOld uint8 = 1 + iota
	ResyncOtherCanvas
	ResyncGrown
)

// AppendTo appends r to dst.
func (r Resync) AppendTo(dst []byte) []byte {
	return append(appendVarint(append(dst, byte(TypeResync), r.Reason), uint64(len(r.Shards))), r.Shards...)
}

// ParseResync parses a resync.
func ParseResync(msg []byte) (r Resync, err error) {
	f := open(msg, TypeResync)
	r.Reason = f.uint8("reason")
	n := f.count(ShardsMax, 1, "shards")
	if f.err == nil && n == 0 {
		f.fail(OutOfRange, "shards")
	}
	for range n {
		s := f.shard()
		if len(r.Shards) > 0 && s <= r.Shards[len(r.Shards)-1] {
			f.fail(BadOrder, "shards")
		}
		r.Shards = append(r.Shards, s)
	}
	return r, f.err
}

// A Check lets a client prove its copy of a shard: the CRC-32C of the packed
// valid area at Seq.
//
//	size  field
//	1     type, 0x45
//	1     shard
//	v     seq
//	4     CRC-32C, little-endian
type Check struct {
	Shard uint8
	Seq   uint64
	CRC   uint32
}

// AppendTo appends c to dst.
func (c Check) AppendTo(dst []byte) []byte {
	dst = appendVarint(append(dst, byte(TypeCheck), c.Shard), c.Seq)
	return append(dst, byte(c.CRC), byte(c.CRC>>8), byte(c.CRC>>16), byte(c.CRC>>24))
}

// ParseCheck parses a check.
func ParseCheck(msg []byte) (c Check, err error) {
	f := open(msg, TypeCheck)
	c.Shard = f.shard()
	c.Seq = f.varint(VarintMax, "seq")
	c.CRC = f.uint32("crc")
	return c, f.err
}

// A Presence tells how many clients are connected.
//
//	size  field
//	1     type, 0x47
//	v     online
type Presence struct{ Online uint64 }

// AppendTo appends p to dst.
func (p Presence) AppendTo(dst []byte) []byte {
	return appendVarint(append(dst, byte(TypePresence)), p.Online)
}

// ParsePresence parses a presence.
func ParsePresence(msg []byte) (p Presence, err error) {
	f := open(msg, TypePresence)
	p.Online = f.varint(VarintMax, "online")
	return p, f.err
}

// A Bye says that the server goes away: reconnect after a random time between
// the two, which spreads a fleet's clients.
//
//	size  field
//	1     type, 0x48
//	v v   least and most ms to wait before reconnecting
type Bye struct {
	WaitMinMS, WaitMaxMS uint64
}

// AppendTo appends b to dst.
func (b Bye) AppendTo(dst []byte) []byte {
	return appendVarint(appendVarint(append(dst, byte(TypeBye)), b.WaitMinMS), b.WaitMaxMS)
}

// ParseBye parses a bye.
func ParseBye(msg []byte) (b Bye, err error) {
	f := open(msg, TypeBye)
	b.WaitMinMS = f.varint(VarintMax, "least wait")
	b.WaitMaxMS = f.varint(VarintMax, "most wait")
	if f.err == nil && b.WaitMaxMS < b.WaitMinMS {
		f.fail(OutOfRange, "most wait")
	}
	return b, f.err
}
