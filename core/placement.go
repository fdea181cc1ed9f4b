package core

import (
	"fmt"
	"time"
)

// A Request names one tap of one page for ever: the random id of the page and a
// number that rises by one. A page that does not know what became of a tap sends
// it again under the same Request, and one tap stays one event.
type Request struct {
	Instance uint64
	Number   uint32
}

// A Placement is what a user asks for.
type Placement struct {
	Shard   ShardID
	Offset  uint32 // within the shard, see Locate
	Color   uint8
	User    uint64
	Request Request
}

// NewPlacement returns the placement of colour color at (x, y), or why the
// canvas of c can never take it.
func NewPlacement(c *Config, x, y, color int, user uint64, r Request) (Placement, error) {
	if !c.Geometry().Contains(x, y) {
		return Placement{}, c.outOfCanvas(x, y)
	}
	if color < 0 || color >= len(c.Palette) {
		return Placement{}, c.unknownColor(color)
	}
	shard, off := Locate(x, y)
	return Placement{Shard: shard, Offset: off, Color: uint8(color), User: user, Request: r}, nil
}

// Judge returns why the canvas of c cannot take p, nil when it can.
func (c *Config) Judge(p *Placement) *Error {
	w, h := c.Geometry().Area(p.Shard)
	switch {
	case w == 0:
		return NewError(CodeUnknownShard, fmt.Sprintf("the canvas has no shard %d", p.Shard))
	case p.Offset%ShardSide >= uint32(w) || p.Offset/ShardSide >= uint32(h):
		return c.outOfCanvas(Coordinates(p.Shard, p.Offset))
	case int(p.Color) >= len(c.Palette):
		return c.unknownColor(int(p.Color))
	}
	return nil
}

func (c *Config) outOfCanvas(x, y int) *Error {
	return NewError(CodeOutOfCanvas, fmt.Sprintf("pixel %d,%d is not on the canvas of %dx%d", x, y, c.Width, c.Height))
}

func (c *Config) unknownColor(color int) *Error {
	return NewError(CodeUnknownColor, fmt.Sprintf("colour %d is not among the %d of the palette", color, len(c.Palette)))
}

// ResendWindowMS is how long the outcome of a Request is kept. A Request that is
// sent again later than that is CodeExpired, until its store forgets the instance: 15
// minutes after that placed last at the earliest, or right after the window where the
// store lost everything. From then on the Request is a new one.
const ResendWindowMS = 2 * 60 * 1000

// ErrExpired is the refusal of such a Request; it is shared, and nobody writes to it.
var ErrExpired = NewError(CodeExpired, "sent again too late: whether it was stored is no longer known")

// Refusal is what a user hears at nowMS who may place nothing yet.
func (a Allowance) Refusal(nowMS int64) *Error {
	wait := max(1, a.NextMS-nowMS)
	return &Error{Code: CodeCooldown, Msg: fmt.Sprintf("wait %d ms", wait), RetryAfter: time.Duration(wait) * time.Millisecond}
}

// An Outcome is what became of a Placement. Err is nil when it is stored, and
// then Seq is its place in the order of its shard. With an Err it is not stored,
// unless Unknown says that it may be.
type Outcome struct {
	Shard     ShardID // where the pixel was stored
	Seq       uint64
	TimeMS    int64 // unix, as stored
	Repeated  bool  // the Request was known; Seq is the original one
	Unknown   bool  // it may be stored: whoever asks again under the Request is told
	Allowance Allowance
	Err       *Error
}
