package core

import "fmt"

// Create says what a canvas is that does not exist yet.
type Create struct {
	Canvas    uint64 // random, not 0
	Config    Config
	Start     *Board // of Config's geometry; nil is a blank canvas. It is only read.
	StartHash string // names the file that Start came from; for a store that remembers it
}

// A Want is what the operator asked for in so many words. The canvas that there is
// wins over every default, so whatever was not asked for is left out.
type Want struct {
	Width, Height int     // 0: not asked for
	Palette       Palette // nil: not asked for
	StartHash     string  // "": not asked for
	CooldownMS    *int64  // nil: not asked for
}

// Against compares what the operator asked for with the configuration have and
// the start canvas that where holds. It returns the configuration to give to
// Configure, nil when nothing has to change. What cannot be had is CodeMismatch,
// and the error says both.
//
// A palette that is a beginning of the present one is fine: it has grown since.
// One that continues it is a change, as is another cooldown.
func (want Want) Against(have Config, startHash, where string) (*Config, error) {
	mismatch := func(format string, args ...any) error {
		return NewError(CodeMismatch, where+" holds "+fmt.Sprintf(format, args...))
	}
	next, changed := have, false
	if want.Width != 0 && (want.Width != have.Width || want.Height != have.Height) {
		return nil, mismatch("a canvas of %dx%d; asked for was %dx%d", have.Width, have.Height, want.Width, want.Height)
	}
	if want.StartHash != "" && want.StartHash != startHash {
		return nil, mismatch("a canvas with %s; asked for was the start canvas %.12s", startName(startHash), want.StartHash)
	}
	switch {
	case want.Palette == nil || have.Palette.Extends(want.Palette):
	case !want.Palette.Extends(have.Palette):
		i := 0
		for i < len(have.Palette) && i < len(want.Palette) && have.Palette[i] == want.Palette[i] {
			i++
		}
		return nil, mismatch("a palette of %d colours with %s as number %d; asked for was one of %d colours with %s there",
			len(have.Palette), colorName(have.Palette, i), i, len(want.Palette), colorName(want.Palette, i))
	case len(want.Palette) > 1<<have.Bits:
		return nil, mismatch("%d bits a pixel, enough for %d colours; asked for were %d", have.Bits, 1<<have.Bits, len(want.Palette))
	default:
		next.Palette, changed = want.Palette, true
	}
	if want.CooldownMS != nil && *want.CooldownMS != have.CooldownMS {
		next.CooldownMS, changed = *want.CooldownMS, true
	}
	if !changed {
		return nil, nil
	}
	next.Version++
	if err := next.Follows(&have); err != nil {
		return nil, err
	}
	return &next, nil
}

func startName(hash string) string {
	if hash == "" {
		return "no start canvas"
	}
	return fmt.Sprintf("the start canvas %.12s", hash)
}

func colorName(p Palette, i int) string {
	if i >= len(p) {
		return "nothing"
	}
	return fmt.Sprintf("%q %s", p[i].Name, p[i].Hex())
}
