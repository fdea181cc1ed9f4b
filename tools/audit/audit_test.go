package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pixelwall/core"
)

// published is a canvas of one shard at a seq.
func published(seq uint64) *core.Snapshot {
	palette, _ := core.NamedPalette("place2017")
	s := &core.Snapshot{Canvas: 7, Config: core.Config{Version: 1, Width: 4, Height: 2, Bits: 4, Palette: palette, BurstMax: 1}}
	s.Heads[0], s.Holders[0], s.Shards[0] = seq, core.Holder{Epoch: 3, Relay: 9}, make([]byte, 4)
	return s
}

func TestAReportNeverTakesWhatIsMissingForEqual(t *testing.T) {
	o := &Options{Kafka: []string{"k"}, Scylla: []string{"s"}}
	at := spot{0, 5}
	for _, tt := range []struct {
		name           string
		kafka, history map[spot]uint32
		edge           uint32
		down           error
		exit           int
		equal          bool
	}{
		{"all agree", map[spot]uint32{at: 1}, map[spot]uint32{at: 1}, 1, nil, exitEqual, true},
		{"Kafka differs", map[spot]uint32{at: 2}, map[spot]uint32{at: 1}, 1, nil, exitDiffers, false},
		{"the history differs", map[spot]uint32{at: 1}, map[spot]uint32{at: 2}, 1, nil, exitDiffers, false},
		{"an edge differs", map[spot]uint32{at: 1}, map[spot]uint32{at: 1}, 2, nil, exitDiffers, false},
		{"the history is not there yet", map[spot]uint32{at: 1}, nil, 1, nil, exitIncomplete, false},
		{"an edge is down", map[spot]uint32{at: 1}, map[spot]uint32{at: 1}, 1, errors.New("refused"), exitIncomplete, true},
		{"a difference counts for more than what is down", map[spot]uint32{at: 2}, nil, 1, errors.New("refused"), exitDiffers, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newReport(o, published(5))
			if tt.down != nil {
				r.incomplete("ws://b", tt.down)
			}
			r.folded(kafkaFold, tt.kafka, nil)
			r.folded(historyFold, tt.history, nil)
			r.conclude([]claim{{redisCopy, 0, 5, 1}, {"ws://a", 0, 5, tt.edge}})
			if r.exit() != tt.exit || r.Shards[0].Equal != tt.equal {
				t.Errorf("exit %d, equal %v, want %d and %v", r.exit(), r.Shards[0].Equal, tt.exit, tt.equal)
			}
		})
	}
}

func TestTheJSONHasItsNames(t *testing.T) {
	r := newReport(&Options{}, published(5))
	r.folded(streamFold, map[spot]uint32{{0, 5}: 1}, nil)
	r.conclude([]claim{{redisCopy, 0, 5, 1}})
	var b strings.Builder
	if err := r.writeJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil || got["equal"] != true {
		t.Fatalf("%v: %s", err, b.String())
	}
	for _, name := range strings.Fields("shard epoch seq redis kafka history edges equal") {
		if _, ok := got[name]; !ok {
			t.Errorf("no %s in %s", name, b.String())
		}
	}
}

// A records log gives its records and then waits.
type records []*core.Record

func (l records) Heads(context.Context) (core.Heads, error) { return core.Heads{}, nil }

func (l records) Tail(ctx context.Context, _ core.Heads, fn func(*core.Record) error) error {
	for _, r := range l {
		c := *r
		if err := fn(&c); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

func TestFoldToTakesTheChecksumWhereSomebodyStands(t *testing.T) {
	base := published(0)
	rec := func(kind core.Kind, epoch uint32, first uint64, colors ...uint8) *core.Record {
		r := &core.Record{Kind: kind, Canvas: 7, Epoch: epoch, Relay: uint64(epoch), First: first, Config: nil}
		for i, c := range colors {
			r.Events = append(r.Events, core.Event{Offset: uint32(i), Color: c})
		}
		return r
	}
	start := rec(core.KindStart, 1, 0)
	start.Config = &base.Config
	log := records{rec(core.KindClaim, 1, 0), start, rec(core.KindPlacements, 1, 1, 3, 4), rec(core.KindPlacements, 9, 3, 9), rec(core.KindPlacements, 1, 3, 5)}
	crcs, err := foldTo(t.Context(), log, nil, []claim{{shard: 0, seq: 2}, {shard: 0, seq: 3}, {shard: 0, seq: 1}})
	if err != nil || len(crcs) != 2 || crcs[spot{0, 2}] == crcs[spot{0, 3}] {
		t.Errorf("%v, %v: want checksums at 2 and 3, where records end", crcs, err)
	}
	log = append(log, rec(core.KindPlacements, 1, 7, 1)) // 4 to 6 are missing
	if _, err := foldTo(t.Context(), log, nil, []claim{{shard: 0, seq: 8}}); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("a hole is %v", err)
	}
	gone, stop := context.WithCancel(t.Context())
	stop()
	if _, err := foldTo(gone, log[:5], nil, []claim{{shard: 0, seq: 8}}); err == nil {
		t.Error("a log that ends before the seq is taken for complete")
	}
}
