package session

import (
	"slices"
	"testing"

	"pixelwall/core"
	"pixelwall/edge/gateway"
	"pixelwall/wire"
)

func TestAResetTakesAwayItsShardsOnly(t *testing.T) {
	k := newTalk(t, newSlowSequencer(), func(*Options) {})
	behind := &core.Heads{4, 5, 6}
	for _, tt := range []struct {
		name   string
		follow uint64
		behind *core.Heads
		reset  uint64
		reason uint8
		lost   []uint8
		owed   bool // something is still owed
	}{
		{"one of three", 0b111, nil, 0b1010, wire.ResyncTooOld, []uint8{1}, false},
		{"all that there are", 0b101, nil, ^uint64(0), wire.ResyncGrown, []uint8{0, 2}, false},
		{"one of three that are owed", 0b111, behind, 0b001, wire.ResyncTooOld, []uint8{0}, true},
		{"the last one that is owed", 0b100, behind, 0b110, wire.ResyncTooOld, []uint8{2}, false},
		{"none that it watches", 0b001, nil, 0b110, wire.ResyncTooOld, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			after := make(chan client, 1)
			k.gw.Each(func(c *gateway.Conn) {
				cl := c.Data.(*client)
				cl.follow, cl.behind = tt.follow, tt.behind
				k.srv.Reset(c, tt.reset, tt.reason)
				after <- client{follow: cl.follow, behind: cl.behind}
			})
			if got := <-after; got.follow != tt.follow&^tt.reset || (got.behind != nil) != tt.owed {
				t.Errorf("follows %b, behind %v", got.follow, got.behind)
			}
			if tt.lost == nil {
				return
			}
			if tt.behind != nil && !tt.owed { // a change of it may have been left out, and no catch-up will bring it
				k.hear(wire.TypeConfig)
			}
			if r, err := wire.ParseResync(k.hear(wire.TypeResync)); err != nil || r.Reason != tt.reason || !slices.Equal(r.Shards, tt.lost) {
				t.Errorf("%+v, %v; want shards %v", r, err, tt.lost)
			}
		})
	}
}
