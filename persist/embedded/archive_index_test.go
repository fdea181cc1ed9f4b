package embedded

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pixelwall/core"
)

// awaitArchiveIndex waits until the index holds the whole log.
func awaitArchiveIndex(t *testing.T, a *Archive) {
	t.Helper()
	want, _ := a.Heads(context.Background())
	give := time.After(20 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		have, err := a.History().Indexed(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if have == want {
			return
		}
		select {
		case <-tick.C:
		case <-give:
			t.Fatalf("the index stays at %v, the log is at %v", have[:5], want[:5])
		}
	}
}

func TestTheIndexOfAnArchiveKnowsEpochsMarkersAndWhatCameBefore(t *testing.T) {
	s, o := newStream(t, archiveBase()), archiveOptions(newMemFS())
	a := mustOpenArchive(t, o)
	base := archiveBase().Heads
	if h, err := a.History().Indexed(context.Background()); err != nil || h != base {
		t.Errorf("a new archive has indexed %v, %v", h[:2], err)
	}
	// Each step has a second of its own.
	heads := []core.Heads{base}
	step := func(make func()) {
		n := len(s.records)
		make()
		for _, r := range s.records[n:] {
			r.TimeMS = archiveMS + int64(len(heads))*1000
		}
		heads = append(heads, s.fold.Heads)
	}
	step(func() { s.paint(t, 0, 5) })
	step(func() { s.arm(t, 1, 1) })
	step(func() { s.paint(t, 1, 7) })
	step(func() { s.arm(t, 0, 2) })
	step(func() { s.grow(t, 0, 2, 1100) })
	step(func() { s.paint(t, 0, 70) })
	step(func() { s.arm(t, 0, 3) })
	step(func() { s.paint(t, 0, 70) })
	write(t, a, s.records...)
	for range 2 { // the second time with an index that was made anew
		awaitArchiveIndex(t, a)
		checkHistory(t, a, s, heads)
		closeArchive(t, a)
		o.IndexFS = vfs.NewMem()
		a = mustOpenArchive(t, o)
	}
}

func checkHistory(t *testing.T, a *Archive, s *stream, heads []core.Heads) {
	t.Helper()
	ctx, h := context.Background(), a.History()
	for i, want := range heads {
		if got, err := h.HeadsAt(ctx, archiveMS+int64(i)*1000+999); err != nil || got != want {
			t.Errorf("HeadsAt second %d = %v, %v; want %v", i, got[:2], err, want[:2])
		}
	}
	if got, err := h.HeadsAt(ctx, archiveMS-1); err != nil || got != (core.Heads{}) {
		t.Errorf("HeadsAt before everything = %v, %v", got[:2], err)
	}
	var want []core.PastEvent // of one pixel, and of one user
	var user []core.PastEvent
	for _, r := range slices.Backward(s.records) {
		for i := len(r.Events) - 1; i >= 0; i-- {
			e := core.PastEvent{Shard: r.Shard, Seq: r.First + uint64(i), TimeMS: r.TimeMS, Event: r.Events[i]}
			if r.Shard == 0 && e.Offset == 40 {
				want = append(want, e)
			}
			if e.User == 3 {
				user = append(user, e)
			}
		}
	}
	if len(want) < 2 || core.SeqEpoch(want[0].Seq) != 3 || core.SeqEpoch(want[1].Seq) != 2 {
		t.Fatalf("pixel 40 was not painted under two epochs: %+v", want)
	}
	got, err := h.Pixel(ctx, 0, 40, 0, 1000)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Pixel = %+v, %v; want %+v", got, err, want)
	}
	if got, err := h.Pixel(ctx, 0, 40, want[0].Seq, 1); err != nil || !slices.Equal(got, want[1:2]) {
		t.Errorf("the page after the newest = %+v, %v", got, err)
	}
	var pages []core.PastEvent
	var cursor *core.PastEvent
	for len(pages) <= len(user) {
		page, err := h.User(ctx, 3, cursor, 4)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		pages = append(pages, page...)
		cursor = &pages[len(pages)-1]
	}
	if !slices.Equal(pages, user) {
		t.Errorf("user 3 has %d events, want %d, or they differ", len(pages), len(user))
	}
}

func TestASnapshotKeepsItsHolders(t *testing.T) {
	s := archiveBase()
	got, err := decodeSnapshot(appendSnapshot(nil, s))
	if err != nil || got.Holders != s.Holders || got.Heads != s.Heads {
		t.Errorf("%+v, %v", got, err)
	}
	s.Holders = [core.ShardsMax]core.Holder{}
	if b := appendSnapshot(nil, s); b[7] != 1 {
		t.Errorf("without holders it has version %d, which an older program cannot read", b[7])
	}
}
