package embedded

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pixelwall/core"
)

// A witness is what a run before a crash was told, and so what must be there
// after it.
type witness struct {
	sent []core.Placement
	out  []core.Outcome // of sent; Seq 0 where nothing was heard
	wide bool           // Configure was acknowledged

	mu    sync.Mutex // protects following
	given sync.Cond  // heads rose
	heads core.Heads
	tails map[core.ShardID]map[uint64]core.Event // what a reader was given
}

func crashOptions(fsys *memFS) Options {
	start := core.NewBoard(core.Geometry{Width: 600, Height: 520, Bits: 4}, 0)
	start.Set(0, 3, 9)
	return Options{
		Dir: "/canvas", FS: fsys, IndexFS: vfs.NewMem(), Clock: func() int64 { return 1_491_237_000_000 },
		SegmentBytes: 2500, AllocateBytes: 1000, SnapshotEvents: 40,
		Create: core.Create{Canvas: testCanvas, Config: testConfig(600, 520, 0), Start: start, StartHash: "abc"},
	}
}

// live creates a canvas, paints with a reader beside it, and changes the
// configuration, until all is done or the power goes.
func (w *witness) live(t *testing.T, fsys *memFS) {
	w.tails, w.given.L = make(map[core.ShardID]map[uint64]core.Event), &w.mu
	s, err := Open(crashOptions(fsys))
	if err != nil {
		if !errors.Is(err, errPowerOff) {
			t.Errorf("Open: %v", err)
		}
		return
	}
	var reader sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	reader.Go(func() {
		_ = s.Tail(ctx, core.Heads{}, func(r *core.Record) error { // ends with ctx or with the power
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.tails[r.Shard] == nil {
				w.tails[r.Shard] = make(map[uint64]core.Event)
			}
			for i, e := range r.Events {
				w.tails[r.Shard][r.First+uint64(i)] = e
			}
			w.heads[r.Shard] = r.Last()
			w.given.Broadcast()
			return nil
		})
	})
	for call := range 12 {
		if call == 6 {
			c := s.Config()
			c.Version, c.Width = 2, 1100
			w.wide = s.Configure(ctx, c) == nil
		}
		n := len(w.sent)
		for i := range 1 + 13*call%29 {
			w.sent = append(w.sent, placement((call*97+i*61)%600, (i*67)%520, (call+i)%16, uint32(n+i+1)))
		}
		w.out = append(w.out, make([]core.Outcome, len(w.sent)-n)...)
		if err := s.Place(ctx, w.sent[n:], w.out[n:]); err != nil {
			clear(w.out[n:])
			break
		}
	}
	visible, err := s.Heads(ctx)
	if err != nil {
		t.Errorf("Heads: %v", err)
	}
	w.mu.Lock()
	for w.heads != visible { // reading goes on without power, so the reader sees all that there is to see
		w.given.Wait()
	}
	w.mu.Unlock()
	cancel()
	reader.Wait()
	_ = s.Close() // with the power gone it cannot succeed
}

// check opens what the crash left and compares it with what was promised.
func (w *witness) check(t *testing.T, fsys *memFS) {
	s, err := Open(crashOptions(fsys))
	if err != nil {
		t.Fatalf("Open after the crash: %v", err)
	}
	defer s.Close()
	if w.wide && s.Config().Width != 1100 {
		t.Fatalf("the configuration is gone: %+v", s.Config())
	}
	board := foldLog(t, s)
	for _, id := range board.Geometry().Shards() {
		if string(board.Pixels(id)) != string(s.seq.board.Pixels(id)) {
			t.Fatalf("shard %d: the store's colours are not those of its log", id)
		}
	}
	if got := board.At(0, 3); got != 9 && len(w.sent) == 0 {
		t.Fatalf("the start canvas has colour %d at 3, want 9", got)
	}
	kinds := make(map[core.Kind]int)
	found, times := make(map[core.Request]uint64), make(map[core.Request]int64)
	for _, r := range tail(t, s, core.Heads{}) {
		kinds[r.Kind]++
		for i, e := range r.Events {
			if _, twice := found[e.Request]; twice {
				t.Fatalf("request %+v is stored twice", e.Request)
			}
			found[e.Request], times[e.Request] = r.First+uint64(i), r.TimeMS
			delete(w.tails[r.Shard], r.First+uint64(i))
		}
	}
	if n, all := kinds[core.KindConfig], len(board.Geometry().Shards()); n != 0 && n != all || kinds[core.KindStart] != all {
		t.Fatalf("%d of %d shards know of the configuration, %d have a start canvas", n, all, kinds[core.KindStart])
	}
	for shard, lost := range w.tails {
		if len(lost) > 0 {
			t.Fatalf("shard %d: a reader was given %v, which is gone", shard, lost)
		}
	}
	for i, o := range w.out {
		if o.Seq != 0 && (found[w.sent[i].Request] != o.Seq || times[w.sent[i].Request] != o.TimeMS) {
			t.Fatalf("placement %d was acknowledged as %+v and is now %d", i, o, found[w.sent[i].Request])
		}
	}
	if len(w.sent) == 0 {
		return
	}
	for i, o := range place(t, s, w.sent...) { // a client sends everything again
		if seq, known := found[w.sent[i].Request]; o.Err != nil || o.Repeated != known || known && o.Seq != seq {
			t.Fatalf("placement %d sent again: %+v, stored before: %v at %d", i, o, known, seq)
		}
	}
}

// The power is cut before every single change of the disk, while a canvas is
// made, painted, configured, rotated and snapshotted.
func TestACrashAtAnyPointLosesNothingThatWasTold(t *testing.T) {
	dry := newMemFS()
	(&witness{}).live(t, dry)
	points := dry.ops + 5
	seeds := uint64(8)
	if testing.Short() {
		seeds = 1
	}
	t.Logf("%d points, %d seeds each", points, seeds)
	for at := 1; at <= points; at++ {
		for seed := range seeds {
			ok := t.Run(fmt.Sprintf("at change %d with seed %d", at, seed), func(t *testing.T) {
				var rnd *rand.Rand // seed 0: nothing that was not synced is there
				if seed > 0 {
					rnd = rand.New(rand.NewPCG(seed, uint64(at)))
				}
				fsys := newMemFS()
				fsys.offAt = at
				var w witness
				w.live(t, fsys)
				w.check(t, fsys.crash(rnd))
			})
			if !ok {
				return
			}
		}
	}
}
