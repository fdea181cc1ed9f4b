package main

import (
	"context"
	"time"

	"pixelwall/core"
	"pixelwall/edge/api"
	"pixelwall/edge/fanout"
)

// A backend is where the canvas is kept: a folder, or Redis, Kafka and CQL. The
// rest of the edge knows its ports only.
type backend struct {
	canvas    uint64
	sequencer core.Sequencer
	cooldowns core.Cooldowns
	log       core.Log
	history   core.History
	base      *core.Snapshot // the board that the hub begins with
	ringFrom  core.Heads     // and where its ring of events does

	// reload returns a state to go on from when the log does not lead there any
	// more; nil where the log has no such moments.
	reload func(context.Context) (*core.Snapshot, error)
	// stored returns the newest snapshot that is kept for ever; nil where reload is all.
	stored func(context.Context) (*core.Snapshot, error)
	// armed is told which epoch the log has a shard armed under; nil: nobody asks.
	armed func(core.ShardID, uint32)
	// pictures is what HTTP shows; nil is the hub's board.
	pictures func(*fanout.Hub) api.Canvas
	// lanes is how many placers there are; shards are decided independently where it is above 1.
	lanes int
	// gather is how long a lane waits for more placements before it asks.
	gather time.Duration
	// state says whether placements are taken, and if not, why.
	state func() (api.Status, string)
	// health says how each dependency does: "ok" or a word on what is wrong.
	health func() map[string]string
	// readings are metrics of the backend's own.
	readings []reading
	// place names where the canvas is kept, for the person who started the program.
	place string
	close func() error
}
