package persist

import (
	"context"
	"errors"

	"pixelwall/core"
)

// Backed returns topic with a longer memory: what it does not retain any more is
// read from archive, which holds the same records. Appends go to the topic alone.
func Backed(topic core.Topic, archive core.Log) core.Topic { return backed{topic, archive} }

type backed struct {
	core.Topic
	archive core.Log
}

// Tail implements core.Log. CodeNotFound means that the archive does not reach from
// where the reader is to where the topic begins.
func (b backed) Tail(ctx context.Context, from core.Heads, fn func(*core.Record) error) error {
	at := core.Follower{Heads: from}
	var ended error // what fn failed with
	give := func(r *core.Record) error {
		Pass(&at, *r)
		ended = fn(r)
		return ended
	}
	for {
		err := b.Topic.Tail(ctx, at.Heads, give)
		if ended != nil || core.CodeOf(err) != core.CodeNotFound {
			return err
		}
		before := at.Heads
		switch past := b.readArchive(ctx, &at, give); {
		case ended != nil || ctx.Err() != nil:
			return past
		case at.Heads == before:
			return errors.Join(err, past)
		}
	}
}

// readArchive gives what the archive holds now behind at.
func (b backed) readArchive(ctx context.Context, at *core.Follower, give func(*core.Record) error) error {
	goal, err := b.archive.Heads(ctx)
	if err != nil {
		return err
	}
	if at.Heads.Reach(&goal) {
		return nil
	}
	err = b.archive.Tail(ctx, at.Heads, func(r *core.Record) error {
		if err := give(r); err != nil {
			return err
		}
		if at.Heads.Reach(&goal) {
			return errRead
		}
		return nil
	})
	if errors.Is(err, errRead) {
		return nil
	}
	return err
}

var errRead = errors.New("the archive was read")

// Pass moves f past r, which is a copy because a consumer may cut its own to what is
// new to it. What f held beyond a marker is in nobody's log: that is for the consumer
// to mend, and the log goes on behind the marker.
func Pass(f *core.Follower, r core.Record) {
	if f.Next(&r) == core.Phantom {
		f.GoTo(r.Shard, core.Position{Holder: r.Holder(), Seq: r.First})
	}
}
