package relay

import (
	"context"
	"sync"
	"time"

	"pixelwall/core"
	"pixelwall/persist"
)

// A lease is what we know of the lease of a shard. A goroutine of its own takes and
// renews it: a step may take longer than a lease lasts, and another relay that
// began the same one would depose us, as we would then depose it.
type lease struct {
	leave chan struct{} // give it up for a while; holds one

	mu    sync.Mutex // protects following
	until time.Time  // it is surely ours
	taken bool       // by another relay, when it was last asked for
	err   error      // of that
	moved time.Time  // when a step last got anywhere
}

func newShard(r *Relay, id core.ShardID) *shard {
	return &shard{relay: r, id: id, lease: lease{leave: make(chan struct{}, 1)}}
}

// stuckAfter is for how many times LeaseTTL a step may get nowhere before the shard
// is left to a relay that may get further: the way to the log may be cut for us alone.
const stuckAfter = 20

// keepLease takes the lease and renews it until ctx ends.
func (sh *shard) keepLease(ctx context.Context) {
	o := &sh.relay.o
	defer sh.release(ctx)
	for ctx.Err() == nil {
		wait := o.StandEvery
		if sh.lease.stuck(stuckAfter * o.LeaseTTL) {
			sh.release(ctx)
		} else if sh.hold(ctx) {
			wait = o.LeaseTTL / 3
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		case <-sh.lease.leave:
			sh.release(ctx)
			_ = persist.Pause(ctx, o.LeaseTTL)
		}
	}
}

// hold takes or renews the lease. One that cannot be asked for is ours until it ends.
func (sh *shard) hold(ctx context.Context) bool {
	o, l := &sh.relay.o, &sh.lease
	asked := time.Now()
	held, err := o.Leases.Hold(ctx, sh.id, role, o.ID, o.LeaseTTL)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err, l.taken = err, err == nil && !held
	switch {
	case l.taken:
		l.until = time.Time{}
	case err == nil:
		l.until = asked.Add(o.LeaseTTL)
	}
	return held && err == nil
}

// release gives the lease up, so that another relay need not wait for its end.
func (sh *shard) release(ctx context.Context) {
	l := &sh.lease
	l.mu.Lock()
	had := !l.until.IsZero()
	l.until = time.Time{}
	l.mu.Unlock()
	if !had {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = sh.relay.o.Leases.Release(ctx, sh.id, role, sh.relay.o.ID) // it ends by itself
}

// stands reports whether the lease is ours, else whether another relay has it, or
// why it could not be asked for.
func (l *lease) stands() (ours, taken bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Before(l.until), l.taken, l.err
}

// giveUp leaves the shard to another relay for a while.
func (l *lease) giveUp() {
	select {
	case l.leave <- struct{}{}:
	default:
	}
}

// move notes that a step gets on.
func (l *lease) move() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.moved = time.Now()
}

func (l *lease) stuck(after time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.moved) >= after
}
