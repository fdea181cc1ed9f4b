package main

import (
	"context"
	"log/slog"
	"time"

	"pixelwall/edge/api"
)

// A statusLog tells an operator when the status changes, and why: clients are told
// the one, but not the other.
type statusLog struct {
	log *slog.Logger
	was api.Status
}

// badness orders what a store may say of itself.
var badness = map[api.Status]int{api.StatusOK: 0, api.StatusDegraded: 1, api.StatusReadOnly: 2}

func (l *statusLog) note(status api.Status, reason string) {
	if status == l.was {
		return
	}
	level := slog.LevelInfo
	if badness[status] > badness[l.was] {
		level = slog.LevelWarn
	}
	l.log.Log(context.Background(), level, "the status changed", "from", l.was, "to", status, "reason", reason)
	l.was = status
}

// watchStatus looks once a second how the store does, until ctx ends.
func (e *edge) watchStatus(ctx context.Context) {
	every := time.NewTicker(time.Second)
	defer every.Stop()
	l := statusLog{log: e.log, was: api.StatusOK}
	for {
		l.note(e.store.state())
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}
