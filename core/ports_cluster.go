package core

import (
	"context"
	"time"
)

// The ports of the cluster, where a sequencer, a log and an archive lie in three
// different services, each of which may be down, slow, or restored from a moment
// ago. What they are used for is told in ARCHITECTURE.md, "The cluster, step by step".

// A Stand is what an Outbox says of one shard.
type Stand struct {
	Canvas  uint64 // 0: it has never been built
	Epoch   uint32 // of the last fence, 0: never fenced
	Armed   bool   // placements are taken, under Epoch and Relay
	Relay   uint64 // who armed it last
	Seq     uint64 // last seq that was given
	Bottom  uint64 // last seq of the first entry, 0: the outbox is empty
	Top     uint64 // last seq of the last entry, 0: the outbox is empty
	Seen    uint64 // highest seq that an edge reported, see Report
	Version uint32 // of the configuration
}

// A Base is the state of one shard that placements go on from.
type Base struct {
	Canvas uint64
	Config *Config
	Pixels []byte // as Board.Pixels has them, the whole shard
	TimeMS int64  // of the last event; later ones are never before it
	Jumps  []Jump // of the seqs that the log holds
}

// A Jump is two seqs that follow each other in the log of a shard. What lies between
// them was given out by a sequencer that was deposed, and is in no log.
type Jump struct{ From, To uint64 }

// An Outbox is the sequencer's side of a shard as its relay sees it: the order,
// the pixels, and what was acknowledged but perhaps not carried to the log yet.
// Every call is one atomic step. After an error other than those named the
// outcome is unknown; every call may be made again.
type Outbox interface {
	Stand(ctx context.Context, s ShardID) (Stand, error)

	// Fence ends what was armed and lets nobody place until Arm. CodeMismatch when
	// epoch is below the present one. It returns the last seq that was given. Where
	// the log has the marker of that seq's epoch, the requests that it holds up to
	// there need no Recall: each was stored here, or recalled before that marker.
	Fence(ctx context.Context, s ShardID, epoch uint32) (seq uint64, err error)

	// Rebuild replaces configuration and pixels, CodeMismatch unless epoch is the
	// last fence, nothing is armed, and nothing that was written since that fence
	// was lost: a server that restarted or was put back has to be fenced anew.
	// Requests that are known with a seq within one of b's Jumps are not stored: they
	// are placed, and recalled, like new ones.
	Rebuild(ctx context.Context, s ShardID, epoch uint32, b Base) error

	// Recall makes requests known as stored, on the same terms. A Request that is
	// known already stays as it is.
	Recall(ctx context.Context, s ShardID, epoch uint32, stored []PastEvent) error

	// Arm lets placements in under epoch and relay, on the same terms: seq becomes
	// at least minSeq, and a KindMarker with LastOld lastOld takes the next one and
	// goes to the outbox in the same step. Arming again what is armed by the same
	// epoch and relay changes nothing.
	Arm(ctx context.Context, s ShardID, h Holder, minSeq, lastOld uint64) error

	// Configure stores c as a KindConfig record, when it may replace the present
	// configuration: a shard that missed a version goes on with the next. One that is
	// not newer changes nothing. CodeUnavailable when nothing is armed.
	Configure(ctx context.Context, s ShardID, c *Config) error

	// Read calls fn with at most limit entries whose last seq is above after, in order.
	//
	// Ownership: the record is fn's until fn returns.
	Read(ctx context.Context, s ShardID, after uint64, limit int, fn func(*Record) error) error

	// Trim forgets the entries whose last seq is below seq, CodeMismatch unless
	// epoch is the present one.
	Trim(ctx context.Context, s ShardID, epoch uint32, seq uint64) error

	// Report says that an edge has seen seq of s, so that no take-over gives it again.
	Report(ctx context.Context, s ShardID, seq uint64) error

	// Publish makes an immutable copy of the shard for readers, if it is armed and
	// changed since the last copy. It may leave out one that comes within a second of
	// the last, so that several callers of once a second make one copy in that time.
	// CodeUnavailable when it is not armed.
	Publish(ctx context.Context, s ShardID) error
}

// Leases share work among processes. They are for efficiency: whoever holds one
// may be paused and not know that it is lost, so what is done under it must be
// safe when two do it.
type Leases interface {
	// Hold takes or renews role of shard s for owner, for ttl, and reports whether
	// owner has it now.
	Hold(ctx context.Context, s ShardID, role string, owner uint64, ttl time.Duration) (bool, error)
	// Release gives it up, if owner has it.
	Release(ctx context.Context, s ShardID, role string, owner uint64) error
}

// A Topic is a Log that relays write.
type Topic interface {
	Log

	// Append stores rs, which are of one shard, in order behind what is there.
	// When it returns nil they are durable on as many replicas as the log promises.
	// After any error the outcome is unknown, also later: append them again, the
	// consumer rule drops what comes twice.
	Append(ctx context.Context, rs []*Record) error
}

// An Archive keeps every record beyond what the Topic retains. Its contents are a
// Log of its own, and History answers from it.
type Archive interface {
	// Watermark returns where the archive of shard s is complete up to.
	Watermark(ctx context.Context, s ShardID) (Position, error)

	// Write stores rs, in the order and with the boundaries that the consumer rule
	// let through. It is idempotent. When it returns nil a quorum has them, but a
	// node that dies may still forget the last few seconds: see SetWatermark.
	Write(ctx context.Context, rs []*Record) error

	// SetWatermark notes that everything up to p is safe. One below the present
	// watermark, by a worker that does not know that it was replaced, changes nothing.
	SetWatermark(ctx context.Context, s ShardID, p Position) error

	// Disturbed returns how often a node of the archive was lost or came back. When
	// it rises, what was written after the watermark must be written again.
	Disturbed() uint64
}
