package main

import (
	"math/rand/v2"
	"testing"
	"time"

	"pixelwall/loadtest/client"
)

func TestASeenLogTellsWhatItWasTold(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	var l seenLog
	var want []client.Seen
	at, to := time.Now(), [64]uint64{}
	for range 10_000 {
		s := uint8(rnd.IntN(64))
		switch rnd.IntN(100) {
		case 0:
			to[s] = rnd.Uint64N(1 << 53) // fetched anew, or a take-over
		default:
			to[s] += rnd.Uint64N(1000)
		}
		at = at.Add(time.Duration(rnd.IntN(50_000_000)))
		want = append(want, client.Seen{Shard: s, To: to[s], At: at})
		l.add(want[len(want)-1])
	}
	i := 0
	l.each(func(s client.Seen) {
		w := want[i]
		if s.Shard != w.Shard || s.To != w.To || w.At.Sub(s.At).Abs() > time.Microsecond {
			t.Fatalf("step %d is %+v, want %+v", i, s, w)
		}
		i++
	})
	if i != len(want) {
		t.Errorf("%d steps, want %d", i, len(want))
	}
	if per := len(l.bytes) / len(want); per > 8 {
		t.Errorf("%d bytes a step", per)
	}
}
