package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"pixelwall/core"
	"pixelwall/persist"
)

// What a folder as a whole is. A program refuses the numbers that it does not know.
const (
	formatStore   = 1
	formatArchive = 2
)

var formatNames = [...]string{formatStore: "a canvas that people paint on", formatArchive: "an archive of a canvas"}

// The names in the data folder.
const (
	metaName      = "meta.json"
	lockName      = "LOCK"
	logName       = "log"
	creatingName  = "creating" // a log in the making; removed at start
	indexName     = "index"
	snapshotsName = "snapshots"
)

// A meta is meta.json: what never changes about a canvas.
type meta struct {
	Format    int    `json:"format"`
	Canvas    string `json:"canvas"` // 16 hex digits
	CreatedMS int64  `json:"created_ms"`
	StartHash string `json:"start_hash,omitempty"`

	canvas uint64
}

// readMeta returns nil where there is no canvas yet.
func readMeta(fsys FS, dir string) (*meta, error) {
	name := filepath.Join(dir, metaName)
	b, err := readFile(fsys, name, 1<<20)
	if err != nil || b == nil {
		return nil, err
	}
	var m meta
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if m.Format < formatStore || m.Format > formatArchive {
		return nil, core.NewError(core.CodeMismatch, fmt.Sprintf("%s: folder of format %d, written by a newer program; this one knows format %d", dir, m.Format, formatArchive))
	}
	if m.canvas, err = strconv.ParseUint(m.Canvas, 16, 64); err != nil || m.canvas == 0 {
		return nil, fmt.Errorf("%s: bad canvas id %q", name, m.Canvas)
	}
	return &m, nil
}

// begin returns the canvas before the first event.
func (o *Options) begin(nowMS int64) (*core.Snapshot, error) {
	c := &o.Create
	if err := c.Config.Validate(); err != nil {
		return nil, err
	}
	switch {
	case c.Canvas == 0:
		return nil, core.NewError(core.CodeInvalid, "a canvas needs an id")
	case c.Start != nil && c.Start.Geometry() != c.Config.Geometry():
		return nil, core.NewError(core.CodeMismatch, "the start canvas has another size than the canvas")
	}
	s := &core.Snapshot{Canvas: c.Canvas, Config: c.Config, TimeMS: nowMS}
	for _, id := range c.Config.Geometry().Shards() {
		s.Times[id], s.Shards[id] = nowMS, []byte{}
		if c.Start != nil {
			s.Shards[id] = c.Start.AppendPacked(nil, id)
		}
	}
	return s, nil
}

// create makes a log in an empty folder, which begins with base. It is made aside
// and moved in place, meta.json comes last: until it is there, the next start
// creates again. A log without meta.json is therefore no crash of ours unless
// nothing was written to it yet, and then it goes; any other one is left alone.
func create(o *Options, format int, base *core.Snapshot, nowMS int64) (*meta, error) {
	dir := func(name string) string { return filepath.Join(o.Dir, name) }
	if err := removeUnpainted(o.FS, dir(logName)); err != nil {
		return nil, err
	}
	for _, name := range []string{creatingName, indexName, snapshotsName} {
		if err := o.FS.Remove(dir(name)); err != nil {
			return nil, err
		}
	}
	if err := o.FS.MkdirAll(dir(creatingName)); err != nil {
		return nil, err
	}
	if err := createLog(o.FS, dir(creatingName), base); err != nil {
		return nil, err
	}
	if err := o.FS.Rename(dir(creatingName), dir(logName)); err != nil {
		return nil, err
	}
	if err := o.FS.SyncDir(o.Dir); err != nil {
		return nil, err
	}
	if format == formatArchive { // its log does not go back to the start canvas
		if err := newSnapshots(o, base.Canvas, nil).Put(context.Background(), base); err != nil {
			return nil, err
		}
	}
	m := &meta{Format: format, Canvas: fmt.Sprintf("%016x", base.Canvas), CreatedMS: nowMS, StartHash: o.Create.StartHash, canvas: base.Canvas}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	return m, writeFile(o.FS, dir(metaName), append(b, '\n'))
}

// createLog makes the first segment, which begins after base, and the start
// canvas of each shard that has no events yet: empty where it is blank, none
// where base knows nothing of it and its start may still come.
func createLog(fsys FS, dir string, base *core.Snapshot) error {
	h := segmentHeader{canvas: base.Canvas, number: 1, heads: base.Heads}
	var g groupWriter
	g.begin(segmentHeaderBytes)
	for _, s := range base.Config.Geometry().Shards() {
		if base.Heads[s] > 0 {
			h.timeMS = max(h.timeMS, base.Times[s])
			continue
		}
		if base.Shards[s] == nil {
			continue
		}
		r := core.Record{
			Kind: core.KindStart, Canvas: base.Canvas, Shard: s, TimeMS: base.Times[s], Config: &base.Config,
			Epoch: base.Holders[s].Epoch, Relay: base.Holders[s].Relay,
		}
		if len(base.Shards[s]) > 0 {
			r.Pixels = base.Shards[s]
		}
		g.open()
		g.buf = persist.AppendRecord(g.buf, &r)
	}
	f, err := createSegment(fsys, dir, &h)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(g.finish(), segmentHeaderBytes)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// removeUnpainted removes a log of one segment that holds start canvases only.
func removeUnpainted(fsys FS, dir string) error {
	names, err := fsys.List(dir)
	if err != nil || len(names) == 0 {
		return err
	}
	painted := fmt.Errorf("%s: a log without %s, which says whose it is; nothing was changed", dir, metaName)
	if len(names) > 1 || names[0] != segmentName(1) {
		return painted
	}
	f, err := fsys.Open(filepath.Join(dir, names[0]))
	if err != nil {
		return err
	}
	defer f.Close()
	bytes, err := f.Bytes()
	if err != nil {
		return err
	}
	var r core.Record
	err = scan(f, bytes, func(rec []byte) error {
		if err := persist.DecodeRecord(rec, &r); err != nil || r.Kind != core.KindStart {
			return painted
		}
		return nil
	})
	if err != nil {
		return painted
	}
	return fsys.Remove(dir)
}
