package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"pixelwall/core"
	"pixelwall/core/coretest"
)

// A writer makes the records of one shard as its relay would.
type writer struct {
	core.Holder
	shard core.ShardID
	seq   uint64
}

func (w *writer) record(kind core.Kind) *core.Record {
	return &core.Record{Kind: kind, Canvas: layoutCanvas, Shard: w.shard, Epoch: w.Epoch, Relay: w.Relay, TimeMS: 1_700_000_000_000 + int64(w.seq)}
}

func (w *writer) claim() *core.Record { return w.record(core.KindClaim) }

func (w *writer) start() *core.Record {
	r := w.record(core.KindStart)
	r.Config = layoutConfig()
	return r
}

// batch returns a record of the next n placements.
func (w *writer) batch(n int) *core.Record {
	r := w.record(core.KindPlacements)
	r.First = w.seq + 1
	for i := range n {
		r.Events = append(r.Events, core.Event{Offset: uint32(i), Color: uint8(i % 16), User: w.seq})
	}
	w.seq += uint64(n)
	return r
}

// batches returns n records of one placement each.
func (w *writer) batches(n int) (rs []*core.Record) {
	for range n {
		rs = append(rs, w.batch(1))
	}
	return rs
}

func newWriter(s core.ShardID) *writer {
	return &writer{Holder: core.Holder{Epoch: 1, Relay: 11}, shard: s}
}

func mustAppend(t *testing.T, topic *Topic, rs ...*core.Record) {
	t.Helper()
	for part := range slices.Chunk(rs, AppendMax) {
		if err := topic.Append(coretest.Patiently(t), part); err != nil {
			t.Fatalf("Append: %v", err)
		}
	}
}

// A reader is a follower of a topic in a goroutine of its own.
type reader struct {
	mu      sync.Mutex
	f       core.Follower
	counts  [core.Phantom + 1]int
	claims  int
	records int
	ended   chan error
	stop    context.CancelFunc
}

var errHole = errors.New("the reader came to a hole")

func read(t *testing.T, topic *Topic, from core.Heads, shards ...core.ShardID) *reader {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &reader{ended: make(chan error, 1), stop: cancel}
	r.f.Heads = from
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.ended <- topic.TailShards(ctx, shards, from, r.next)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

func (r *reader) next(rec *core.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records++
	if rec.Kind == core.KindClaim {
		r.claims++
	}
	head := r.f.Heads[rec.Shard]
	v := r.f.Next(rec)
	r.counts[v]++
	switch {
	case v == core.Gap || v == core.Phantom:
		return fmt.Errorf("%w: %w", errHole, r.f.GapError(rec))
	case v == core.Apply && rec.Kind == core.KindPlacements && rec.First != head+1:
		return errHole
	}
	return nil
}

func (r *reader) head(s core.ShardID) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.f.Heads[s]
}

func (r *reader) count(v core.Verdict) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[v]
}

// reaches waits until the reader has come to seq of s, by way of each one before.
func (r *reader) reaches(t *testing.T, s core.ShardID, seq uint64) {
	t.Helper()
	coretest.Eventually(t, fmt.Sprintf("seq %d of shard %d is read (at %d)", seq, s, r.head(s)), func() bool {
		select {
		case err := <-r.ended:
			t.Fatalf("the reader ended at seq %d of %d with %v", r.head(s), seq, err)
		default:
		}
		return r.head(s) >= seq
	})
	if got := r.head(s); got != seq {
		t.Errorf("shard %d: read up to seq %d, want %d", s, got, seq)
	}
}

// ends waits for the end of the reader.
func (r *reader) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.ended:
		r.ended <- err
		return err
	case <-coretest.Patiently(t).Done():
		t.Fatal("the reader goes on")
		return nil
	}
}
