package embedded

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"

	"pixelwall/core"
)

// A folder is what a Store and an Archive have in common: a durable log of one
// canvas, and the index and the snapshots that follow it.
type folder struct {
	options Options
	meta    *meta
	lock    io.Closer
	log     *segmentLog
	index   *index
	snaps   *snapshots

	closing   chan struct{}
	closeOnce sync.Once
	closeErr  error
	workers   sync.WaitGroup // index and snapshots
}

// open locks the folder and opens its log, or makes one that begins with what
// begin returns. After an error nothing is left open.
func (d *folder) open(format int, begin func(nowMS int64) (*core.Snapshot, error)) (err error) {
	o := &d.options
	o.ensureDefaults()
	if err := o.validate(); err != nil {
		return err
	}
	if err := errors.Join(o.FS.MkdirAll(o.Dir), o.FS.SyncDir(filepath.Dir(o.Dir))); err != nil {
		return err
	}
	if d.lock, err = o.FS.Lock(filepath.Join(o.Dir, lockName)); err != nil {
		if errors.Is(err, errLocked) {
			return &core.Error{Code: core.CodeUnavailable, Msg: fmt.Sprintf("%s is open in another process", o.Dir), Err: err}
		}
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.lock.Close())
		}
	}()
	if d.meta, err = readMeta(o.FS, o.Dir); err != nil {
		return err
	}
	if d.meta == nil {
		now := o.Clock()
		base, err := begin(now)
		if err != nil {
			return err
		}
		if d.meta, err = create(o, format, base, now); err != nil {
			return err
		}
	}
	if d.meta.Format != format {
		return core.NewError(core.CodeMismatch, fmt.Sprintf("%s holds %s; asked for was %s", o.Dir, formatNames[d.meta.Format], formatNames[format]))
	}
	d.log = &segmentLog{
		fs: o.FS, dir: filepath.Join(o.Dir, logName), canvas: d.meta.canvas,
		segmentBytes: o.SegmentBytes, allocateBytes: o.AllocateBytes, changed: make(chan struct{}),
	}
	if err := d.log.list(); err != nil {
		return err
	}
	if err := d.log.openLast(); err != nil {
		return err
	}
	d.snaps = newSnapshots(o, d.meta.canvas, d.log.ends)
	d.closing = make(chan struct{})
	return nil
}

// follow lets the index and the snapshots follow the log, whose end is known now.
func (d *folder) follow() (err error) {
	if d.index, err = newIndex(d); err != nil {
		return d.abandon(err)
	}
	d.workers.Go(d.index.loop)
	d.workers.Go(d.snaps.loop)
	return nil
}

// abandon undoes open after err.
func (d *folder) abandon(err error) error {
	return errors.Join(err, d.log.file.Close(), d.lock.Close())
}

// close ends what follows and lets others open the folder. stop ends the writer
// and returns what is to be kept at last, if anything.
func (d *folder) close(stop func() *offer) error {
	d.closeOnce.Do(func() {
		close(d.closing)
		d.snaps.last(stop())
		d.workers.Wait()
		d.index.close()
		d.closeErr = errors.Join(d.log.file.Close(), d.lock.Close())
	})
	return d.closeErr
}

// CanvasID returns the random id that the canvas was made with.
func (d *folder) CanvasID() uint64 { return d.meta.canvas }

// History returns the folder's core.History.
func (d *folder) History() core.History { return history{d.index} }

// Snapshots returns the folder's core.Snapshots.
func (d *folder) Snapshots() core.Snapshots { return d.snaps }
