package coretest

import (
	"testing"
	"time"

	"pixelwall/core"
)

// ScriptCanvas is the canvas of every Script.
const ScriptCanvas = 7

// A Script is a log that a test writes by hand: one relay in its first epoch, in
// shards that begin with a claim, a start and a marker. The clock is time.Now, so
// it belongs into a synctest bubble where time matters.
type Script struct {
	Topic   *MemoryTopic
	Archive *MemoryArchive
	Outbox  *MemoryOutbox // for its leases
	Config  core.Config
	Heads   core.Heads // last seqs that were appended
}

// ScriptNowMS is a Script's clock, unix milliseconds.
func ScriptNowMS() int64 { return time.Now().UnixMilli() }

// NewScript begins the log of a canvas of width × 512 pixels. The nodes of its
// archive agree after syncMS.
func NewScript(t testing.TB, width int, syncMS int64) *Script {
	t.Helper()
	p, _ := core.NamedPalette("place2017")
	b := &Script{Topic: NewMemoryTopic(3), Archive: NewMemoryArchive(ScriptNowMS, syncMS), Outbox: NewMemoryOutbox(ScriptNowMS)}
	b.Config = core.Config{Version: 1, Width: width, Height: 512, Bits: 4, Palette: p, BurstMax: 1}
	for _, s := range b.Config.Geometry().Shards() {
		b.Append(t, &core.Record{Kind: core.KindClaim, Shard: s}, &core.Record{Kind: core.KindStart, Shard: s, Config: &b.Config})
		b.Append(t, &core.Record{Kind: core.KindMarker, Shard: s, First: core.EpochSeq(1) + 1})
	}
	return b
}

// Append gives rs to the topic, as the holder of epoch 1.
func (b *Script) Append(t testing.TB, rs ...*core.Record) {
	t.Helper()
	for _, r := range rs {
		r.Canvas, r.Epoch, r.Relay, r.TimeMS = ScriptCanvas, 1, 9, ScriptNowMS()
		if r.Kind != core.KindClaim {
			b.Heads[r.Shard] = r.Last()
		}
	}
	if err := b.Topic.As(nil).Append(t.Context(), rs); err != nil {
		t.Fatal(err)
	}
}

// Events returns the next record of shard s, of n events of one colour.
func (b *Script) Events(s core.ShardID, n int, color uint8) *core.Record {
	r := &core.Record{Kind: core.KindPlacements, Shard: s, First: b.Heads[s] + 1}
	for i := range n {
		r.Events = append(r.Events, core.Event{Offset: (uint32(r.First) + uint32(i)) % 80, Color: color, User: 1})
	}
	return r
}
