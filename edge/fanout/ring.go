package fanout

import "sort"

const (
	// blockEvents is how many events a block of a ring holds: 16 KiB of offsets.
	blockEvents = 4096
	// notAPixel stands for a seq that changed no pixel, such as a configuration.
	notAPixel = ^uint32(0)
)

// A block is a run of consecutive events of one shard.
type block struct {
	after  uint64   // seq of the event before the first one
	first  uint64   // seq of events[0]: after + 1, or more where seq jumped
	lastMS int64    // time of the newest event
	events []uint32 // offsets, oldest first
}

// A ring remembers which offset each recent event of a shard touched: four
// bytes an event. Colours are not kept, because a catch-up always ends at the
// shown board. The zero ring is empty.
type ring struct {
	blocks []*block
}

// add notes the event seq. One that does not follow the newest starts the ring
// anew: what lies before it can no longer be resumed from.
func (r *ring) add(seq uint64, off uint32, timeMS int64) (bytes int) {
	if len(r.blocks) > 0 && r.end() != seq {
		bytes -= r.clear()
	}
	if n := len(r.blocks); n == 0 || len(r.blocks[n-1].events) == blockEvents {
		bytes += r.begin(seq-1, seq)
	}
	r.note(off, timeMS)
	return bytes
}

// jump notes that seq went from after to seq, an event that changed no pixel.
func (r *ring) jump(after, seq uint64, timeMS int64) (bytes int) {
	if len(r.blocks) > 0 && r.end() != after+1 {
		bytes -= r.clear()
	}
	bytes += r.begin(after, seq)
	r.note(notAPixel, timeMS)
	return bytes
}

// begin starts the next block.
func (r *ring) begin(after, first uint64) (bytes int) {
	r.blocks = append(r.blocks, &block{after: after, first: first, events: make([]uint32, 0, blockEvents)})
	return blockEvents * 4
}

func (r *ring) note(off uint32, timeMS int64) {
	b := r.blocks[len(r.blocks)-1]
	b.events = append(b.events, off)
	b.lastMS = timeMS
}

// end returns the seq after the newest event; 0 when the ring is empty.
func (r *ring) end() uint64 {
	if len(r.blocks) == 0 {
		return 0
	}
	return r.blocks[len(r.blocks)-1].end()
}

func (b *block) end() uint64 { return b.first + uint64(len(b.events)) }

// drop forgets the oldest block and returns the bytes that are free now. The
// newest block stays until it is full.
func (r *ring) drop() (bytes int) {
	if len(r.blocks) < 2 {
		return 0
	}
	r.blocks[0] = nil
	r.blocks = r.blocks[1:]
	return blockEvents * 4
}

// clear forgets everything and returns the bytes that are free now.
func (r *ring) clear() (bytes int) {
	bytes = len(r.blocks) * blockEvents * 4
	r.blocks = nil
	return bytes
}

// oldestMS returns the time of the newest event in the oldest block that may be
// dropped, and false when there is none.
func (r *ring) oldestMS() (int64, bool) {
	if len(r.blocks) < 2 {
		return 0, false
	}
	return r.blocks[0].lastMS, true
}

// from returns the number of the block that holds the event after held, and
// false when the ring does not reach back to it or seq jumped over held.
func (r *ring) from(held uint64) (int, bool) {
	i := sort.Search(len(r.blocks), func(i int) bool { return r.blocks[i].after > held }) - 1
	if i < 0 {
		return 0, false
	}
	b := r.blocks[i]
	return i, held == b.after || held >= b.first && held+1 < b.end()
}

// blockBefore returns the seq before the block that holds the event after held,
// or held itself where there is none.
func (r *ring) blockBefore(held uint64) uint64 {
	if i, ok := r.from(held); ok {
		return r.blocks[i].after
	}
	return held
}

// visit calls fn with the offset of each event after held up to and including to,
// oldest first. It reports false, having called nothing, when the ring does not
// reach from the one to the other.
func (r *ring) visit(held, to uint64, fn func(off uint32)) bool {
	if held == to {
		return true
	}
	i, ok := r.from(held)
	if !ok || to >= r.end() {
		return false
	}
	for _, b := range r.blocks[i:] {
		if b.first > to {
			break
		}
		from := uint64(0)
		if held+1 > b.first {
			from = held + 1 - b.first
		}
		until := min(uint64(len(b.events)), to-b.first+1)
		for _, off := range b.events[from:until] {
			if off != notAPixel {
				fn(off)
			}
		}
	}
	return true
}
