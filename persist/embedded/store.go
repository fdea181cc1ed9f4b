package embedded

import (
	"sync"

	"pixelwall/core"
)

// A Store is one canvas in one folder. It implements core.Sequencer and core.Log;
// History, Cooldowns and Snapshots give the other ports. All methods may be
// called concurrently.
type Store struct {
	folder
	queue *queue
	seq   *sequencer

	sequenced sync.WaitGroup // the sequencer
}

// Open opens the canvas in o.Dir, or creates it there. The error is a *core.Error
// with CodeMismatch when the folder was written by a newer program or holds an
// archive, and with CodeUnavailable when another process has it open.
func Open(o Options) (*Store, error) {
	s := &Store{folder: folder{options: o}}
	if err := s.open(formatStore, o.begin); err != nil {
		return nil, err
	}
	if err := s.recover(); err != nil {
		return nil, s.abandon(err)
	}
	if err := s.follow(); err != nil {
		return nil, err
	}
	s.sequenced.Go(func() { s.seq.loop(s.closing, s.options.ProbeEvery) })
	return s, nil
}

// Close answers what was asked, stops everything, and lets others open the
// folder. Placements that come later are refused.
func (s *Store) Close() error {
	return s.close(func() *offer {
		s.sequenced.Wait()
		return s.seq.lastOffer()
	})
}

// Config returns the present configuration.
func (s *Store) Config() core.Config {
	s.seq.mu.Lock()
	defer s.seq.mu.Unlock()
	return s.seq.config
}

// Cooldowns returns the store's core.Cooldowns: what Place charges. What Take
// charges without a Place is not in the log, so a restart forgets it.
func (s *Store) Cooldowns() core.Cooldowns { return userCooldowns{s.seq} }

// State tells whether the store takes placements, and if not, why.
func (s *Store) State() State { return *s.seq.state.Load() }

// Check compares what the operator asked for with what the folder holds, as
// core.Want.Against does.
func (s *Store) Check(want core.Want) (*core.Config, error) {
	return want.Against(s.Config(), s.meta.StartHash, s.options.Dir)
}
