package core

import "fmt"

// waitingMax bounds the records that wait in a fold.
const waitingMax = 1 << 14

// A Fold is the canvas that a log leads to: the consumer rule and the board it
// guards. It is not safe for concurrent use.
type Fold struct {
	Follower
	Canvas uint64 // 0 until a record or the base told it
	Config Config // Version 0 until then
	Board  *Board // nil until then
	Times  [ShardsMax]int64
	Begun  uint64 // set of shards that have a start

	// OnApply is called with each record that was applied, if it is not nil.
	OnApply func(*Record)

	waiting []*Record // for the canvas to grow, in order
	waits   uint64    // set of their shards
}

// NewFold returns a fold that goes on from base, or one that has seen nothing
// when base is nil.
//
// Ownership: base is only read and not kept.
func NewFold(base *Snapshot) (*Fold, error) {
	f := &Fold{}
	if base == nil {
		return f, nil
	}
	f.Canvas, f.Config, f.Times = base.Canvas, base.Config, base.Times
	f.Config.Palette = append(Palette(nil), base.Config.Palette...)
	for s := range ShardID(ShardsMax) {
		f.GoTo(s, Position{base.Holders[s], base.Heads[s]})
	}
	f.Board = NewBoard(base.Config.Geometry(), base.Config.Blank)
	for s, packed := range base.Shards {
		if packed == nil {
			continue
		}
		f.Begun |= 1 << s
		if err := f.Board.LoadPacked(ShardID(s), packed); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Next judges r by the consumer rule and applies what it lets through. An error
// is as of Fits; after one the fold is of no use.
//
// Shards are read side by side, so what lies on pixels by which the canvas grew
// may come before the configuration that says so in another shard. It waits in the
// fold for that, as a Duplicate, and neither Heads nor a Snapshot knows of it yet.
//
// What the rule drops may name another canvas: two relays that find no canvas
// claim each for the one that it would make, and one of them makes it.
func (f *Fold) Next(r *Record) (Verdict, error) {
	if f.mustWait(r) {
		if r.Config == nil || r.Config.Version <= f.Config.Version {
			if err := f.Fits(r); err != nil {
				return Gap, err
			}
			f.waiting, f.waits = append(f.waiting, r.Clone()), f.waits|1<<r.Shard
			return Duplicate, nil
		}
		if verdict, err := f.grow(r); err != nil || verdict != Apply {
			return verdict, err
		}
	}
	verdict := f.Follower.Next(r)
	if verdict != Apply {
		return verdict, nil
	}
	if err := f.Fits(r); err != nil {
		return verdict, err
	}
	if r.Kind == KindStart && f.Begun>>r.Shard&1 == 1 && f.Board != nil {
		return Duplicate, nil
	}
	before := f.Config.Version
	if err := f.apply(r); err != nil || f.Config.Version == before {
		return verdict, err
	}
	return f.resume()
}

// mustWait reports whether r, or what came before it in its shard, lies where the
// canvas does not reach to yet.
func (f *Fold) mustWait(r *Record) bool {
	switch {
	case f.Board == nil:
		return false
	case f.waits>>r.Shard&1 == 1:
		return true
	}
	return f.Board.Geometry().Lacks(r)
}

// grow takes the configuration of r before r's turn, since what comes before it
// in its shard waits for it.
func (f *Fold) grow(r *Record) (Verdict, error) {
	if err := f.Fits(r); err != nil {
		return Gap, err
	}
	f.setConfig(r.Config)
	if err := f.Board.Grow(r.Config.Width, r.Config.Height); err != nil {
		return Gap, err
	}
	return f.resume()
}

// resume takes what waited for the canvas to grow.
func (f *Fold) resume() (Verdict, error) {
	waiting := f.waiting
	f.waiting, f.waits = nil, 0
	for _, r := range waiting {
		if verdict, err := f.Next(r); err != nil || verdict == Gap || verdict == Phantom {
			return verdict, err
		}
	}
	return Apply, nil
}

// Fits reports why f could not apply r, should the rule let it through:
// CodeMismatch when it is of another canvas, and an error as of Board.Fits when
// it does not fit the board. What lies where the canvas does not reach to fits, as
// long as there is room to wait; beyond that it is CodeUnavailable: read the others first.
func (f *Fold) Fits(r *Record) error {
	switch {
	case f.Canvas != 0 && r.Canvas != f.Canvas:
		return NewError(CodeMismatch, "the log is of another canvas")
	case r.Config == nil && r.Kind == KindConfig:
		return NewError(CodeMalformed, "a configuration record without one")
	case r.Config != nil && r.Config.Version > f.Config.Version:
		if err := r.Config.Validate(); err != nil || f.Board == nil {
			return err
		}
		if g := r.Config.Geometry(); !g.Has(r.Shard) || r.Pixels != nil && len(r.Pixels) != g.PackedBytes(r.Shard) {
			return NewError(CodeMalformed, fmt.Sprintf("configuration %d does not fit shard %d", r.Config.Version, r.Shard))
		}
		if r.Config.Bits != f.Config.Bits || r.Config.Width < f.Config.Width || r.Config.Height < f.Config.Height {
			return NewError(CodeInvalid, fmt.Sprintf("configuration %d does not fit a canvas of %dx%d", r.Config.Version, f.Config.Width, f.Config.Height))
		}
		return nil
	case f.Board == nil:
		return NewError(CodeMalformed, "the log does not begin with a start canvas")
	case f.mustWait(r):
		if len(f.waiting) == waitingMax {
			return NewError(CodeUnavailable, fmt.Sprintf("too many records wait for the canvas to grow to shard %d", r.Shard))
		}
		return nil
	default:
		return f.Board.Fits(r)
	}
}

func (f *Fold) apply(r *Record) error {
	if f.Board == nil {
		f.Canvas = r.Canvas
		f.setConfig(r.Config)
		f.Board = NewBoard(r.Config.Geometry(), r.Config.Blank)
	}
	if r.Config != nil && r.Config.Version > f.Config.Version {
		f.setConfig(r.Config)
		if err := f.Board.Grow(r.Config.Width, r.Config.Height); err != nil {
			return err
		}
	}
	f.Times[r.Shard] = max(f.Times[r.Shard], r.TimeMS)
	if r.Kind == KindStart {
		f.Begun |= 1 << r.Shard
	}
	if err := f.Board.Apply(r); err != nil {
		return err
	}
	if f.OnApply != nil {
		f.OnApply(r)
	}
	return nil
}

func (f *Fold) setConfig(c *Config) {
	f.Config = *c
	f.Config.Palette = append(Palette(nil), c.Palette...)
}

// Snapshot returns a copy of what f holds, with time timeMS; nil while nothing is
// known. It has no pixels of a shard of which nothing is known, whose start may
// still come. Its holders are those who wrote the heads: the log tells of later claims.
func (f *Fold) Snapshot(timeMS int64) *Snapshot {
	if f.Board == nil {
		return nil
	}
	s := &Snapshot{Canvas: f.Canvas, Config: f.Config, TimeMS: timeMS, Heads: f.Heads, Holders: f.writers, Times: f.Times}
	s.Config.Palette = append(Palette(nil), f.Config.Palette...)
	for _, id := range f.Board.Geometry().Shards() {
		if f.Begun>>id&1 == 0 && f.Heads[id] == 0 {
			continue
		}
		s.Shards[id] = f.Board.AppendPacked(make([]byte, 0, f.Board.Geometry().PackedBytes(id)), id)
	}
	return s
}
