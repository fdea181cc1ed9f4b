package embedded

import (
	"context"
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pixelwall/core"
)

func memOptions(fsys *memFS) Options {
	return Options{
		Dir: "/canvas", FS: fsys, IndexFS: vfs.NewMem(), ProbeEvery: time.Millisecond, IndexSpareBytes: 1,
		SegmentBytes: 1 << 20, AllocateBytes: 4 << 10, Create: core.Create{Canvas: testCanvas, Config: testConfig(1000, 1000, 60_000)},
	}
}

// await waits until the store is in mode m.
func await(t *testing.T, s *Store, m Mode) State {
	t.Helper()
	give := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		if st := s.State(); st.Mode == m {
			return st
		}
		select {
		case <-tick.C:
		case <-give:
			t.Fatalf("the store stays %+v, want %v", s.State(), m)
		}
	}
}

// by returns placement n of a user of its own.
func by(user uint64, x, y, color int) core.Placement {
	p := placement(x, y, color, 1)
	p.User, p.Request.Instance = user, user
	return p
}

func codeOf(o core.Outcome) core.Code {
	if o.Err == nil {
		return core.Code(255)
	}
	return o.Err.Code
}

// fullDisks make the disk of a store full in two ways: as reserving space says it,
// and as a write says it on a disk that cannot reserve.
var fullDisks = map[string]struct{ fill, free func(*memFS) }{
	"when space is reserved": {
		fill: func(m *memFS) { m.capacity = m.used() },
		free: func(m *memFS) { m.capacity = 0 },
	},
	"in the middle of a write": {
		fill: func(m *memFS) {
			m.fault = func(op, name string) error {
				if (op == "write" || op == "allocate") && strings.HasSuffix(name, ".seg") {
					return syscall.ENOSPC
				}
				return nil
			}
		},
		free: func(m *memFS) { m.fault = nil },
	},
}

func TestAFullDiskIsReadOnlyUntilThereIsRoom(t *testing.T) {
	for name, disk := range fullDisks {
		t.Run(name, func(t *testing.T) {
			fsys := newMemFS()
			s := mustOpen(t, memOptions(fsys))
			with := func(fn func(*memFS)) {
				fsys.mu.Lock()
				defer fsys.mu.Unlock()
				fn(fsys)
			}
			first := by(1, 5, 5, 3)
			kept := place(t, s, first)[0]
			with(disk.fill)

			var refused []core.Placement
			for user := uint64(100); s.State().Mode == OK; user++ { // what is reserved may still be used up
				p := by(user, int(user)%1000, 7, 4)
				if codeOf(place(t, s, p)[0]) == core.CodeReadOnly {
					refused = append(refused, p)
				}
			}
			if st := s.State(); st.Mode != ReadOnly || st.Reason == "" {
				t.Fatalf("state %+v", st)
			}
			if len(refused) == 0 {
				t.Fatal("nothing was refused")
			}
			heads, _ := s.Heads(context.Background())
			if o := place(t, s, by(2, 6, 6, 1), first, by(3, 6, 6, 99)); codeOf(o[0]) != core.CodeReadOnly || o[0].Err.RetryAfter == 0 ||
				!o[1].Repeated || o[1].Seq != kept.Seq || codeOf(o[2]) != core.CodeUnknownColor {
				t.Errorf("while full: %+v", o)
			}
			grow := s.Config()
			grow.Version, grow.Width = 2, 1500
			if err := s.Configure(context.Background(), grow); core.CodeOf(err) != core.CodeReadOnly {
				t.Errorf("Configure while full: %v", err)
			}
			if got, _ := s.Heads(context.Background()); got != heads {
				t.Errorf("the log went on from %v to %v", heads[:4], got[:4])
			}
			foldLog(t, s) // reading goes on

			with(disk.free)
			await(t, s, OK)
			for _, p := range refused { // nobody was charged for a refusal
				if o := place(t, s, p)[0]; o.Err != nil || o.Repeated {
					t.Fatalf("after there was room: %+v", o)
				}
			}
			if err := s.Configure(context.Background(), grow); err != nil {
				t.Errorf("Configure after there was room: %v", err)
			}
			board := foldLog(t, s)
			mustClose(t, s)
			again := mustOpen(t, memOptions(fsys))
			for _, id := range board.Geometry().Shards() {
				if string(board.Pixels(id)) != string(again.seq.board.Pixels(id)) {
					t.Errorf("shard %d differs after reopening", id)
				}
			}
		})
	}
}

func TestAFailedFsyncStopsTheWriterForGood(t *testing.T) {
	for name, fault := range map[string]error{"an I/O error": syscall.EIO, "no space, which a write would survive": syscall.ENOSPC} {
		t.Run(name, func(t *testing.T) {
			fsys := newMemFS()
			s := mustOpen(t, memOptions(fsys))
			first := by(1, 5, 5, 3)
			kept := place(t, s, first)[0]
			syncs := 0
			fsys.mu.Lock()
			fsys.fault = func(op, name string) error {
				if op == "sync" && strings.HasSuffix(name, ".seg") {
					if syncs++; syncs == 1 { // a second one would succeed, and lie
						return fault
					}
				}
				return nil
			}
			fsys.mu.Unlock()
			out := make([]core.Outcome, 1)
			for i := range 3 {
				if err := s.Place(context.Background(), []core.Placement{by(2, 6, 6, 1)}, out); core.CodeOf(err) != core.CodeUnavailable {
					t.Fatalf("try %d: %v, %+v", i, err, out)
				}
			}
			if err := s.Configure(context.Background(), s.Config()); core.CodeOf(err) != core.CodeUnavailable {
				t.Errorf("Configure: %v", err)
			}
			if st := s.State(); st.Mode != Stopped || !strings.Contains(st.Reason, fault.Error()) {
				t.Errorf("state %+v", st)
			}
			if b := foldLog(t, s); b.At(0, 5*512+5) != 3 || b.At(0, 6*512+6) != 0 {
				t.Error("a reader was given what is not durable, or not what is")
			}
			fsys.mu.Lock()
			if syncs != 1 {
				t.Errorf("%d fsyncs, want the failed one alone", syncs)
			}
			fsys.mu.Unlock()
			_ = s.Close()
			again := mustOpen(t, memOptions(fsys.crash(nil)))
			if o := place(t, again, first)[0]; !o.Repeated || o.Seq != kept.Seq {
				t.Errorf("after a restart: %+v", o)
			}
		})
	}
}

// A restart does not mend what a failed fsync left: the pages are clean then, though
// the disk has not got them. What is appended behind them may not hang in the air.
func TestAPowerLossAfterAFailedFsyncAndARestartLosesNothingAcknowledged(t *testing.T) {
	fsys := newMemFS()
	s := mustOpen(t, memOptions(fsys))
	before := by(1, 5, 5, 3)
	place(t, s, before)
	fsys.mu.Lock()
	fsys.fault = func(op, name string) error {
		if op == "sync" && strings.HasSuffix(name, ".seg") {
			return syscall.EIO
		}
		return nil
	}
	fsys.mu.Unlock()
	unsure := by(2, 6, 6, 1)
	if err := s.Place(context.Background(), []core.Placement{unsure}, make([]core.Outcome, 1)); core.CodeOf(err) != core.CodeUnavailable {
		t.Fatal(err)
	}
	_ = s.Close()
	fsys.mu.Lock()
	fsys.fault = nil
	fsys.mu.Unlock()

	s = mustOpen(t, memOptions(fsys))
	after := by(3, 7, 7, 2)
	told := place(t, s, before, unsure, after)
	if !told[0].Repeated || !told[1].Repeated || told[2].Err != nil {
		t.Fatalf("after the restart: %+v", told)
	}
	s = mustOpen(t, memOptions(fsys.crash(nil)))
	for i, o := range place(t, s, before, unsure, after) {
		if !o.Repeated || o.Seq != told[i].Seq {
			t.Errorf("placement %d was acknowledged with seq %d, and is %+v after the power loss", i, told[i].Seq, o)
		}
	}
}

// The last group is written once more before anything is appended, so a disk that
// has no room even for that, as one that copies on write, holds up the writer alone.
func TestAStoreOpensWhereTheLastGroupCannotBeWrittenAgain(t *testing.T) {
	for name, op := range map[string]string{"the group": "write", "the sync of it": "sync"} {
		t.Run("no room for "+name, func(t *testing.T) {
			fsys := newMemFS()
			s := mustOpen(t, memOptions(fsys))
			before := by(1, 5, 5, 3)
			place(t, s, before)
			fsys.fail("sync", ".seg", syscall.EIO)
			unsure := by(2, 6, 6, 1)
			if err := s.Place(context.Background(), []core.Placement{unsure}, make([]core.Outcome, 1)); core.CodeOf(err) != core.CodeUnavailable {
				t.Fatal(err)
			}
			_ = s.Close()

			fsys.fail(op, ".seg", syscall.ENOSPC)
			s = mustOpen(t, memOptions(fsys))
			if st := s.State(); st.Mode != ReadOnly || !strings.Contains(st.Reason, syscall.ENOSPC.Error()) {
				t.Errorf("state %+v", st)
			}
			after := by(3, 7, 7, 2)
			if o := place(t, s, unsure, after); !o[0].Unknown || codeOf(o[1]) != core.CodeReadOnly {
				t.Errorf("while full: %+v", o) // a power loss could still take it
			}
			if b := foldLog(t, s); b.At(0, 5*512+5) != 3 || b.At(0, 7*512+7) != 0 {
				t.Error("while full the log does not hold what it held before")
			}

			fsys.fail("", "", nil)
			await(t, s, OK)
			told := place(t, s, before, unsure, after)
			if told[2].Err != nil || told[2].Repeated {
				t.Fatalf("when there is room: %+v", told)
			}
			s = mustOpen(t, memOptions(fsys.crash(nil)))
			for i, o := range place(t, s, before, unsure, after) {
				if !o.Repeated || o.Seq != told[i].Seq {
					t.Errorf("placement %d was acknowledged with seq %d, and is %+v after a power loss", i, told[i].Seq, o)
				}
			}
		})
	}
}

// The end of the descriptors passes, and nothing was written when a segment could
// not be made.
func TestASegmentThatCannotBeMadeIsTriedAgain(t *testing.T) {
	for _, tt := range []struct {
		name, op, suffix string
		err              error
	}{
		{"to create it", "create", ".seg.tmp", syscall.EMFILE},
		{"to sync its folder", "syncdir", "/" + logName, syscall.ENFILE},
	} {
		t.Run("no descriptor "+tt.name, func(t *testing.T) {
			fsys := newMemFS()
			o := memOptions(fsys)
			o.SegmentBytes, o.AllocateBytes = segmentHeaderBytes, segmentHeaderBytes // each group gets one
			s := mustOpen(t, o)
			first := by(1, 5, 5, 3)
			place(t, s, first)
			fsys.fail(tt.op, tt.suffix, tt.err)
			second := by(2, 6, 6, 1)
			if o := place(t, s, second)[0]; codeOf(o) != core.CodeReadOnly {
				t.Fatalf("without a segment: %+v", o)
			}
			if st := s.State(); st.Mode != ReadOnly || !strings.Contains(st.Reason, tt.err.Error()) {
				t.Errorf("state %+v", st)
			}
			fsys.fail("", "", nil)
			await(t, s, OK)
			if o := place(t, s, second)[0]; o.Err != nil || o.Repeated {
				t.Errorf("when a segment can be made: %+v", o)
			}
			if b := foldLog(t, s); b.At(0, 5*512+5) != 3 || b.At(0, 6*512+6) != 1 {
				t.Error("the log does not hold both")
			}
			o.FS, o.IndexFS = fsys.crash(nil), vfs.NewMem()
			for i, o := range place(t, mustOpen(t, o), first, second) {
				if !o.Repeated {
					t.Errorf("placement %d is gone after a power loss: %+v", i, o)
				}
			}
		})
	}
}

// A process that dies between the rename of a new segment and the sync of the
// folder leaves a name that only memory knows.
func TestAPowerLossDoesNotTakeASegmentThatAKilledProcessMade(t *testing.T) {
	fsys := newMemFS()
	o := memOptions(fsys)
	o.SegmentBytes, o.AllocateBytes = 2*segmentHeaderBytes, segmentHeaderBytes
	s := mustOpen(t, o)
	fsys.fail("syncdir", "/"+logName, syscall.EIO) // as far as a killed one would have come
	for user := uint64(1); s.State().Mode == OK; user++ {
		_ = s.Place(context.Background(), []core.Placement{by(user, 5, 5, 3)}, make([]core.Outcome, 1)) // until it cannot
	}
	_ = s.Close()
	fsys.fail("", "", nil)

	s = mustOpen(t, o)
	if n := s.log.segments[len(s.log.segments)-1].number; n != 2 {
		t.Fatalf("the log ends in segment %d, want the second one", n)
	}
	after := by(1000, 7, 7, 2)
	told := place(t, s, after)[0]
	o.FS, o.IndexFS = fsys.crash(nil), vfs.NewMem()
	if again := place(t, mustOpen(t, o), after)[0]; !again.Repeated || again.Seq != told.Seq {
		t.Errorf("acknowledged with seq %d, and %+v after the power loss", told.Seq, again)
	}
}

func TestAFailedWriteStopsTheWriter(t *testing.T) {
	fsys := newMemFS()
	s := mustOpen(t, memOptions(fsys))
	place(t, s, by(1, 5, 5, 3))
	fsys.mu.Lock()
	fsys.fault = func(op, name string) error {
		if op == "write" && strings.HasSuffix(name, ".seg") {
			return syscall.EIO
		}
		return nil
	}
	fsys.mu.Unlock()
	out := make([]core.Outcome, 1)
	if err := s.Place(context.Background(), []core.Placement{by(2, 6, 6, 1)}, out); core.CodeOf(err) != core.CodeUnavailable {
		t.Errorf("%v, %+v", err, out)
	}
	if s.State().Mode != Stopped {
		t.Errorf("state %+v", s.State())
	}
}

func TestASlowReaderHoldsNobodyUp(t *testing.T) {
	s := mustOpen(t, memOptions(newMemFS()))
	stuck, release := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	n := 0
	hold := sync.OnceFunc(func() {
		close(stuck)
		<-release
	})
	go func() {
		ended <- s.Tail(context.Background(), core.Heads{}, func(r *core.Record) error {
			hold()
			if n += len(r.Events); n == 500 {
				return errEnough
			}
			return nil
		})
	}()
	<-stuck
	for user := range uint64(500) {
		if o := place(t, s, by(user+1, int(user), 1, 2))[0]; o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	close(release)
	if err := <-ended; !errors.Is(err, errEnough) {
		t.Errorf("Tail = %v after %d events", err, n)
	}
}

func TestAFullQueueRefusesBeforeAnythingIsDecided(t *testing.T) {
	q := &queue{wake: make(chan struct{}, 1)}
	if err := q.push(&job{ps: make([]core.Placement, queuePlacementsMax)}); err != nil {
		t.Fatal(err)
	}
	if err := q.push(&job{ps: make([]core.Placement, 1)}); core.CodeOf(err) != core.CodeTooMany {
		t.Errorf("push = %v, want %v", err, core.CodeTooMany)
	}
	q.take(nil)
	if err := q.push(&job{ps: make([]core.Placement, 1)}); err != nil {
		t.Errorf("push after the queue was taken: %v", err)
	}
}
