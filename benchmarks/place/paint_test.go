package main

import (
	"context"
	"path/filepath"
	"testing"

	"pixelwall/core"
)

func TestWhatIsReportedAsStoredIsInTheLog(t *testing.T) {
	// More users than any caller can get through, so that nobody has to wait.
	c := &config{events: 800, callers: 8, batch: 5, users: 100_000, side: 600, cooldownMS: 60_000, dir: filepath.Join(t.TempDir(), "data")}
	store, err := open(c)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var r report

	if err := paint(c, store, &r); err != nil {
		t.Fatal(err)
	}
	heads, err := store.Heads(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, seq := range heads {
		sum += int64(seq)
	}
	if r.Stored != sum || r.Stored < 800 || r.Refused != 0 || r.P99MS <= 0 || r.PerSecond <= 0 || r.LogMB <= 0 {
		t.Errorf("the log has %d: %+v", sum, r)
	}
	past, err := store.History().User(context.Background(), 1, nil, 10)
	if err != nil || len(past) != 1 || past[0].Request != (core.Request{Instance: 0x9e3779b97f4a7c15, Number: 1}) {
		t.Errorf("user 1 has %+v, %v", past, err)
	}
	if err := r.judge(&config{min: r.PerSecond + 1}); err == nil {
		t.Error("a rate below the target passes")
	}
}

func TestSlopeIsThatOfALine(t *testing.T) {
	if got := slope([]float64{3, 5, 7, 9}); got != 2 {
		t.Errorf("slope = %v, want 2", got)
	}
	if got := slope(nil); got != 0 {
		t.Errorf("slope of nothing = %v", got)
	}
}
