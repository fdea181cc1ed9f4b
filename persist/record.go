// Package persist turns the rules' records into the bytes that every store
// keeps, and back.
//
//	*core.Record -> AppendRecord -> bytes of wire.Record -> DecodeRecord -> *core.Record
//
// Nothing here opens a file or a socket; that is the business of the adapters in
// the folders below.
package persist

import (
	"pixelwall/core"
	"pixelwall/wire"
)

// AppendRecord appends the bytes of r to dst and returns the extended slice, like
// append. r must have at most wire.RecordEventsMax events.
//
// Ownership: the result shares no memory with r. It allocates only when dst
// lacks room, and for a configuration.
func AppendRecord(dst []byte, r *core.Record) []byte {
	w := wire.Record{
		Kind: wire.RecordKind(r.Kind), Canvas: r.Canvas, Shard: uint8(r.Shard), Epoch: r.Epoch, Relay: r.Relay,
		First: r.First, TimeMS: r.TimeMS, Pixels: r.Pixels, LastOld: r.LastOld,
	}
	if r.Kind != core.KindPlacements {
		if r.Config != nil {
			w.Config = AppendConfig(nil, r.Config)
		}
		return w.AppendTo(dst)
	}
	w.N = len(r.Events)
	dst = w.AppendHeader(dst)
	for i := range r.Events {
		e := &r.Events[i]
		dst = wire.AppendRecordEvent(dst, wire.RecordEvent{
			Offset: e.Offset, Color: e.Color, Old: e.Old, User: e.User, Instance: e.Request.Instance, Number: e.Request.Number,
		})
	}
	return dst
}

// RecordBytes returns the length of a record of n placements.
func RecordBytes(n int) int { return wire.RecordHeaderBytes + n*wire.RecordEventBytes }

// DecodeRecord sets r to the record b, or fails with a *wire.Error.
//
// Ownership: r.Events' memory is used again when it is large enough. r.Pixels
// aliases b; everything else is r's own.
func DecodeRecord(b []byte, r *core.Record) error {
	w, err := wire.ParseRecord(b)
	if err != nil {
		return err
	}
	events := r.Events[:0]
	*r = core.Record{
		Kind: core.Kind(w.Kind), Canvas: w.Canvas, Epoch: w.Epoch, Relay: w.Relay, Shard: core.ShardID(w.Shard),
		First: w.First, TimeMS: w.TimeMS, LastOld: w.LastOld,
	}
	if len(w.Pixels) > 0 {
		r.Pixels = w.Pixels
	}
	if len(w.Config) > 0 {
		if r.Config, err = DecodeConfig(w.Config); err != nil {
			return err
		}
	}
	for i := range w.N {
		e := w.Event(i)
		events = append(events, core.Event{
			Offset: e.Offset, Color: e.Color, Old: e.Old, User: e.User,
			Request: core.Request{Instance: e.Instance, Number: e.Number},
		})
	}
	r.Events = events
	return nil
}

// AppendConfig appends the bytes of c as a record has them, like append.
func AppendConfig(dst []byte, c *core.Config) []byte {
	w := wire.RecordConfig{
		Version: c.Version, Width: uint16(c.Width), Height: uint16(c.Height), Bits: c.Bits, Blank: c.Blank,
		CooldownMS: c.CooldownMS, BurstMax: uint16(c.BurstMax), Colors: make([]wire.Color, len(c.Palette)),
	}
	for i, k := range c.Palette {
		w.Colors[i] = wire.Color{RGB: k.RGB, Name: k.Name}
	}
	return w.AppendTo(dst)
}

// DecodeConfig is the inverse of AppendConfig, or fails with a *wire.Error.
func DecodeConfig(b []byte) (*core.Config, error) {
	w, err := wire.ParseRecordConfig(b)
	if err != nil {
		return nil, err
	}
	c := &core.Config{
		Version: w.Version, Width: int(w.Width), Height: int(w.Height), Bits: w.Bits, Blank: w.Blank,
		CooldownMS: w.CooldownMS, BurstMax: int(w.BurstMax), Palette: make(core.Palette, len(w.Colors)),
	}
	for i, k := range w.Colors {
		c.Palette[i] = core.Color{Name: k.Name, RGB: k.RGB}
	}
	return c, nil
}
