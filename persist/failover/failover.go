// Package failover follows one log, and another one while the first is down.
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
)

// Options say what a Log follows.
type Options struct {
	Main     core.Log
	Fallback core.Log
	// LastFetch returns when the main log last answered, also that there is
	// nothing new.
	LastFetch func() time.Time
	Patience  time.Duration // without an answer before the fallback is followed; 300 ms when 0
	OnSwitch  func(fallback bool, err error)
}

// A Log is both. It implements core.Log.
type Log struct {
	o        Options
	fallback atomic.Bool
	switches atomic.Int64
}

// New returns a log of o.
func New(o Options) *Log {
	if o.Patience == 0 {
		o.Patience = 300 * time.Millisecond
	}
	return &Log{o: o}
}

// OnFallback reports whether the fallback is followed just now.
func (l *Log) OnFallback() bool { return l.fallback.Load() }

// Switches returns how often the fallback was gone to.
func (l *Log) Switches() int64 { return l.switches.Load() }

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
	log *Log
	fn  func(*core.Record) error

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
	check := time.NewTicker(l.o.Patience / 4)
	defer check.Stop()
	began := time.Now()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-check.C:
		}
		if last := l.o.LastFetch(); time.Since(last) < l.o.Patience || time.Since(began) < l.o.Patience {
			continue
		}
		if err := t.followFallback(ctx); err != nil {
			return err
		}
		began = time.Now()
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
		timer := time.NewTimer(t.log.o.Patience)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
}

var errBack = errors.New("the main log has caught up")

// followFallback follows the other log until the main one is as good as level with
// it: what the fallback had given at some moment, the main log gave within Patience
// of that. It cannot be asked to be level at one moment, since while people paint
// the fallback is always a little ahead.
func (t *tail) followFallback(ctx context.Context) error {
	l := t.log
	l.fallback.Store(true)
	l.switches.Add(1)
	defer l.fallback.Store(false)
	l.tell(true, nil)
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
			if now := time.Now(); now.Sub(since) < l.o.Patience && now.Sub(l.o.LastFetch()) < l.o.Patience {
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
		timer := time.NewTimer(l.o.Patience)
		select {
		case <-ctx.Done():
		case <-timer.C: // the fallback's service is away too
		}
		timer.Stop()
	}
}

func (l *Log) tell(fallback bool, err error) {
	if l.o.OnSwitch != nil {
		l.o.OnSwitch(fallback, err)
	}
}

// give hands r to fn.
func (t *tail) give(r *core.Record, main bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended != nil {
		return t.ended
	}
	pass(&t.all, *r)
	if main {
		pass(&t.main, *r)
	}
	if err := t.fn(r); err != nil {
		t.ended = err
		return err
	}
	return nil
}

// pass moves f past r, which is a copy because fn may cut its own to what is new
// to it. What f held beyond a marker is in nobody's log: that is for fn to mend,
// and both logs go on behind the marker.
func pass(f *core.Follower, r core.Record) {
	if f.Next(&r) == core.Phantom {
		f.GoTo(r.Shard, core.Position{Holder: r.Holder(), Seq: r.First})
	}
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
