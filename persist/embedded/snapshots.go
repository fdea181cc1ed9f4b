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

	// Of the writer of the log.
	events    int   // since the last offer
	offeredMS int64 // time of the last offer
}

// An offer is what the writer of the log hands to the one that writes files.
type offer struct {
	snapshot *core.Snapshot
	floors   []byte // the floors file, nil when it is not yet time for a new one
}

// Newest files that stay whatever their time; of the older ones, the first of
// each hour stays.
const snapshotsNewest = 3

func newSnapshots(o *Options, canvas uint64, heads func() core.Heads) *snapshots {
	return &snapshots{
		fs: o.FS, dir: filepath.Join(o.Dir, snapshotsName), canvas: canvas, logger: o.Logger, heads: heads,
		offers: make(chan offer, 1), offeredMS: o.Clock(),
	}
}

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
			p.logger.Warn("snapshot passed over", "err", err)
			continue
		}
		if heads.Reach(&s.Heads) {
			return s, nil
		}
	}
	return nil, core.NewError(core.CodeNotFound, "no such snapshot")
}

// due reports whether it is time for a snapshot and the last one is on its way.
// The writer asks it between two groups.
func (p *snapshots) due(o *Options, now int64) bool {
	due := p.events >= o.SnapshotEvents || p.events > 0 && now-p.offeredMS >= o.SnapshotEvery.Milliseconds()
	return due && len(p.offers) < cap(p.offers)
}

// offer hands next to loop. It comes after due, from the same goroutine, so there is room.
func (p *snapshots) offer(next offer, now int64) {
	p.events, p.offeredMS = 0, now
	p.offers <- next
}

// loop keeps what is offered until offers is closed.
func (p *snapshots) loop() {
	for o := range p.offers {
		if err := errors.Join(p.Put(context.Background(), o.snapshot), p.prune()); err != nil {
			p.logger.Warn("no snapshot was kept; the next start reads more of the log", "err", err)
		}
		if o.floors == nil {
			continue
		}
		if err := writeFile(p.fs, filepath.Join(filepath.Dir(p.dir), floorsName), o.floors); err != nil {
			p.logger.Warn("the floors of requests were not kept; the next start reads more of the log", "err", err)
		}
	}
}

// last hands on what is to be kept at the end, if anything, and lets loop end.
func (p *snapshots) last(o *offer) {
	if o != nil {
		p.offers <- *o
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
