package gateway

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// A delivery is one descriptor and the bytes it is to get: either buf, or, when
// the parts lie apart, count vectors of the batch's arena.
type delivery struct {
	buf    []byte
	fd     int32
	first  int32 // index of the first vector; only with count > 0
	count  int32 // 0 when buf holds everything
	total  int32 // bytes in all
	result int32 // set by send: bytes taken, or a negative errno
}

// A sender hands a batch of deliveries to the kernel without ever waiting for
// a receiver, and sets the result of each.
//
// Ownership: send does not keep batch, vectors or what they point to.
type sender interface {
	send(batch []delivery, vectors []unix.Iovec)
	name() SenderKind
	close()
}

const sendFlags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL

// sendtoSender makes one system call per delivery. RawSyscall is right here
// because the call never blocks; the scheduler's bookkeeping around Syscall
// would cost more than the call.
type sendtoSender struct{ msg unix.Msghdr }

func (s *sendtoSender) name() SenderKind { return SenderSendto }
func (s *sendtoSender) close()           {}

func (s *sendtoSender) send(batch []delivery, vectors []unix.Iovec) {
	for i := range batch {
		d := &batch[i]
		if d.count == 0 {
			d.result = sendOne(int(d.fd), d.buf)
			continue
		}
		s.msg = unix.Msghdr{Iov: &vectors[d.first]}
		s.msg.SetIovlen(int(d.count))
		n, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(d.fd), uintptr(unsafe.Pointer(&s.msg)), sendFlags)
		d.result = int32(n)
		if errno != 0 {
			d.result = -int32(errno)
		}
	}
}

// sendOne hands p to the socket fd and returns the bytes taken or a negative errno.
func sendOne(fd int, p []byte) int32 {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), sendFlags, 0, 0)
	if errno != 0 {
		return -int32(errno)
	}
	return int32(n)
}

// newSender returns the fastest allowed sender. It must be called on the
// thread that will send.
func newSender(kind SenderKind) (sender, error) {
	if kind == SenderSendto {
		return &sendtoSender{}, nil
	}
	r, err := newRing(batchMax)
	if err == nil {
		return r, nil
	}
	if kind == SenderURing {
		return nil, err
	}
	return &sendtoSender{}, nil
}
