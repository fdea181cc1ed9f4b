package main

import (
	"context"
	"time"

	"pixelwall/core"
)

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
