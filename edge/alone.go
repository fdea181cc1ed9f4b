package main

import (
	"context"
	"path/filepath"
	"time"

	"pixelwall/core"
	"pixelwall/persist/archive"
	"pixelwall/persist/embedded"
)

// Where there is no Kafka and no CQL, the streams of Redis are the log, and each
// process with the role archive keeps the history in its own folder.

// archiveAlone archives the streams to a folder, which begins with the canvas as
// it is when the folder is made.
func (c *cluster) archiveAlone(ctx context.Context, o archive.Options) {
	folder := c.openFolder(ctx)
	if folder == nil {
		return
	}
	c.folder.Store(folder)
	o.Leases, o.Archive, o.Tail = nil, folder, filtered(c.redis.Stream())
	o.Settle = time.Millisecond // what is written is on the disk
	w := archive.New(o)
	c.archive.Store(w)
	w.Run(ctx)
}

// openFolder opens or makes the folder, as soon as the canvas is published.
func (c *cluster) openFolder(ctx context.Context) *embedded.Archive {
	told := ""
	for {
		base, err := c.redis.Canvas().Snapshot(ctx)
		if err == nil {
			var folder *embedded.Archive
			dir := filepath.Join(c.s.Data, "archive")
			if folder, err = embedded.OpenArchive(embedded.ArchiveOptions{Dir: dir, Base: base, Logger: c.log}); err == nil {
				return folder
			}
		}
		if text := err.Error(); text != told {
			told = text
			c.log.Warn("the history waits", "err", err)
		}
		if !pause(ctx, time.Second) {
			return nil
		}
	}
}

// safeAlone returns what this process has archived; without the role, nothing may
// be forgotten by its relay.
func (c *cluster) safeAlone(ctx context.Context) (core.Heads, error) {
	folder := c.folder.Load()
	if folder == nil {
		return core.Heads{}, core.NewError(core.CodeUnavailable, "nothing is archived here")
	}
	return folder.Heads(ctx)
}

// An aloneHistory answers from the folder, once there is one.
type aloneHistory struct{ c *cluster }

func (h aloneHistory) history() (core.History, error) {
	folder := h.c.folder.Load()
	if folder == nil {
		return nil, &core.Error{Code: core.CodeUnavailable, Msg: "this server keeps no history, or has not opened it yet", RetryAfter: 5 * time.Second}
	}
	return folder.History(), nil
}

// Pixel implements core.History.
func (h aloneHistory) Pixel(ctx context.Context, s core.ShardID, off uint32, before uint64, limit int) ([]core.PastEvent, error) {
	past, err := h.history()
	if err != nil {
		return nil, err
	}
	return past.Pixel(ctx, s, off, before, limit)
}

// User implements core.History.
func (h aloneHistory) User(ctx context.Context, user uint64, cursor *core.PastEvent, limit int) ([]core.PastEvent, error) {
	past, err := h.history()
	if err != nil {
		return nil, err
	}
	return past.User(ctx, user, cursor, limit)
}

// HeadsAt implements core.History.
func (h aloneHistory) HeadsAt(ctx context.Context, timeMS int64) (core.Heads, error) {
	past, err := h.history()
	if err != nil {
		return core.Heads{}, err
	}
	return past.HeadsAt(ctx, timeMS)
}

// Indexed implements core.History.
func (h aloneHistory) Indexed(ctx context.Context) (core.Heads, error) {
	past, err := h.history()
	if err != nil {
		return core.Heads{}, err
	}
	return past.Indexed(ctx)
}
