package scylla

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"

	"pixelwall/core"
	"pixelwall/persist"
)

// story is a log of every kind of record: two epochs, a jump over many buckets,
// a configuration, and a claim, which is no row.
func story() []*core.Record {
	config := testConfig()
	config.Version, config.CooldownMS = 2, 5000
	rs := []*core.Record{start(), placements(1, 40), placements(41, 1)}
	rs = append(rs,
		&core.Record{Kind: core.KindConfig, Canvas: testCanvas, Epoch: 1, Relay: 9, First: 42, TimeMS: startMS + 42, Config: &config},
		placements(43, 200),
		&core.Record{Kind: core.KindClaim, Canvas: testCanvas, Epoch: 2, Relay: 10, TimeMS: startMS + 300},
	)
	jump := core.EpochSeq(2)
	rs = append(rs, marker(2, jump, 242))
	for first := jump + 1; first < jump+200; first += 50 {
		r := placements(first, 50)
		r.Epoch, r.Relay = 2, 10
		rs = append(rs, r)
	}
	for i, r := range rs {
		r.TimeMS = startMS + int64(i)*25_000 // several a minute, and none in some
	}
	return rs
}

const storyEnd = 2<<32 + 200

func TestARecordThatIsWrittenAgainChangesNothing(t *testing.T) {
	s := fresh(t)
	rs := story()
	mustWrite(t, s, rs...)
	once := dump(t, s)
	mustWrite(t, s, rs...)
	for i := len(rs) - 1; i >= 0; i-- {
		mustWrite(t, s, rs[i])
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	rng.Shuffle(len(rs), func(i, j int) { rs[i], rs[j] = rs[j], rs[i] })
	other := ready(t, s.o) // one that has told log_index nothing
	mustWrite(t, other, rs...)
	if again := dump(t, s); again != once {
		t.Errorf("the rows were\n%s\nand are\n%s", once, again)
	}
}

func TestWhatIsWrittenInAnyOrderIsReadInTheirs(t *testing.T) {
	s := fresh(t)
	rs := story()
	mixed := append([]*core.Record(nil), rs...)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	for _, r := range mixed {
		mustWrite(t, s, r)
	}
	mustMark(t, s, core.Position{Holder: core.Holder{Epoch: 2, Relay: 10}, Seq: storyEnd})
	got := mustTail(t, s, 0, storyEnd)
	var want []*core.Record
	holder := core.Holder{}
	for _, r := range rs {
		if r.Kind == core.KindClaim {
			continue
		}
		if r.Holder() != holder { // the reader is told of each holder
			holder = r.Holder()
			want = append(want, &core.Record{Kind: core.KindClaim, Canvas: testCanvas, Epoch: r.Epoch, Relay: r.Relay, TimeMS: r.TimeMS})
		}
		want = append(want, r)
	}
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	var f core.Follower
	for i := range want {
		if have, asWritten := persist.AppendRecord(nil, got[i]), persist.AppendRecord(nil, want[i]); !bytes.Equal(have, asWritten) {
			t.Fatalf("record %d is %+v, want %+v", i, got[i], want[i])
		}
		if v := f.Next(got[i]); v != core.Apply && got[i].Kind != core.KindClaim {
			t.Fatalf("record %d of seq %d: verdict %d after %d", i, got[i].First, v, f.Heads[0])
		}
	}
	for i, r := range want {
		if r.Kind == core.KindClaim || r.Kind == core.KindStart {
			continue
		}
		before, after := headsAt(t, s, r.TimeMS-1), headsAt(t, s, r.TimeMS)
		if int64(before) != max(afterOf(r), 0) || after != r.Last() {
			t.Errorf("record %d: at its time the head goes from %d to %d, want %d to %d", i, before, after, afterOf(r), r.Last())
		}
	}
}

func TestTheFirstRecordOfAMinuteStaysInTheIndex(t *testing.T) {
	s := fresh(t)
	later, first, last := placements(101, 10), placements(91, 10), placements(111, 10)
	for _, r := range []*core.Record{later, first, last} {
		r.TimeMS = startMS
	}
	mustWrite(t, s, later)
	mustWrite(t, ready(t, s.o), first)
	mustWrite(t, ready(t, s.o), last)
	c, err := s.connected()
	if err != nil {
		t.Fatal(err)
	}
	after, found, err := minuteAt(t.Context(), c, 0, startMS)
	if err != nil || !found || after != 90 {
		t.Errorf("the minute begins behind %d (%v, %v), want 90", after, found, err)
	}
}

func TestAWatermarkNeverFalls(t *testing.T) {
	s := fresh(t)
	if p, err := s.Watermark(t.Context(), 0); err != nil || p != (core.Position{}) {
		t.Fatalf("before any: %+v, %v", p, err)
	}
	at := func(epoch uint32, relay, seq uint64) core.Position {
		return core.Position{Holder: core.Holder{Epoch: epoch, Relay: relay}, Seq: seq}
	}
	high, higher := at(3, 5, 1<<40), at(4, 1, 1<<40)
	for _, p := range []core.Position{at(2, 1<<63, 7), high, at(3, 5, 1000), at(9, 9, 1<<40-1), higher, high} {
		mustMark(t, s, p)
	}
	if p, err := ready(t, s.o).Watermark(t.Context(), 0); err != nil || p != higher {
		t.Errorf("%+v, %v, want %+v", p, err, higher)
	}
	if err := s.SetWatermark(t.Context(), core.ShardsMax, high); core.CodeOf(err) != core.CodeUnknownShard {
		t.Errorf("a shard that cannot be: %v", err)
	}
}

func TestALargeRecordComesBack(t *testing.T) {
	s := fresh(t)
	r := placements(1, 20_000)
	mustWrite(t, s, start(), r)
	mustMark(t, s, core.Position{Seq: r.Last()})
	got := mustTail(t, s, 0, r.Last())
	if last := got[len(got)-1]; !reflect.DeepEqual(last, r) {
		t.Errorf("a record of %d placements came back as one of %d", len(r.Events), len(last.Events))
	}
	past, err := s.Pixel(t.Context(), 0, 7, 0, 1000)
	if err != nil || len(past) != 20 || past[0].Seq != 19_001 || past[19].Event != r.Events[0] {
		t.Errorf("%d events of a pixel, %v: %+v", len(past), err, past)
	}
}
