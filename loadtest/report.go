package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
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

	// Retried counts refusals after which a placement was sent again, Answers all
	// answers by name: placed, or the error code's.
	Retried int64            `json:"retried"`
	Answers map[string]int64 `json:"answers"`

	Lost       int64 `json:"lost"`
	Duplicated int64 `json:"duplicated"`
	Jumps      int64 `json:"jumps"` // of seqs, as shards were taken over

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
	Edges         int     `json:"edges"`
	Seconds       float64 `json:"seconds"`
	PerSecond     float64 `json:"placements_per_second"`
	TickMS        uint32  `json:"tick_ms"`
	Reconnects    int64   `json:"reconnects"`
	Resyncs       int64   `json:"resyncs"` // shards fetched again, of all watchers
	ResyncsMax    int64   `json:"resyncs_max_per_watcher"`
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
	if r.Answers == nil {
		r.Answers = map[string]int64{}
	}
	return json.NewEncoder(w).Encode(r)
}

func (r *Report) writeText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	line("clients", "%d painters, %d watchers, %d server addresses", r.Painters, r.Watchers, r.Edges)
	line("took", "%v, %.0f placements a second, tick %d ms", time.Duration(r.Seconds*float64(time.Second)).Round(time.Millisecond), r.PerSecond, r.TickMS)
	line("sent", "%d", r.Sent)
	line("accepted", "%d", r.Accepted)
	line("rejected", "%d", r.Rejected)
	line("sent again", "%d after a refusal for now; answers: %s", r.Retried, counts(r.Answers))
	line("unanswered", "%d", r.Unanswered)
	line("seen by all", "%d", r.Seen)
	line("lost", "%d  (exact by seq; and request by request in the history of %d pixels, %d events)", r.Lost, r.HistoryPixels, r.HistoryEvents)
	line("duplicated", "%d  (as above; others who paint meanwhile count here; seqs jumped %d times)", r.Duplicated, r.Jumps)
	line("place to seen", "p50 %.1f ms, p99 %.1f ms, max %.1f ms from the intended moment", r.P50MS, r.P99MS, r.MaxMS)
	line("place to placed", "p50 %.1f ms, p99 %.1f ms", r.AckP50MS, r.AckP99MS)
	line("reconnects", "%d, with %d canvas fetches; %d resyncs, at most %d of one watcher, %d diverged copies", r.Reconnects, r.CanvasFetches, r.Resyncs, r.ResyncsMax, r.Diverged)
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

// counts writes each name with its number, in the order of the names.
func counts(of map[string]int64) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		all = append(all, fmt.Sprintf("%d %s", of[name], name))
	}
	return strings.Join(all, ", ")
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "NO"
}
