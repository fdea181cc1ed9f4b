package relay

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pixelwall/core"
	"pixelwall/core/coretest"
)

// A relay that starts with an empty topic and a snapshot of two minutes ago finds
// that the outbox goes on where the newest snapshot ends.
func TestALostTopicGoesOnFromTheNewestSnapshot(t *testing.T) {
	onStage(t, func(st *stage) {
		_, _, stop := st.relay()
		epoch := st.armedAbove(0)
		st.place(20)
		st.carried()
		st.snapshot()
		time.Sleep(2*time.Minute + time.Second)
		st.place(20)
		st.carried()
		st.snapshot()
		time.Sleep(80 * time.Second) // and all that it covers is trimmed
		st.place(20)
		st.carried()
		bottom := st.outbox.Stand(0).Bottom
		stop()
		if st.told[20].seq >= bottom || bottom > st.told[40].seq {
			t.Fatalf("the outbox begins at %x, which shows nothing", bottom)
		}
		st.topic.Empty()
		r, _, stop := st.relay()
		defer stop()
		st.armedAbove(epoch)
		st.place(20)
		st.carried()
		st.allStored()
		if got := r.Stats(); got.Holes != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// Without a snapshot so old, the whole log is read, which is nothing: it is of the
// outbox's canvas all the same.
func TestALostTopicIsOfTheOutboxsCanvas(t *testing.T) {
	for name, snapshot := range map[string]bool{"with a snapshot it goes on": true, "without any it is left alone": false} {
		t.Run(name, func(t *testing.T) {
			onStage(t, func(st *stage) {
				_, _, stop := st.relay()
				epoch := st.armedAbove(0)
				st.place(20)
				st.carried()
				if snapshot {
					st.snapshot()
				}
				st.place(20)
				st.carried()
				stop()
				st.topic.Empty()
				before := st.outbox.Stand(0)
				_, _, stop = st.relay()
				defer stop()
				if !snapshot {
					time.Sleep(time.Minute)
					if now := st.outbox.Stand(0); now != before {
						t.Errorf("it stands at %+v, before at %+v", now, before)
					}
					return
				}
				st.armedAbove(epoch)
				st.place(20)
				st.carried()
				st.allStored()
			})
		})
	}
}

// A relay that goes on meanwhile claims the new topic, and brings to it what the
// newest snapshot lacks, also when it was busy while its view began again.
func TestALostTopicIsClaimedAnew(t *testing.T) {
	onStage(t, func(st *stage) {
		_, _, stop := st.relay()
		defer stop()
		epoch := st.armedAbove(0)
		st.place(20)
		st.carried()
		st.snapshot()
		st.place(20)
		st.carried()
		st.slow.Store(true)
		time.Sleep(100 * time.Millisecond)
		st.topic.Empty()
		time.Sleep(500 * time.Millisecond)
		st.slow.Store(false)
		st.armedAbove(epoch)
		st.place(20)
		st.carried()
		st.allStored()
		present := st.topic.Lives(0)[1]
		if first := present[0]; first.Kind != core.KindClaim || first.Epoch <= epoch {
			t.Errorf("the new topic begins with %+v", first)
		}
		if first := present[1]; first.First != st.told[20].seq {
			t.Errorf("it goes on with seq %x, the snapshot ends before %x", first.First, st.told[20].seq)
		}
	})
}

// deafen returns a switch: while it is on, the relays to come hear nothing of the topic.
func (st *stage) deafen() *atomic.Bool {
	on := &atomic.Bool{}
	st.log = func(_ context.Context, c coretest.Call, effect func() error) error {
		if c.Method == "Tail" && on.Load() {
			return errors.New("no answer")
		}
		return effect()
	}
	return on
}

// A broker that lost power comes back without records that it had acknowledged, and the
// relay appends behind the hole before it hears of that. The outbox has what is missing.
func TestWhatATopicLostIsPublishedAgain(t *testing.T) {
	for name, read := range map[string]bool{"and it was read": true, "before it was read": false} {
		t.Run(name, func(t *testing.T) {
			onStage(t, func(st *stage) {
				deafened := st.deafen()
				r, _, stop := st.relay()
				defer stop()
				epoch := st.armedAbove(0)
				st.place(20)
				st.carried()
				st.snapshot()
				deafened.Store(!read)
				st.place(20)
				st.carried()
				deafened.Store(true)
				st.topic.Truncate(0, len(st.topic.Records(0))-10)
				st.place(20)
				st.carried()
				deafened.Store(false)
				st.armedAbove(epoch)
				st.place(20)
				st.carried()
				st.allStored()
				time.Sleep(time.Minute)
				if got := r.Stats(); got.Holes != 0 || got.TakeOvers != 2 {
					t.Errorf("%+v", got)
				}
			})
		})
	}
}

// What lies behind a hole can take longer to read than the log is left alone for before
// it is asked again; our claim is the last of it.
func TestALongLogBehindAHoleIsRead(t *testing.T) {
	onStage(t, func(st *stage) {
		deafened := st.deafen()
		_, _, stop := st.relay()
		epoch := st.armedAbove(0)
		st.place(20)
		st.carried()
		deafened.Store(true)
		st.topic.Truncate(0, len(st.topic.Records(0))-10)
		st.place(600)
		st.carried()
		stop()
		st.log, st.reads = nil, 50*time.Millisecond
		r, _, stop := st.relay()
		defer stop()
		st.armedAbove(epoch)
		st.place(20)
		st.carried()
		st.allStored()
		if got := r.Stats(); got.Holes != 0 || got.TakeOvers != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// leaveOut loses what the outbox was trimmed of, so that the n entries that are left
// there join nothing. It returns the epoch in which that was.
func (st *stage) leaveOut(n int) (epoch uint32) {
	st.t.Helper()
	_, _, stop := st.relay()
	epoch = st.armedAbove(0)
	st.place(20)
	st.carried()
	st.snapshot()
	st.place(20)
	gone := st.outbox.Stand(0).Seq
	st.place(n)
	st.carried()
	stop()
	if err := st.outbox.As(nil).Trim(st.t.Context(), 0, epoch, gone+1); err != nil {
		st.t.Fatal(err)
	}
	st.topic.Empty()
	return epoch
}

// What no snapshot leads to is lost, once, and the shard goes on.
func TestAShardGoesOnBehindAHole(t *testing.T) {
	onStage(t, func(st *stage) {
		epoch := st.leaveOut(20)
		st.told = nil
		r, _, stop := st.relay()
		defer stop()
		st.armedAbove(epoch)
		st.place(20)
		st.carried()
		if got := r.Stats(); got.Holes != 1 || got.TakeOvers != 1 || got.Carried != 21 {
			t.Errorf("%+v", got)
		}
	})
}

// It is lost once also when the next relay still finds it in the outbox, more than a
// page of it, before what was placed since.
func TestWhatDoesNotJoinIsLeftOutOnce(t *testing.T) {
	onStage(t, func(st *stage) {
		epoch := st.leaveOut(600)
		before := st.told
		st.arms = true
		r, _, stop := st.relay()
		epoch = st.armedAbove(epoch)
		stop()
		if got := r.Stats(); got.Holes != 1 || got.TakeOvers != 1 {
			t.Errorf("%+v", got)
		}
		st.told = nil
		st.place(300)
		if a := st.ask(before[len(before)-1].event); a.Repeat {
			t.Errorf("a request that was left out is told to be stored: %+v", a)
		}
		st.arms = false
		r, _, stop = st.relay()
		defer stop()
		st.armedAbove(epoch)
		st.place(20)
		st.carried()
		if got := r.Stats(); got.Holes != 0 || got.TakeOvers != 1 {
			t.Errorf("the next relay: %+v", got)
		}
		logged := make(map[core.Request]uint64)
		for _, rec := range st.topic.Records(0) {
			for i, e := range rec.Events {
				logged[e.Request] = rec.First + uint64(i)
			}
		}
		for _, p := range st.told {
			if logged[p.event.Request] != p.seq {
				t.Fatalf("%v was told seq %x, the log has %x", p.event.Request, p.seq, logged[p.event.Request])
			}
		}
	})
}

// A master that was cut off has stored requests that came to no log. When it is put
// back, a page that asks for one is not told that it is stored.
func TestAMasterThatComesBackForgetsWhatIsInNoLog(t *testing.T) {
	onStage(t, func(st *stage) {
		r, _, stop := st.relay()
		defer stop()
		epoch := st.armedAbove(0)
		st.place(5)
		st.carried()
		kept := len(st.told)
		synctest.Wait()
		st.place(3) // which no relay reads and no replica gets
		st.outbox.Failover(3)
		phantoms := st.told[kept:]
		epoch = st.armedAbove(epoch)
		again := st.ask(phantoms[0].event) // its page sends it again, to the other master
		if again.Repeat || core.SeqEpoch(again.Seq) != epoch {
			t.Fatalf("%+v", again)
		}
		st.carried()
		if _, done := st.outbox.Return(); !done {
			t.Fatal("the first master did not come back")
		}
		st.armedAbove(epoch)
		if a := st.ask(phantoms[0].event); !a.Repeat || a.Seq != again.Seq {
			t.Errorf("stored as %x, told %+v", again.Seq, a)
		}
		for _, p := range phantoms[1:] {
			if a := st.ask(p.event); a.Repeat {
				t.Errorf("seq %x is in no log, and told: %+v", p.seq, a)
			}
		}
		for _, p := range st.told[:kept] {
			if a := st.ask(p.event); !a.Repeat || a.Seq != p.seq {
				t.Errorf("stored as %x, told %+v", p.seq, a)
			}
		}
		if got := r.Stats(); got.TakeOvers != 3 {
			t.Errorf("%+v", got)
		}
	})
}

// A relay that slept in the midst of a take-over finds an outbox that another one has
// gone on with, and was trimmed of what joins. Its log lacks nothing, so it keeps its
// memory of requests for the next take-over.
func TestARelayThatSleptKeepsItsMemory(t *testing.T) {
	onStage(t, func(st *stage) {
		_, _, stop := st.relay()
		epoch := st.armedAbove(0)
		st.place(20)
		st.carried()
		stop()
		wake, asleep := make(chan struct{}), atomic.Bool{}
		st.sleeps, st.leases = wake, func(_ context.Context, _ coretest.Call, effect func() error) error {
			if asleep.Load() {
				<-wake
			}
			return effect()
		}
		slept, _, stopSlept := st.relay()
		st.until("a fence", func() bool { return st.outbox.Stand(0).Epoch > epoch })
		asleep.Store(true)
		st.sleeps, st.leases = nil, nil
		_, _, stop = st.relay()
		epoch = st.armedAbove(epoch + 1)
		st.place(20)
		st.carried()
		st.snapshot()
		time.Sleep(80 * time.Second) // and all that it covers is trimmed
		st.place(5)
		st.carried()
		stop()
		if bottom := st.outbox.Stand(0).Bottom; bottom <= st.told[20].seq {
			st.t.Errorf("the outbox begins at %x, which shows nothing", bottom)
		}
		close(wake)
		st.armedAbove(epoch)
		if slept.Stats().StoodDown == 0 {
			st.t.Error("the relay that slept did not stand down")
		}
		st.outbox.Flush()
		st.armedAbove(0)
		for _, p := range st.told {
			if a := st.ask(p.event); !a.Repeat || a.Seq != p.seq {
				st.t.Fatalf("stored as %x, told %+v", p.seq, a)
			}
		}
		stopSlept()
	})
}

// Only what lies beyond the outbox's own seq is recalled.
func TestWhatTheOutboxKnowsIsNotRecalled(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(*stage)
		want    int
	}{
		"another relay":              {func(*stage) {}, 0},
		"a restart":                  {func(st *stage) { st.outbox.Restart() }, 0},
		"a replica that lacks three": {func(st *stage) { st.outbox.Failover(3) }, 3},
		"a server that lost all":     {func(st *stage) { st.outbox.Flush() }, 40},
		"one that went another way": {func(st *stage) {
			st.outbox.Failover(3)
			epoch := st.outbox.Stand(0).Epoch + 1 // armed by a relay whose marker came to no log
			h := core.Holder{Epoch: epoch, Relay: 99}
			if _, err := st.outbox.As(nil).Fence(t.Context(), 0, epoch); err != nil {
				t.Fatal(err)
			}
			if err := st.outbox.As(nil).Arm(t.Context(), 0, h, core.EpochSeq(epoch), st.outbox.Stand(0).Top); err != nil {
				t.Fatal(err)
			}
		}, 40},
	} {
		t.Run(name, func(t *testing.T) {
			onStage(t, func(st *stage) {
				_, _, stop := st.relay()
				epoch := st.armedAbove(0)
				st.place(20)
				st.outbox.Restart()
				st.armedAbove(epoch)
				st.place(20)
				st.carried()
				stop()
				c.happens(st)
				epoch = st.outbox.Stand(0).Epoch
				_, outbox, stop := st.relay()
				defer stop()
				st.armedAbove(epoch)
				if outbox.recalled != c.want {
					t.Errorf("%d requests were recalled, want %d", outbox.recalled, c.want)
				}
				for _, p := range st.told {
					if a := st.ask(p.event); !a.Repeat || a.Seq != p.seq {
						t.Fatalf("stored as %x, told %+v", p.seq, a)
					}
				}
			})
		})
	}
}
