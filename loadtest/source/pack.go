package source

import (
	"errors"
	"slices"

	"pixelwall/tools/trace"
)

const white = 0xffffff

// Pack returns t as a PXT1 file holds it, and the palette that its colours are
// numbers of. That begins with white, the colour of the canvas before the first
// event. Times are of the second, as in every PXT1 trace of placements, and the
// order stays.
//
// Ownership: the events are t's and were changed; t is not to be used any more.
func (t *Trace) Pack() (*trace.Trace, []uint32, error) {
	if t.RGB == nil {
		return nil, nil, errors.New("the trace does not say which colours it paints in")
	}
	if len(t.Events) == 0 {
		return nil, nil, errors.New("no events")
	}
	palette := append([]uint32{white}, slices.DeleteFunc(slices.Clone(t.RGB), func(rgb uint32) bool { return rgb == white })...)
	if err := t.Translate(palette); err != nil {
		return nil, nil, err
	}
	start := (t.StartMS + int64(t.Events[0].TimeMs)) / 1000
	for i := range t.Events {
		second := (t.StartMS+int64(t.Events[i].TimeMs))/1000 - start
		t.Events[i].TimeMs = uint32(second * 1000)
	}
	return &trace.Trace{Width: t.Width, Height: t.Height, Colors: len(palette), StartUnix: uint32(start), Base: make([]byte, t.Width*t.Height), Events: t.Events}, palette, nil
}
