package embedded

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"pixelwall/core"
)

// queuePlacementsMax bounds what waits for the next group. A caller beyond it is
// refused with CodeTooMany before anything is decided.
const queuePlacementsMax = 1 << 16

// A job is one call of Place or Configure on its way through the sequencer. It
// has copies of its own, so that a caller who gives up may go.
type job struct {
	ps     []core.Placement
	out    []core.Outcome
	config *core.Config // Configure
	err    error
	done   chan struct{} // one token when the sequencer is through
	state  atomic.Uint32
}

const (
	jobWaiting uint32 = iota
	jobDone
	jobLeft // the caller is gone; the sequencer puts the job back
)

var jobPool = sync.Pool{New: func() any { return &job{done: make(chan struct{}, 1)} }}

func newJob() *job {
	j := jobPool.Get().(*job)
	j.config, j.err = nil, nil
	j.state.Store(jobWaiting)
	return j
}

// finish hands the job back to its caller.
func (j *job) finish() {
	if j.state.CompareAndSwap(jobWaiting, jobDone) {
		j.done <- struct{}{}
		return
	}
	jobPool.Put(j)
}

// A queue is what waits for the next group: everything that came while the
// group before it was written.
type queue struct {
	mu         sync.Mutex // protects following
	jobs       []*job
	placements int
	refuse     error // set when the sequencer takes nothing any more

	wake chan struct{} // has a token when jobs is not empty
}

func (q *queue) push(j *job) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.refuse != nil {
		return q.refuse
	}
	if q.placements > 0 && q.placements+len(j.ps) > queuePlacementsMax {
		return core.NewError(core.CodeTooMany, "too many placements are waiting to be stored")
	}
	q.placements += len(j.ps)
	if q.jobs = append(q.jobs, j); len(q.jobs) == 1 {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

// take returns what waits, and keeps into for the next ones.
func (q *queue) take(into []*job) []*job {
	q.mu.Lock()
	defer q.mu.Unlock()
	jobs := q.jobs
	q.jobs, q.placements = into[:0], 0
	return jobs
}

// close makes every later push fail with err, and returns what waits.
func (q *queue) close(err error) []*job {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refuse = err
	jobs := q.jobs
	q.jobs = nil
	return jobs
}

// run sends j through the sequencer. On nil the caller owns j again.
func (s *Store) run(ctx context.Context, j *job) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.queue.push(j); err != nil {
		return err
	}
	select {
	case <-j.done:
		return nil
	case <-ctx.Done():
		if j.state.CompareAndSwap(jobWaiting, jobLeft) {
			return &core.Error{Code: core.CodeUnavailable, Msg: "gave up waiting; send it again", Err: ctx.Err()}
		}
		<-j.done
		return nil
	}
}

// Place implements core.Sequencer.
func (s *Store) Place(ctx context.Context, ps []core.Placement, out []core.Outcome) error {
	if len(ps) == 0 {
		return nil
	}
	j := newJob()
	j.ps = append(j.ps[:0], ps...)
	j.out = slices.Grow(j.out[:0], len(ps))[:len(ps)]
	if err := s.run(ctx, j); err != nil {
		return err
	}
	err := j.err
	if err == nil {
		copy(out, j.out)
	}
	clear(j.out) // an Error must not live on in the pool
	jobPool.Put(j)
	return err
}

// Configure implements core.Sequencer.
func (s *Store) Configure(ctx context.Context, c core.Config) error {
	c.Palette = append(core.Palette(nil), c.Palette...)
	j := newJob()
	j.ps, j.out, j.config = j.ps[:0], j.out[:0], &c
	if err := s.run(ctx, j); err != nil {
		return err
	}
	err := j.err
	jobPool.Put(j)
	return err
}
