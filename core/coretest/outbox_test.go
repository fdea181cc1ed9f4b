package coretest

import (
	"context"
	"testing"
	"time"

	"pixelwall/core"
)

func openMemoryOutbox(*testing.T) *OutboxStore { return storeOf(newOutbox()) }

func newOutbox() *MemoryOutbox {
	return NewMemoryOutbox(func() int64 { return time.Now().UnixMilli() })
}

func storeOf(m *MemoryOutbox) *OutboxStore {
	return &OutboxStore{
		Placer: m.As(nil), Restart: m.Restart,
		Pixels: func(_ context.Context, s core.ShardID) ([]byte, error) { return m.Pixels(s), nil },
	}
}

func TestMemoryOutboxIsAnOutbox(t *testing.T) { TestOutbox(t, openMemoryOutbox) }

// brokenOutbox is an outbox that breaks one promise.
type brokenOutbox struct {
	*OutboxPort
	fence  func(o *OutboxPort, s core.ShardID, epoch uint32) (uint64, error)
	build  func(o *OutboxPort, s core.ShardID, epoch uint32, b core.Base) error
	place  func(o *OutboxPort, s core.ShardID, epoch, version uint32, events []core.Event, asked []core.Request) (Placed, error)
	arm    func(o *OutboxPort, s core.ShardID, h core.Holder, minSeq, lastOld uint64) error
	trim   func(o *OutboxPort, s core.ShardID, epoch uint32, seq uint64) error
	recall func(o *OutboxPort, s core.ShardID, epoch uint32, stored []core.PastEvent) error
}

func (b brokenOutbox) Fence(ctx context.Context, s core.ShardID, epoch uint32) (uint64, error) {
	if b.fence == nil {
		return b.OutboxPort.Fence(ctx, s, epoch)
	}
	return b.fence(b.OutboxPort, s, epoch)
}

func (b brokenOutbox) Rebuild(ctx context.Context, s core.ShardID, epoch uint32, base core.Base) error {
	if b.build == nil {
		return b.OutboxPort.Rebuild(ctx, s, epoch, base)
	}
	return b.build(b.OutboxPort, s, epoch, base)
}

func (b brokenOutbox) PlaceBatch(ctx context.Context, s core.ShardID, epoch, version uint32, events []core.Event, asked []core.Request) (Placed, error) {
	if b.place == nil {
		return b.OutboxPort.PlaceBatch(ctx, s, epoch, version, events, asked)
	}
	return b.place(b.OutboxPort, s, epoch, version, events, asked)
}

func (b brokenOutbox) Arm(ctx context.Context, s core.ShardID, h core.Holder, minSeq, lastOld uint64) error {
	if b.arm == nil {
		return b.OutboxPort.Arm(ctx, s, h, minSeq, lastOld)
	}
	return b.arm(b.OutboxPort, s, h, minSeq, lastOld)
}

func (b brokenOutbox) Trim(ctx context.Context, s core.ShardID, epoch uint32, seq uint64) error {
	if b.trim == nil {
		return b.OutboxPort.Trim(ctx, s, epoch, seq)
	}
	return b.trim(b.OutboxPort, s, epoch, seq)
}

func (b brokenOutbox) Recall(ctx context.Context, s core.ShardID, epoch uint32, stored []core.PastEvent) error {
	if b.recall == nil {
		return b.OutboxPort.Recall(ctx, s, epoch, stored)
	}
	return b.recall(b.OutboxPort, s, epoch, stored)
}

func TestTheComparisonNoticesBrokenOutboxes(t *testing.T) {
	ctx := t.Context()
	for name, b := range map[string]brokenOutbox{
		"lets a lower fence in": {fence: func(o *OutboxPort, s core.ShardID, epoch uint32) (uint64, error) {
			seq, _ := o.Fence(ctx, s, epoch)
			return seq, nil
		}},
		"is fenced at another seq": {fence: func(o *OutboxPort, s core.ShardID, epoch uint32) (uint64, error) {
			seq, err := o.Fence(ctx, s, epoch)
			return seq + 1, err
		}},
		"remembers what is in no log": {build: func(o *OutboxPort, s core.ShardID, epoch uint32, base core.Base) error {
			base.Jumps = nil
			return o.Rebuild(ctx, s, epoch, base)
		}},
		"takes any epoch": {place: func(o *OutboxPort, s core.ShardID, _, version uint32, events []core.Event, asked []core.Request) (Placed, error) {
			return o.PlaceBatch(ctx, s, o.m.Stand(s).Epoch, version, events, asked)
		}},
		"takes any configuration": {place: func(o *OutboxPort, s core.ShardID, epoch, _ uint32, events []core.Event, asked []core.Request) (Placed, error) {
			return o.PlaceBatch(ctx, s, epoch, o.m.Stand(s).Version, events, asked)
		}},
		"stores what it is asked about": {place: func(o *OutboxPort, s core.ShardID, epoch, version uint32, events []core.Event, asked []core.Request) (Placed, error) {
			for _, r := range asked {
				events = append(events, core.Event{Request: r})
			}
			return o.PlaceBatch(ctx, s, epoch, version, events, nil)
		}},
		"goes on from minSeq": {arm: func(o *OutboxPort, s core.ShardID, h core.Holder, minSeq, lastOld uint64) error {
			return o.Arm(ctx, s, h, minSeq+1, lastOld)
		}},
		"trims what was to stay": {trim: func(o *OutboxPort, s core.ShardID, epoch uint32, seq uint64) error {
			return o.Trim(ctx, s, epoch, seq+1)
		}},
		"forgets what it was told": {recall: func(o *OutboxPort, s core.ShardID, epoch uint32, _ []core.PastEvent) error {
			return o.Recall(ctx, s, epoch, nil)
		}},
	} {
		t.Run("an outbox that "+name, func(t *testing.T) {
			m := newOutbox()
			st := storeOf(m)
			b.OutboxPort = m.As(nil)
			st.Placer = b
			if noticed(ctx, st) == nil {
				t.Error("it passes")
			}
		})
	}
	t.Run("an outbox that is armed again after a restart", func(t *testing.T) {
		m := newOutbox()
		m.Err(StoresArmed)
		if noticed(ctx, storeOf(m)) == nil {
			t.Error("it passes")
		}
	})
}

func noticed(ctx context.Context, st *OutboxStore) error {
	return compareOutbox(ctx, st, 1, outboxSteps)
}
