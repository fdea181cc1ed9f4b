package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"sort"
	"strings"
	"time"

	"pixelwall/core"
	"pixelwall/loadtest/client"
)

// What holds after every fault, once all has come to rest:
//
//	I1  Redis, the fold of the log, the fold of the history, every edge and every
//	    watcher have the same pixels (tools/audit, and the watchers here)
//	I2  what was acknowledged is stored as it was acknowledged, and what is stored
//	    was sent, by somebody who was not told that it is not
//	I3  each request is stored once, and each acknowledged seq was given once
//	I4  no two placements of a user are closer than the cooldown, but for those that
//	    a counter tells of

// expected says what a fault may cost. The zero value is nothing at all.
type expected struct {
	lost    int  // acknowledged placements that may be missing
	resyncs bool // watchers may be told to fetch the canvas
	extra   int  // placements inside a cooldown, beside those that counters tell of
}

// An entry is a stored placement.
type entry struct {
	core.Event
	shard  core.ShardID
	seq    uint64
	timeMS int64
}

// settleTime is how long everything may take to come to rest, and the archive may
// stand still on its way.
const settleTime = 90 * time.Second

// settle stops the load, waits until all is at rest, checks I1 to I4, and tells.
func (w *wall) settle(e expected) {
	w.t.Helper()
	l := w.load
	l.stop()
	heads := w.rest()
	fold, events := w.readLog(heads)
	if fold == nil {
		return
	}
	w.sameHistory(heads, events)
	w.audit()
	w.sameWatchers(fold)
	r := judge(slices.Concat(l.painters, l.extra), events, w.layout.cooldown)
	for _, fault := range r.faults {
		w.t.Error(fault)
	}
	if r.lost > e.lost {
		w.t.Errorf("%d acknowledged placements are not stored, at most %d may be", r.lost, e.lost)
	}
	if r.duplicates > 0 {
		w.t.Errorf("%d requests are stored twice", r.duplicates)
	}
	failOpen, refunds := int(w.count("pixelwall_redis_fail_open_total")), int(w.count("pixelwall_redis_refunds_total"))
	if allowed := e.extra + failOpen; r.early > allowed {
		w.t.Errorf("%d placements inside a cooldown, counters tell of %d", r.early, allowed)
	}
	if w.layout.cooldown > 0 {
		l.note("fail_open=%d refunds=%d", failOpen, refunds)
	}
	resyncs, diverged := l.resyncs(), int64(0)
	for _, wt := range l.watchers {
		diverged += wt.Diverged.Load()
	}
	if resyncs > 0 && !e.resyncs {
		w.t.Errorf("a watcher was told to fetch %d shards", resyncs)
	}
	if diverged > 0 {
		w.t.Errorf("watchers found %d shards to differ from what their edge holds", diverged)
	}
	if w.count("pixelwall_gateway_panics_total") > 0 {
		w.t.Error("a handler panicked")
	}
	phantoms := int64(w.count("pixelwall_fanout_phantoms_total"))
	theTally.add(r, phantoms, w.t.Failed())
	fmt.Printf("chaos: %-34s seed %d %3.0f s load %.0f/s acked %d stored %d unanswered %d refused %v lost %d phantoms %d duplicates %d early %d late %d reconnects %d resyncs %d %s\n",
		strings.TrimPrefix(w.t.Name(), "TestChaos/"), w.seed, time.Since(w.began).Seconds(), l.atFaultMin, r.acked, r.stored, r.unknown, r.refusals, r.lost, phantoms,
		r.duplicates, r.early, r.late, l.reconnects(), resyncs, l.noted())
}

// rest waits until every shard is armed and nothing more is ordered, and returns
// the last seqs.
func (w *wall) rest() (heads core.Heads) {
	w.t.Helper()
	var before core.Heads
	quiet := 0
	if !poll(settleTime, func() bool {
		stands, err := w.stands(w.t.Context())
		if err != nil {
			return false
		}
		for s, stand := range stands {
			if !stand.Armed {
				quiet = 0
				return false
			}
			heads[s] = stand.Seq
		}
		if heads != before {
			before, quiet = heads, 0
		}
		quiet++
		return quiet > 10
	}) {
		w.t.Errorf("the shards do not come to rest: %v", heads[:shards])
	}
	return heads
}

var errEnough = errors.New("enough")

// readLog folds the log from its first record up to heads, and returns what it
// stores.
func (w *wall) readLog(heads core.Heads) (*core.Fold, []entry) {
	w.t.Helper()
	var log core.Log = w.client.Stream()
	if !w.layout.alone {
		log = w.topic
	}
	return w.read("the log", log, heads)
}

func (w *wall) read(what string, log core.Log, heads core.Heads) (*core.Fold, []entry) {
	w.t.Helper()
	fold, err := core.NewFold(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	var events []entry
	ctx, cancel := context.WithTimeout(w.t.Context(), settleTime)
	defer cancel()
	reached := func() bool {
		for s := range shards {
			if fold.Heads[s] < heads[s] {
				return false
			}
		}
		return true
	}
	err = log.Tail(ctx, core.Heads{}, func(r *core.Record) error {
		switch verdict, err := fold.Next(r); {
		case err != nil:
			return err
		case verdict == core.Gap || verdict == core.Phantom:
			return fold.GapError(r)
		case verdict == core.Apply:
			for i, e := range r.Events {
				events = append(events, entry{Event: e, shard: r.Shard, seq: r.First + uint64(i), timeMS: r.TimeMS})
			}
		}
		if reached() {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		w.t.Errorf("%s does not lead to %v, only to %v: %v", what, heads[:shards], fold.Heads[:shards], err)
		return nil, nil
	}
	sort.Slice(events, func(i, k int) bool {
		return events[i].shard < events[k].shard || events[i].shard == events[k].shard && events[i].seq < events[k].seq
	})
	return fold, events
}

// sameHistory compares event_log with the log, value by value.
func (w *wall) sameHistory(heads core.Heads, events []entry) {
	w.t.Helper()
	if w.layout.alone {
		return
	}
	within(w.t, settleTime, "an answer of the history", func() bool { return w.store.Health() == "ok" })
	if have, err := w.archivedUpTo(heads); have != heads {
		w.t.Errorf("the history ends at %v, the log at %v: %v", have[:shards], heads[:shards], err)
		return
	}
	fold, archived := w.read("the history", w.store, heads)
	if fold == nil {
		return
	}
	if !slices.Equal(archived, events) {
		w.t.Errorf("the history holds %d placements that are not the log's %d%s", len(archived), len(events), firstDifference(archived, events))
	}
}

// archivedUpTo waits for the archive to come to heads, for as long as it gets on: a backlog
// on a slow disk takes its time. It is asked seldom, since each answer is read from
// the node that the archive writes to.
func (w *wall) archivedUpTo(heads core.Heads) (have core.Heads, err error) {
	every := time.NewTicker(500 * time.Millisecond)
	defer every.Stop()
	best := uint64(0)
	for moved := time.Now(); time.Since(moved) < settleTime; <-every.C {
		short, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
		var now core.Heads
		now, err = w.store.Heads(short)
		cancel()
		if err != nil {
			continue
		}
		if have = now; have == heads {
			break
		}
		sum := uint64(0)
		for _, head := range now {
			sum += head
		}
		if sum > best {
			best, moved = sum, time.Now()
		}
	}
	return have, err
}

func firstDifference(a, b []entry) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf(", first %+v instead of %+v", a[i], b[i])
		}
	}
	return ""
}

// audit asks the auditor, until all agree.
func (w *wall) audit() {
	w.t.Helper()
	args := []string{"--timeout", "40s", "--redis-prefix", w.name, "--redis", w.redisAddrs()}
	if !w.layout.alone {
		args = append(args, "--kafka", strings.Join(w.layout.kafka, ","), "--kafka-topic", w.name,
			"--scylla", strings.Join(w.layout.cql, ","), "--scylla-keyspace", w.name)
	}
	for _, p := range w.gateways() {
		if p.running() && !p.paused {
			args = append(args, "--edge", "ws://"+p.addr+"/ws")
		}
	}
	var out []byte
	var err error
	if !poll(settleTime, func() bool {
		out, err = exec.Command(theRig.program(w.t, "audit"), args...).CombinedOutput()
		return err == nil
	}) {
		w.t.Errorf("the auditor says: %v\n%s", err, out)
	}
}

func (w *wall) redisAddrs() string {
	var all []string
	for _, s := range w.redis {
		if s.Running() {
			all = append(all, s.Addr())
		}
	}
	return strings.Join(all, ",")
}

// sameWatchers waits until every watcher has the pixels that the log leads to.
func (w *wall) sameWatchers(fold *core.Fold) {
	w.t.Helper()
	for i, wt := range w.load.watchers {
		difference := ""
		if !poll(settleTime, func() bool {
			difference = differs(fold, wt.Canvas())
			return difference == ""
		}) {
			w.t.Errorf("watcher %d differs from the log: %s", i, difference)
		}
	}
}

func differs(fold *core.Fold, c *client.Canvas) string {
	for s := range core.ShardID(shards) {
		if c.Shards[s] == nil {
			return fmt.Sprintf("it has no shard %d", s)
		}
		if want := fold.Board.AppendPacked(nil, s); !bytes.Equal(want, c.Shards[s].View.Pix) {
			return fmt.Sprintf("shard %d at seq %d, the log is at %d", s, c.Shards[s].Seq, fold.Heads[s])
		}
	}
	return ""
}
