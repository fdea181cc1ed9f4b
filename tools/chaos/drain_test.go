package chaos

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pixelwall/core"
)

var drainEvents = flag.Int("drain.events", 0, "placements to archive while worker and node are killed; 0 runs none")

// TestDrain lets an archive worker find a log of a million placements, and kills it
// five times and its only CQL node twice before it is through. What event_log then
// holds at QUORUM has to be the log, value by value. make drain runs it.
func TestDrain(t *testing.T) {
	if *drainEvents == 0 {
		t.Skip("the drain is make drain")
	}
	seed := *seeded
	if seed == 0 {
		seed = rand.Uint64()>>1 | 1
	}
	w := newWall(t, seed, layout{})
	say := func(format string, args ...any) {
		fmt.Printf("drain %6.1fs  %s\n", time.Since(w.began).Seconds(), fmt.Sprintf(format, args...))
	}
	say("seed %d", seed)
	w.process("relay-1", relays).start(upTime)
	w.connect()
	w.rest() // armed
	w.fill(*drainEvents)
	heads := w.rest()
	fold, events := w.readLog(heads)
	if fold == nil {
		return
	}
	say("the log holds %d placements in %d shards; nothing is archived", len(events), shards)

	worker := w.process("worker-1", archives)
	worker.start(upTime)
	began := time.Now()
	node := theRig.stacks["cassandra"].Cassandra[0]
	kills := []string{"worker", "worker", "worker", "worker", "worker", "node", "node"}
	w.rnd.Shuffle(len(kills), func(i, k int) { kills[i], kills[k] = kills[k], kills[i] })
	var done float64
	for i, what := range kills {
		due := float64(i+1) / float64(len(kills)+1)
		within(t, 10*time.Minute, "the next part of the archive", func() bool {
			done = w.archived(heads, done)
			return done >= due
		})
		if done == 1 {
			t.Fatalf("all is archived before the kill of the %s", what)
		}
		if what == "worker" {
			worker.kill()
			worker.start(upTime)
		} else {
			kill(t, node)
			lasts(t, 2*time.Second)
			restart(t, node)
		}
		say("%3.0f %% archived: the %s was killed and started again", 100*done, what)
	}
	within(t, 10*time.Minute, "the end of the archive", func() bool {
		done = w.archived(heads, done)
		return done == 1
	})
	took := time.Since(began)
	say("all is archived after %.0f s, %.0f placements a second with the kills in it", took.Seconds(), float64(len(events))/took.Seconds())
	w.sameHistory(heads, events)
	if !t.Failed() {
		say("event_log is the log, placement by placement")
	}
}

// fill places n pixels at random, straight through the sequencer.
func (w *wall) fill(n int) {
	w.t.Helper()
	const batch = 64
	var left atomic.Int64
	left.Store(int64(n))
	var parts sync.WaitGroup
	for k := range 4 * shards {
		rnd := rand.New(rand.NewPCG(w.seed, uint64(k)))
		parts.Go(func() {
			ps, out := make([]core.Placement, batch), make([]core.Outcome, batch)
			for left.Add(-batch) > -batch {
				for i := range ps {
					ps[i] = core.Placement{
						Shard: core.ShardID(k % shards), Offset: rnd.Uint32N(core.ShardPixels), Color: uint8(rnd.Uint32N(colors)),
						User: rnd.Uint64(), Request: core.Request{Instance: rnd.Uint64(), Number: 1},
					}
				}
				err := w.client.Sequencer().Place(w.t.Context(), ps, out)
				for ; err != nil || out[0].Err != nil; err = w.client.Sequencer().Place(w.t.Context(), ps, out) {
					if err == nil && out[0].Err.Code != core.CodeUnavailable || w.t.Context().Err() != nil {
						w.t.Errorf("a placement is refused: %v", out[0].Err)
						return
					}
					lasts(w.t, 20*time.Millisecond) // refused for now; the same again is stored once, whatever became of it
				}
			}
		})
	}
	parts.Wait()
}

// archived returns how much of the log up to heads the archive has, or what it had
// when it cannot be asked now.
func (w *wall) archived(heads core.Heads, before float64) float64 {
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Second)
	defer cancel()
	var have, all uint64
	for s := range core.ShardID(shards) {
		p, err := w.store.Watermark(ctx, s)
		if err != nil {
			return before
		}
		start := core.EpochSeq(uint32(heads[s] >> 32))
		have, all = have+max(p.Seq, start)-start, all+heads[s]-start
	}
	return float64(have) / float64(all)
}
