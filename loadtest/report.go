package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// A Report is how a replay ended. Faults is empty when all is well.
type Report struct {
	Sent       int64 `json:"sent"`
	Accepted   int64 `json:"accepted"`
	Rejected   int64 `json:"rejected"`
	Unanswered int64 `json:"unanswered"`
	Seen       int64 `json:"seen"`

	Lost       int64 `json:"lost"`
	Duplicated int64 `json:"duplicated"`

	P50MS float64 `json:"p50_ms"`
	P99MS float64 `json:"p99_ms"`
	MaxMS float64 `json:"max_ms"`
	// From the intended moment to the acknowledgement.
	AckP50MS float64 `json:"ack_p50_ms"`
	AckP99MS float64 `json:"ack_p99_ms"`

	WatchersEqual bool `json:"watchers_equal"`
	RestEqual     bool `json:"rest_equal"`
	FoldEqual     bool `json:"fold_equal"`

	Watchers      int     `json:"watchers"`
	Painters      int     `json:"painters"`
	Seconds       float64 `json:"seconds"`
	PerSecond     float64 `json:"placements_per_second"`
	TickMS        uint32  `json:"tick_ms"`
	Reconnects    int64   `json:"reconnects"`
	Resyncs       int64   `json:"resyncs"`
	Diverged      int64   `json:"diverged"`
	CanvasFetches int64   `json:"canvas_fetches_while_running"`
	HistoryPixels int     `json:"history_pixels"`
	HistoryEvents int     `json:"history_events"`

	Faults []string `json:"faults"`
	Notes  []string `json:"notes,omitempty"`
}

func (r *Report) fault(format string, args ...any) {
	r.Faults = append(r.Faults, fmt.Sprintf(format, args...))
}

func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

func (r *Report) writeJSON(w io.Writer) error {
	if r.Faults == nil {
		r.Faults = []string{}
	}
	return json.NewEncoder(w).Encode(r)
}

func (r *Report) writeText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	line("clients", "%d painters, %d watchers", r.Painters, r.Watchers)
	line("took", "%v, %.0f placements a second, tick %d ms", time.Duration(r.Seconds*float64(time.Second)).Round(time.Millisecond), r.PerSecond, r.TickMS)
	line("sent", "%d", r.Sent)
	line("accepted", "%d", r.Accepted)
	line("rejected", "%d", r.Rejected)
	line("unanswered", "%d", r.Unanswered)
	line("seen by all", "%d", r.Seen)
	line("lost", "%d  (exact by seq; and request by request in the history of %d pixels, %d events)", r.Lost, r.HistoryPixels, r.HistoryEvents)
	line("duplicated", "%d  (as above; others who paint meanwhile count here)", r.Duplicated)
	line("place to seen", "p50 %.1f ms, p99 %.1f ms, max %.1f ms from the intended moment", r.P50MS, r.P99MS, r.MaxMS)
	line("place to placed", "p50 %.1f ms, p99 %.1f ms", r.AckP50MS, r.AckP99MS)
	line("reconnects", "%d, with %d canvas fetches; %d resyncs, %d diverged copies", r.Reconnects, r.CanvasFetches, r.Resyncs, r.Diverged)
	line("watchers equal", "%s", yes(r.WatchersEqual))
	line("REST equal", "%s", yes(r.RestEqual))
	line("fold equal", "%s", yes(r.FoldEqual))
	if err := t.Flush(); err != nil {
		return err
	}
	for _, n := range r.Notes {
		fmt.Fprintln(w, "note:", n)
	}
	verdict := "all is well"
	if len(r.Faults) > 0 {
		verdict = "FAULT: " + strings.Join(r.Faults, "\nFAULT: ")
	}
	_, err := fmt.Fprintln(w, verdict)
	return err
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "NO"
}
