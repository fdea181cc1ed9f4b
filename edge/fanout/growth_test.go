package fanout

import (
	"testing"

	"pixelwall/core"
)

// Shards are read side by side, so what was painted where the canvas grew may
// come before the configuration by which it grew.
func TestAShardMayComeBeforeTheConfigurationThatMadeIt(t *testing.T) {
	rnd := testSeed(t)
	r, log := twoShards(t)
	base := *r.hub.opt.Base
	larger := r.config
	larger.Version, larger.Height = 2, 600
	configure := func(s core.ShardID) *core.Record {
		r.seqs[s]++
		return &core.Record{Kind: core.KindConfig, Canvas: 1, Epoch: 1, Relay: 5, Shard: s, First: r.seqs[s], TimeMS: r.nowMS, Config: &larger}
	}
	late := configure(0)
	r.config = larger
	log.claim(log.holder, 2)
	r.place(rnd, 2, 9)
	r.pump()
	r.place(rnd, 1, 3)
	r.pump()
	if r.hub.follower.Heads[2] != 0 || r.hub.follower.Heads[1] != 3 {
		t.Fatalf("heads %v", r.hub.follower.Heads[:3])
	}
	log.do(func() { log.records = append(log.records, late) })
	for range 2 { // this log gives the shard before the configuration again
		r.heal(2 * refetchFirst)
		r.pump()
	}
	r.tick()
	v := r.newViewer(ClassAll)
	v.watch(0, 0b111)
	v.equals(log.fold(t, &base, whole), 2)
	if st := r.hub.Stats(); st.Reloads != 0 {
		t.Errorf("%+v", st)
	}
}

// So may what lies in the new part of a shard that there was before.
func TestAPixelMayComeBeforeTheConfigurationThatMadeRoomForIt(t *testing.T) {
	rnd := testSeed(t)
	log := newFaultyLog()
	r := newClusterRig(t, 600, 500, log)
	log.claim(core.Holder{Epoch: 1, Relay: 5}, 0, 1)
	base := *r.hub.opt.Base
	larger := r.config
	larger.Version, larger.Width = 2, 1000
	r.seqs[0]++
	late := &core.Record{Kind: core.KindConfig, Canvas: 1, Epoch: 1, Relay: 5, Shard: 0, First: r.seqs[0], TimeMS: r.nowMS, Config: &larger}
	r.place(rnd, 1, 3)
	r.config = larger
	r.place(rnd, 1, 50)
	r.pump()
	if at := r.hub.follower.Heads[1]; at != 3 {
		t.Fatalf("shard 1 is at %d", at)
	}
	log.do(func() { log.records = append(log.records, late) })
	for range 2 { // this log gives the placements before the configuration again
		r.heal(2 * refetchFirst)
		r.pump()
	}
	r.tick()
	v := r.newViewer(ClassAll)
	v.watch(0, 0b11)
	v.equals(log.fold(t, &base, whole), 1)
	if st := r.hub.Stats(); st.Reloads != 0 {
		t.Errorf("%+v", st)
	}
}
