package embedded

import (
	"errors"
	"log/slog"
	"sync/atomic"

	"pixelwall/core"
	"pixelwall/persist"
)

// A Mode says what a store takes.
type Mode uint8

const (
	OK       Mode = iota
	ReadOnly      // the disk is full, or no file can be made; it goes on by itself when that is over
	Stopped       // a write or fsync failed; only a restart can tell what is stored
)

// String returns the name of m as health reports it.
func (m Mode) String() string { return [...]string{"ok", "read_only", "stopped"}[m] }

// A State is a Mode and why.
type State struct {
	Mode   Mode
	Reason string
}

// A logWriter writes groups to the log and learns from what the disk says
// whether it still may. It belongs to one goroutine, apart from state.
type logWriter struct {
	log    *segmentLog
	logger *slog.Logger
	group  groupWriter
	full   error // the last errFull or errNoFile, nil when there is room
	state  atomic.Pointer[State]
}

// begin makes w the writer of l, whose end is known.
func (w *logWriter) begin(l *segmentLog, logger *slog.Logger) {
	w.log, w.logger = l, logger
	w.state.Store(&State{Mode: OK})
	if l.unsure != 0 { // the disk was full when the log was opened
		w.prepare(0)
	}
}

// record adds r to the open group.
func (w *logWriter) record(r *core.Record) {
	w.group.open()
	w.group.buf = persist.AppendRecord(w.group.buf, r)
}

// prepare asks the log for room and learns from the answer.
func (w *logWriter) prepare(n int64) bool {
	// A store that was full asks for more than it needs, or it would be full
	// again at once.
	if w.full != nil {
		n += w.log.allocateBytes
	}
	err := w.log.prepare(n)
	switch {
	case err == nil:
		if w.full != nil {
			w.full = nil
			w.logger.Info("the log can be written again; it goes on")
			w.state.Store(&State{Mode: OK})
		}
	case errors.Is(err, errFull), errors.Is(err, errNoFile):
		w.setFull(err)
	default:
		w.stop(err)
	}
	return err == nil
}

// write makes the group durable. On false it is not, and the log ends where it did.
func (w *logWriter) write() bool {
	err := w.log.append(w.group.finish())
	switch {
	case errors.Is(err, errFull):
		w.setFull(err)
	case err != nil:
		w.stop(err)
	}
	return err == nil
}

func (w *logWriter) setFull(err error) {
	if w.full == nil {
		w.logger.Error("the log is read-only until it can be written again", "err", err)
		w.state.Store(&State{Mode: ReadOnly, Reason: err.Error()})
	}
	w.full = err
}

func (w *logWriter) stop(err error) {
	w.logger.Error("the log cannot be written; nothing is taken until a restart", "err", err)
	w.state.Store(&State{Mode: Stopped, Reason: err.Error()})
}

func (w *logWriter) stopped() bool { return w.state.Load().Mode == Stopped }
