package api

import (
	"context"
	"testing"
	"testing/synctest"

	"pixelwall/core"
)

// A silent history is one whose database accepts questions and never answers.
type silent struct{ core.History }

func (silent) Pixel(ctx context.Context, _ core.ShardID, _ uint32, _ uint64, _ int) ([]core.PastEvent, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

func TestASilentHistoryIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &API{o: Options{History: silent{}}, past: newGate(1, 1)}
		_, err := a.askHistory(func(ctx context.Context) ([]core.PastEvent, error) {
			return a.o.History.Pixel(ctx, 0, 3, 0, 10)
		})
		if core.CodeOf(err) != core.CodeUnavailable {
			t.Errorf("got %v, want unavailable", err)
		}
	})
}
