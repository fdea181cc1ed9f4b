package redis

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"pixelwall/core"
)

func TestAnAnswerIsReadAsPlaceWroteIt(t *testing.T) {
	text := "\x05\x00\x00\x00\x01\x00\x00\x00" + "\xe8\x03\x00\x00\x00\x00\x00\x00" +
		"\x00" + "\x01\x02\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00" + "\x02" + "\x00" + "\x03"
	a, err := parseAnswer(text)
	if err != nil {
		t.Fatal(err)
	}
	type said struct {
		st     status
		seq    uint64
		timeMS int64
	}
	for i, want := range []said{
		{statusStored, 1<<32 + 5, 1000}, {statusRepeated, 2, 7}, {statusExpired, 0, 0}, {statusStored, 1<<32 + 6, 1000}, {statusNotStored, 0, 0},
	} {
		st, seq, timeMS, err := a.one()
		if got := (said{st, seq, timeMS}); err != nil || got != want {
			t.Errorf("%d: %+v %v, want %+v", i, got, err, want)
		}
	}
	if _, _, _, err := a.one(); err == nil {
		t.Error("more was read than was written")
	}
	for n := range 16 {
		if _, err := parseAnswer(text[:n]); err == nil {
			t.Errorf("%d bytes were taken for an answer", n)
		}
	}
	for _, bad := range []string{"\x04", "\x01\x02\x00"} {
		a := answer{rest: bad}
		if _, _, _, err := a.one(); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestPackIsWhatABoardPacks(t *testing.T) {
	const seed = 3
	rnd := rand.New(rand.NewPCG(seed, 0))
	for _, g := range []core.Geometry{
		{Width: 600, Height: 520, Bits: 4}, {Width: 515, Height: 513, Bits: 4}, {Width: 515, Height: 513, Bits: 8}, {Width: 512, Height: 512, Bits: 4}, {Width: 1, Height: 1, Bits: 4},
	} {
		b := core.NewBoard(g, 0)
		for range 2000 {
			s, off := core.Locate(rnd.IntN(g.Width), rnd.IntN(g.Height))
			b.Set(s, off, uint8(rnd.IntN(1<<g.Bits)))
		}
		for _, s := range g.Shards() {
			if got := pack(g, s, b.Pixels(s)); !bytes.Equal(got, b.AppendPacked(nil, s)) {
				t.Errorf("seed %d, %dx%d at %d bits, shard %d differs", seed, g.Width, g.Height, g.Bits, s)
			}
		}
	}
}

// What is done for each placement allocates nothing; a batch has its two strings.
func TestPlacementsAllocateNothing(t *testing.T) {
	ps := crowd(0, 64)
	buf := make([]byte, 0, 64*40)
	text := strings.Repeat("\x00", 16+32) + strings.Repeat("\x01"+strings.Repeat("\x00", 16), 32)
	n := testing.AllocsPerRun(100, func() {
		buf = buf[:0]
		for i := range ps {
			buf = appendEvent(buf, &ps[i])
			buf = appendAsked(buf, ps[i].Request)
		}
		a, err := parseAnswer(text)
		for range 64 {
			if _, _, _, e := a.one(); e != nil {
				err = e
			}
		}
		if err != nil {
			t.Error(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for 64 placements", n)
	}
}
