package core

import "slices"

// A Kind says what a Record is. Values are stored: add at the end.
type Kind uint8

const (
	KindPlacements Kind = 1 + iota // Events
	KindStart                      // the canvas before the first event, seq 0
	KindConfig                     // Config holds from here on; takes one seq
	KindClaim                      // Relay may write under Epoch from here on; takes no seq
	KindMarker                     // placements are taken under Epoch: seq jumps from LastOld to First, which it takes
)

// A Record is one entry of the log: what one shard went through in one atomic
// step. Its boundaries are the same for ever and in every store.
type Record struct {
	Kind   Kind
	Canvas uint64 // random id of the canvas, never 0
	Epoch  uint32 // the fence
	Relay  uint64 // who carried it; 0 in the embedded log
	Shard  ShardID
	First  uint64 // seq of the first event; 0 for KindStart
	TimeMS int64  // unix; never falls within a shard

	Events  []Event // KindPlacements, at least one
	Pixels  []byte  // KindStart: the shard as Board.AppendPacked gives it; nil when all is blank
	Config  *Config // KindConfig, and KindStart of every shard
	LastOld uint64  // KindMarker
}

// An Event is one stored placement. Its seq is the record's First plus its index.
type Event struct {
	Offset  uint32
	Color   uint8
	Old     uint8 // the colour it replaced
	User    uint64
	Request Request
}

// Last returns the seq of the record's last event.
func (r *Record) Last() uint64 {
	switch r.Kind {
	case KindPlacements:
		return r.First + uint64(len(r.Events)) - 1
	default:
		return r.First
	}
}

// Clone returns a copy of r that shares no memory with it.
func (r *Record) Clone() *Record {
	c := *r
	c.Events, c.Pixels = slices.Clone(r.Events), slices.Clone(r.Pixels)
	if r.Config != nil {
		config := *r.Config
		config.Palette = slices.Clone(r.Config.Palette)
		c.Config = &config
	}
	return &c
}

// Holder returns who wrote r.
func (r *Record) Holder() Holder { return Holder{r.Epoch, r.Relay} }

// EpochSeq is the least seq that is given under epoch e. Each epoch has a range
// of its own, so that what a deposed or restored sequencer gave out can never be
// taken for what a later one gives: 2^32 placements a shard and epoch, and 2^21
// epochs before seqs reach what JavaScript holds.
func EpochSeq(e uint32) uint64 { return uint64(e) << 32 }

// SeqEpoch returns the epoch whose range seq lies in.
func SeqEpoch(seq uint64) uint32 { return uint32(seq >> 32) }

// Heads is the last seq that somebody holds, per shard.
type Heads [ShardsMax]uint64

// Reach reports whether h is at goal or beyond, in every shard.
func (h *Heads) Reach(goal *Heads) bool {
	for s := range goal {
		if h[s] < goal[s] {
			return false
		}
	}
	return true
}
