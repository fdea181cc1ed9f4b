package core

import "fmt"

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
		return Placement{}, NewError(CodeOutOfCanvas, fmt.Sprintf("pixel %d,%d is not on the canvas of %dx%d", x, y, c.Width, c.Height))
	}
	if color < 0 || color >= len(c.Palette) {
		return Placement{}, NewError(CodeUnknownColor, fmt.Sprintf("colour %d is not among the %d of the palette", color, len(c.Palette)))
	}
	shard, off := Locate(x, y)
	return Placement{Shard: shard, Offset: off, Color: uint8(color), User: user, Request: r}, nil
}

// ResendWindowMS is how long the outcome of a Request is kept. A Request that is
// sent again later than that is CodeExpired, until its store forgets the instance: 15
// minutes after that placed last at the earliest, or right after the window where the
// store lost everything. From then on the Request is a new one.
const ResendWindowMS = 2 * 60 * 1000

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
