package embedded

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"

	"pixelwall/core"
)

// A Store is one canvas in one folder. It implements core.Sequencer and core.Log;
// History, Cooldowns and Snapshots give the other ports. All methods may be
// called concurrently.
type Store struct {
	options Options
	meta    *meta
	lock    io.Closer
	log     *segmentLog
	queue   *queue
	seq     *sequencer
	index   *index
	snaps   *snapshots

	closing   chan struct{}
	closeOnce sync.Once
	closeErr  error
	workers   sync.WaitGroup // index and snapshots
	sequenced sync.WaitGroup // the sequencer
}

// Open opens the canvas in o.Dir, or creates it there. The error is a *core.Error
// with CodeMismatch when the folder was written by a newer program, and with
// CodeUnavailable when another process has it open.
func Open(o Options) (_ *Store, err error) {
	o.ensureDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	if err := errors.Join(o.FS.MkdirAll(o.Dir), o.FS.SyncDir(filepath.Dir(o.Dir))); err != nil {
		return nil, err
	}
	s := &Store{options: o, closing: make(chan struct{})}
	if s.lock, err = o.FS.Lock(filepath.Join(o.Dir, lockName)); err != nil {
		if errors.Is(err, errLocked) {
			return nil, &core.Error{Code: core.CodeUnavailable, Msg: fmt.Sprintf("%s is open in another process", o.Dir), Err: err}
		}
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.lock.Close())
		}
	}()
	if s.meta, err = readMeta(o.FS, o.Dir); err != nil {
		return nil, err
	}
	if s.meta == nil {
		if s.meta, err = create(&s.options, o.Clock()); err != nil {
			return nil, err
		}
	}
	if err := s.recover(); err != nil {
		return nil, err
	}
	if s.index, err = newIndex(s); err != nil {
		return nil, errors.Join(err, s.log.file.Close())
	}
	s.workers.Go(s.index.loop)
	s.workers.Go(s.snaps.loop)
	s.sequenced.Go(func() { s.seq.loop(s.closing, o.ProbeEvery) })
	return s, nil
}

// Close answers what was asked, stops everything, and lets others open the
// folder. Placements that come later are refused.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		close(s.closing)
		s.sequenced.Wait()
		s.snaps.last(s.seq)
		s.workers.Wait()
		s.index.close()
		s.closeErr = errors.Join(s.log.file.Close(), s.lock.Close())
	})
	return s.closeErr
}

// CanvasID returns the random id that the canvas was made with.
func (s *Store) CanvasID() uint64 { return s.meta.canvas }

// StartHash returns the name of the start canvas' file, "" for a blank canvas.
func (s *Store) StartHash() string { return s.meta.StartHash }

// Config returns the present configuration.
func (s *Store) Config() core.Config {
	s.seq.mu.Lock()
	defer s.seq.mu.Unlock()
	return s.seq.config
}

// State tells whether the store takes placements, and if not, why.
func (s *Store) State() State { return *s.seq.state.Load() }
