package embedded

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pixelwall/core"
	"pixelwall/core/coretest"
)

// A carrier is a sequencer whose records are in an archive before it answers.
type carrier struct {
	core.Sequencer
	memory  *coretest.Memory
	archive *Archive

	mu sync.Mutex // one carries at a time
}

func (c *carrier) Place(ctx context.Context, ps []core.Placement, out []core.Outcome) error {
	if err := c.Sequencer.Place(ctx, ps, out); err != nil {
		return err
	}
	return c.carry(ctx)
}

func (c *carrier) Configure(ctx context.Context, config core.Config) error {
	if err := c.Sequencer.Configure(ctx, config); err != nil {
		return err
	}
	return c.carry(ctx)
}

// carry brings what the archive has not to it, a call of Write for each record.
func (c *carrier) carry(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	want, err := c.memory.Heads(ctx)
	if err != nil {
		return err
	}
	have, _ := c.archive.Heads(ctx)
	if have == want {
		return nil
	}
	err = c.memory.Tail(ctx, have, func(r *core.Record) error {
		if err := c.archive.Write(ctx, []*core.Record{r}); err != nil {
			return err
		}
		if have, _ = c.archive.Heads(ctx); have == want {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// openArchiveContract opens an archive of a canvas that a Memory sequences.
func openArchiveContract(t *testing.T, s coretest.Setup) *coretest.Store {
	m, err := coretest.NewMemory(s)
	if err != nil {
		t.Fatal(err)
	}
	base := &core.Snapshot{Canvas: m.Canvas(), Config: s.Config, TimeMS: s.Clock.Now()}
	blank := core.NewBoard(s.Config.Geometry(), s.Config.Blank)
	for _, id := range s.Config.Geometry().Shards() {
		base.Times[id], base.Shards[id] = s.Clock.Now(), blank.AppendPacked(nil, id)
	}
	const seed = 5
	return archiveContract(t, m, ArchiveOptions{
		Dir: "/archive", Base: base, Clock: s.Clock.Now, FS: newMemFS(), IndexFS: vfs.NewMem(), SegmentBytes: 8 << 10,
		SnapshotEvery: 1e6 * time.Hour, // one of its own would be the first of the hour, which stays
	}, rand.New(rand.NewPCG(seed, 0)))
}

func archiveContract(t *testing.T, m *coretest.Memory, o ArchiveOptions, rnd *rand.Rand) *coretest.Store {
	a := mustOpenArchive(t, o)
	c := &carrier{Sequencer: m, memory: m, archive: a}
	return &coretest.Store{
		Sequencer: c, Log: a, History: a.History(), Snapshots: a.Snapshots(), Canvas: a.CanvasID(),
		Crash: func() *coretest.Store {
			o.FS, o.IndexFS = o.FS.(*memFS).crash(rnd), vfs.NewMem()
			return archiveContract(t, m.Crash(), o, rnd)
		},
	}
}

func TestArchiveIsALog(t *testing.T)      { coretest.TestLog(t, openArchiveContract) }
func TestArchiveIsAHistory(t *testing.T)  { coretest.TestHistory(t, openArchiveContract) }
func TestArchiveIsSnapshots(t *testing.T) { coretest.TestSnapshots(t, openArchiveContract) }
