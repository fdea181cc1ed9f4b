package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"pixelwall/core"
	"pixelwall/edge/api"
	"pixelwall/persist/embedded"
)

// newCanvas returns what a canvas is that has to be made, as the flags say.
func (s *settings) newCanvas() (core.Create, error) {
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
	create := core.Create{Canvas: randomID(), Config: config}
	if s.StartCanvas != "" {
		first, err := readStart(s.StartCanvas, palette)
		if err != nil {
			return create, err
		}
		g := first.board.Geometry()
		create.Config.Width, create.Config.Height = g.Width, g.Height
		create.Start, create.StartHash = first.board, first.hash
	}
	return create, nil
}

// openFolder opens the canvas in --data, or makes it there.
func (e *edge) openFolder(ctx context.Context) (*backend, error) {
	s := &e.s
	create, err := s.newCanvas()
	if err != nil {
		return nil, err
	}
	store, err := embedded.Open(embedded.Options{Dir: s.Data, Create: create, Logger: e.log})
	if err != nil {
		return nil, fmt.Errorf("--data %s: %w", s.Data, err)
	}
	change, err := store.Check(core.Want{
		Width: s.width, Height: s.height, Palette: s.palette, StartHash: create.StartHash, CooldownMS: s.cooldownMS,
	})
	if err == nil && change != nil {
		err = store.Configure(ctx, *change)
	}
	f := folder{store: store, ringAge: s.RingAge}
	b := &backend{
		canvas: store.CanvasID(), sequencer: store, cooldowns: store.Cooldowns(), log: store, history: store.History(),
		lanes: 1, state: f.state, close: store.Close,
		health:   func() map[string]string { return map[string]string{"store": store.State().Mode.String()} },
		readings: []reading{writable(f.state)},
	}
	if err == nil {
		b.base, err = f.base(ctx)
	}
	if err == nil {
		b.ringFrom, err = f.ringFrom(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	if b.place, err = filepath.Abs(s.Data); err != nil {
		b.place = s.Data
	}
	return b, nil
}

// A folder is the embedded store as the edge uses it.
type folder struct {
	store   *embedded.Store
	ringAge time.Duration
}

func (f *folder) state() (api.Status, string) {
	state := f.store.State()
	if state.Mode != embedded.OK {
		return api.StatusReadOnly, state.Reason
	}
	return api.StatusOK, ""
}

func randomID() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails; the program would end
	return binary.LittleEndian.Uint64(b[:]) | 1
}

// base returns the board that the hub begins with: the newest snapshot, or the
// canvas before the first event.
func (f *folder) base(ctx context.Context) (*core.Snapshot, error) {
	base, err := f.store.Snapshots().Latest(ctx)
	if err != nil && core.CodeOf(err) == core.CodeNotFound {
		return beginning(ctx, f.store)
	}
	return base, err
}

// beginning returns the canvas before the first event, from the start records
// with which the log of every shard begins.
func beginning(ctx context.Context, log core.Log) (*core.Snapshot, error) {
	first := &core.Snapshot{}
	errAll := errors.New("all start records were read")
	var f core.Follower
	begun, all := uint64(0), uint64(0)
	err := log.Tail(ctx, core.Heads{}, func(r *core.Record) error {
		if r.Kind != core.KindClaim && r.Kind != core.KindStart {
			return nil
		}
		if f.Next(r) != core.Apply || begun>>r.Shard&1 == 1 {
			return nil
		}
		if begun == 0 {
			first.Canvas, first.Config = r.Canvas, *r.Config
			first.Config.Palette = slices.Clone(r.Config.Palette)
			for _, s := range first.Config.Geometry().Shards() {
				all |= 1 << s
			}
		}
		begun |= 1 << r.Shard
		first.Shards[r.Shard], first.Times[r.Shard], first.Holders[r.Shard] = slices.Clone(r.Pixels), r.TimeMS, r.Holder()
		if begun&all == all {
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
func (f *folder) ringFrom(ctx context.Context) (core.Heads, error) {
	since := nowMS() - f.ringAge.Milliseconds()
	heads, err := f.store.History().HeadsAt(ctx, since)
	if err != nil && core.CodeOf(err) != core.CodeUnavailable { // on a full disk there may be no index
		return heads, err
	}
	old, err := f.store.Snapshots().At(ctx, since)
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
