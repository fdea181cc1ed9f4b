package persist

import (
	"context"
	"errors"
	"testing"

	"pixelwall/core"
	"pixelwall/core/coretest"
)

// archived copies what the topic of b holds of shard s to its archive.
func archived(t *testing.T, b *coretest.Script, s core.ShardID) {
	t.Helper()
	var f core.Follower
	for _, r := range b.Topic.Records(s) {
		if f.Next(r) != core.Apply {
			continue
		}
		if err := b.Archive.As(nil).Write(t.Context(), []*core.Record{r}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Archive.As(nil).SetWatermark(t.Context(), s, f.Position(s)); err != nil {
		t.Fatal(err)
	}
}

// folded reads log from the beginning until it has what b has.
func folded(t *testing.T, log core.Log, b *coretest.Script) *core.Fold {
	t.Helper()
	fold, err := core.NewFold(nil)
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	err = log.Tail(coretest.Patiently(t), core.Heads{}, func(r *core.Record) error {
		if verdict, err := fold.Next(r); err != nil || verdict == core.Gap || verdict == core.Phantom {
			t.Fatalf("record %d of shard %d is judged %v: %v", r.First, r.Shard, verdict, err)
		}
		if fold.Heads == b.Heads {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatalf("the log leads to %v instead of %v: %v", fold.Heads[:2], b.Heads[:2], err)
	}
	return fold
}

// What the topic has forgotten comes from the archive, and is the same.
func TestATopicThatForgotIsReadFromTheArchive(t *testing.T) {
	b := coretest.NewScript(t, 1024, 1)
	for i := range 40 {
		b.Append(t, b.Events(core.ShardID(i%2), 1+i%5, uint8(i%16)))
	}
	for s := range core.ShardID(2) {
		archived(t, b, s)
	}
	half := b.Heads
	for i := range 40 {
		b.Append(t, b.Events(core.ShardID(i%2), 1, uint8(i%16)))
	}
	whole := folded(t, b.Topic.As(nil), b)
	b.Topic.Retain(half)
	if err := b.Topic.As(nil).Tail(t.Context(), core.Heads{}, func(*core.Record) error { return nil }); core.CodeOf(err) != core.CodeNotFound {
		t.Fatalf("the topic has forgotten nothing: %v", err)
	}
	got := folded(t, Backed(b.Topic.As(nil), b.Archive.As(nil)), b)
	for s := range core.ShardID(2) {
		if string(got.Board.Pixels(s)) != string(whole.Board.Pixels(s)) {
			t.Errorf("shard %d differs", s)
		}
	}
}

// Where the archive ends before the topic begins, the reader is told.
func TestAnArchiveThatDoesNotReachTheTopic(t *testing.T) {
	b := coretest.NewScript(t, 512, 1)
	b.Append(t, b.Events(0, 3, 1))
	archived(t, b, 0)
	b.Append(t, b.Events(0, 3, 2))
	b.Append(t, b.Events(0, 3, 3))
	lost := b.Heads
	b.Append(t, b.Events(0, 3, 4))
	b.Topic.Retain(lost)
	seen := 0
	err := Backed(b.Topic.As(nil), b.Archive.As(nil)).Tail(t.Context(), core.Heads{}, func(*core.Record) error { seen++; return nil })
	if core.CodeOf(err) != core.CodeNotFound || seen == 0 {
		t.Errorf("%d records and %v", seen, err)
	}
}

// What the reader fails with ends the tail, from whichever log the record came.
func TestABackedReadersErrorEndsIt(t *testing.T) {
	b := coretest.NewScript(t, 512, 1)
	b.Append(t, b.Events(0, 3, 1))
	archived(t, b, 0)
	b.Topic.Retain(b.Heads)
	full := errors.New("full")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if err := Backed(b.Topic.As(nil), b.Archive.As(nil)).Tail(ctx, core.Heads{}, func(*core.Record) error { return full }); !errors.Is(err, full) {
		t.Error(err)
	}
}
