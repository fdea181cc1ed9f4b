package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"pixelwall/edge/api"
)

func TestAChangeOfTheStatusIsToldOnceAndWhy(t *testing.T) {
	var out bytes.Buffer
	l := statusLog{log: slog.New(slog.NewTextHandler(&out, nil)), was: api.StatusOK}
	for _, tt := range []struct {
		status api.Status
		reason string
		want   []string // nil: nothing is said
	}{
		{api.StatusOK, "", nil},
		{api.StatusDegraded, "kafka: down", []string{"level=WARN", "from=ok to=degraded", `"kafka: down"`}},
		{api.StatusDegraded, "history: down", nil},
		{api.StatusReadOnly, "no relay", []string{"level=WARN", "from=degraded to=read_only", `"no relay"`}},
		{api.StatusDegraded, "kafka: down", []string{"level=INFO", "from=read_only to=degraded"}},
		{api.StatusOK, "", []string{"level=INFO", "from=degraded to=ok"}},
	} {
		out.Reset()
		l.note(tt.status, tt.reason)
		if lines := strings.Count(out.String(), "\n"); lines != min(1, len(tt.want)) {
			t.Errorf("%s %q: %d lines", tt.status, tt.reason, lines)
		}
		for _, want := range tt.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s %q: no %s in %s", tt.status, tt.reason, want, out.String())
			}
		}
	}
}
