package trace

import "slices"

// Spread gives every event a time in milliseconds, so that a replay has no
// steps. The events of one second (which is what placements have in the
// source) are spread evenly over it, their order kept. In a trace of frames
// the order inside a frame is unknown: its events are shuffled, the same way
// for the same seed, and spread over the time since the last frame. The seed
// must not be 0, the fixed point of the generator.
func (t *Trace) Spread(seed uint64) {
	next := func() uint64 { // xorshift64
		seed ^= seed << 13
		seed ^= seed >> 7
		seed ^= seed << 17
		return seed
	}
	lastFrameMs := uint32(0)
	for rest := t.Events; len(rest) > 0; {
		run := rest[:runLength(rest)]
		rest = rest[len(run):]
		fromMs, toMs := run[0].TimeMs, run[0].TimeMs+1000
		if t.Frames {
			fromMs, toMs = lastFrameMs, run[0].TimeMs
			lastFrameMs = toMs
			for k := len(run) - 1; k > 0; k-- {
				m := next() % uint64(k+1)
				run[k], run[m] = run[m], run[k]
			}
		}
		for k := range run {
			run[k].TimeMs = fromMs + uint32(uint64(toMs-fromMs)*uint64(k)/uint64(len(run)))
		}
	}
}

// runLength counts the events at the head that share one time.
func runLength(events []Event) int {
	n := slices.IndexFunc(events, func(e Event) bool { return e.TimeMs != events[0].TimeMs })
	if n < 0 {
		return len(events)
	}
	return n
}

// Cut cuts the events into batches of the given number, the last one shorter.
func (t *Trace) Cut(events int) [][]Event {
	return slices.Collect(slices.Chunk(t.Events, events))
}

// CutNatural cuts the events by the clock of their source: by the second, or
// in a trace of frames by the frame. It must come before Spread, which gives a
// frame's events other times; inside a batch Spread keeps the set of events.
func (t *Trace) CutNatural() [][]Event {
	var batches [][]Event
	for rest := t.Events; len(rest) > 0; {
		n := runLength(rest)
		batches = append(batches, rest[:n:n])
		rest = rest[n:]
	}
	return batches
}

// Net returns the pixels that batch leaves changed on canvas (a byte a pixel),
// rising by position: the last write wins, and what ends as it began is
// dropped. The times are those of the last write. It does not write to canvas.
func Net(canvas []byte, batch []Event) []Event {
	net := slices.Clone(batch)
	slices.SortStableFunc(net, func(a, b Event) int { return int(a.Pos) - int(b.Pos) })
	kept := net[:0]
	for i, e := range net {
		if i+1 < len(net) && net[i+1].Pos == e.Pos || canvas[e.Pos] == e.Color {
			continue
		}
		kept = append(kept, e)
	}
	return kept
}
