package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"

	"pixelwall/core"
)

// snapshots keeps snapshot files: those that others Put, and those that the store
// takes of itself so that a start need not read the whole log.
type snapshots struct {
	fs     FS
	dir    string
	canvas uint64
	logger *slog.Logger
	heads  func() core.Heads // of the log

	mu     sync.Mutex // one writer and remover of files
	offers chan offer // at most one waits; while it does, the next is not taken

	// Of the sequencer's goroutine.
	events    int   // since the last offer
	offeredMS int64 // time of the last offer
	floorsMS  int64 // and of the last one with floors
}

// An offer is what the sequencer's goroutine hands to the one that writes files.
type offer struct {
	snapshot *core.Snapshot
	floors   []byte // the floors file, nil when it is not yet time for a new one
}

// Newest files that stay whatever their time; of the older ones, the first of
// each hour stays.
const snapshotsNewest = 3

func snapshotName(s *core.Snapshot) string {
	sum := uint64(0)
	for _, seq := range s.Heads {
		sum += seq
	}
	return fmt.Sprintf("%016x-%016x.snap", uint64(s.TimeMS), sum)
}

// names returns the snapshot files, oldest first.
func (p *snapshots) names() ([]string, error) {
	all, err := p.fs.List(p.dir)
	names := all[:0]
	for _, name := range all {
		if len(name) == len("0123456789abcdef-0123456789abcdef.snap") && strings.HasSuffix(name, ".snap") {
			names = append(names, name)
		}
	}
	return names, err
}

func snapshotTimeMS(name string) (ms int64) {
	fmt.Sscanf(name[:16], "%x", &ms) // a foreign name is time 0 and fails to load
	return ms
}

func (p *snapshots) load(name string) (*core.Snapshot, error) {
	b, err := readFile(p.fs, filepath.Join(p.dir, name), snapshotBytesMax)
	if err != nil {
		return nil, err
	}
	s, err := decodeSnapshot(b)
	if err == nil && s.Canvas != p.canvas {
		err = fmt.Errorf("of canvas %016x", s.Canvas)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(p.dir, name), err)
	}
	return s, nil
}

// Put implements core.Snapshots.
func (p *snapshots) Put(_ context.Context, s *core.Snapshot) error {
	if s.Canvas != p.canvas {
		return core.NewError(core.CodeMismatch, "a snapshot of another canvas")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := errors.Join(p.fs.MkdirAll(p.dir), p.fs.SyncDir(filepath.Dir(p.dir))); err != nil {
		return err
	}
	return writeFile(p.fs, filepath.Join(p.dir, snapshotName(s)), appendSnapshot(nil, s))
}

// Latest implements core.Snapshots.
func (p *snapshots) Latest(ctx context.Context) (*core.Snapshot, error) { return p.At(ctx, 1<<63-1) }

// At implements core.Snapshots. A file that cannot be read is passed over: an
// older one is as good, it only takes more of the log.
func (p *snapshots) At(_ context.Context, timeMS int64) (*core.Snapshot, error) {
	names, err := p.names()
	if err != nil {
		return nil, err
	}
	heads := p.heads()
	for i := len(names) - 1; i >= 0; i-- {
		if snapshotTimeMS(names[i]) > timeMS {
			continue
		}
		s, err := p.load(names[i])
		if err != nil {
			p.logger.Warn("snapshot passed over", "error", err)
			continue
		}
		if reaches(&s.Heads, &heads) {
			return s, nil
		}
	}
	return nil, core.NewError(core.CodeNotFound, "no such snapshot")
}

// offer takes a snapshot of q, between two groups, when one is due and the last
// one is on its way. It runs on the sequencer's goroutine.
func (p *snapshots) offer(q *sequencer, o *Options) {
	now := q.clock()
	due := p.events >= o.SnapshotEvents || p.events > 0 && now-p.offeredMS >= o.SnapshotEvery.Milliseconds()
	if !due || len(p.offers) == cap(p.offers) {
		return
	}
	p.events, p.offeredMS = 0, now
	next := offer{snapshot: p.snapshot(q, now)}
	if now-p.floorsMS >= floorsEveryMS {
		next.floors, p.floorsMS = q.requests.appendFloors(nil, p.canvas), now
	}
	p.offers <- next // the only sender, so there is room
}

func (p *snapshots) snapshot(q *sequencer, now int64) *core.Snapshot {
	s := &core.Snapshot{Canvas: p.canvas, Config: q.config, TimeMS: max(now, q.latest()), Heads: q.heads, Times: q.times}
	for _, id := range q.config.Geometry().Shards() {
		s.Shards[id] = q.board.AppendPacked(make([]byte, 0, q.config.Geometry().PackedBytes(id)), id)
	}
	return s
}

// loop keeps what is offered until offers is closed.
func (p *snapshots) loop() {
	for o := range p.offers {
		if err := errors.Join(p.Put(context.Background(), o.snapshot), p.prune()); err != nil {
			p.logger.Warn("no snapshot was kept; the next start reads more of the log", "error", err)
		}
		if o.floors == nil {
			continue
		}
		if err := writeFile(p.fs, filepath.Join(filepath.Dir(p.dir), floorsName), o.floors); err != nil {
			p.logger.Warn("the floors of requests were not kept; the next start reads more of the log", "error", err)
		}
	}
}

// last takes a final snapshot when the sequencer has ended, and lets loop end.
func (p *snapshots) last(q *sequencer) {
	if p.events > 0 && !q.stopped() {
		p.offers <- offer{p.snapshot(q, q.clock()), q.requests.appendFloors(nil, p.canvas)}
	}
	close(p.offers)
}

// prune removes what the ladder does not keep.
func (p *snapshots) prune() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	names, err := p.names()
	if err != nil {
		return err
	}
	var errs []error
	hour := int64(-1)
	for _, name := range names[:max(0, len(names)-snapshotsNewest)] {
		if h := snapshotTimeMS(name) / 3_600_000; h != hour {
			hour = h
			continue
		}
		errs = append(errs, p.fs.Remove(filepath.Join(p.dir, name)))
	}
	return errors.Join(errs...)
}
