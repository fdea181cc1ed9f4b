package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"pixelwall/core"
	"pixelwall/persist/embedded"
)

// open opens the canvas, or makes it.
func (e *edge) open(ctx context.Context) error {
	s := &e.s
	palette := s.palette
	if palette == nil {
		palette, _ = core.NamedPalette(defaultPalette)
	}
	config := core.Config{
		Version: 1, Width: defaultSide, Height: defaultSide, Bits: core.BitsFor(len(palette)),
		Blank: core.BlankOf(palette), Palette: palette, CooldownMS: defaultCooldownMS, BurstMax: 1,
	}
	if s.width > 0 {
		config.Width, config.Height = s.width, s.height
	}
	if s.cooldownMS != nil {
		config.CooldownMS = *s.cooldownMS
	}
	create := embedded.Create{Canvas: randomID(), Config: config}
	if s.StartCanvas != "" {
		first, err := readStart(s.StartCanvas, palette)
		if err != nil {
			return err
		}
		g := first.board.Geometry()
		create.Config.Width, create.Config.Height = g.Width, g.Height
		create.Start, create.StartHash = first.board, first.hash
	}
	var err error
	if e.store, err = embedded.Open(embedded.Options{Dir: s.Data, Create: create, Logger: e.log}); err != nil {
		return fmt.Errorf("--data %s: %w", s.Data, err)
	}
	change, err := e.store.Check(embedded.Want{
		Width: s.width, Height: s.height, Palette: s.palette, StartHash: create.StartHash, CooldownMS: s.cooldownMS,
	})
	if err == nil && change != nil {
		err = e.store.Configure(ctx, *change)
	}
	if err != nil {
		return errors.Join(err, e.store.Close())
	}
	return nil
}

func randomID() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails; the program would end
	return binary.LittleEndian.Uint64(b[:]) | 1
}

// base returns the board that the hub begins with: the newest snapshot, or the
// canvas before the first event.
func (e *edge) base(ctx context.Context) (*core.Snapshot, error) {
	base, err := e.store.Snapshots().Latest(ctx)
	if err != nil && core.CodeOf(err) == core.CodeNotFound {
		return e.beginning(ctx)
	}
	return base, err
}

// beginning reads the start records, with which the log of every shard begins.
func (e *edge) beginning(ctx context.Context) (*core.Snapshot, error) {
	first := &core.Snapshot{Canvas: e.store.CanvasID()}
	errAll := errors.New("all start records were read")
	missing := -1
	err := e.store.Tail(ctx, core.Heads{}, func(r *core.Record) error {
		if r.Kind != core.KindStart {
			return nil
		}
		if missing < 0 {
			first.Config = *r.Config
			first.Config.Palette = slices.Clone(r.Config.Palette)
			missing = len(first.Config.Geometry().Shards())
		}
		first.Shards[r.Shard], first.Times[r.Shard] = slices.Clone(r.Pixels), r.TimeMS
		if missing--; missing == 0 {
			return errAll
		}
		return nil
	})
	if errors.Is(err, errAll) {
		return first, nil
	}
	return nil, err
}

// ringFrom returns where the events begin that a client may resume from. The
// index may have lost its last seconds, which only makes the ring longer; a
// snapshot bounds how much longer.
func (e *edge) ringFrom(ctx context.Context) (core.Heads, error) {
	since := nowMS() - e.s.RingAge.Milliseconds()
	heads, err := e.store.History().HeadsAt(ctx, since)
	if err != nil && core.CodeOf(err) != core.CodeUnavailable { // on a full disk there may be no index
		return heads, err
	}
	old, err := e.store.Snapshots().At(ctx, since)
	switch {
	case err == nil:
		for s := range heads {
			heads[s] = max(heads[s], old.Heads[s])
		}
	case core.CodeOf(err) != core.CodeNotFound:
		return heads, err
	}
	return heads, nil
}
