package client

import (
	"bytes"
	"sync"

	"pixelwall/wire"
)

// A Decoder decodes batches for a crowd of watchers in one process. They all
// get the same bytes, so a batch is decoded once and each watcher applies the
// pixels to its own copy. A watcher whose copy is at another seq never meets an
// entry of this one; that copies at one seq are equal is what the server's
// checks and the comparison at the end prove. It may be used concurrently.
type Decoder struct {
	shards [wire.ShardsMax]decoderShard
}

type decoderShard struct {
	mu      sync.Mutex // held while decoding: the crowd waits for the first
	decoder wire.Decoder
	recent  [8]decoded // bounded: a slow watcher decodes for itself
	next    int
}

type decoded struct {
	from   uint64
	msg    []byte
	pixels []wire.Pixel
}

// decode returns the pixels of the batch b, whose whole message is msg, for the
// copy s.
//
// Ownership: the pixels are shared and only read.
func (d *Decoder) decode(s *Shard, msg []byte, b wire.Batch) ([]wire.Pixel, error) {
	m := &d.shards[b.Shard]
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.recent {
		if e := &m.recent[i]; e.from == s.Seq && bytes.Equal(e.msg, msg) {
			return e.pixels, nil
		}
	}
	pixels, err := m.decoder.Decode(nil, b.Coding, b.Param, b.Payload, s.View)
	if err != nil {
		return nil, err
	}
	m.recent[m.next] = decoded{from: s.Seq, msg: bytes.Clone(msg), pixels: pixels}
	m.next = (m.next + 1) % len(m.recent)
	return pixels, nil
}
