package embedded

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pixelwall/core"
)

// archiveUntil writes the story until it ends or the power goes, and returns how
// far each shard was acknowledged.
func archiveUntil(t *testing.T, fsys *memFS, s *stream) (told core.Heads) {
	a, err := OpenArchive(archiveOptions(fsys))
	if err != nil {
		if !errors.Is(err, errPowerOff) {
			t.Errorf("OpenArchive: %v", err)
		}
		return told
	}
	for _, r := range s.records {
		if a.Write(context.Background(), []*core.Record{r}) != nil {
			break
		}
		told[r.Shard] = r.Last()
	}
	if have, _ := a.Heads(context.Background()); !have.Reach(&told) {
		t.Errorf("told %v, readers see %v", told[:5], have[:5])
	}
	_ = a.Close() // with the power gone it cannot succeed
	return told
}

// The power is cut before every single change of the disk, while an archive is
// made, written, rotated and snapshotted.
func TestACrashAtAnyPointLeavesAPrefixAndTheWatermarkSaysWhich(t *testing.T) {
	s, dry := storyOf(t), newMemFS()
	archiveUntil(t, dry, s)
	points, seeds, step := dry.ops+5, uint64(4), 1
	if testing.Short() {
		seeds, step = 1, 5
	}
	t.Logf("%d points, %d seeds each", points, seeds)
	for at := 1; at <= points; at += step {
		for seed := range seeds {
			ok := t.Run(fmt.Sprintf("at change %d with seed %d", at, seed), func(t *testing.T) {
				var rnd *rand.Rand // seed 0: nothing that was not synced is there
				if seed > 0 {
					rnd = rand.New(rand.NewPCG(seed, uint64(at)))
				}
				fsys := newMemFS()
				fsys.offAt = at
				told := archiveUntil(t, fsys, s)
				o := archiveOptions(fsys.crash(rnd))
				o.IndexFS = vfs.NewMem()
				a := mustOpenArchive(t, o)
				isPrefix(t, a, s, &told)
				write(t, a, s.records...)
				samePixels(t, a, s.fold)
			})
			if !ok {
				return
			}
		}
	}
}

// isPrefix checks that a holds the first records of each shard of s, those that
// were told among them, and that the watermarks are where they end.
func isPrefix(t *testing.T, a *Archive, s *stream, told *core.Heads) {
	t.Helper()
	want := core.Follower{Heads: archiveBase().Heads, Holders: archiveBase().Holders}
	var held [core.ShardsMax][]*core.Record
	for _, r := range archived(t, a, archiveBase()) {
		held[r.Shard] = append(held[r.Shard], r)
		want.GoTo(r.Shard, core.Position{Holder: r.Holder(), Seq: r.Last()})
	}
	for id := range held {
		var all []*core.Record
		for _, r := range inOrder(s.records) {
			if int(r.Shard) == id {
				all = append(all, r)
			}
		}
		if n := len(held[id]); n > len(all) || n > 0 && !reflect.DeepEqual(held[id], all[:n]) {
			t.Errorf("shard %d: %d records are held, which are not the first of %d", id, n, len(all))
		}
		p, err := a.Watermark(context.Background(), core.ShardID(id))
		if err != nil || p != want.Position(core.ShardID(id)) || p.Seq < told[id] {
			t.Errorf("shard %d: watermark %+v, %v; held is %+v, told was %d", id, p, err, want.Position(core.ShardID(id)), told[id])
		}
	}
}
