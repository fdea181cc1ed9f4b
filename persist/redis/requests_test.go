package redis

import (
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/core/coretest"
)

const generationMS = 15 * 60 * 1000 // SPAN of library.lua

// history is what a map knows that never forgets.
type history struct {
	t      *testing.T
	seed   uint64
	stored map[core.Request]coretest.Answer
	wrote  map[uint64]int64 // when a page was stored last
}

// check compares what the library says of r at nowMS with the rule: in the window
// the first answer; after it expired, for a generation at least after the page's last
// placement; a number that was never stored may be expired only if a higher one of
// its page has left the window. asked says that it is not stored now.
func (h *history) check(r core.Request, a coretest.Answer, nowMS int64, asked bool) {
	h.t.Helper()
	was, known := h.stored[r]
	fresh := a.Seq > 0 && !a.Repeat
	switch {
	case known && was.TimeMS+core.ResendWindowMS > nowMS:
		if !a.Repeat || a.Seq != was.Seq || a.TimeMS != was.TimeMS {
			h.t.Fatalf("seed %d: %+v is in the window as %+v, it says %+v", h.seed, r, was, a)
		}
	case known && !a.Expire && h.wrote[r.Instance]/generationMS+1 >= nowMS/generationMS:
		h.t.Fatalf("seed %d: %+v left the window %d s ago, it says %+v", h.seed, r, (nowMS-was.TimeMS-core.ResendWindowMS)/1000, a)
	case !known && a.Repeat, asked && fresh, a.Expire && !known && !h.mayBeExpired(r, nowMS), !asked && !fresh && !a.Expire:
		h.t.Fatalf("seed %d: %+v is %+v, it says %+v", h.seed, r, was, a)
	}
	if fresh {
		if h.wrote[r.Instance]/generationMS+1 < nowMS/generationMS { // silent for so long, a page is forgotten
			maps.DeleteFunc(h.stored, func(k core.Request, _ coretest.Answer) bool { return k.Instance == r.Instance })
		}
		h.stored[r] = a
		h.wrote[r.Instance] = nowMS
	}
}

func (h *history) mayBeExpired(r core.Request, nowMS int64) bool {
	for other, a := range h.stored {
		if other.Instance == r.Instance && other.Number > r.Number && a.TimeMS+core.ResendWindowMS <= nowMS {
			return true
		}
	}
	return false
}

// Pages of different pace, and time that runs from seconds to several generations
// at once. The shard's clock never falls, so it is moved by what it saw last.
func TestRequestsAnswerLikeAMapThatNeverForgets(t *testing.T) {
	c := ownServer(t, "appendonly no")
	config := testConfig()
	r, err := c.link.get()
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(6) {
		shard := core.ShardID(seed % 4)
		if err := takeOver(t.Context(), c.Outbox(), shard, 1, &config, new(uint32)); err != nil {
			t.Fatal(err)
		}
		st, err := c.Outbox().Stand(t.Context(), shard)
		if err != nil {
			t.Fatal(err)
		}
		rnd := rand.New(rand.NewPCG(seed, 7))
		h := &history{t: t, seed: seed, stored: make(map[core.Request]coretest.Answer), wrote: make(map[uint64]int64)}
		nowMS := time.Now().UnixMilli() + int64(1+seed)*365*24*3600*1000
		highest := make(map[uint64]uint32)
		pick := func() core.Request {
			page := seed<<32 | rnd.Uint64N(6)
			switch rnd.IntN(4) {
			case 0: // anything up to a bit above
				return core.Request{Instance: page, Number: 1 + rnd.Uint32N(highest[page]+3)}
			case 1: // sent again, or late
				return core.Request{Instance: page, Number: 1 + highest[page] - min(highest[page], rnd.Uint32N(5))}
			default:
				highest[page] += 1 + rnd.Uint32N(2)
				return core.Request{Instance: page, Number: highest[page]}
			}
		}
		for range 500 {
			switch n := rnd.IntN(40); {
			case n < 30:
				nowMS += rnd.Int64N(20_000)
			case n < 36:
				nowMS += rnd.Int64N(2 * core.ResendWindowMS)
			case n < 39:
				nowMS += rnd.Int64N(generationMS)
			default:
				nowMS += rnd.Int64N(3 * generationMS)
			}
			if err := r.Do(t.Context(), r.B().Hset().Key(c.keys[shard].meta).FieldValue().FieldValue("time", decimal(nowMS)).Build()).Error(); err != nil {
				t.Fatal(err)
			}
			var events []core.Event
			var asked []core.Request
			for range 1 + rnd.IntN(6) {
				events = append(events, core.Event{Offset: rnd.Uint32N(1000), Color: uint8(rnd.IntN(16)), User: 1, Request: pick()})
			}
			for range rnd.IntN(3) {
				asked = append(asked, pick())
			}
			p, err := modelled{c.Outbox()}.PlaceBatch(t.Context(), shard, st.Epoch, 1, events, asked)
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			for i, e := range events {
				h.check(e.Request, p.Answers[i], nowMS, false)
			}
			for i, q := range asked {
				h.check(q, p.Answers[len(events)+i], nowMS, true)
			}
		}
	}
}

// Old generations leave by themselves, also when nobody places any more.
func TestRequestsExpire(t *testing.T) {
	c := open(t, testOptions(t))
	keepArmed(t, c, testConfig())
	outcomes(t, c, placement(3, 3, 3, 1, core.Request{Instance: 1, Number: 1}))
	r, err := c.link.get()
	if err != nil {
		t.Fatal(err)
	}
	kept := 0
	for _, key := range c.keys[0].requests {
		switch ttl, err := r.Do(t.Context(), r.B().Pttl().Key(key).Build()).AsInt64(); {
		case err != nil:
			t.Fatal(err)
		case ttl == -1 || ttl > 3*generationMS:
			t.Errorf("%s is kept for %d ms", key, ttl)
		case ttl > 0:
			kept++
		}
	}
	if kept != 1 {
		t.Errorf("%d generations after one placement", kept)
	}
}
