package fanout

import (
	"bytes"
	"context"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/edge/gateway"
)

// running runs the hub of a rig until the test ends.
func running(t *testing.T, opt Options) (*Hub, func(what string, cond func() bool)) {
	h, err := NewHub(opt)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != context.Canceled {
			t.Errorf("Run ended with %v", err)
		}
	})
	return h, func(what string, cond func() bool) {
		t.Helper()
		look := time.NewTicker(time.Millisecond)
		defer look.Stop()
		patience := time.After(20 * time.Second)
		for !cond() {
			select {
			case <-look.C:
			case <-patience:
				t.Fatalf("%s did not happen; %+v", what, h.Stats())
			}
		}
	}
}

func live(r *clusterRig, base *core.Snapshot) Options {
	opt := r.hub.opt
	opt.Base, opt.TickEvery, opt.Now = base, 20*time.Millisecond, time.Now
	opt.NowMS = func() int64 { return time.Now().UnixMilli() }
	opt.Broadcast, opt.Reset = func(*gateway.Broadcast) {}, func(uint64, uint8) {}
	return opt
}

func TestAnEdgeStartsWhileTheLogIsAwayAndBehind(t *testing.T) {
	rnd := testSeed(t)
	r, log := twoShards(t)
	base := *r.hub.opt.Base
	r.place(rnd, 0, 50)
	r.place(rnd, 0, 10)
	log.fault = core.NewError(core.CodeUnavailable, "no broker")
	h, eventually := running(t, live(r, &base))
	eventually("a start without the log", func() bool {
		select {
		case <-h.Ready():
			t.Fatal("ready without the log")
		default:
		}
		return h.opt.Reload != nil
	})
	log.do(func() { log.fault, log.floor = nil, core.Heads{50} })
	eventually("asking for a snapshot", func() bool {
		log.mu.Lock()
		defer log.mu.Unlock()
		return log.asked > 0
	})
	newer := log.fold(t, &base, upTo(50))
	log.do(func() { log.snapshot = newer })
	eventually("ready", func() bool {
		select {
		case <-h.Ready():
			return true
		default:
			return false
		}
	})
	if got := h.Snapshot(); !bytes.Equal(got.Shards[0], log.fold(t, &base, whole).Shards[0]) || got.Heads[0] != 60 {
		t.Fatalf("head %d, or other pixels", got.Heads[0])
	}

	log.do(func() { log.fault = core.NewError(core.CodeUnavailable, "no broker") })
	r.place(rnd, 0, 5)
	log.do(func() { log.fault = nil })
	eventually("going on after a fault", func() bool { return h.Heads()[0] == 65 })
}

func TestAGapAndAPhantomWhileItRuns(t *testing.T) {
	rnd := testSeed(t)
	r, log := twoShards(t)
	base := *r.hub.opt.Base
	h, eventually := running(t, live(r, &base))
	r.place(rnd, 0, 10)
	eventually("the first events", func() bool { return h.Heads()[0] == 10 })

	var hidden *core.Record
	log.do(func() {
		hidden = &core.Record{Kind: core.KindPlacements, Canvas: 1, Epoch: 1, Relay: 5, Shard: 0, First: 11, Events: []core.Event{{Offset: 3, Color: 2}}}
		log.records, log.hidden[hidden] = append(log.records, hidden), true
	})
	r.seqs[0]++
	r.place(rnd, 0, 3)
	r.place(rnd, 1, 3)
	eventually("the other shard going on", func() bool { return h.Heads()[1] == 3 && h.Stats().Gaps > 0 })
	log.do(func() { clear(log.hidden) })
	eventually("the gap being filled", func() bool { return h.Heads()[0] == 14 })
	if h.Stats().Reloads != 0 {
		t.Error("a gap that was filled cost a reload")
	}

	good := log.fold(t, &base, whole)
	phantoms := r.place(rnd, 0, 5)
	eventually("the phantoms", func() bool { return h.Heads()[0] == 19 })
	log.do(func() { log.snapshot, log.lost[phantoms] = good, true })
	r.takeOver(0, 14)
	r.place(rnd, 0, 2)
	eventually("taking them back", func() bool { return h.Heads()[0] == r.seqs[0] })
	if got := h.Snapshot(); !bytes.Equal(got.Shards[0], log.fold(t, &base, whole).Shards[0]) || h.Resets() != 1 {
		t.Errorf("other pixels than the log, or %d resets", h.Resets())
	}
}
