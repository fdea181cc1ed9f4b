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
//	8     magic "PWSNAP\x00\x01", or \x02 where somebody holds a shard
//	8     canvas id
//	8     time, unix ms
//	4 n   length of the configuration, configuration as in wire.RecordConfig
//	512   heads
//	512   time of each shard's last event
//	768   epoch (4) and relay (8) of each shard's holder, in version 2
//	8     set of shards that follow, shard 0 in the lowest bit
//	4 n   for each of them: length, packed pixels
//	4     CRC-32C of all before
const snapshotMagic = "PWSNAP\x00"

// snapshotBytesMax is above what the largest canvas of 8 bits takes.
const snapshotBytesMax = 32 << 20

func appendSnapshot(dst []byte, s *core.Snapshot) []byte {
	start := len(dst)
	le := binary.LittleEndian
	version, nobody := byte(1), [core.ShardsMax]core.Holder{}
	if s.Holders != nobody {
		version = 2
	}
	dst = le.AppendUint64(append(append(dst, snapshotMagic...), version), s.Canvas)
	dst = le.AppendUint64(dst, uint64(s.TimeMS))
	config := persist.AppendConfig(nil, &s.Config)
	dst = append(le.AppendUint32(dst, uint32(len(config))), config...)
	for _, seq := range s.Heads {
		dst = le.AppendUint64(dst, seq)
	}
	for _, ms := range s.Times {
		dst = le.AppendUint64(dst, uint64(ms))
	}
	if version == 2 {
		for _, h := range s.Holders {
			dst = le.AppendUint64(le.AppendUint32(dst, h.Epoch), h.Relay)
		}
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
	if len(b) < 12 || string(b[:7]) != snapshotMagic {
		return nil, errors.New("not a snapshot")
	}
	version, nobody := b[7], [core.ShardsMax]core.Holder{}
	if version != 1 && version != 2 {
		return nil, fmt.Errorf("snapshot format %d: written by a newer program", version)
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
	if version == 2 {
		for i := range s.Holders {
			s.Holders[i] = core.Holder{Epoch: le.Uint32(take(4)), Relay: le.Uint64(take(8))}
		}
		if !short && s.Holders == nobody {
			return nil, errors.New("version 2 without a holder")
		}
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
