package wire

// A Watch names every shard that the client wants to hear of from now on, and
// which seq of each it holds. Shards that it does not name are no longer sent.
//
//	size  field
//	1     type, 0x02
//	8     canvas: the id of the canvas that the seqs belong to
//	1     reason: 0 = the view changed or the client is new, 1 = a check differed
//	v     n, 0..64
//	n ×   shard (1), position (v): 0 = go on as before, else held seq + 1; shards rise
type Watch struct {
	Canvas   uint64
	Diverged bool // a check differed: the server counts it
	Shards   []WatchShard
}

// A WatchShard is one shard of a Watch.
type WatchShard struct {
	Shard  uint8
	Resume bool   // false: the shard is watched already and goes on
	Held   uint64 // when Resume: the last seq in the client's copy
}

// AppendTo appends w to dst.
func (w Watch) AppendTo(dst []byte) []byte {
	dst = append(dst, byte(TypeWatch))
	dst = appendUint64(dst, w.Canvas)
	reason := byte(0)
	if w.Diverged {
		reason = 1
	}
	dst = append(dst, reason)
	dst = appendVarint(dst, uint64(len(w.Shards)))
	for _, s := range w.Shards {
		position := uint64(0)
		if s.Resume {
			position = s.Held + 1
		}
		dst = appendVarint(append(dst, s.Shard), position)
	}
	return dst
}

// ParseWatch parses a watch. It appends the shards to dst[:0].
func ParseWatch(msg []byte, dst []WatchShard) (w Watch, err error) {
	f := open(msg, TypeWatch)
	w.Canvas = f.uint64("canvas")
	reason := f.uint8("reason")
	w.Diverged = reason == 1
	if reason > 1 {
		f.fail(OutOfRange, "reason")
	}
	w.Shards = dst[:0]
	last := -1
	for range f.count(ShardsMax, 2, "shards") {
		s := WatchShard{Shard: f.shard()}
		if int(s.Shard) <= last {
			f.fail(BadOrder, "shards")
		}
		last = int(s.Shard)
		if position := f.varint(VarintMax, "position"); position > 0 {
			s.Resume, s.Held = true, position-1
		}
		w.Shards = append(w.Shards, s)
	}
	return w, f.err
}
