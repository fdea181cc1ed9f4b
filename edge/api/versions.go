package api

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"sync/atomic"
	"time"

	"pixelwall/core"
	"pixelwall/wire"
)

const (
	// versionEvery is the least time between two versions.
	versionEvery = time.Second
	// versionKept is how long a version can be fetched after a newer one: the
	// minute that is promised, and what a redirect to it may have been cached.
	versionKept = 65 * time.Second
)

// versions are the states of the canvas that can be fetched. A version is made
// when somebody asks, at most one a second and only when something changed.
//
// All versions together, with their encodings, take at most bytesMax; beyond
// that no new one is made until an old one's time is over. Two are always kept.
type versions struct {
	canvas   Canvas
	bytesMax int64
	now      func() time.Time

	mu   sync.Mutex
	kept []*version // oldest first, the last one is the newest
}

// newest returns the version that a client should fetch now, or
// core.CodeUnavailable while the canvas is not known yet.
func (vs *versions) newest() (*version, error) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	now := vs.now()
	vs.drop(now)
	if n := len(vs.kept); n > 0 {
		last := vs.kept[n-1]
		age, fetched := now.Sub(last.made), vs.canvas.Config().Geometry() != last.config.Geometry() || vs.resets() != last.resets
		if vs.canvas.Heads() == last.heads || !fetched && (age < versionEvery || !vs.fits(last)) {
			return last, nil // but never the canvas from before to those who were told to fetch it again
		}
	}
	resets := vs.resets()
	s := vs.canvas.Snapshot()
	if s == nil {
		err := core.NewError(core.CodeUnavailable, "the canvas is still being read")
		err.RetryAfter = time.Second
		return nil, err
	}
	if n := len(vs.kept); n > 0 {
		vs.kept[n-1].replaced = now
		// Who asks next drops it; the timer is for when nobody does.
		time.AfterFunc(versionKept, func() { vs.find("") })
	}
	v := newVersion(s, now)
	v.resets = resets
	vs.kept = append(vs.kept, v)
	return v, nil
}

func (vs *versions) resets() uint64 {
	if r, ok := vs.canvas.(Resetter); ok {
		return r.Resets()
	}
	return 0
}

// fits reports whether there is room for a version beside those that are kept.
// It will take about what the last one does, and no less than its two forms.
func (vs *versions) fits(last *version) bool {
	if len(vs.kept) < 2 {
		return true
	}
	total := max(last.bytes.Load(), 2*int64(len(last.file.raw)))
	for _, v := range vs.kept {
		total += v.bytes.Load()
	}
	return total <= vs.bytesMax
}

// find returns the version called name, or nil.
func (vs *versions) find(name string) *version {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	vs.drop(vs.now())
	for _, v := range vs.kept {
		if v.name == name {
			return v
		}
	}
	return nil
}

// drop forgets the versions whose time is over. vs.mu is held.
func (vs *versions) drop(now time.Time) {
	n := 0
	for n < len(vs.kept)-1 && now.Sub(vs.kept[n].replaced) >= versionKept {
		n++
	}
	if n > 0 {
		vs.kept = append(vs.kept[:0:0], vs.kept[n:]...) // a new array, so that the old ones can go
	}
}

// A version is the canvas at one set of seqs, in all forms in which it is served.
type version struct {
	name     string
	heads    core.Heads
	config   core.Config
	resets   uint64 // of the canvas before this was made
	canvas   wire.CanvasFile
	file     *blob
	bytes    atomic.Int64 // of all forms
	made     time.Time
	replaced time.Time // when a newer one was made; guarded by versions.mu

	mu       sync.Mutex // protects shards and pictures
	shards   [core.ShardsMax]*blob
	pictures map[crop]*picture
}

// newVersion returns the version of s, of which it keeps a copy in wire form.
func newVersion(s *core.Snapshot, now time.Time) *version {
	geo := s.Config.Geometry()
	v := &version{name: versionName(s), heads: s.Heads, config: s.Config, made: now, pictures: make(map[crop]*picture)}
	v.canvas = wire.CanvasFile{Canvas: s.Canvas, Width: uint16(geo.Width), Height: uint16(geo.Height), Bits: geo.Bits}
	size := 18
	for _, id := range geo.Shards() {
		v.canvas.Shards = append(v.canvas.Shards, wire.CanvasShard{
			Shard: uint8(id), Seq: s.Heads[id], TimeMS: uint64(s.Times[id]), Packed: s.Shards[id],
		})
		size += 17 + len(s.Shards[id])
	}
	raw := v.canvas.AppendTo(make([]byte, 0, size))
	// From here on the shards lie in the file, and the snapshot's copy can go.
	at := 18 + 17*len(v.canvas.Shards)
	for i := range v.canvas.Shards {
		n := len(v.canvas.Shards[i].Packed)
		v.canvas.Shards[i].Packed = raw[at : at+n : at+n]
		at += n
	}
	v.file = newBlob(v.name, raw, &v.bytes)
	return v
}

// shard returns the canvas file of one shard, or nil when the canvas has none.
func (v *version) shard(id core.ShardID) *blob {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range v.canvas.Shards {
		if v.canvas.Shards[i].Shard == uint8(id) && v.shards[id] == nil {
			one := v.canvas
			one.Shards = one.Shards[i : i+1]
			v.shards[id] = newBlob(v.name+"-"+itoa(int(id)), one.AppendTo(nil), &v.bytes)
		}
	}
	return v.shards[id]
}

// versionName returns the name of s: a hash of canvas id, size and seqs. A seq
// says all that happened before it, so every origin gives the same bytes the
// same name.
func versionName(s *core.Snapshot) string {
	raw := binary.BigEndian.AppendUint64([]byte("pixelwall canvas 1\x00"), s.Canvas)
	raw = binary.BigEndian.AppendUint16(raw, uint16(s.Config.Width))
	raw = binary.BigEndian.AppendUint16(raw, uint16(s.Config.Height))
	raw = append(raw, s.Config.Bits)
	for _, seq := range s.Heads {
		raw = binary.BigEndian.AppendUint64(raw, seq)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:12])
}
