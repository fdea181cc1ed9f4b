package sim

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"pixelwall/core"
	"pixelwall/persist"
)

// settle waits until everybody has come to the same place, and checks that it is
// the right one.
func (w *world) settle() {
	apart := ""
	for began := time.Now(); time.Since(began) < settleFor; _ = persist.Pause(w.ctx, 500*time.Millisecond) {
		if apart = w.apart(); apart == "" {
			w.check()
			return
		}
	}
	w.wrong("%v after the last fault: %s", settleFor, apart)
	w.checkTopic()
}

// dump prints the topic and the streams.
func (w *world) dump() {
	for _, s := range w.shards() {
		var f core.Follower
		for i, r := range slices.Concat(w.records(s)...) {
			fmt.Printf("topic %d #%d kind %d epoch %d relay %x seq %x..%x old %x: verdict %d\n", s, i, r.Kind, r.Epoch, r.Relay, r.First, r.Last(), r.LastOld, f.Next(r))
		}
		_ = w.outbox.As(nil).Read(w.ctx, s, 0, 1000, func(r *core.Record) error {
			fmt.Printf("outbox %d canvas %x kind %d epoch %d relay %x seq %x..%x old %x\n", s, r.Canvas, r.Kind, r.Epoch, r.Relay, r.First, r.Last(), r.LastOld)
			return nil
		})
	}
}

// log returns what everybody follows.
func (w *world) log() core.Log {
	if w.alone {
		return w.outbox.As(nil).Log()
	}
	return w.topic.As(nil)
}

// records returns all of s that there ever was in the log, by when that was made.
func (w *world) records(s core.ShardID) [][]*core.Record {
	if !w.alone {
		return w.topic.Lives(s)
	}
	var all []*core.Record
	ctx, end := context.WithCancel(w.ctx)
	defer end()
	heads, _ := w.log().Heads(ctx)
	_ = w.log().Tail(ctx, core.Heads{}, func(r *core.Record) error {
		if r.Shard == s {
			all = append(all, r.Clone())
			if r.Last() == heads[s] && r.Kind != core.KindClaim && r.Kind != core.KindStart {
				end()
			}
		}
		return nil
	})
	return [][]*core.Record{all}
}

// apart says who is not where the outbox is.
func (w *world) apart() string {
	topic, _ := w.log().Heads(w.ctx)
	for _, s := range w.shards() {
		st := w.outbox.Stand(s)
		if !st.Armed || topic[s] != st.Seq {
			return fmt.Sprintf("shard %d: the topic is at %x, the outbox at %+v", s, topic[s], st)
		}
		for i, e := range w.edges {
			if h := e.heads(); h[s] != st.Seq {
				return fmt.Sprintf("shard %d: edge %d is at %x, the outbox at %x", s, i, h[s], st.Seq)
			}
		}
		if w.alone {
			continue
		}
		if p, _ := w.archive.As(nil).Watermark(w.ctx, s); p.Seq != st.Seq && !w.empties {
			return fmt.Sprintf("shard %d: the archive is at %x, the outbox at %x", s, p.Seq, st.Seq)
		}
		snap, err := w.archive.As(nil).Latest(w.ctx)
		if err != nil || snap.Heads[s] != st.Seq {
			return fmt.Sprintf("shard %d: no snapshot at %x yet", s, st.Seq)
		}
	}
	for _, s := range w.shards() {
		if a, b := w.outbox.Stand(0).Version, w.outbox.Stand(s).Version; a != b {
			return fmt.Sprintf("shard %d has configuration %d, shard 0 has %d", s, b, a)
		}
	}
	for i, e := range w.edges {
		e.mu.Lock()
		placed := e.placed
		e.mu.Unlock()
		if placed > 0 {
			return fmt.Sprintf("edge %d still places", i)
		}
	}
	return ""
}

// check compares everything with the topic, and that with what edges were told.
func (w *world) check() {
	fold, accepted := w.checkTopic()
	if fold == nil || fold.Board == nil {
		w.wrong("the topic makes no canvas")
		return
	}
	w.checkPixels(fold)
	for i, e := range w.edges {
		w.same(fmt.Sprintf("edge %d", i), fold, e.fold)
	}
	if w.alone {
		return
	}
	if !w.empties { // the archive stops before what the topic lost
		w.checkArchive(accepted)
	}
	snap, err := w.archive.As(nil).Latest(w.ctx)
	if err != nil {
		w.wrong("snapshot: %v", err)
		return
	}
	if loaded, err := core.NewFold(snap); err != nil {
		w.wrong("snapshot: %v", err)
	} else {
		w.same("the snapshot", fold, loaded)
	}
	for _, m := range w.archive.Merged() {
		if !w.empties { // there it is what was written before, of another relay
			w.wrong("the archive merged %s", m)
		}
	}
}

func (w *world) same(who string, want, got *core.Fold) {
	for _, s := range w.shards() {
		if got.Heads[s] != want.Heads[s] {
			w.wrong("shard %d: %s is at %x, the topic at %x", s, who, got.Heads[s], want.Heads[s])
		}
		a, _ := want.Board.Checksum(s, nil)
		if b, _ := got.Board.Checksum(s, nil); a != b {
			w.wrong("shard %d: %s has other pixels than the topic", s, who)
		}
	}
	if got.Canvas != want.Canvas || !reflect.DeepEqual(got.Config, want.Config) {
		w.wrong("%s has canvas %x with %+v, the topic %x with %+v", who, got.Canvas, got.Config, want.Canvas, want.Config)
	}
}

func (w *world) checkPixels(fold *core.Fold) {
	for _, s := range w.shards() {
		if !bytes.Equal(w.outbox.Pixels(s), fold.Board.Pixels(s)) {
			w.wrong("shard %d: the outbox has other pixels than the topic", s)
		}
		if st := w.outbox.Stand(s); st.Canvas != fold.Canvas || st.Version != fold.Config.Version {
			w.wrong("shard %d: the outbox has canvas %x version %d, the topic %x version %d", s, st.Canvas, st.Version, fold.Canvas, fold.Config.Version)
		}
	}
}

// checkTopic folds the topic and holds what edges were told against it.
func (w *world) checkTopic() (*core.Fold, map[core.ShardID][]*core.Record) {
	fold, _ := core.NewFold(nil)
	accepted := make(map[core.ShardID][]*core.Record)
	stored := make(map[spot]core.Event)
	once := make(map[core.Request]spot)
	var timeMS [core.ShardsMax]int64
	fold.OnApply = func(r *core.Record) { // which may have waited for another shard
		s := r.Shard
		if r.TimeMS < timeMS[s] {
			w.wrong("shard %d seq %x: time falls", s, r.First)
		}
		timeMS[s] = r.TimeMS
		accepted[s] = append(accepted[s], r)
		for i, e := range r.Events {
			at := spot{s, r.First + uint64(i)}
			if was, ok := once[e.Request]; ok {
				w.wrong("request %v is stored as %x and as %x", e.Request, was, at)
			}
			once[e.Request], stored[at] = at, e
		}
	}
	for _, s := range w.shards() {
		for _, rs := range w.records(s) {
			fold.Holders[s] = core.Holder{} // who claimed what is lost is no matter
			for _, r := range rs {
				first := r.First
				verdict, err := fold.Next(r)
				if err != nil {
					w.wrong("shard %d seq %x: %v", s, r.First, err)
					return nil, nil
				}
				switch {
				case verdict == core.Gap || verdict == core.Phantom:
					w.wrong("shard %d: the topic has verdict %d at seq %x after %x: %+v", s, verdict, r.First, fold.Heads[s], r)
				case verdict == core.Apply && r.First != first:
					w.wrong("shard %d seq %x: a record was cut", s, r.First)
				}
			}
		}
		if fold.Begun>>s&1 == 0 && !w.grows {
			w.wrong("shard %d has no start in the topic", s)
		}
	}
	w.checkAcks(stored)
	return fold, accepted
}

func (w *world) checkAcks(stored map[spot]core.Event) {
	for _, e := range w.outbox.Doubtful() {
		w.lost[spot{e.Shard, e.Seq}] = true
	}
	for at, e := range w.acks {
		got, ok := stored[at]
		got.Old = e.Old // which an edge does not hear
		switch {
		case ok && got != e:
			w.wrong("shard %d seq %x was acknowledged as %+v and is %+v", at.shard, at.seq, e, got)
		case !ok && w.settled[at]:
			w.wrong("shard %d seq %x was told under a later epoch and is in no log: %+v", at.shard, at.seq, e)
		case !ok && !w.lost[at]:
			w.wrong("shard %d seq %x was acknowledged and is lost: %+v", at.shard, at.seq, e)
		case !ok:
			w.felt["lost with its server"]++
		}
	}
	w.felt["acknowledged"] += len(w.acks)
	w.felt["stored"] += len(stored)
}

// checkArchive wants the archive to have what the consumer rule let through, value
// by value.
func (w *world) checkArchive(accepted map[core.ShardID][]*core.Record) {
	for _, s := range w.shards() {
		rows := w.archive.Records(s)
		if len(rows) != len(accepted[s]) {
			w.wrong("shard %d: the archive has %d rows, the topic %d records", s, len(rows), len(accepted[s]))
		}
		for i := range min(len(rows), len(accepted[s])) {
			if !reflect.DeepEqual(rows[i], accepted[s][i]) {
				w.wrong("shard %d: row %d is %+v, the topic has %+v", s, i, rows[i], accepted[s][i])
				break
			}
		}
	}
}
