package wire

// An Init answers a good hello.
//
//	size  field
//	1     type, 0x41
//	v     protocol version of the server
//	8     canvas: random id of this canvas
//	v     epoch: 0, reserved
//	...   config, from its version on (see Config)
//	8     user: public id, 0 for a client without a token
//	v+n   name of the user, as others see it
//	v v v allowance (see Allowance)
//	v     server time, unix ms
//	v     online: connected clients
//	v+n   build of the server
//	v+n   canvas URL: where the canvas is fetched, absolute or a path
//	v     n, 1..64 shards
//	n ×   shard (1), seq (v) of its last batch; shards rise
type Init struct {
	Version   uint32
	Canvas    uint64
	Epoch     uint64
	Config    Config
	User      uint64
	Name      string
	Allowance Allowance
	TimeMS    uint64
	Online    uint64
	Build     string
	CanvasURL string
	Heads     []Head
}

// A Head is the seq up to which a shard has been sent.
type Head struct {
	Shard uint8
	Seq   uint64
}

// An Allowance is what the user may place, in the server's time.
//
//	size  field
//	v     available: placements that may be made now
//	v     max: placements after a full rest; 0 where the server does not say
//	v     next: unix ms when available rises by one, 0 when it is max
type Allowance struct {
	Available, Max uint32
	NextMS         uint64
}

func (a Allowance) appendFields(dst []byte) []byte {
	return appendVarint(appendVarint(appendVarint(dst, uint64(a.Available)), uint64(a.Max)), a.NextMS)
}

func (f *fields) allowance() Allowance {
	return Allowance{
		Available: uint32(f.varint(1<<32-1, "available")),
		Max:       uint32(f.varint(1<<32-1, "max")),
		NextMS:    f.varint(VarintMax, "next"),
	}
}

// AppendTo appends a as a message of its own, type 0x4b: another connection of
// the same user placed.
func (a Allowance) AppendTo(dst []byte) []byte {
	return a.appendFields(append(dst, byte(TypeAllowance)))
}

// ParseAllowance parses an allowance message.
func ParseAllowance(msg []byte) (Allowance, error) {
	f := open(msg, TypeAllowance)
	a := f.allowance()
	return a, f.err
}

// AppendTo appends i to dst.
func (i *Init) AppendTo(dst []byte) []byte {
	dst = appendVarint(append(dst, byte(TypeInit)), uint64(i.Version))
	dst = appendVarint(appendUint64(dst, i.Canvas), i.Epoch)
	dst = i.Config.appendFields(dst)
	dst = appendText(appendUint64(dst, i.User), i.Name)
	dst = i.Allowance.appendFields(dst)
	dst = appendVarint(appendVarint(dst, i.TimeMS), i.Online)
	dst = appendText(appendText(dst, i.Build), i.CanvasURL)
	dst = appendVarint(dst, uint64(len(i.Heads)))
	for _, h := range i.Heads {
		dst = appendVarint(append(dst, h.Shard), h.Seq)
	}
	return dst
}

// ParseInit parses an init. The result shares no memory with msg.
func ParseInit(msg []byte) (i Init, err error) {
	f := open(msg, TypeInit)
	i.Version = uint32(f.varint(1<<32-1, "version"))
	i.Canvas = f.uint64("canvas")
	i.Epoch = f.varint(VarintMax, "epoch")
	i.Config = f.config()
	i.User = f.uint64("user")
	i.Name = f.text(TextBytesMax, "name")
	i.Allowance = f.allowance()
	i.TimeMS = f.varint(VarintMax, "time")
	i.Online = f.varint(VarintMax, "online")
	i.Build = f.text(TextBytesMax, "build")
	i.CanvasURL = f.text(TextBytesMax, "canvas URL")
	n := f.count(ShardsMax, 2, "shards")
	if f.err == nil && n == 0 {
		f.fail(OutOfRange, "shards")
	}
	last := -1
	for range n {
		h := Head{Shard: f.shard(), Seq: f.varint(VarintMax, "seq")}
		if int(h.Shard) <= last {
			f.fail(BadOrder, "shards")
		}
		last = int(h.Shard)
		i.Heads = append(i.Heads, h)
	}
	return i, f.err
}
