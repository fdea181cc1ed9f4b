package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// progressEvery is how often the line is drawn anew.
const progressEvery = 500 * time.Millisecond

// isTerminal reports whether w is one. A line that is drawn over itself is of no
// use in a file.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// progress draws one line about a until ctx ends.
func progress(ctx context.Context, w io.Writer, a *account, began time.Time, total time.Duration) {
	if !isTerminal(w) {
		return
	}
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			fmt.Fprint(w, "\r\x1b[K")
			return
		case now := <-tick.C:
			fmt.Fprint(w, "\r\x1b[K", progressLine(a, now.Sub(began), total))
		}
	}
}

// progressLine says how far the replay is. It takes as long as the trace says,
// unless the server cannot keep up: then what is left takes as long as so far.
func progressLine(a *account, elapsed, total time.Duration) string {
	n := int64(len(a.events))
	done := a.accepted.Load() + a.rejected.Load()
	eta := total - elapsed
	if done > 0 {
		eta = max(eta, time.Duration(float64(elapsed)*float64(n-done)/float64(done)*min(1, float64(elapsed)/float64(max(1, total)))))
	}
	return fmt.Sprintf("%3d %%  %d of %d sent, %d accepted, %d rejected, %d under way, %d sent again  ETA %v",
		100*done/max(1, n), a.sent.Load(), n, a.accepted.Load(), a.rejected.Load(), a.sent.Load()-done, a.again.Load(), max(0, eta).Round(time.Second))
}
