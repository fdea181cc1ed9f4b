package main

import (
	"fmt"
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

// missedTargets names every target that rows do not meet.
func missedTargets(rows []row) (missed []error) {
	for _, r := range rows {
		for _, t := range targets {
			if strings.HasPrefix(r.Trace, t.trace) && r.Batch == t.batch && r.Codec == t.codec && r.BytesPerPixel > t.bytes {
				missed = append(missed, fmt.Errorf("%s, %s, %s: %.3f bytes a pixel, the target is %.2f",
					r.Trace, r.Batch, r.Codec, r.BytesPerPixel, t.bytes))
			}
		}
		ns := max(r.EncodeNsPerPixel, r.DecodeNsPerPixel)
		if most, ok := nsTargets[r.Codec]; ok && ns > most {
			missed = append(missed, fmt.Errorf("%s, %s, %s: %.0f ns a pixel, the target is %.0f",
				r.Trace, r.Batch, r.Codec, ns, most))
		}
	}
	return missed
}
