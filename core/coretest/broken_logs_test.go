package coretest

import (
	"context"
	"errors"
	"sync"

	"pixelwall/core"
)

const (
	fromTheBeginning = "a reader from the beginning sees the start canvas and then everything once"
	fromAnywhere     = "a reader from anywhere sees what comes after, a straddling record whole"
	waits            = "a reader that waits sees what is placed later"
	standsStill      = "a reader that stands still holds up neither writers nor readers, and misses nothing"
	endsWithItsError = "a reader ends with its own error and hears nothing more"
	endsWithItsCause = "a reader that waits ends with the cause of its context"
)

var brokenLogs = []broken{
	{"drops an event here and there", onRecord(func(r *core.Record, _ core.Heads) []*core.Record {
		if n := len(r.Events); n > 2 {
			r.Events = append(r.Events[:n/2:n/2], r.Events[n/2+1:]...)
		}
		return []*core.Record{r}
	}), []string{fromTheBeginning, fromAnywhere}},

	{"says everything twice", onRecord(func(r *core.Record, _ core.Heads) []*core.Record {
		return []*core.Record{r, cloneRecord(r)}
	}), []string{fromTheBeginning, fromAnywhere, waits}},

	{"reorders records of a shard", reorderRecords, []string{fromTheBeginning, fromAnywhere}},

	{"has no start canvas", onRecord(func(r *core.Record, _ core.Heads) []*core.Record {
		if r.Kind == core.KindStart {
			return nil
		}
		return []*core.Record{r}
	}), []string{fromTheBeginning}},

	{"drops a record that straddles", onRecord(func(r *core.Record, from core.Heads) []*core.Record {
		if r.Kind == core.KindPlacements && r.First <= from[r.Shard] {
			return nil
		}
		return []*core.Record{r}
	}), []string{fromAnywhere}},

	{"tells another colour replaced", onRecord(func(r *core.Record, _ core.Heads) []*core.Record {
		for i := range r.Events {
			r.Events[i].Old ^= 1
		}
		return []*core.Record{r}
	}), []string{fromTheBeginning}},

	{"lets time fall", onRecord(func(r *core.Record, _ core.Heads) []*core.Record {
		r.TimeMS -= int64(r.First)
		return []*core.Record{r}
	}), []string{fromTheBeginning}},

	{"shows only what was there when the reader came", onlyWhatWasThere, []string{waits, standsStill}},

	{"shares its records", shareRecords, []string{"what a reader does to a record is nobody else's concern"}},

	{"holds its lock while a reader works", holdLock, []string{standsStill}},

	{"goes on after a reader has failed", func(m *Memory, st *Store, _ Setup) {
		st.Log = tailer{Log: m, tail: func(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
			var first error
			err := m.Tail(ctx, from, func(r *core.Record) error {
				if err := fn(r); first == nil {
					first = err
					return nil
				}
				return first
			})
			return err
		}}
	}, []string{endsWithItsError}},

	{"hides the cause of the end", func(m *Memory, st *Store, _ Setup) {
		st.Log = tailer{Log: m, tail: func(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
			if m.Tail(ctx, from, fn) != nil {
				return errors.New("ended")
			}
			return nil
		}}
	}, []string{endsWithItsError, endsWithItsCause}},

	{"does not hear of its context's end", func(m *Memory, st *Store, _ Setup) {
		st.Log = tailer{Log: m, tail: func(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
			late, cancel := context.WithTimeout(context.WithoutCancel(ctx), tooLate)
			defer cancel()
			return m.Tail(late, from, fn)
		}}
	}, []string{endsWithItsCause}},

	{"says that its heads are further than they are", func(m *Memory, st *Store, _ Setup) {
		st.Log = tailer{Log: m, heads: func(ctx context.Context) (core.Heads, error) {
			h, err := m.Heads(ctx)
			h[2]++
			return h, err
		}}
	}, []string{"the heads are those of the last acknowledgement"}},

	{"says that its heads are where they were", func(m *Memory, st *Store, _ Setup) {
		st.Log = tailer{Log: m, heads: func(context.Context) (core.Heads, error) { return core.Heads{}, nil }}
	}, []string{"the heads are those of the last acknowledgement"}},

	{"begins where it can when it does not reach back", func(_ *Memory, st *Store, _ Setup) {
		st.Trim = func(core.Heads) {}
	}, []string{"a reader further back than the log reaches is told so"}},

	{"shows what is not durable yet", forgetRecords, []string{"what a reader has seen survives a crash"}},
}

// reorderRecords hands out records of placements in pairs, the second first.
// What has no second yet is handed out after it has seen everything else.
func reorderRecords(m *Memory, st *Store, _ Setup) {
	st.Log = tailer{Log: m, tail: func(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
		held := make(map[core.ShardID]*core.Record)
		return m.Tail(ctx, from, func(r *core.Record) error {
			first := held[r.Shard]
			if first == nil && r.Kind == core.KindPlacements {
				held[r.Shard] = r
				return nil
			}
			delete(held, r.Shard)
			if err := fn(r); err != nil || first == nil {
				return err
			}
			return fn(first)
		})
	}}
}

func onlyWhatWasThere(m *Memory, st *Store, _ Setup) {
	st.Log = tailer{Log: m, tail: func(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
		m.mu.Lock()
		n := len(m.records)
		m.mu.Unlock()
		return m.Tail(ctx, from, func(r *core.Record) error {
			if n--; n < 0 {
				<-ctx.Done()
				return context.Cause(ctx)
			}
			return fn(r)
		})
	}}
}

// shareRecords hands the same records to every reader.
func shareRecords(m *Memory, st *Store, _ Setup) {
	var mu sync.Mutex
	type id struct {
		at   spot
		kind core.Kind
	}
	cache := make(map[id]*core.Record)
	onRecord(func(r *core.Record, _ core.Heads) []*core.Record {
		mu.Lock()
		defer mu.Unlock()
		k := id{spot{r.Shard, r.First}, r.Kind}
		if cache[k] == nil {
			cache[k] = r
		}
		return []*core.Record{cache[k]}
	})(m, st, Setup{})
}

// holdLock lets no placement in while a reader works. The lock is a channel, as a
// bubble's time stands still while somebody waits for a mutex.
func holdLock(m *Memory, st *Store, _ Setup) {
	lock := make(chan struct{}, 1)
	st.Sequencer = placer{Sequencer: m, place: func(ctx context.Context, ps []core.Placement, out []core.Outcome) error {
		lock <- struct{}{}
		defer func() { <-lock }()
		return m.Place(ctx, ps, out)
	}}
	st.Log = tailer{Log: m, tail: func(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
		return m.Tail(ctx, from, func(r *core.Record) error {
			lock <- struct{}{}
			defer func() { <-lock }()
			return fn(r)
		})
	}}
}
