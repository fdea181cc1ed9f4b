package main

import (
	"encoding/binary"
	"time"

	"pixelwall/loadtest/client"
	"pixelwall/wire"
)

// A seenLog remembers when a watcher's copy reached which seq, in some six bytes
// a step: hundreds of watchers of a long replay take many millions of steps.
type seenLog struct {
	began time.Time // of the first step
	last  time.Duration
	to    [wire.ShardsMax]uint64 // by shard
	bytes []byte                 // per step: shard, then varints: how far seq went, how much time passed in µs
}

// add appends a step. Seq may fall: a copy that was fetched anew may be older.
func (l *seenLog) add(s client.Seen) {
	if l.bytes == nil {
		l.began = s.At
	}
	at := s.At.Sub(l.began).Truncate(time.Microsecond)
	l.bytes = binary.AppendVarint(append(l.bytes, s.Shard), int64(s.To-l.to[s.Shard]))
	l.bytes = binary.AppendVarint(l.bytes, (at - l.last).Microseconds())
	l.to[s.Shard], l.last = s.To, at
}

// each calls fn with every step, oldest first.
func (l *seenLog) each(fn func(client.Seen)) {
	var to [wire.ShardsMax]uint64
	at := l.began
	for rest := l.bytes; len(rest) > 0; {
		shard := rest[0]
		advance, n := binary.Varint(rest[1:])
		passed, m := binary.Varint(rest[1+n:])
		rest = rest[1+n+m:]
		to[shard] += uint64(advance)
		at = at.Add(time.Duration(passed) * time.Microsecond)
		fn(client.Seen{Shard: shard, To: to[shard], At: at})
	}
}
