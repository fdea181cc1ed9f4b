package core

import "fmt"

// A Config is what can be changed about a canvas while people paint, apart from
// Bits. Each change is a Record in every shard's log, so that everybody changes
// at the same place of each order.
type Config struct {
	Version    uint32 // rises by one with each change, 1 when the canvas is made
	Width      int    // pixels
	Height     int    // pixels
	Bits       uint8  // bits a pixel, fixed
	Blank      uint8  // colour of a pixel that nobody painted, fixed
	Palette    Palette
	CooldownMS int64 // between two placements of a user; 0 switches the cooldown off
	BurstMax   int   // placements that a rested user may make at once
}

// Geometry returns the size of the canvas.
func (c *Config) Geometry() Geometry {
	return Geometry{Width: c.Width, Height: c.Height, Bits: c.Bits}
}

// Cooldown returns the arithmetic of the waiting time.
func (c *Config) Cooldown() Cooldown { return Cooldown{EveryMS: c.CooldownMS, Max: c.BurstMax} }

// CooldownMSMax is the longest cooldown, a week.
const CooldownMSMax = 7 * 24 * 3600 * 1000

// Validate reports the first thing that is wrong with c.
func (c *Config) Validate() error {
	if err := c.Geometry().Validate(); err != nil {
		return err
	}
	if err := c.Palette.Validate(); err != nil {
		return err
	}
	switch {
	case c.Version == 0:
		return NewError(CodeInvalid, "configuration version 0")
	case len(c.Palette) > 1<<c.Bits:
		return NewError(CodeInvalid, fmt.Sprintf("%d colours do not fit %d bits a pixel", len(c.Palette), c.Bits))
	case int(c.Blank) >= len(c.Palette):
		return NewError(CodeInvalid, fmt.Sprintf("blank colour %d is not in the palette", c.Blank))
	case c.CooldownMS < 0 || c.CooldownMS > CooldownMSMax:
		return NewError(CodeInvalid, fmt.Sprintf("cooldown of %d ms: must be 0 to %d", c.CooldownMS, int64(CooldownMSMax)))
	case c.BurstMax < 1 || c.BurstMax > 1000:
		return NewError(CodeInvalid, fmt.Sprintf("burst of %d: must be 1 to 1000", c.BurstMax))
	}
	return nil
}

// Follows reports whether c may be the next configuration after old.
func (c *Config) Follows(old *Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if c.Version != old.Version+1 {
		return NewError(CodeMismatch, fmt.Sprintf("configuration version %d does not follow %d", c.Version, old.Version))
	}
	return c.Replaces(old)
}

// Replaces reports whether c may come after old, with others between them: a
// later version, no smaller canvas, the same pixel width and blank colour, and a
// palette that only grew.
func (c *Config) Replaces(old *Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	switch {
	case c.Version <= old.Version:
		return NewError(CodeMismatch, fmt.Sprintf("configuration version %d is not later than %d", c.Version, old.Version))
	case c.Width < old.Width || c.Height < old.Height:
		return NewError(CodeInvalid, "a canvas cannot shrink")
	case c.Bits != old.Bits || c.Blank != old.Blank:
		return NewError(CodeInvalid, "bits a pixel and blank colour are fixed when the canvas is made")
	case !c.Palette.Extends(old.Palette):
		return NewError(CodeInvalid, "a palette can only grow at its end")
	}
	return nil
}

// BlankOf returns the number of the palette's white, or 0 when it has none: the
// colour of a canvas that nobody has painted.
func BlankOf(p Palette) uint8 {
	for i, c := range p {
		if c.RGB == 0xffffff {
			return uint8(i)
		}
	}
	return 0
}
