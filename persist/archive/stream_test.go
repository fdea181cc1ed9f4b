package archive

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"pixelwall/core"
	"pixelwall/core/coretest"
)

// Where a stream is the log, its server may die without its last writes, which the
// archive has already. The marker of the next epoch tells, and goes to the archive
// like any record.
func TestAStreamThatLostItsEndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := core.NamedPalette("place2017")
		c := core.Config{Version: 1, Width: 512, Height: 512, Bits: 4, Palette: p, BurstMax: 1}
		m, kept := coretest.NewMemoryOutbox(coretest.ScriptNowMS), coretest.NewMemoryArchive(coretest.ScriptNowMS, 1)
		port := m.As(nil)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		arm := func(epoch uint32, last uint64) {
			t.Helper()
			_, err := port.Fence(t.Context(), 0, epoch)
			must(err)
			if epoch == 1 {
				board := core.NewBoard(c.Geometry(), 0)
				must(port.Rebuild(t.Context(), 0, 1, core.Base{Canvas: 7, Config: &c, Pixels: board.Pixels(0), TimeMS: coretest.ScriptNowMS()}))
			}
			must(port.Arm(t.Context(), 0, core.Holder{Epoch: epoch, Relay: 9}, core.EpochSeq(epoch), last))
		}
		number := uint32(0)
		place := func(epoch uint32) {
			t.Helper()
			number++
			_, err := port.PlaceBatch(t.Context(), 0, epoch, 1, []core.Event{{Offset: number, Color: 3, User: 1, Request: core.Request{Instance: 1, Number: number}}}, nil)
			must(err)
		}
		w := New(Options{
			Owner: 1, Archive: kept.As(nil), Shards: func() []core.ShardID { return []core.ShardID{0} }, TakesBack: true, Settle: time.Millisecond,
			Tail: func(ctx context.Context, _ []core.ShardID, from core.Heads, fn func(*core.Record) error) error {
				return port.Log().Tail(ctx, from, fn)
			},
		})
		stop := run(t, w)
		defer stop()
		arm(1, 0)
		for range 5 {
			place(1)
		}
		time.Sleep(time.Second)
		before := len(kept.Records(0))
		if lost := m.Lose(2); len(lost) != 2 {
			t.Fatalf("%d events were lost", len(lost))
		}
		arm(2, m.Stand(0).Top)
		place(2)
		time.Sleep(time.Second)
		rs := kept.Records(0)
		if len(rs) != before+2 || rs[before].Kind != core.KindMarker || rs[before].LastOld != rs[before-3].Last() {
			t.Errorf("%d records, before the loss %d", len(rs), before)
		}
		if got := w.Stats(); got.TakenBack != 1 || got.Gaps != 0 {
			t.Errorf("%+v", got)
		}
	})
}
