package relay

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pixelwall/core"
	"pixelwall/core/coretest"
	"pixelwall/persist"
)

const leaseTTL = 3 * time.Second // that of a relay by default

// claims returns who claimed the shard, as often as an epoch was claimed.
func (st *stage) claims() (relays []uint64) {
	epoch := uint32(0)
	for _, r := range st.topic.Records(0) {
		if r.Kind == core.KindClaim && r.Epoch != epoch {
			epoch = r.Epoch
			relays = append(relays, r.Relay)
		}
	}
	return relays
}

// stalled holds appends while the log is away.
func (st *stage) stalled(ctx context.Context, c coretest.Call, effect func() error) error {
	for c.Method == "Append" && st.away.Load() {
		if err := persist.Pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return effect()
}

// A take-over that takes longer than a lease lasts is ended by the relay that began
// it, and nobody else claims the shard meanwhile.
func TestALongTakeOverIsLeftAlone(t *testing.T) {
	onStage(t, func(st *stage) {
		first, outbox, stop := st.relay()
		defer stop()
		epoch := st.armedAbove(0)
		second, _, stop := st.relay()
		defer stop()
		st.place(20)
		st.carried()
		st.long.Store(true)
		st.outbox.Failover(20)
		st.armedAbove(epoch)
		if got := st.claims(); len(got) != 2 || got[0] != 1 || got[1] != 1 {
			t.Errorf("claimed by %v", got)
		}
		if outbox.recalled != 20 || first.Stats().TakeOvers != 2 || second.Stats().TakeOvers != 0 {
			t.Errorf("%d recalled; the first: %+v, the second: %+v", outbox.recalled, first.Stats(), second.Stats())
		}
		st.place(5)
		st.carried()
		st.allStored()
	})
}

// A log that nobody can write to does not make relays depose each other.
func TestALogThatIsAwayIsWaitedForByOne(t *testing.T) {
	onStage(t, func(st *stage) {
		st.log = st.stalled
		_, _, stop := st.relay()
		defer stop()
		st.armedAbove(0)
		_, _, stop = st.relay()
		defer stop()
		st.away.Store(true)
		st.place(5)
		time.Sleep(10 * leaseTTL)
		st.away.Store(false)
		st.carried()
		time.Sleep(leaseTTL)
		if got := st.claims(); len(got) != 1 {
			t.Errorf("claimed by %v", got)
		}
		st.allStored()
	})
}

// A relay that alone is cut off from the log leaves the shard to another one.
func TestARelayThatIsCutOffFromTheLogIsReplaced(t *testing.T) {
	onStage(t, func(st *stage) {
		st.log = st.stalled
		_, _, stop := st.relay()
		defer stop()
		epoch := st.armedAbove(0)
		st.log = nil
		second, _, stop := st.relay()
		defer stop()
		st.away.Store(true)
		st.place(5)
		st.armedAbove(epoch)
		st.place(5)
		st.carried()
		if second.Stats().TakeOvers != 1 {
			t.Errorf("%+v", second.Stats())
		}
		st.allStored()
	})
}

// A lease that cannot be renewed is ours until it ends: what is placed is carried.
func TestALeaseThatCannotBeAskedForStands(t *testing.T) {
	onStage(t, func(st *stage) {
		st.leases = func(_ context.Context, c coretest.Call, effect func() error) error {
			if st.away.Load() && c.Method == "Hold" {
				return errors.New("no answer")
			}
			return effect()
		}
		_, _, stop := st.relay()
		defer stop()
		st.armedAbove(0)
		synctest.Wait()
		st.away.Store(true)
		time.Sleep(leaseTTL / 2)
		st.place(5)
		time.Sleep(100 * time.Millisecond)
		heads, err := st.topic.As(nil).Heads(t.Context())
		if s := st.outbox.Stand(0); err != nil || heads[0] != s.Seq {
			t.Errorf("the topic is at %x (%v), the outbox at %+v", heads[0], err, s)
		}
	})
}

// A relay that was stopped leaves nothing to wait for.
func TestAStoppedRelayReleasesItsLease(t *testing.T) {
	onStage(t, func(st *stage) {
		_, _, stop := st.relay()
		st.armedAbove(0)
		stop()
		if held, err := st.outbox.As(nil).Hold(t.Context(), 0, role, 99, leaseTTL); err != nil || !held {
			t.Errorf("Hold is %v, %v", held, err)
		}
	})
}

// A relay that has the log still to read claims nothing before it has: whoever
// follows the stream takes what the relay before has armed.
func TestAColdRelayReadsBeforeItClaims(t *testing.T) {
	onStage(t, func(st *stage) {
		_, _, stop := st.relay()
		epoch := st.armedAbove(0)
		st.place(300)
		st.carried()
		stop()
		st.reads = 100 * time.Millisecond
		began := time.Now()
		claimed := time.Duration(0)
		st.log = func(_ context.Context, c coretest.Call, effect func() error) error {
			if c.Method == "Append" && claimed == 0 {
				claimed = time.Since(began)
			}
			return effect()
		}
		_, _, stop = st.relay()
		defer stop()
		st.armedAbove(epoch)
		if armed := time.Since(began); claimed < 30*time.Second || armed > claimed+2*time.Second {
			t.Errorf("300 records of 100 ms each were there to read; it claimed after %v and armed after %v", claimed, armed)
		}
	})
}

// A log that never tells where it ends is claimed all the same.
func TestALogThatDoesNotTellItsEndIsClaimed(t *testing.T) {
	onStage(t, func(st *stage) {
		_, _, stop := st.relay()
		epoch := st.armedAbove(0)
		st.place(20)
		st.carried()
		stop()
		st.log = func(ctx context.Context, c coretest.Call, effect func() error) error {
			if c.Method == "Heads" {
				<-ctx.Done()
				return ctx.Err()
			}
			return effect()
		}
		_, _, stop = st.relay()
		defer stop()
		began := time.Now()
		st.armedAbove(epoch)
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("armed after %v", took)
		}
	})
}
