package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"pixelwall/core"
	"pixelwall/persist"
	"pixelwall/persist/archive"
	"pixelwall/persist/embedded"
)

// Where there is no Kafka and no CQL, the streams of Redis are the log, and each
// process with the role archive keeps the history in its own folder.

// archiveAlone archives the streams to the folder until ctx ends. A folder that
// the streams do not go on from is set aside, and another one begun.
func (c *cluster) archiveAlone(ctx context.Context, o archive.Options) {
	for ctx.Err() == nil {
		folder, err := c.openFolder(ctx)
		if err != nil {
			return // ctx has ended
		}
		c.folder.Store(folder)
		left := c.fillFolder(ctx, folder, o)
		c.folder.Store(nil)
		if err := folder.Close(); err != nil {
			c.log.Error("the archive's folder was not closed well", "err", err)
		}
		if left != nil && c.setAside(left) != nil {
			_ = persist.Pause(ctx, time.Second) // the same folder is found again
		}
	}
}

// fillFolder archives the streams until ctx ends, and returns nil, or until the
// folder cannot go on from what it holds, and returns why.
func (c *cluster) fillFolder(ctx context.Context, folder *embedded.Archive, o archive.Options) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	o.Leases, o.Archive = nil, leftArchive{folder, end}
	o.Settle = time.Millisecond // what is written is on the disk
	o.TakesBack = true          // a stream may lose its end with its server
	stream := filtered(c.redis.Stream())
	o.Tail = func(ctx context.Context, shards []core.ShardID, from core.Heads, fn func(*core.Record) error) error {
		err := stream(ctx, shards, from, func(r *core.Record) error {
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
	}
	w := archive.New(o)
	c.archive.Store(w)
	done := make(chan struct{})
	go func() {
		defer close(done)
		end(c.tellArchived(ctx, folder))
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

func (c *cluster) folderName() string { return filepath.Join(c.s.Data, "archive") }

// setAside gives the folder another name. Nothing in it is lost, but history
// begins again.
func (c *cluster) setAside(why error) error {
	to := fmt.Sprintf("%s-until-%s", c.folderName(), time.Now().UTC().Format("20060102T150405.000"))
	if err := os.Rename(c.folderName(), to); err != nil {
		c.log.Error("the archive has to be set aside and cannot be", "folder", c.folderName(), "why", why, "err", err)
		return err
	}
	c.log.Error("the archive is set aside and another one begun", "kept_as", to, "why", why)
	return nil
}

// openFolder opens the folder, or makes it as soon as there is a canvas to begin
// with. It fails when ctx ends.
func (c *cluster) openFolder(ctx context.Context) (*embedded.Archive, error) {
	told := ""
	for {
		folder, err := embedded.OpenArchive(embedded.ArchiveOptions{Dir: c.folderName(), Logger: c.log})
		if err == nil {
			return folder, nil
		}
		if core.CodeOf(err) == core.CodeNotFound { // it holds nothing yet
			c.folderIsNew.Store(true)
			var base *core.Snapshot
			if base, err = c.redis.Canvas().Snapshot(ctx); err == nil {
				folder, err = embedded.OpenArchive(embedded.ArchiveOptions{Dir: c.folderName(), Base: base, Logger: c.log})
			}
			if err == nil {
				return folder, nil
			}
		}
		if text := err.Error(); text != told {
			told = text
			c.log.Warn("the history waits", "err", err)
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
func (c *cluster) tellArchived(ctx context.Context, folder *embedded.Archive) error {
	owner, told := uint64(0), ""
	for {
		err := c.tellArchivedOnce(ctx, folder, &owner)
		if errors.Is(err, errLeft) {
			return err
		}
		if err != nil && err.Error() != told && ctx.Err() == nil {
			told = err.Error()
			c.log.Warn("others do not hear what is archived here", "err", err)
		}
		if persist.Pause(ctx, tellArchivedEvery) != nil {
			return context.Cause(ctx)
		}
	}
}

func (c *cluster) tellArchivedOnce(ctx context.Context, folder *embedded.Archive, owner *uint64) (err error) {
	if *owner == 0 {
		if *owner, err = ownName(filepath.Join(c.s.Data, "archive-name")); err != nil {
			return err
		}
	}
	stand, err := c.redis.Outbox().Stand(ctx, 0)
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
	return c.redis.Outbox().Archived(ctx, *owner, heads)
}

// ownName returns the number under which this archive is known, kept in a file so
// that a restart does not leave a name behind that nobody speaks for. An empty file
// is what a power loss left of one that an older edge wrote.
func ownName(path string) (uint64, error) {
	text, err := os.ReadFile(path)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return 0, err
	case len(text) == 8:
		return binary.LittleEndian.Uint64(text), nil
	case len(text) != 0:
		return 0, fmt.Errorf("%s is not the name of an archive: it has %d bytes, not 8; without the file the archive gets another name", path, len(text))
	}
	name := randomID()
	if err := writeFile(path, binary.LittleEndian.AppendUint64(nil, name)); err != nil {
		return 0, fmt.Errorf("keep the name of the archive: %w", err)
	}
	return name, nil
}

// writeFile replaces the file at path by data, whole or not at all, and durably.
func writeFile(path string, data []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// safeAlone returns what every archive holds; without one nothing may be forgotten.
func (c *cluster) safeAlone(ctx context.Context) (core.Heads, error) {
	heads, archives, err := c.redis.Outbox().EverywhereArchived(ctx)
	if err == nil && archives == 0 {
		err = core.NewError(core.CodeUnavailable, "nothing is archived")
	}
	return heads, err
}

// folderSnapshots are what a Redis that lost the canvas is given back: the state
// that this process' folder has archived.
type folderSnapshots struct{ c *cluster }

func (f folderSnapshots) folder() (*embedded.Archive, error) {
	if folder := f.c.folder.Load(); folder != nil {
		return folder, nil
	}
	if f.c.s.roles[roleArchive] && !f.c.folderIsNew.Load() {
		// A new canvas is not made over one that lies in a folder which opens in a moment.
		return nil, core.NewError(core.CodeUnavailable, "the archive is not open")
	}
	return nil, core.NewError(core.CodeNotFound, "nothing is archived here")
}

// Put implements core.Snapshots.
func (f folderSnapshots) Put(ctx context.Context, s *core.Snapshot) error {
	folder, err := f.folder()
	if err != nil {
		return err
	}
	return folder.Snapshots().Put(ctx, s)
}

// At implements core.Snapshots.
func (f folderSnapshots) At(ctx context.Context, timeMS int64) (*core.Snapshot, error) {
	folder, err := f.folder()
	if err != nil {
		return nil, err
	}
	return folder.Snapshots().At(ctx, timeMS)
}

// Latest implements core.Snapshots. It is what the folder holds now, and not when
// it last kept a snapshot: nobody else has what came since.
func (f folderSnapshots) Latest(ctx context.Context) (*core.Snapshot, error) {
	folder, err := f.folder()
	if err != nil {
		return nil, err
	}
	s, err := folder.Snapshots().Latest(ctx)
	if err != nil {
		return nil, err
	}
	heads, err := folder.Heads(ctx)
	if err != nil || heads == s.Heads {
		return s, err
	}
	fold, err := core.NewFold(s)
	if err != nil {
		return nil, err
	}
	errThere := errors.New("the fold is there")
	err = folder.Tail(ctx, s.Heads, func(r *core.Record) error {
		if verdict, err := fold.Next(r); err != nil || verdict == core.Gap || verdict == core.Phantom {
			return errors.Join(core.NewError(core.CodeInternal, "the archive does not fold"), err)
		}
		for s := range heads {
			if fold.Heads[s] < heads[s] {
				return nil
			}
		}
		return errThere
	})
	if !errors.Is(err, errThere) {
		return nil, err
	}
	return fold.Snapshot(nowMS()), nil
}
