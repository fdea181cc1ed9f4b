package scylla

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"pixelwall/core"
)

func cloneRecord(r *core.Record) *core.Record {
	c := *r
	c.Events, c.Pixels = slices.Clone(r.Events), slices.Clone(r.Pixels)
	return &c
}

// readTail returns what Tail gives of shard 0 after from, up to until.
func readTail(t *testing.T, s *Store, from, until uint64) (all []*core.Record, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	defer cancel()
	err = s.Tail(ctx, core.Heads{from}, func(r *core.Record) error {
		all = append(all, cloneRecord(r))
		if r.Kind != core.KindClaim && r.Last() >= until {
			return errEnough
		}
		return nil
	})
	return all, err
}

func mustTail(t *testing.T, s *Store, from, until uint64) []*core.Record {
	t.Helper()
	all, err := readTail(t, s, from, until)
	if !errors.Is(err, errEnough) {
		t.Fatalf("Tail ended with %v after %d records", err, len(all))
	}
	return all
}

func headsAt(t *testing.T, s *Store, ms int64) uint64 {
	t.Helper()
	h, err := s.HeadsAt(t.Context(), ms)
	if err != nil {
		t.Fatalf("HeadsAt: %v", err)
	}
	return h[0]
}

// remove deletes the row of the record that follows after.
func remove(t *testing.T, s *Store, after int64, first uint64) {
	t.Helper()
	execute(t, s, `DELETE FROM event_log WHERE shard = 0 AND bucket = ? AND first_seq = ?`, bucketOf(after), int64(first))
}

func execute(t *testing.T, s *Store, statement string, values ...any) {
	t.Helper()
	c, err := s.connected()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.QueryWithContext(t.Context(), statement, values...).Exec(); err != nil {
		t.Fatal(err)
	}
}

func TestAHoleInWhatIsCompleteIsNeverSkipped(t *testing.T) {
	s := fresh(t)
	mustWrite(t, s, story()...)
	mustMark(t, s, core.Position{Seq: storyEnd})
	remove(t, s, 40, 41)
	all, err := readTail(t, s, 0, storyEnd)
	if core.CodeOf(err) != core.CodeInternal || !errors.Is(err, errHole) {
		t.Errorf("Tail = %v, want %v", err, core.CodeInternal)
	}
	if last := all[len(all)-1]; last.Last() != 40 {
		t.Errorf("read up to %d, the hole is at 41", last.Last())
	}
	if _, err := readTail(t, s, 40, storyEnd); core.CodeOf(err) != core.CodeNotFound {
		t.Errorf("Tail from the hole = %v, want %v: the log does not reach back", err, core.CodeNotFound)
	}
	if got := mustTail(t, s, 41, storyEnd); got[1].First != 42 {
		t.Errorf("behind the hole the log goes on at %d", got[1].First)
	}
	if _, err := s.HeadsAt(t.Context(), startMS+50_000); !errors.Is(err, errHole) {
		t.Errorf("HeadsAt = %v", err)
	}
}

func TestAMarkerThatIsMissingIsAHole(t *testing.T) {
	s := fresh(t)
	mustWrite(t, s, story()...)
	mustMark(t, s, core.Position{Seq: storyEnd})
	remove(t, s, 242, core.EpochSeq(2))
	if all, err := readTail(t, s, 0, storyEnd); !errors.Is(err, errHole) || all[len(all)-1].Last() != 242 {
		t.Errorf("Tail = %v after %d records", err, len(all))
	}
}

func TestAReaderInsideAJumpIsToldToReload(t *testing.T) {
	s := fresh(t)
	mustWrite(t, s, story()...)
	mustMark(t, s, core.Position{Seq: storyEnd})
	for _, from := range []uint64{243, 1 << 20, core.EpochSeq(2) - 1} {
		if _, err := readTail(t, s, from, storyEnd); core.CodeOf(err) != core.CodeNotFound {
			t.Errorf("Tail from %d = %v, want %v", from, err, core.CodeNotFound)
		}
	}
	for from, first := range map[uint64]uint64{
		242: core.EpochSeq(2), core.EpochSeq(2): core.EpochSeq(2) + 1, // on both ends of it
		core.EpochSeq(2) + 7: core.EpochSeq(2) + 1, 100: 43, // inside a record
	} {
		if got := mustTail(t, s, from, storyEnd); got[0].Kind != core.KindClaim || got[1].First != first {
			t.Errorf("Tail from %d begins with %+v and seq %d, want a claim and %d", from, got[0], got[1].First, first)
		}
	}
}

func TestWhatIsOnItsWayIsWaitedFor(t *testing.T) {
	s := fresh(t)
	mustWrite(t, s, start(), placements(1, 10), placements(21, 10))
	heads, err := s.Heads(t.Context())
	if err != nil || heads[0] != 10 {
		t.Errorf("Heads = %v, %v: seq 11 is not there yet", heads[:1], err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testPatience)
	defer cancel()
	var seen []uint64
	looked := s.o.PollEvery
	err = s.Tail(ctx, core.Heads{}, func(r *core.Record) error {
		if r.Kind != core.KindPlacements {
			return nil
		}
		seen = append(seen, r.First)
		if r.First == 1 {
			time.AfterFunc(3*looked, func() { _ = s.Write(ctx, []*core.Record{placements(11, 10)}) })
		}
		if r.First == 21 {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) || !slices.Equal(seen, []uint64{1, 11, 21}) {
		t.Errorf("Tail = %v after %v", err, seen)
	}
}

func TestALogWithoutItsBeginningIsNotReadFromThere(t *testing.T) {
	s := fresh(t)
	mustWrite(t, s, placements(1, 10), placements(11, 10))
	mustMark(t, s, core.Position{Seq: 20})
	if _, err := readTail(t, s, 0, 20); core.CodeOf(err) != core.CodeNotFound {
		t.Errorf("Tail = %v, want %v: there is no start canvas", err, core.CodeNotFound)
	}
}

func TestAShardThatCameWithALargerCanvasBeginsWithItsConfiguration(t *testing.T) {
	s := fresh(t)
	config := testConfig()
	config.Version, config.Width = 2, 700
	first := &core.Record{Kind: core.KindConfig, Canvas: testCanvas, Epoch: 1, Relay: 9, First: 1, TimeMS: startMS, Config: &config}
	mustWrite(t, s, first, placements(2, 10))
	mustMark(t, s, core.Position{Seq: 11})
	if got := mustTail(t, s, 0, 11); got[1].Kind != core.KindConfig || got[2].First != 2 {
		t.Errorf("begins with %+v", got[1])
	}
}

func TestARowThatIsNotWhatItSaysIsRefused(t *testing.T) {
	for name, damage := range map[string]string{
		"another length": `UPDATE event_log SET n = 9 WHERE shard = 0 AND bucket = 0 AND first_seq = 11`,
		"another time":   `UPDATE event_log SET ts = 5 WHERE shard = 0 AND bucket = 0 AND first_seq = 11`,
		"no record":      `UPDATE event_log SET blob = 0x0102 WHERE shard = 0 AND bucket = 0 AND first_seq = 11`,
		"one before it":  `UPDATE event_log SET after_seq = 7 WHERE shard = 0 AND bucket = 0 AND first_seq = 11`,
	} {
		t.Run(name, func(t *testing.T) {
			s := fresh(t)
			mustWrite(t, s, start(), placements(1, 10), placements(11, 10), placements(21, 10))
			execute(t, s, damage)
			all, err := readTail(t, s, 0, 30)
			if core.CodeOf(err) != core.CodeInternal || len(all) != 3 {
				t.Errorf("Tail = %v after %d records", err, len(all))
			}
		})
	}
}
