package embedded

import "pixelwall/core"

// requests remembers what became of every Request of the last
// core.ResendWindowMS, so that one tap stays one event.
//
// The rule is exact while it remembers a page: a number that the page stored is
// either in the window, and gets its first answer, or at most the page's floor,
// the highest number that has left the window, and is expired. Every other
// number was never stored. Floors are kept over a restart. A page is remembered for pageMemoryMS after its last
// placement; when there are more than pagesMax, those that have nothing in the
// window go first. More than answersMax answers shorten the window: what falls
// out of it early is expired, and still never stored twice.
//
// Nothing here is allocated per placement: answers live in chunks that are used
// again, pages in a slice with a free list. The caller serializes.
type requests struct {
	index map[uint64]uint32 // instance -> place in pages
	pages []page
	free  []uint32
	hand  uint32 // where the sweep over pages goes on

	chunks      []*[chunkAnswers]answer // of answers first..next-1
	spare       []*[chunkAnswers]answer
	expiredMS   int64  // what was stored a window before has left it
	first, next uint64 // numbers of the answers, from 1; 0 is none
	answersMax  uint64
	pagesMax    int
}

const (
	chunkAnswers = 1 << 12
	pageMemoryMS = 24 * 3600 * 1000
	// Sixteen million answers are two minutes at 130,000 placements a second, and 512 MiB.
	answersMaxDefault = 16 << 20
	pagesMaxDefault   = 4 << 20
)

// A page is one instance id: one open page of one user.
type page struct {
	instance uint64
	newest   uint64 // its last answer, 0 when that has left the window
	lastMS   int64
	floor    uint32 // highest number that has left the window
	highest  uint32 // no number above it was ever stored
	hasFloor bool
	used     bool
}

// An answer is one stored Request.
type answer struct {
	place  uint64 // shard in the top byte, seq below
	prev   uint64 // the page's answer before this one; it may have left the window
	timeMS int64
	page   uint32
	number uint32
}

func (a *answer) shard() core.ShardID { return core.ShardID(a.place >> 56) }
func (a *answer) seq() uint64         { return a.place & (1<<56 - 1) }

// A standing is what the table knows of a Request.
type standing uint8

const (
	unknown  standing = iota // never stored
	answered                 // stored in the window
	expired                  // stored before it, or perhaps
)

func newRequests() *requests {
	return &requests{
		index: make(map[uint64]uint32), first: 1, next: 1,
		answersMax: answersMaxDefault, pagesMax: pagesMaxDefault,
	}
}

func (q *requests) at(n uint64) *answer {
	base := (q.first - 1) &^ (chunkAnswers - 1)
	i := n - 1 - base
	return &q.chunks[i/chunkAnswers][i%chunkAnswers]
}

// find tells what is known of r.
func (q *requests) find(r core.Request) (answer, standing) {
	slot, ok := q.index[r.Instance]
	if !ok {
		return answer{}, unknown
	}
	p := &q.pages[slot]
	if r.Number <= p.highest {
		for n := p.newest; n >= q.first; {
			a := q.at(n)
			if a.number == r.Number {
				return *a, answered
			}
			n = a.prev
		}
	}
	if p.hasFloor && r.Number <= p.floor {
		return answer{}, expired
	}
	return answer{}, unknown
}

// add remembers that r was stored.
func (q *requests) add(r core.Request, s core.ShardID, seq uint64, timeMS int64) {
	if q.next-q.first >= q.answersMax {
		q.drop()
	}
	slot := q.slot(r.Instance)
	p := &q.pages[slot]
	if (q.next-1)%chunkAnswers == 0 || len(q.chunks) == 0 {
		q.chunks = append(q.chunks, q.chunk())
	}
	n := q.next
	q.next++
	*q.at(n) = answer{place: uint64(s)<<56 | seq, prev: p.newest, timeMS: timeMS, page: slot, number: r.Number}
	p.newest, p.lastMS, p.highest = n, timeMS, max(p.highest, r.Number)
}

// undo forgets the last n answers, newest first.
func (q *requests) undo(n int) {
	for range n {
		a := q.at(q.next - 1)
		q.pages[a.page].newest = a.prev
		q.next--
		if (q.next-1)%chunkAnswers == 0 {
			last := len(q.chunks) - 1
			q.spare = append(q.spare, q.chunks[last])
			q.chunks = q.chunks[:last]
		}
	}
}

// expire drops what was stored before the window at nowMS, and sweeps a few
// pages that have nothing to say any more.
func (q *requests) expire(nowMS int64, sweep int) {
	q.expiredMS = max(q.expiredMS, nowMS)
	for q.first < q.next && q.at(q.first).timeMS+core.ResendWindowMS <= nowMS {
		q.drop()
	}
	if len(q.index) > q.pagesMax {
		sweep *= 8
	}
	for range min(sweep, len(q.pages)) {
		q.hand = (q.hand + 1) % uint32(len(q.pages))
		p := &q.pages[q.hand]
		if p.used && p.newest < q.first && (p.lastMS+pageMemoryMS <= nowMS || len(q.index) > q.pagesMax) {
			delete(q.index, p.instance)
			*p = page{}
			q.free = append(q.free, q.hand)
		}
	}
}

// drop lets the oldest answer leave the window.
func (q *requests) drop() {
	a := q.at(q.first)
	p := &q.pages[a.page]
	if !p.hasFloor || a.number > p.floor {
		p.hasFloor, p.floor = true, a.number
	}
	q.first++
	if (q.first-1)%chunkAnswers == 0 {
		if len(q.spare) < 64 { // a quiet hour gives the memory of a busy one back
			q.spare = append(q.spare, q.chunks[0])
		}
		copy(q.chunks, q.chunks[1:])
		q.chunks[len(q.chunks)-1] = nil
		q.chunks = q.chunks[:len(q.chunks)-1]
	}
}

func (q *requests) slot(instance uint64) uint32 {
	slot, ok := q.index[instance]
	if ok {
		return slot
	}
	if n := len(q.free); n > 0 {
		slot, q.free = q.free[n-1], q.free[:n-1]
	} else {
		slot = uint32(len(q.pages))
		q.pages = append(q.pages, page{})
	}
	q.pages[slot] = page{instance: instance, used: true}
	q.index[instance] = slot
	return slot
}

func (q *requests) chunk() *[chunkAnswers]answer {
	if n := len(q.spare); n > 0 {
		c := q.spare[n-1]
		q.spare = q.spare[:n-1]
		return c
	}
	return new([chunkAnswers]answer)
}
