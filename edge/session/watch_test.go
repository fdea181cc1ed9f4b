package session

import (
	"testing"

	"pixelwall/edge/fanout"
	"pixelwall/wire"
)

// A hub that takes no more joins would leave the watch without an answer.
func TestAWatchThatCannotBeTakenEndsTheConnection(t *testing.T) {
	k := newTalk(t, newSlowSequencer(), func(*Options) {})
	for k.srv.opt.Hub.Join(fanout.Join{}) { // the hub does not run, so they stay
	}
	k.say(wire.Watch{Canvas: 1, Shards: []wire.WatchShard{{Shard: 0, Resume: true}}})
	if code := k.closed(); code != closeTryLater {
		t.Errorf("closed with %d, want %d", code, closeTryLater)
	}
}
