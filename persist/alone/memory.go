package alone

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"pixelwall/core"
	"pixelwall/persist/archive"
	"pixelwall/persist/embedded"
	"pixelwall/persist/redis"
)

// Options are what a Memory stands on.
type Options struct {
	Redis *redis.Client
	// Dir is the folder that the history is kept in. The archive's name, and folders
	// that were set aside, lie beside it. "": this process keeps no history.
	Dir    string
	Shards func() []core.ShardID // of the canvas as it is now
	Logger *slog.Logger
}

// A Memory is what one process knows of the canvas beside Redis: the seqs that it
// has seen, and the history in its folder where it keeps one. Call Run. All methods
// may be called concurrently.
type Memory struct {
	o    Options
	seen seen

	folder      atomic.Pointer[embedded.Archive] // nil while it is not open
	folderIsNew atomic.Bool                      // there is nothing in it
	worker      atomic.Pointer[archive.Worker]   // of the folder, or of the one before it
}

// New returns a memory that Run fills.
func New(o Options) *Memory { return &Memory{o: o} }

// Run archives the streams to the folder, and reports to Redis what was seen,
// until ctx ends.
func (m *Memory) Run(ctx context.Context) {
	var parts sync.WaitGroup
	defer parts.Wait()
	parts.Go(func() { m.reportSeen(ctx) })
	if m.o.Dir != "" {
		parts.Go(func() { m.keepHistory(ctx) })
	}
}

// Log returns the streams. What their readers are given counts as seen.
func (m *Memory) Log() core.Log { return seenLog{m.o.Redis.Stream(), &m.seen} }

// Existed reports whether s is known to have been built, be it before Redis lost it.
func (m *Memory) Existed(s core.ShardID) bool { return m.seen[s].Load() > 0 }

// Safe returns what every archive holds; without one nothing may be forgotten.
func (m *Memory) Safe(ctx context.Context) (core.Heads, error) {
	heads, archives, err := m.o.Redis.Outbox().EverywhereArchived(ctx)
	if err == nil && archives == 0 {
		err = core.NewError(core.CodeUnavailable, "nothing is archived")
	}
	return heads, err
}

// History returns what answers from the folder. It is CodeUnavailable while that is
// not open.
func (m *Memory) History() core.History { return history{m} }

// Snapshots returns what a Redis that lost the canvas is given back.
func (m *Memory) Snapshots() core.Snapshots { return snapshots{m} }

// Stats is what was done for the present folder; zero where none was ever opened.
func (m *Memory) Stats() archive.Stats {
	if w := m.worker.Load(); w != nil {
		return w.Stats()
	}
	return archive.Stats{}
}
