package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/redis/rueidis"

	"pixelwall/core"
)

func TestWhatEveryArchiveHoldsIsTheLeastOfThem(t *testing.T) {
	c := open(t, testOptions(t))
	o := c.Outbox()
	if _, n, err := o.EverywhereArchived(t.Context()); err != nil || n != 0 {
		t.Fatalf("before any archive: %d, %v", n, err)
	}
	report := func(owner uint64, heads core.Heads) {
		t.Helper()
		if err := o.Archived(t.Context(), owner, heads); err != nil {
			t.Fatal(err)
		}
	}
	report(1, core.Heads{0: 1<<53 - 1, 1: 7, 63: 2})
	report(2, core.Heads{0: 5, 1: 9, 63: 3})
	report(2, core.Heads{0: 6, 1: 9, 63: 3})
	heads, n, err := o.EverywhereArchived(t.Context())
	if want := (core.Heads{0: 6, 1: 7, 63: 2}); err != nil || n != 2 || heads != want {
		t.Errorf("%d archives hold %v, %v; want %v", n, heads, err, want)
	}
}

func TestAnArchiveThatIsGoneForADayDoesNotCount(t *testing.T) {
	c := open(t, testOptions(t))
	o := c.Outbox()
	old := func(field string, ageMS int64) {
		t.Helper()
		err := c.link.with(t.Context(), func(ctx context.Context, r rueidis.Client) error {
			times, err := r.Do(ctx, r.B().Time().Build()).AsIntSlice()
			if err != nil {
				return err
			}
			entry := bytes8(uint64(times[0]*1000-ageMS)) + string(make([]byte, archivedBytes))
			return r.Do(ctx, r.B().Hset().Key(c.archivedKey()).FieldValue().FieldValue(field, entry).Build()).Error()
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	old("gone", 86_500_000)
	old("asleep", 86_000_000)
	if err := o.Archived(t.Context(), 3, core.Heads{4: 4}); err != nil {
		t.Fatal(err)
	}
	heads, n, err := o.EverywhereArchived(t.Context())
	if err != nil || n != 2 || heads != (core.Heads{}) {
		t.Errorf("%d archives hold %v, %v; want two of them, one with nothing", n, heads, err)
	}
}

func TestTooManyArchivesAreRefused(t *testing.T) {
	c := open(t, testOptions(t))
	o := c.Outbox()
	for i := range uint64(archivedMax) {
		if err := o.Archived(t.Context(), i, core.Heads{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Archived(t.Context(), 1<<40, core.Heads{}); core.CodeOf(err) != core.CodeTooMany {
		t.Errorf("one more: %v", err)
	}
	if err := o.Archived(t.Context(), 7, core.Heads{}); err != nil {
		t.Errorf("one of them: %v", err)
	}
}

// HeadsAt is compared with a walk through the whole stream, for times around
// each entry.
func TestHeadsAtATimeAreThoseOfTheStream(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	c := open(t, testOptions(t))
	config := testConfig()
	stop := keepArmed(t, c, config)
	for i := range 30 {
		var ps []core.Placement
		for j := range 1 + rnd.IntN(5) {
			ps = append(ps, placement(rnd.IntN(600), rnd.IntN(520), rnd.IntN(16), 1, core.Request{Instance: uint64(i), Number: uint32(j + 1)}))
		}
		outcomes(t, c, ps...)
	}
	stop()
	for _, s := range []core.ShardID{0, 1} {
		st, err := c.Outbox().Stand(t.Context(), s)
		if err == nil { // what was trimmed is not known of
			err = c.Outbox().Trim(t.Context(), s, st.Epoch, st.Seq-uint64(rnd.IntN(8)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var all [core.ShardsMax][]*core.Record
	for _, s := range config.Geometry().Shards() {
		if err := c.Outbox().Read(t.Context(), s, 0, 10_000, func(r *core.Record) error {
			all[s] = append(all[s], r.Clone())
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	ends, err := c.Stream().Heads(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range config.Geometry().Shards() {
		for _, r := range all[s] {
			for _, at := range []int64{r.TimeMS - 1, r.TimeMS} {
				want := ends
				for s := range all {
					for _, later := range all[s] {
						if later.TimeMS > at {
							want[s] = before(later)
							break
						}
					}
				}
				if got, err := c.Stream().HeadsAt(t.Context(), at); err != nil || got != want {
					t.Fatalf("at %d: %s, %v", at, diff(got, want), err)
				}
			}
		}
	}
}

func diff(got, want core.Heads) (text string) {
	for s := range got {
		if got[s] != want[s] {
			text += fmt.Sprintf("shard %d is at %d, want %d; ", s, got[s], want[s])
		}
	}
	return text
}
