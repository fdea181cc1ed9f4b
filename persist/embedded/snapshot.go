package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"pixelwall/core"
	"pixelwall/persist"
)

// A snapshot file is what a fold of the log can begin from. Numbers are little
// endian.
//
//	size  field
//	8     magic "PWSNAP\x00\x01"
//	8     canvas id
//	8     time, unix ms
//	4 n   length of the configuration, configuration as in wire.RecordConfig
//	512   heads
//	512   time of each shard's last event
//	8     set of shards that follow, shard 0 in the lowest bit
//	4 n   for each of them: length, packed pixels
//	4     CRC-32C of all before
const snapshotMagic = "PWSNAP\x00\x01"

// snapshotBytesMax is above what the largest canvas of 8 bits takes.
const snapshotBytesMax = 32 << 20

func appendSnapshot(dst []byte, s *core.Snapshot) []byte {
	start := len(dst)
	le := binary.LittleEndian
	dst = le.AppendUint64(append(dst, snapshotMagic...), s.Canvas)
	dst = le.AppendUint64(dst, uint64(s.TimeMS))
	config := persist.AppendConfig(nil, &s.Config)
	dst = append(le.AppendUint32(dst, uint32(len(config))), config...)
	for _, seq := range s.Heads {
		dst = le.AppendUint64(dst, seq)
	}
	for _, ms := range s.Times {
		dst = le.AppendUint64(dst, uint64(ms))
	}
	set := uint64(0)
	for i, pix := range s.Shards {
		if pix != nil {
			set |= 1 << i
		}
	}
	dst = le.AppendUint64(dst, set)
	for _, pix := range s.Shards {
		if pix != nil {
			dst = append(le.AppendUint32(dst, uint32(len(pix))), pix...)
		}
	}
	return le.AppendUint32(dst, crc32.Checksum(dst[start:], core.Castagnoli))
}

// decodeSnapshot is the inverse of appendSnapshot.
//
// Ownership: the snapshot's shards alias b.
func decodeSnapshot(b []byte) (*core.Snapshot, error) {
	le := binary.LittleEndian
	if len(b) < 12 || string(b[:7]) != snapshotMagic[:7] {
		return nil, errors.New("not a snapshot")
	}
	if b[7] != snapshotMagic[7] {
		return nil, fmt.Errorf("snapshot format %d: written by a newer program", b[7])
	}
	b, sum := b[:len(b)-4], le.Uint32(b[len(b)-4:])
	if crc32.Checksum(b, core.Castagnoli) != sum {
		return nil, errors.New("checksum does not match")
	}
	rest, short := b[8:], false
	take := func(n int) []byte {
		if short = short || n > len(rest); short {
			return make([]byte, min(n, 8))
		}
		head := rest[:n]
		rest = rest[n:]
		return head
	}
	s := &core.Snapshot{Canvas: le.Uint64(take(8)), TimeMS: int64(le.Uint64(take(8)))}
	config := take(int(le.Uint32(take(4))))
	for i := range s.Heads {
		s.Heads[i] = le.Uint64(take(8))
	}
	for i := range s.Times {
		s.Times[i] = int64(le.Uint64(take(8)))
	}
	set := le.Uint64(take(8))
	for i := range s.Shards {
		if set>>i&1 == 1 {
			s.Shards[i] = take(int(le.Uint32(take(4))))
		}
	}
	if short || len(rest) > 0 {
		return nil, errors.New("wrong length")
	}
	c, err := persist.DecodeConfig(config)
	if err != nil {
		return nil, err
	}
	s.Config = *c
	if err := s.Config.Validate(); err != nil {
		return nil, err
	}
	return s, nil
}

// boardOf returns the canvas of s.
func boardOf(s *core.Snapshot) (*core.Board, error) {
	b := core.NewBoard(s.Config.Geometry(), s.Config.Blank)
	for id, pix := range s.Shards {
		if pix == nil {
			continue
		}
		if err := b.LoadPacked(core.ShardID(id), pix); err != nil {
			return nil, err
		}
	}
	return b, nil
}
