package alone

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"pixelwall/core"
	"pixelwall/persist"
	"pixelwall/persist/archive"
	"pixelwall/persist/embedded"
)

// keepHistory archives the streams to the folder until ctx ends. A folder that the
// streams do not go on from is set aside, and another one begun.
func (m *Memory) keepHistory(ctx context.Context) {
	for ctx.Err() == nil {
		folder, err := m.openFolder(ctx)
		if err != nil {
			return // ctx has ended
		}
		m.folder.Store(folder)
		left := m.fillFolder(ctx, folder)
		m.folder.Store(nil)
		if err := folder.Close(); err != nil {
			m.o.Logger.Error("the archive's folder was not closed well", "err", err)
		}
		if left != nil && m.setAside(left) != nil {
			_ = persist.Pause(ctx, time.Second) // the same folder is found again
		}
	}
}

// fillFolder archives the streams until ctx ends, and returns nil, or until the
// folder cannot go on from what it holds, and returns why.
func (m *Memory) fillFolder(ctx context.Context, folder *embedded.Archive) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	stream := m.o.Redis.Stream()
	w := archive.New(archive.Options{
		Archive: leftArchive{folder, end}, Shards: m.o.Shards, Logger: m.o.Logger,
		Settle:    time.Millisecond, // what is written is on the disk
		TakesBack: true,             // a stream may lose its end with its server
		Tail: func(ctx context.Context, shards []core.ShardID, from core.Heads, fn func(*core.Record) error) error {
			err := stream.Tail(ctx, from, func(r *core.Record) error {
				if !slices.Contains(shards, r.Shard) {
					return nil
				}
				if err := sameCanvas(folder, r.Canvas); err != nil {
					end(err)
					return err
				}
				return fn(r)
			})
			if core.CodeOf(err) == core.CodeNotFound {
				end(errors.Join(errLeft, err))
			}
			return err
		},
	})
	m.worker.Store(w)
	done := make(chan struct{})
	go func() {
		defer close(done)
		end(m.tellArchived(ctx, folder))
	}()
	w.Run(ctx)
	<-done
	if err := context.Cause(ctx); errors.Is(err, errLeft) {
		return err
	}
	return nil
}

// errLeft is why a folder is set aside.
var errLeft = errors.New("the archive does not lead to what Redis has")

func sameCanvas(folder *embedded.Archive, canvas uint64) error {
	if folder.CanvasID() == canvas {
		return nil
	}
	return errors.Join(errLeft, fmt.Errorf("it is of canvas %016x, Redis has canvas %016x", folder.CanvasID(), canvas))
}

// A leftArchive tells when the folder cannot take back what Redis lost.
type leftArchive struct {
	*embedded.Archive
	end context.CancelCauseFunc
}

// Write implements core.Archive.
func (a leftArchive) Write(ctx context.Context, rs []*core.Record) error {
	err := a.Archive.Write(ctx, rs)
	if core.CodeOf(err) == core.CodeMismatch {
		a.end(errors.Join(errLeft, err))
	}
	return err
}

// setAside gives the folder another name. Nothing in it is lost, but history
// begins again.
func (m *Memory) setAside(why error) error {
	to := fmt.Sprintf("%s-until-%s", m.o.Dir, time.Now().UTC().Format("20060102T150405.000"))
	if err := os.Rename(m.o.Dir, to); err != nil {
		m.o.Logger.Error("the archive has to be set aside and cannot be", "folder", m.o.Dir, "why", why, "err", err)
		return err
	}
	m.o.Logger.Error("the archive is set aside and another one begun", "kept_as", to, "why", why)
	return nil
}

// openFolder opens the folder, or makes it as soon as there is a canvas to begin
// with. It fails when ctx ends.
func (m *Memory) openFolder(ctx context.Context) (*embedded.Archive, error) {
	told := ""
	for {
		folder, err := embedded.OpenArchive(embedded.ArchiveOptions{Dir: m.o.Dir, Logger: m.o.Logger})
		if err == nil {
			return folder, nil
		}
		if core.CodeOf(err) == core.CodeNotFound { // it holds nothing yet
			m.folderIsNew.Store(true)
			var base *core.Snapshot
			if base, err = m.o.Redis.Canvas().Snapshot(ctx); err == nil {
				folder, err = embedded.OpenArchive(embedded.ArchiveOptions{Dir: m.o.Dir, Base: base, Logger: m.o.Logger})
			}
			if err == nil {
				return folder, nil
			}
		}
		if text := err.Error(); text != told {
			told = text
			m.o.Logger.Warn("the history waits", "err", err)
		}
		if persist.Pause(ctx, 200*time.Millisecond) != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// tellArchivedEvery is how often Redis hears what the folder holds.
const tellArchivedEvery = 2 * time.Second

// tellArchived says in Redis how far the folder is: nobody trims beyond that. It
// ends with ctx, or when Redis has another canvas, which the streams alone do not
// tell where they lie before the end of the folder.
func (m *Memory) tellArchived(ctx context.Context, folder *embedded.Archive) error {
	owner, told := uint64(0), ""
	for {
		err := m.tellArchivedOnce(ctx, folder, &owner)
		if errors.Is(err, errLeft) {
			return err
		}
		if err != nil && err.Error() != told && ctx.Err() == nil {
			told = err.Error()
			m.o.Logger.Warn("others do not hear what is archived here", "err", err)
		}
		if persist.Pause(ctx, tellArchivedEvery) != nil {
			return context.Cause(ctx)
		}
	}
}

func (m *Memory) tellArchivedOnce(ctx context.Context, folder *embedded.Archive, owner *uint64) (err error) {
	if *owner == 0 {
		if *owner, err = ownName(m.o.Dir + "-name"); err != nil {
			return err
		}
	}
	stand, err := m.o.Redis.Outbox().Stand(ctx, 0)
	if err != nil {
		return err
	}
	if stand.Canvas != 0 { // otherwise it is to be given back
		if err := sameCanvas(folder, stand.Canvas); err != nil {
			return err
		}
	}
	heads, err := folder.Heads(ctx)
	if err != nil {
		return err
	}
	return m.o.Redis.Outbox().Archived(ctx, *owner, heads)
}
