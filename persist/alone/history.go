package alone

import (
	"context"
	"time"

	"pixelwall/core"
)

// A history answers from the folder, once there is one.
type history struct{ m *Memory }

func (h history) open() (core.History, error) {
	folder := h.m.folder.Load()
	if folder == nil {
		return nil, &core.Error{Code: core.CodeUnavailable, Msg: "this server keeps no history, or has not opened it yet", RetryAfter: 5 * time.Second}
	}
	return folder.History(), nil
}

// Pixel implements core.History.
func (h history) Pixel(ctx context.Context, s core.ShardID, off uint32, before uint64, limit int) ([]core.PastEvent, error) {
	past, err := h.open()
	if err != nil {
		return nil, err
	}
	return past.Pixel(ctx, s, off, before, limit)
}

// User implements core.History.
func (h history) User(ctx context.Context, user uint64, cursor *core.PastEvent, limit int) ([]core.PastEvent, error) {
	past, err := h.open()
	if err != nil {
		return nil, err
	}
	return past.User(ctx, user, cursor, limit)
}

// HeadsAt implements core.History.
func (h history) HeadsAt(ctx context.Context, timeMS int64) (core.Heads, error) {
	past, err := h.open()
	if err != nil {
		return core.Heads{}, err
	}
	return past.HeadsAt(ctx, timeMS)
}

// Indexed implements core.History.
func (h history) Indexed(ctx context.Context) (core.Heads, error) {
	past, err := h.open()
	if err != nil {
		return core.Heads{}, err
	}
	return past.Indexed(ctx)
}
