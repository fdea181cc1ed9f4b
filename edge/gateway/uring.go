package gateway

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Numbers of the io_uring interface, from linux/io_uring.h.
const (
	opSendmsg = 9
	opSend    = 26

	setupSingleIssuer = 1 << 12
	setupDeferTaskrun = 1 << 13
	enterGetEvents    = 1

	offSQEs = 0x10000000
)

type submission struct {
	op, flags uint8
	ioprio    uint16
	fd        int32
	off, addr uint64
	n         uint32
	msgFlags  uint32
	userData  uint64
	_         [3]uint64
}

type completion struct {
	userData uint64
	result   int32
	flags    uint32
}

type ringParams struct {
	sqEntries, cqEntries, flags, cpu, idle, features, wq uint32
	_                                                    [3]uint32
	sq                                                   struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

// ring sends a batch with one entry into the kernel. It is bound to the thread
// that made it (SINGLE_ISSUER), which is the loop's own.
type ring struct {
	fd             int
	mem, sqeMem    []byte
	sqTail         *uint32
	cqHead, cqTail *uint32
	sqMask, cqMask uint32
	sqes           []submission
	cqes           []completion
	msgs           []unix.Msghdr
	round          uint32 // tells this batch's completions from any other
	broken         bool   // the kernel refused the ring itself; sendto from then on
	spare          sendtoSender
}

func newRing(entries uint32) (*ring, error) {
	p := ringParams{flags: setupSingleIssuer | setupDeferTaskrun}
	fd, _, errno := unix.RawSyscall(unix.SYS_IO_URING_SETUP, uintptr(entries), uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("gateway: io_uring_setup: %w", errno)
	}
	r := &ring{fd: int(fd), msgs: make([]unix.Msghdr, p.sqEntries)}
	size := max(int(p.sq.array+p.sqEntries*4), int(p.cq.cqes+p.cqEntries*uint32(unsafe.Sizeof(completion{}))))
	var err error
	if r.mem, err = unix.Mmap(r.fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE); err != nil {
		r.close()
		return nil, fmt.Errorf("gateway: map io_uring: %w", err)
	}
	if r.sqeMem, err = unix.Mmap(r.fd, offSQEs, int(p.sqEntries)*int(unsafe.Sizeof(submission{})), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE); err != nil {
		r.close()
		return nil, fmt.Errorf("gateway: map io_uring entries: %w", err)
	}
	at := func(off uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.mem[off])) }
	slots := unsafe.Slice(at(p.sq.array), p.sqEntries)
	for i := range slots {
		slots[i] = uint32(i)
	}
	r.sqTail, r.cqHead, r.cqTail = at(p.sq.tail), at(p.cq.head), at(p.cq.tail)
	r.sqMask, r.cqMask = *at(p.sq.mask), *at(p.cq.mask)
	r.sqes = unsafe.Slice((*submission)(unsafe.Pointer(&r.sqeMem[0])), p.sqEntries)
	r.cqes = unsafe.Slice((*completion)(unsafe.Pointer(&r.mem[p.cq.cqes])), p.cqEntries)
	return r, nil
}

func (r *ring) name() SenderKind {
	if r.broken {
		return SenderSendto
	}
	return SenderURing
}

func (r *ring) close() {
	if r.sqeMem != nil {
		_ = unix.Munmap(r.sqeMem)
	}
	if r.mem != nil {
		_ = unix.Munmap(r.mem)
	}
	_ = unix.Close(r.fd)
	r.mem, r.sqeMem = nil, nil
}

// idleEntersMax is how often in a row the kernel may neither take nor finish
// anything before the ring counts as broken. Spinning longer would hold up the
// loop for a kernel that is out of memory.
const idleEntersMax = 1000

// resultPending marks a delivery whose completion has not come yet. No byte
// count and no errno is that negative.
const resultPending = -1 << 31

func (r *ring) send(batch []delivery, vectors []unix.Iovec) {
	if r.broken {
		r.spare.send(batch, vectors)
		return
	}
	for len(batch) > 0 {
		n := min(len(batch), len(r.sqes))
		r.sendSome(batch[:n], vectors)
		batch = batch[n:]
	}
}

// sendSome submits batch, which fits the ring, and waits until each entry has
// completed: with MSG_DONTWAIT they all complete within the call that submits
// them, so the waiting is for the rare case of a partial submission or signal.
func (r *ring) sendSome(batch []delivery, vectors []unix.Iovec) {
	r.round++
	tail := *r.sqTail
	for i := range batch {
		r.fill(&r.sqes[(tail+uint32(i))&r.sqMask], &batch[i], &r.msgs[i], vectors)
		r.sqes[(tail+uint32(i))&r.sqMask].userData = uint64(r.round)<<32 | uint64(i)
	}
	atomic.StoreUint32(r.sqTail, tail+uint32(len(batch)))

	submitted, completed := 0, 0
	for idle := 0; completed < len(batch); {
		n, _, errno := unix.RawSyscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(len(batch)-submitted), uintptr(len(batch)-completed), enterGetEvents, 0, 0)
		if errno != 0 {
			n = 0
		}
		reaped := r.reap(batch)
		submitted, completed = submitted+int(n), completed+reaped
		if idle++; int(n)+reaped > 0 {
			idle = 0
		}
		transient := errno == 0 || errno == unix.EINTR || errno == unix.EAGAIN || errno == unix.EBUSY
		if !transient || idle == idleEntersMax {
			r.abandon(batch, vectors, submitted)
			return
		}
	}
}

func (r *ring) fill(s *submission, d *delivery, msg *unix.Msghdr, vectors []unix.Iovec) {
	d.result = resultPending
	if d.count == 0 {
		*s = submission{op: opSend, fd: d.fd, addr: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(d.buf)))), n: uint32(len(d.buf)), msgFlags: sendFlags}
		return
	}
	*msg = unix.Msghdr{Iov: &vectors[d.first]}
	msg.SetIovlen(int(d.count))
	*s = submission{op: opSendmsg, fd: d.fd, addr: uint64(uintptr(unsafe.Pointer(msg))), n: 1, msgFlags: sendFlags}
}

// reap takes what has completed and returns how many of this batch that were.
func (r *ring) reap(batch []delivery) (n int) {
	head, tail := *r.cqHead, atomic.LoadUint32(r.cqTail)
	for ; head != tail; head++ {
		c := &r.cqes[head&r.cqMask]
		if i := int(uint32(c.userData)); uint32(c.userData>>32) == r.round && i < len(batch) {
			batch[i].result = c.result
			n++
		}
	}
	atomic.StoreUint32(r.cqHead, head)
	return n
}

// abandon gives up on a ring that the kernel refuses: what was never submitted
// goes by sendto, and what was submitted without a completion has an unknown
// outcome, so it counts as failed and its connection is closed.
func (r *ring) abandon(batch []delivery, vectors []unix.Iovec, submitted int) {
	r.broken = true
	for i := range batch[:submitted] {
		if batch[i].result == resultPending {
			batch[i].result = -int32(unix.ECANCELED)
		}
	}
	r.spare.send(batch[submitted:], vectors)
}
