package gateway

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchMax is how many sends go into the kernel at once: enough to pay for
// entering it, few enough for about a millisecond.
const batchMax = 256

// fan is the memory that fan-out uses again and again; nothing is allocated
// per recipient.
type fan struct {
	sender  sender
	batch   []delivery
	to      []*Conn // parallel to batch
	slow    []*Conn // need a look at their backlog first; at most batchMax
	vectors []unix.Iovec
	memo    [64]choice // what recipients with the same channels get
	round   uint32     // of the batch; older memo entries do not count
}

type choice struct {
	want  uint64
	round uint32
	class uint8
	d     delivery
}

// begin makes b the current broadcast.
func (l *loop) begin(b *Broadcast) { l.cur, l.pos = b, len(l.conns) }

// resume goes on with the current broadcast and reports whether it is done.
// began is when this turn of the loop began.
func (l *loop) resume(began time.Time) bool {
	t0 := time.Now()
	for l.pos > 0 && time.Since(began) < l.g.cfg.sliceMax {
		l.depth++ // whom a failed write closes is reported after the step
		l.step(l.cur)
		l.depth--
		l.flush()
	}
	l.g.stats.busyNS.Add(int64(time.Since(t0)))
	if l.pos > 0 {
		return false
	}
	l.cur = nil
	l.waiting.Add(-1)
	clear(l.fan.batch[:cap(l.fan.batch)]) // let go of the buffers
	clear(l.fan.memo[:])
	clear(l.fan.vectors[:cap(l.fan.vectors)])
	l.g.stats.broadcasts.Add(1)
	return true
}

// step sends b to the next batch of recipients. While the batch is gathered
// and sent nothing else runs, so no descriptor in it can be closed and given
// to somebody else; whatever may call out comes afterwards.
func (l *loop) step(b *Broadcast) {
	f := &l.fan
	l.gather(b)
	if len(f.batch) > 0 {
		f.sender.send(f.batch, f.vectors)
		l.account()
	}
	for i, c := range f.slow {
		f.slow[i] = nil
		l.deliver(c, b)
	}
	f.slow = f.slow[:0]
}

// gather fills the batch from the top of those who have not got b yet.
func (l *loop) gather(b *Broadcast) {
	f := &l.fan
	f.batch, f.to, f.vectors = f.batch[:0], f.to[:0], f.vectors[:0]
	f.round++
	for l.pos > 0 && len(f.batch) < batchMax && len(f.slow) < batchMax {
		l.pos--
		r := &l.recips[l.pos]
		if !r.gets(b) {
			continue
		}
		if r.flags&flagSlow != 0 {
			f.slow = append(f.slow, l.conns[l.pos])
			continue
		}
		d := f.choose(b, r)
		if d.total == 0 {
			continue
		}
		f.batch = append(f.batch, *d)
		f.batch[len(f.batch)-1].fd = r.fd
		f.to = append(f.to, l.conns[l.pos])
	}
}

func (r *recipient) gets(b *Broadcast) bool {
	if r.flags&flagLag != 0 {
		return false
	}
	if b.All {
		return r.flags&flagHear != 0
	}
	return r.mask&b.Active != 0
}

// choose returns what r gets of b, with everything but the descriptor set.
func (f *fan) choose(b *Broadcast, r *recipient) *delivery {
	want, class := r.mask&b.Active, b.class(r.class)
	if b.All {
		want = 0
	}
	m := &f.memo[(want*0x9e3779b97f4a7c15+uint64(class))>>58]
	if m.round == f.round && m.want == want && m.class == class {
		return &m.d
	}
	*m = choice{want: want, class: class, round: f.round}
	d, first := &m.d, len(f.vectors)
	b.runs(class, want, func(part []byte) {
		if d.total += int32(len(part)); d.buf == nil {
			d.buf = part
			return
		}
		if len(f.vectors) == first {
			f.vectors = append(f.vectors, vector(d.buf))
		}
		f.vectors = append(f.vectors, vector(part))
	})
	if n := len(f.vectors) - first; n > 0 {
		d.buf, d.first, d.count = nil, int32(first), int32(n)
	}
	return d
}

func vector(p []byte) unix.Iovec {
	v := unix.Iovec{Base: unsafe.SliceData(p)}
	v.SetLen(len(p))
	return v
}

// account looks at what became of the batch.
func (l *loop) account() {
	f := &l.fan
	var whole, bytes int64
	for i := range f.batch {
		d, c := &f.batch[i], f.to[i]
		f.to[i] = nil
		if d.result >= 0 {
			bytes += int64(d.result)
		}
		if d.result == d.total {
			whole++
			continue
		}
		if c.state != stateOpen {
			continue
		}
		if d.result < 0 && !again(d.result) {
			c.abort(unix.Errno(-d.result))
			continue
		}
		f.rest(d, c)
		whole++
	}
	l.g.stats.deliveries.Add(whole)
	l.g.stats.bytesOut.Add(bytes)
}

// rest queues what the kernel did not take of d: a frame once begun must be
// sent to its end, so the backlog limit does not apply to it.
func (f *fan) rest(d *delivery, c *Conn) {
	skip := int(max(d.result, 0))
	if d.count == 0 {
		c.queue(d.buf[skip:])
		return
	}
	for _, v := range f.vectors[d.first : d.first+d.count] {
		part := unsafe.Slice(v.Base, v.Len)
		if skip >= len(part) {
			skip -= len(part)
			continue
		}
		c.queue(part[skip:])
		skip = 0
	}
}

// deliver gives b to one connection that may have a backlog: behind what waits
// already if there is room, else not at all.
func (l *loop) deliver(c *Conn, b *Broadcast) {
	if c.state != stateOpen {
		return
	}
	r := &l.recips[c.idx]
	want, class, total := r.mask, b.class(r.class), 0
	b.runs(class, want, func(part []byte) { total += len(part) })
	waiting := c.gc.OutboundBuffered()
	if waiting > 0 && waiting+total > l.g.cfg.BacklogBytes {
		r.flags |= flagLag
		c.want = true
		l.g.stats.skipped.Add(1)
		l.skips = append(l.skips, skip{c, b})
		return
	}
	if waiting == 0 {
		c.keepsUp()
	}
	b.runs(class, want, func(part []byte) {
		if c.state == stateOpen {
			c.write(part)
		}
	})
	l.g.stats.deliveries.Add(1)
	l.g.stats.bytesOut.Add(int64(total))
}

// settle gives c the broadcast that is under way, if it was about to get it:
// what c changes about itself now counts from the next one.
func (l *loop) settle(c *Conn) {
	if l.cur == nil || int(c.idx) >= l.pos {
		return
	}
	l.pos--
	last, place := l.pos, int(c.idx)
	l.recips[place], l.recips[last] = l.recips[last], l.recips[place]
	l.due[place], l.due[last] = l.due[last], l.due[place]
	l.conns[place], l.conns[last] = l.conns[last], l.conns[place]
	l.conns[place].idx, l.conns[last].idx = int32(place), int32(last)
	if l.recips[last].gets(l.cur) {
		l.deliver(c, l.cur)
	}
}
