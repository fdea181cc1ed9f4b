package gateway

import (
	"bytes"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// withSender runs f with each kind of sender on a locked thread, as a loop does.
func withSender(t *testing.T, f func(t *testing.T, s sender)) {
	senders(t, func(t *testing.T, kind SenderKind) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		s, err := newSender(kind)
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		f(t, s)
	})
}

func pair(t *testing.T) (in, out int) {
	t.Helper()
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(p[0]); unix.Close(p[1]) })
	return p[0], p[1]
}

func received(t *testing.T, fd int) []byte {
	t.Helper()
	buf := make([]byte, 1<<20)
	n, err := unix.Read(fd, buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

func TestASenderReportsEachResultByItself(t *testing.T) {
	withSender(t, func(t *testing.T, s sender) {
		good, goodOut := pair(t)
		apart, apartOut := pair(t)
		full, _ := pair(t)
		for sendOne(full, make([]byte, 1<<16)) > 0 {
		}
		gone, goneOut := pair(t)
		_ = unix.Shutdown(goneOut, unix.SHUT_RDWR)
		_ = gone
		_ = unix.Shutdown(gone, unix.SHUT_WR)
		parts := [][]byte{[]byte("one "), []byte("two "), []byte("three")}
		var vectors []unix.Iovec
		for _, p := range parts {
			vectors = append(vectors, vector(p))
		}
		for round := range 3 { // a ring goes on where it was
			batch := []delivery{
				{fd: int32(full), buf: []byte("xxxxx"), total: 5},
				{fd: int32(good), buf: []byte("hello"), total: 5},
				{fd: -1, buf: []byte("hello"), total: 5},
				{fd: int32(apart), first: 1, count: 2, total: 9},
				{fd: int32(gone), buf: []byte("hello"), total: 5},
			}
			s.send(batch, vectors)
			for i, want := range []int32{-int32(unix.EAGAIN), 5, -int32(unix.EBADF), 9, -int32(unix.EPIPE)} {
				if got := batch[i].result; got != want {
					t.Errorf("round %d: delivery %d has result %d, want %d", round, i, got, want)
				}
			}
			if got := received(t, goodOut); string(got) != "hello" {
				t.Errorf("got %q", got)
			}
			if got := received(t, apartOut); string(got) != "two three" {
				t.Errorf("got %q", got)
			}
		}
	})
}

func TestASenderReportsHowMuchFitted(t *testing.T) {
	withSender(t, func(t *testing.T, s sender) {
		in, out := pair(t)
		big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		batch := []delivery{{fd: int32(in), buf: big, total: int32(len(big))}}
		s.send(batch, nil)
		n := batch[0].result
		if n <= 0 || int(n) >= len(big) {
			t.Fatalf("result %d of %d bytes, want a part", n, len(big))
		}
		var got []byte
		for len(got) < int(n) {
			got = append(got, received(t, out)...)
		}
		if !bytes.Equal(got, big[:n]) {
			t.Error("other bytes arrived than were counted")
		}
	})
}

func TestMoreThanARingHoldsIsSentInParts(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r, err := newRing(4)
	if err != nil {
		t.Skipf("this kernel refuses io_uring: %v", err)
	}
	defer r.close()
	in, out := pair(t)
	batch := make([]delivery, 11)
	for i := range batch {
		batch[i] = delivery{fd: int32(in), buf: []byte{byte('a' + i)}, total: 1}
	}
	r.send(batch, nil)
	if got := received(t, out); string(got) != "abcdefghijk" {
		t.Errorf("got %q", got)
	}
}

// When the kernel takes the ring away, what was not submitted goes by sendto
// and nothing is left without a result.
func TestABrokenRingFallsBackToSendto(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r, err := newRing(4)
	if err != nil {
		t.Skipf("this kernel refuses io_uring: %v", err)
	}
	defer r.close()
	working := r.fd
	r.fd = -1 // io_uring_enter fails with EBADF
	in, out := pair(t)
	for range 2 {
		batch := []delivery{{fd: int32(in), buf: []byte("hello"), total: 5}}
		r.send(batch, nil)
		if batch[0].result != 5 {
			t.Fatalf("result %d", batch[0].result)
		}
		if got := received(t, out); string(got) != "hello" {
			t.Errorf("got %q", got)
		}
	}
	r.fd = working
	if r.name() != SenderSendto {
		t.Errorf("it still calls itself %q", r.name())
	}
	batch := []delivery{{result: resultPending}, {result: 3}, {fd: int32(in), buf: []byte("x"), total: 1}}
	r.abandon(batch, nil, 2)
	if batch[0].result != -int32(unix.ECANCELED) || batch[1].result != 3 || batch[2].result != 1 {
		t.Errorf("abandoned with %d %d %d", batch[0].result, batch[1].result, batch[2].result)
	}
}
