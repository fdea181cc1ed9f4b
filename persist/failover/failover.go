// Package failover follows one log, and another one while the first is down or
// nobody feeds it.
//
//	main.Tail ──────┐
//	fallback.Tail ──┴─> fn, one record at a time; the consumer rule drops what both bring
//
// What comes in are two logs of the same order, the second one short-lived but
// independent of the first's service; what goes out is that order. The main log is
// always followed: it begins again where it was left, and only when it has caught
// up, but for what is on its way, is the fallback left. Nothing here decides which record counts.
package failover

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"pixelwall/core"
	"pixelwall/persist"
)

// Options say what a Log follows.
type Options struct {
	Main     core.Log
	Fallback core.Log
	// LastFetch returns when the main log last answered, also that there is
	// nothing new.
	LastFetch func() time.Time
	// Failing reports whether a fetch of the main log has failed since one was answered,
	// as it does at once when its servers die. Nil: only silence tells.
	Failing  func() bool
	Patience time.Duration                  // without an answer before the fallback is followed, half of it when Failing; 300 ms when 0
	OnSwitch func(fallback bool, why error) // why is ErrSilent, ErrStalled, or nil on the way back
}

// stall is how long the main log may bring nothing of a shard in which the fallback
// is ahead: it answers, but whoever feeds it is away.
const stall = 1200 * time.Millisecond

// Why the fallback is followed.
var (
	ErrSilent  = errors.New("it does not answer")
	ErrStalled = errors.New("it stands still behind the fallback")
)

// A Log is both. It implements core.Log.
type Log struct {
	o       Options
	why     atomic.Pointer[error] // the fallback is followed; nil: it is not
	silent  atomic.Int64          // times that it was, by why
	stalled atomic.Int64
}

// New returns a log of o.
func New(o Options) *Log {
	if o.Patience == 0 {
		o.Patience = 300 * time.Millisecond
	}
	return &Log{o: o}
}

// OnFallback reports whether the fallback is followed just now.
func (l *Log) OnFallback() bool { return l.why.Load() != nil }

// Why returns why the fallback is followed just now, ErrSilent or ErrStalled, or nil
// when it is not.
func (l *Log) Why() error {
	if why := l.why.Load(); why != nil {
		return *why
	}
	return nil
}

// Switches returns how often the fallback was gone to because of ErrSilent, and of
// ErrStalled.
func (l *Log) Switches() (silent, stalled int64) { return l.silent.Load(), l.stalled.Load() }

// Heads implements core.Log.
func (l *Log) Heads(ctx context.Context) (core.Heads, error) {
	short, cancel := context.WithTimeout(ctx, 4*l.o.Patience)
	defer cancel()
	heads, err := l.o.Main.Heads(short)
	if err == nil || core.CodeOf(err) == core.CodeMismatch {
		return heads, err
	}
	return l.o.Fallback.Heads(ctx)
}

// A tail is one call of Tail.
type tail struct {
	log     *Log
	fn      func(*core.Record) error
	stalled atomic.Bool // see watchStall

	mu    sync.Mutex    // protects following; held while fn runs
	all   core.Follower // of what fn was given, from whichever log
	main  core.Follower // of what the main log gave
	ended error         // what fn failed with
}

// Tail implements core.Log.
func (l *Log) Tail(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
	t := &tail{log: l, fn: fn}
	t.all.Heads, t.main.Heads = from, from
	ctx, end := context.WithCancelCause(ctx)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer end(nil)
	parts.Go(func() { end(t.followMain(ctx)) })
	parts.Go(func() { t.watchStall(ctx) })
	check := time.NewTicker(l.o.Patience / 10)
	defer check.Stop()
	began := time.Now()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-check.C:
		}
		why := ErrSilent
		switch last := l.o.LastFetch(); {
		case time.Since(began) < l.o.Patience:
			continue
		case time.Since(last) >= l.patience():
		case t.stalled.Load():
			why = ErrStalled
		default:
			continue
		}
		if err := t.followFallback(ctx, why); err != nil {
			return err
		}
		began = time.Now()
	}
}

// patience is how long the main log may be silent just now.
func (l *Log) patience() time.Duration {
	if l.o.Failing != nil && l.o.Failing() {
		return l.o.Patience / 2
	}
	return l.o.Patience
}

// watchStall compares the two logs until ctx ends. A main log that answers may still
// bring nothing: its relay died, or too few of its servers are left to write to. One
// that is behind and moves, as at a start, is not stalled.
func (t *tail) watchStall(ctx context.Context) {
	l := t.log
	var before core.Heads
	var since [core.ShardsMax]time.Time // when a shard was first found so; zero: it is not
	for persist.Pause(ctx, stall/2) == nil {
		short, cancel := context.WithTimeout(ctx, stall/2)
		ahead, err := l.o.Fallback.Heads(short)
		cancel()
		now, main, stalled := time.Now(), t.mainHeads(), false
		for s := range main {
			switch {
			case err != nil || ahead[s] <= main[s] || main[s] != before[s]:
				since[s] = time.Time{}
			case since[s].IsZero():
				since[s] = now
			default:
				stalled = stalled || now.Sub(since[s]) >= stall
			}
		}
		before = main
		t.stalled.Store(stalled)
	}
}

// followMain follows the main log for as long as the tail lasts. An error of the
// service is waited out; one that says what the log holds ends the tail.
func (t *tail) followMain(ctx context.Context) error {
	for {
		err := t.log.o.Main.Tail(ctx, t.mainHeads(), func(r *core.Record) error { return t.give(r, true) })
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if t.fnError() != nil {
			return err
		}
		if code := core.CodeOf(err); code == core.CodeMismatch || code == core.CodeNotFound {
			return err
		}
		if err := persist.Pause(ctx, t.log.o.Patience); err != nil {
			return err
		}
	}
}

var errBack = errors.New("the main log has caught up")

// followFallback follows the other log until the main one is as good as level with
// it: what the fallback had given at some moment, the main log gave within Patience
// of that. It cannot be asked to be level at one moment, since while people paint
// the fallback is always a little ahead.
func (t *tail) followFallback(ctx context.Context, why error) error {
	l := t.log
	l.why.Store(&why)
	if errors.Is(why, ErrSilent) {
		l.silent.Add(1)
	} else {
		l.stalled.Add(1)
	}
	defer l.why.Store(nil)
	l.tell(true, why)
	ctx, end := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer end(nil)
	watch.Go(func() {
		check := time.NewTicker(l.o.Patience / 4)
		defer check.Stop()
		goal, since := t.allHeads(), time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case <-check.C:
			}
			if !t.mainReached(&goal) {
				continue
			}
			if now := time.Now(); now.Sub(since) < l.o.Patience && now.Sub(l.o.LastFetch()) < l.patience() && !t.stalled.Load() {
				end(errBack)
				return
			}
			goal, since = t.allHeads(), time.Now()
		}
	})
	for {
		err := l.o.Fallback.Tail(ctx, t.allHeads(), func(r *core.Record) error { return t.give(r, false) })
		switch {
		case errors.Is(context.Cause(ctx), errBack):
			l.tell(false, nil)
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case t.fnError() != nil || core.CodeOf(err) == core.CodeMismatch || core.CodeOf(err) == core.CodeNotFound:
			return err
		}
		_ = persist.Pause(ctx, l.o.Patience) // the fallback's service is away too
	}
}

func (l *Log) tell(fallback bool, why error) {
	if l.o.OnSwitch != nil {
		l.o.OnSwitch(fallback, why)
	}
}

// give hands r to fn.
func (t *tail) give(r *core.Record, main bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended != nil {
		return t.ended
	}
	persist.Pass(&t.all, *r)
	if main {
		persist.Pass(&t.main, *r)
	}
	if err := t.fn(r); err != nil {
		t.ended = err
		return err
	}
	return nil
}

func (t *tail) fnError() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ended
}

func (t *tail) mainHeads() core.Heads {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.main.Heads
}

func (t *tail) allHeads() core.Heads {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all.Heads
}

// mainReached reports whether the main log has given everything up to goal.
func (t *tail) mainReached(goal *core.Heads) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s := range goal {
		if t.main.Heads[s] < goal[s] {
			return false
		}
	}
	return true
}
