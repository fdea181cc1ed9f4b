package embedded

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pixelwall/core"
)

// The model is a map that never forgets, and the rule as it is written down.
func TestRequestsAnswerLikeAMapThatNeverForgets(t *testing.T) {
	type known struct {
		seq    uint64
		timeMS int64
	}
	for seed := range uint64(8) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		q := newRequests()
		q.answersMax = 3 * chunkAnswers // so that the window is also cut by its size
		all := make(map[core.Request]known)
		floor := make(map[uint64]uint32)
		var order []core.Request // answers in the window, oldest first
		inWindow := make(map[core.Request]bool)
		drop := func() {
			r := order[0]
			order = order[1:]
			delete(inWindow, r)
			floor[r.Instance] = max(floor[r.Instance], r.Number)
		}
		now := int64(1_000_000)
		for n := range 60_000 {
			now += rnd.Int64N(30)
			r := core.Request{Instance: rnd.Uint64N(50), Number: uint32(1 + n/50 + rnd.IntN(100))}
			q.expire(now, 3)
			for len(order) > 0 && all[order[0]].timeMS+core.ResendWindowMS <= now {
				drop()
			}
			a, standing := q.find(r)
			k, stored := all[r]
			want := unknown
			switch {
			case inWindow[r]:
				want = answered
			case r.Number <= floor[r.Instance]:
				want = expired
			}
			if standing != want || want == answered && (a.seq() != k.seq || a.timeMS != k.timeMS || a.shard() != core.ShardID(r.Instance)) {
				t.Fatalf("seed %d, step %d: %+v is %v %+v, want %v %+v", seed, n, r, standing, a, want, k)
			}
			if stored && standing == unknown {
				t.Fatalf("seed %d, step %d: %+v would be stored twice", seed, n, r)
			}
			if standing != unknown {
				continue
			}
			if uint64(len(order)) >= q.answersMax {
				drop()
			}
			q.add(r, core.ShardID(r.Instance), uint64(n), now)
			if rnd.IntN(4) == 0 { // as a full disk makes it
				q.undo(1)
				continue
			}
			all[r] = known{uint64(n), now}
			order = append(order, r)
			inWindow[r] = true
		}
	}
}

func TestPagesThatHaveNothingToSayAreForgotten(t *testing.T) {
	q := newRequests()
	for i := range uint64(10_000) {
		q.add(core.Request{Instance: i, Number: 1}, 0, i+1, 0)
	}
	q.expire(pageMemoryMS-1, 20_000)
	if _, standing := q.find(core.Request{Instance: 5, Number: 1}); standing != expired || len(q.index) != 10_000 {
		t.Errorf("before a day is over: %v, %d pages", standing, len(q.index))
	}
	q.expire(pageMemoryMS, 20_000)
	if len(q.index) != 0 || len(q.free) != 10_000 || len(q.chunks) > 1 {
		t.Errorf("after a day: %d pages, %d free, %d chunks", len(q.index), len(q.free), len(q.chunks))
	}
	q.pagesMax = 10
	for i := range uint64(100) {
		q.add(core.Request{Instance: i, Number: 1}, 0, i+1, pageMemoryMS)
	}
	q.expire(pageMemoryMS+core.ResendWindowMS, 20_000)
	if len(q.index) > 10 {
		t.Errorf("%d pages, at most %d are kept", len(q.index), q.pagesMax)
	}
}

// A tap from long ago, and a store that was closed or killed since.
func TestARequestFromBeforeARestartIsNotStoredAgain(t *testing.T) {
	fsys := newMemFS()
	o := memOptions(fsys)
	o.Create.Config.CooldownMS = 0
	o.SegmentBytes, o.AllocateBytes, o.SnapshotEvents = 3000, 500, 10
	var now atomic.Int64
	o.Clock = now.Load
	now.Store(1_491_237_000_000)
	var sent []core.Placement
	var first []core.Outcome
	s := mustOpen(t, o)
	for n := range uint32(120) {
		p := placement(int(n), 1, 1, n+1)
		p.Request.Instance = uint64(n / 5) // most are silent long before the end
		sent = append(sent, p)
		first = append(first, place(t, s, p)[0])
		now.Add(10_000) // twenty minutes in all
		switch n {
		case 40, 80:
			mustClose(t, s)
			s = mustOpen(t, o)
		case 60, 100:
			o.FS, o.IndexFS = fsys.crash(nil), vfs.NewMem()
			fsys = o.FS.(*memFS)
			s = mustOpen(t, o)
		}
	}
	now.Add(30_000)
	if len(s.log.segments) < 3 {
		t.Errorf("%d segments: everything was read again anyway", len(s.log.segments))
	}
	for i, again := range place(t, s, sent...) {
		if inWindow := first[i].TimeMS+core.ResendWindowMS > now.Load(); inWindow {
			if !again.Repeated || again.Seq != first[i].Seq {
				t.Errorf("placement %d: %+v, want the first answer %+v", i, again, first[i])
			}
		} else if codeOf(again) != core.CodeExpired {
			t.Errorf("placement %d: %+v, want it expired", i, again)
		}
	}
}

// The sequencer's share of a placement, without goroutines and without the disk.
func TestDecidingAPlacementAllocatesNothing(t *testing.T) {
	o := memOptions(newMemFS())
	var now atomic.Int64
	o.Clock = now.Load
	now.Store(1_000_000)
	o.Create.Config.CooldownMS = 1
	s := mustOpen(t, o)
	mustClose(t, s) // from here on the sequencer is ours
	j := newJob()
	j.ps, j.out = make([]core.Placement, 256), make([]core.Outcome, 256)
	number := uint32(0)
	round := func() {
		now.Add(1000)
		number++
		for i := range j.ps {
			j.ps[i] = placement(i*3, i*2, i%16, number)
			j.ps[i].User, j.ps[i].Request.Instance = uint64(i), uint64(i)
		}
		if stored := s.seq.decide([]*job{j}); stored != len(j.ps) {
			t.Fatalf("%d stored: %+v", stored, j.out[0])
		}
		s.seq.group.finish()
	}
	for range 400 { // until the window is full and answers leave as fast as they come
		round()
	}
	if n := testing.AllocsPerRun(500, round); n != 0 {
		t.Errorf("%v allocations for %d placements", n, len(j.ps))
	}
}

func BenchmarkDecide(b *testing.B) {
	o := memOptions(newMemFS())
	now := int64(1_000_000)
	o.Clock = func() int64 { return now }
	o.Create.Config.CooldownMS = 1000
	s, err := Open(o)
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	const users = 1 << 20
	j := newJob()
	j.ps, j.out = make([]core.Placement, 256), make([]core.Outcome, 256)
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		now++ // 256 000 placements a second
		for i := range j.ps {
			n++
			j.ps[i] = placement(n%1000, n/1000%1000, n%16, uint32(1+n/users))
			j.ps[i].User, j.ps[i].Request.Instance = uint64(n%users), uint64(n%users)
		}
		s.seq.decide([]*job{j})
		s.seq.group.finish()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(j.ps)), "ns/placement")
}

func TestAfterCloseNothingIsTaken(t *testing.T) {
	s := mustOpen(t, memOptions(newMemFS()))
	mustClose(t, s)
	out := make([]core.Outcome, 1)
	if err := s.Place(context.Background(), []core.Placement{by(1, 1, 1, 1)}, out); core.CodeOf(err) != core.CodeUnavailable {
		t.Errorf("Place = %v", err)
	}
}

// All shards are decided together here, so a request is one event wherever it
// comes again.
func TestARequestUnderAnotherShardIsTheSameRequest(t *testing.T) {
	s := mustOpen(t, memOptions(newMemFS()))
	first := placement(5, 5, 3, 1)
	want := place(t, s, first)[0]
	again := placement(600, 5, 4, 1)
	if again.Shard == first.Shard {
		t.Fatalf("both are in shard %d", first.Shard)
	}
	o := place(t, s, again)[0]
	if o.Err != nil || !o.Repeated || o.Shard != want.Shard || o.Seq != want.Seq || o.TimeMS != want.TimeMS {
		t.Errorf("%+v, it was %+v", o, want)
	}
}
