package fanout

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pixelwall/core"
)

// A faultyLog is a log that relays write, and that may be away, hide records and
// lose them. The claims come from its beginning in each Tail.
type faultyLog struct {
	mu       sync.Mutex
	records  []*core.Record
	hidden   map[*core.Record]bool // in the log, but Tail does not give them
	lost     map[*core.Record]bool // not in the log any more
	holder   core.Holder
	floor    core.Heads
	fault    error
	snapshot *core.Snapshot // what Reload gives
	asked    int            // for a snapshot
	changed  chan struct{}
}

func newFaultyLog() *faultyLog {
	return &faultyLog{hidden: map[*core.Record]bool{}, lost: map[*core.Record]bool{}, changed: make(chan struct{})}
}

// do changes the log and wakes who follows it.
func (l *faultyLog) do(fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn()
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *faultyLog) add(r *core.Record) *core.Record {
	r.Canvas, r.Epoch, r.Relay = 1, l.holder.Epoch, l.holder.Relay
	l.do(func() { l.records = append(l.records, r) })
	return r
}

// claim makes h the holder of every shard.
func (l *faultyLog) claim(h core.Holder, shards ...core.ShardID) {
	l.holder = h
	for _, s := range shards {
		l.add(&core.Record{Kind: core.KindClaim, Shard: s})
	}
}

func (l *faultyLog) Heads(ctx context.Context) (h core.Heads, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.records {
		if r.Kind != core.KindClaim && !l.lost[r] {
			h[r.Shard] = max(h[r.Shard], r.Last())
		}
	}
	return h, l.fault
}

func (l *faultyLog) Tail(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
	for at := 0; ; {
		l.mu.Lock()
		fault, changed := l.fault, l.changed
		for s := range from {
			if from[s] < l.floor[s] && at == 0 {
				fault = core.NewError(core.CodeNotFound, "the log does not reach back so far")
			}
		}
		if fault == nil && at == len(l.records) {
			l.mu.Unlock()
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-changed:
				continue
			}
		}
		if fault != nil {
			l.mu.Unlock()
			return fault
		}
		r := l.records[at]
		skip := l.hidden[r] || l.lost[r] || r.Kind != core.KindClaim && r.Last() <= from[r.Shard]
		c := *r
		c.Events = append([]core.Event(nil), r.Events...)
		l.mu.Unlock()
		at++
		if skip {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := fn(&c); err != nil {
			return err
		}
	}
}

func (l *faultyLog) reload(context.Context) (*core.Snapshot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked++; l.snapshot == nil {
		return nil, core.NewError(core.CodeUnavailable, "no snapshot can be read")
	}
	return l.snapshot, nil
}

// fold returns the canvas after the records that take lets in, hidden ones too.
func (l *faultyLog) fold(t *testing.T, base *core.Snapshot, take func(r *core.Record) bool) *core.Snapshot {
	t.Helper()
	f, err := core.NewFold(base)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range l.records {
		if !take(r) || l.lost[r] {
			continue
		}
		c := *r
		c.Events = append([]core.Event(nil), r.Events...)
		if v, err := f.Next(&c); err != nil || v == core.Gap || v == core.Phantom {
			t.Fatalf("fold: verdict %v, %v", v, err)
		}
	}
	return f.Snapshot(0)
}

func whole(*core.Record) bool { return true }

// upTo lets records with at most seq through, in every shard.
func upTo(seq uint64) func(*core.Record) bool {
	return func(r *core.Record) bool { return r.Kind == core.KindClaim || r.Last() <= seq }
}

// A clusterRig is a rig whose hub follows a faultyLog; the test says when.
type clusterRig struct {
	*rig
	log *faultyLog
}

func newClusterRig(t *testing.T, width, height int, log *faultyLog) *clusterRig {
	r := newRig(t, width, height, "place2017", func(o *Options) { o.Log, o.Reload = log, log.reload })
	return &clusterRig{rig: r, log: log}
}

// place adds a record of n random placements to the log.
func (r *clusterRig) place(rnd *rand.Rand, s core.ShardID, n int) *core.Record {
	w, h := r.config.Geometry().Area(s)
	rec := &core.Record{Kind: core.KindPlacements, Shard: s, First: r.seqs[s] + 1, TimeMS: r.nowMS}
	for range n {
		rec.Events = append(rec.Events, core.Event{
			Offset: uint32(rnd.IntN(h)*core.ShardSide + rnd.IntN(w)), Color: uint8(rnd.IntN(len(r.config.Palette))),
		})
	}
	r.seqs[s] += uint64(n)
	return r.log.add(rec)
}

// takeOver lets another relay arm shard s, whose log ends at last.
func (r *clusterRig) takeOver(s core.ShardID, last uint64) {
	h := core.Holder{Epoch: r.log.holder.Epoch + 1, Relay: r.log.holder.Relay + 7}
	r.log.claim(h, s)
	r.seqs[s] = last + 1<<20
	r.log.add(&core.Record{Kind: core.KindMarker, Shard: s, First: r.seqs[s], LastOld: last, TimeMS: r.nowMS})
}

// pump follows the log from the heads to its end, as follow does.
func (r *clusterRig) pump() {
	errEnd := errors.New("the end")
	for {
		from := r.hub.begin(nil)
		end := r.log.add(&core.Record{Kind: core.KindClaim, Shard: core.ShardsMax - 1}) // changes nothing, and lets Tail be left
		err := r.log.Tail(context.Background(), from, func(rec *core.Record) error {
			if rec.Shard == end.Shard {
				return errEnd
			}
			return r.hub.apply(rec)
		})
		r.log.do(func() { r.log.records = r.log.records[:len(r.log.records)-1] })
		switch {
		case errors.Is(err, errRefetch):
		case errors.Is(err, errEnd):
			return
		default:
			r.t.Fatal(err)
		}
	}
}

// heal lets the mender look once, after d.
func (r *clusterRig) heal(d time.Duration) bool {
	r.pass(d)
	left, err := r.hub.heal(context.Background())
	if err != nil {
		r.t.Fatal(err)
	}
	return left
}
