package redis

import (
	"fmt"

	"pixelwall/core"
)

// judge tells why the canvas of c cannot take p.
func judge(c *core.Config, p *core.Placement) *core.Error {
	w, h := c.Geometry().Area(p.Shard)
	if w == 0 {
		return core.NewError(core.CodeUnknownShard, fmt.Sprintf("the canvas has no shard %d", p.Shard))
	}
	if p.Offset%core.ShardSide >= uint32(w) || p.Offset/core.ShardSide >= uint32(h) {
		return core.NewError(core.CodeOutOfCanvas, fmt.Sprintf("shard %d offset %d is not on the canvas of %dx%d", p.Shard, p.Offset, c.Width, c.Height))
	}
	if int(p.Color) >= len(c.Palette) {
		return core.NewError(core.CodeUnknownColor, fmt.Sprintf("colour %d is not among the %d of the palette", p.Color, len(c.Palette)))
	}
	return nil
}
