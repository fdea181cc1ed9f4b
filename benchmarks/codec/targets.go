package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A target is the most that a codec may cost on a trace.
type target struct {
	trace string // how its name begins
	batch string
	codec string
	bytes float64 // a pixel
}

var targets = []target{
	{"place2017", "natural", "range", 2.30},
	{"place2017", "1000", "range", 1.75},
	{"place2017", "35000", "range", 1.20},
	{"place2022_day1", "35000", "range", 1.02},
	{"place2017", "natural", "frames", 2.75},
	{"place2017", "1000", "frames", 1.85},
	{"place2017", "35000", "frames", 1.21},
}

// Nanoseconds a pixel, to encode as well as to decode.
var nsTargets = map[string]float64{"rice": 40, "range": 400}

// missedTargets names every target that rows do not meet, and every one about
// which they say nothing: a trace that is not there must not look like success.
func missedTargets(rows []row) (missed []error) {
	for _, t := range targets {
		found := false
		for _, r := range rows {
			if !strings.HasPrefix(r.Trace, t.trace) || r.Batch != t.batch || r.Codec != t.codec {
				continue
			}
			found = true
			if r.BytesPerPixel > t.bytes {
				missed = append(missed, fmt.Errorf("%s, %s, %s: %.3f bytes a pixel, the target is %.2f",
					r.Trace, r.Batch, r.Codec, r.BytesPerPixel, t.bytes))
			}
		}
		if !found {
			missed = append(missed, fmt.Errorf("%s, %s, %s: not measured, the target is %.2f bytes a pixel", t.trace, t.batch, t.codec, t.bytes))
		}
	}
	for _, codec := range slices.Sorted(maps.Keys(nsTargets)) {
		found := false
		for _, r := range rows {
			if r.Codec != codec {
				continue
			}
			found = true
			if ns := max(r.EncodeNsPerPixel, r.DecodeNsPerPixel); ns > nsTargets[codec] {
				missed = append(missed, fmt.Errorf("%s, %s, %s: %.0f ns a pixel, the target is %.0f",
					r.Trace, r.Batch, r.Codec, ns, nsTargets[codec]))
			}
		}
		if !found {
			missed = append(missed, fmt.Errorf("%s: not measured, the target is %.0f ns a pixel", codec, nsTargets[codec]))
		}
	}
	return missed
}
