package core

// A Fold is the canvas that a log leads to: the consumer rule and the board it
// guards. It is not safe for concurrent use.
type Fold struct {
	Follower
	Canvas uint64 // 0 until a record or the base told it
	Config Config // Version 0 until then
	Board  *Board // nil until then
	Times  [ShardsMax]int64
	Begun  uint64 // set of shards that have a start
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
	f.Heads, f.Holders = base.Heads, base.Holders
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

// Next judges r by the consumer rule and applies what it lets through. That is
// CodeMismatch when it is of another canvas, and an error as of Board.Apply when
// it does not fit the board. After an error the fold is of no use.
//
// What the rule drops may name another canvas: two relays that find no canvas
// claim each for the one that it would make, and one of them makes it.
func (f *Fold) Next(r *Record) (Verdict, error) {
	verdict := f.Follower.Next(r)
	if verdict != Apply {
		return verdict, nil
	}
	if f.Canvas != 0 && r.Canvas != f.Canvas {
		return verdict, NewError(CodeMismatch, "the log is of another canvas")
	}
	return verdict, f.apply(r)
}

func (f *Fold) apply(r *Record) error {
	if f.Board == nil {
		if r.Config == nil {
			return NewError(CodeMalformed, "the log does not begin with a start canvas")
		}
		if err := r.Config.Validate(); err != nil {
			return err
		}
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
	return f.Board.Apply(r)
}

func (f *Fold) setConfig(c *Config) {
	f.Config = *c
	f.Config.Palette = append(Palette(nil), c.Palette...)
}

// Snapshot returns a copy of what f holds, with time timeMS; nil while nothing is known.
func (f *Fold) Snapshot(timeMS int64) *Snapshot {
	if f.Board == nil {
		return nil
	}
	s := &Snapshot{Canvas: f.Canvas, Config: f.Config, TimeMS: timeMS, Heads: f.Heads, Holders: f.Holders, Times: f.Times}
	s.Config.Palette = append(Palette(nil), f.Config.Palette...)
	for _, id := range f.Board.Geometry().Shards() {
		s.Shards[id] = f.Board.AppendPacked(make([]byte, 0, f.Board.Geometry().PackedBytes(id)), id)
	}
	return s
}
