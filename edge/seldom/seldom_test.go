package seldom

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestAFloodIsOneLineEveryTenSecondsWithItsCount(t *testing.T) {
	var out strings.Builder
	logger := slog.New(slog.NewTextHandler(&out, nil))
	var l Log
	now := time.Unix(1_000_000, 0)
	for _, step := range []struct {
		after time.Duration
		want  string // part of the line, "" for none
	}{
		{0, "msg=refused by=me\n"},
		{0, ""},
		{Every - 1, ""},
		{1, "msg=refused untold=2 by=me\n"},
		{time.Second, ""},
		{-time.Hour, "msg=refused untold=1 by=me\n"},
		{Every, "msg=refused by=me\n"},
	} {
		out.Reset()
		now = now.Add(step.after)
		l.Warn(logger, now, "refused", "by", "me")
		if got := out.String(); step.want == "" && got != "" || !strings.HasSuffix(got, step.want) {
			t.Errorf("%v later: %q, want %q", step.after, got, step.want)
		}
	}
}
