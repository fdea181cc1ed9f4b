// Package seldom logs what others can make happen as often as they like.
//
//	an event -> Log.Warn -> a line, or one more in the count that the next line tells
//
// It reads no clock and starts no goroutine, so a count is told with the next event.
package seldom

import (
	"log/slog"
	"sync"
	"time"
)

// Every is the least time between two lines of a Log.
const Every = 10 * time.Second

// A Log tells of events of one kind. The zero Log tells the next one. It may be
// used concurrently.
type Log struct {
	mu     sync.Mutex
	last   time.Time // when a line was written
	untold int       // events since then
}

// Warn tells logger of an event at now, unless another one was told less than Every
// before. A line that comes after some were left out says how many.
func (l *Log) Warn(logger *slog.Logger, now time.Time, msg string, args ...any) {
	l.mu.Lock()
	if now.Sub(l.last).Abs() < Every { // a clock that was put back silences nobody
		l.untold++
		l.mu.Unlock()
		return
	}
	untold := l.untold
	l.last, l.untold = now, 0
	l.mu.Unlock()
	if untold > 0 {
		logger = logger.With("untold", untold)
	}
	logger.Warn(msg, args...)
}
