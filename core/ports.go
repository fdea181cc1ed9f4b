package core

import "context"

// The ports are what the rules need of the world. They are small, they say what
// an error lets the caller conclude, and each has a contract suite in coretest
// that every adapter passes.

// A Sequencer gives placements their place in the order of their shard.
type Sequencer interface {
	// Place decides ps in order and fills out, which has the same length. For
	// each placement: a Request that was stored less than ResendWindowMS ago is
	// answered with its original seq, before any cooldown is looked at; an older
	// one is CodeExpired for as long as anything is known of it, see ResendWindowMS;
	// then the cooldown is charged; then it is stored.
	//
	// When Place returns nil, every outcome without Err is durable, and no reader
	// of the log has seen it earlier than that. A placement whose outcome has an
	// Err is not stored and its cooldown is not charged, unless the outcome is
	// Unknown: it may be stored, or be so only later. The others of the call are
	// answered all the same. When Place itself fails, every outcome is unknown.
	//
	// What is unknown is told when it is placed again under its Request. There
	// CodeUnavailable and CodeTooMany are about that try alone: nobody looked the
	// Request up. Place may be called concurrently; it does not keep ps or out.
	Place(ctx context.Context, ps []Placement, out []Outcome) error

	// Configure stores c, which must follow the present configuration (or it is
	// CodeMismatch or CodeInvalid), in the log of every shard. Placements ordered after it are judged by it.
	// Of two that follow the same one, one is stored and the other is CodeMismatch.
	Configure(ctx context.Context, c Config) error
}

// A Log is the order of events that everybody follows.
type Log interface {
	// Tail calls fn with every durable record after from, each shard's beginning
	// with its KindStart when from is zero there, in the order of each shard, on one goroutine, until ctx ends or fn fails, and returns that
	// cause. A record that straddles from is given whole. CodeNotFound means that
	// the log does not reach back to from: reload from a snapshot.
	//
	// Where relays write, fn sees their claims as well, and before the first record
	// of each holder the KindClaim that makes it the holder.
	//
	// Ownership: the record is fn's until fn returns; clone what must stay.
	Tail(ctx context.Context, from Heads, fn func(*Record) error) error

	// Heads returns the last durable seq of each shard.
	Heads(ctx context.Context) (Heads, error)
}

// A PastEvent is an event as history tells it.
type PastEvent struct {
	Shard  ShardID
	Seq    uint64
	TimeMS int64
	Event
}

// A History answers questions about the past. It follows the log and may lag
// behind it; it never shows what is not in the log.
type History interface {
	// Pixel returns at most limit events of one pixel, newest first, all with a
	// seq below before (0: from the newest).
	Pixel(ctx context.Context, s ShardID, off uint32, before uint64, limit int) ([]PastEvent, error)

	// User returns at most limit events of one user, newest first, beginning
	// after the event at cursor (nil: from the newest).
	User(ctx context.Context, user uint64, cursor *PastEvent, limit int) ([]PastEvent, error)

	// HeadsAt returns, per shard, the last seq with a time of at most timeMS.
	HeadsAt(ctx context.Context, timeMS int64) (Heads, error)

	// Indexed returns the last seq of each shard that Pixel and User know of.
	Indexed(ctx context.Context) (Heads, error)
}

// Cooldowns tells how often users may place. The Sequencer of the same store charges
// them: each new placement one, refusals and repeats nothing.
type Cooldowns interface {
	// Allowance returns what user may do at nowMS, without a charge.
	Allowance(ctx context.Context, user uint64, nowMS int64) (Allowance, error)
}

// A Snapshot is the canvas after the events up to Heads.
type Snapshot struct {
	Canvas  uint64
	Config  Config
	TimeMS  int64
	Heads   Heads
	Holders [ShardsMax]Holder // in force at Heads
	Times   [ShardsMax]int64  // time of each shard's last event, unix ms
	Shards  [ShardsMax][]byte // as Board.AppendPacked gives them; nil where there is no shard
}

// Snapshots keeps states from which a fold of the log can begin.
type Snapshots interface {
	// Put keeps s durably. It does not hold on to its memory.
	Put(ctx context.Context, s *Snapshot) error

	// Latest returns the newest snapshot whose events are all in the log, or
	// CodeNotFound.
	Latest(ctx context.Context) (*Snapshot, error)

	// At returns the newest snapshot with a time of at most timeMS, or CodeNotFound.
	At(ctx context.Context, timeMS int64) (*Snapshot, error)
}
