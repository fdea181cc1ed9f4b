package alone

import (
	"context"
	"errors"
	"time"

	"pixelwall/core"
	"pixelwall/persist/embedded"
)

// snapshots are what a Redis that lost the canvas is given back: the state
// that this process' folder has archived.
type snapshots struct{ m *Memory }

func (p snapshots) folder() (*embedded.Archive, error) {
	if folder := p.m.folder.Load(); folder != nil {
		return folder, nil
	}
	if p.m.o.Dir != "" && !p.m.folderIsNew.Load() {
		// A new canvas is not made over one that lies in a folder which opens in a moment.
		return nil, core.NewError(core.CodeUnavailable, "the archive is not open")
	}
	return nil, core.NewError(core.CodeNotFound, "nothing is archived here")
}

// Put implements core.Snapshots.
func (p snapshots) Put(ctx context.Context, s *core.Snapshot) error {
	folder, err := p.folder()
	if err != nil {
		return err
	}
	return folder.Snapshots().Put(ctx, s)
}

// At implements core.Snapshots.
func (p snapshots) At(ctx context.Context, timeMS int64) (*core.Snapshot, error) {
	folder, err := p.folder()
	if err != nil {
		return nil, err
	}
	return folder.Snapshots().At(ctx, timeMS)
}

// Latest implements core.Snapshots. It is what the folder holds now, and not when
// it last kept a snapshot: nobody else has what came since.
func (p snapshots) Latest(ctx context.Context) (*core.Snapshot, error) {
	folder, err := p.folder()
	if err != nil {
		return nil, err
	}
	s, err := folder.Snapshots().Latest(ctx)
	if err != nil {
		return nil, err
	}
	heads, err := folder.Heads(ctx)
	if err != nil || heads == s.Heads {
		return s, err
	}
	fold, err := core.NewFold(s)
	if err != nil {
		return nil, err
	}
	errThere := errors.New("the fold is there")
	err = folder.Tail(ctx, s.Heads, func(r *core.Record) error {
		if verdict, err := fold.Next(r); err != nil || verdict == core.Gap || verdict == core.Phantom {
			return errors.Join(core.NewError(core.CodeInternal, "the archive does not fold"), err)
		}
		for s := range heads {
			if fold.Heads[s] < heads[s] {
				return nil
			}
		}
		return errThere
	})
	if !errors.Is(err, errThere) {
		return nil, err
	}
	return fold.Snapshot(time.Now().UnixMilli()), nil
}
