package client

import (
	"context"
	"testing"
	"time"

	"pixelwall/wire"
)

type watching struct {
	*Watcher
	stop  context.CancelFunc
	ended chan error
	tos   *[]uint64 // what Seen told, read when Run has returned
}

// startWatcher lets a watcher begin with the rig's canvas and plays its first
// watch.
func startWatcher(t *testing.T, r *rig, others ...*Server) (watching, *peer) {
	t.Helper()
	start, err := r.server.Canvas(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := watching{ended: make(chan error, 1), tos: &[]uint64{}}
	w.Watcher = NewWatcher(WatcherOptions{
		Servers: append([]*Server{r.server}, others...), Decoder: &Decoder{}, Reconnect: true,
		Seen: func(s Seen) { *w.tos = append(*w.tos, s.To) },
	}, start)
	ctx, stop := context.WithCancel(t.Context())
	w.stop = stop
	go func() { w.ended <- w.Run(ctx) }()
	p, _ := r.accept()
	wantWatch(t, p, true, 10, false)
	return w, p
}

func wantWatch(t *testing.T, p *peer, resume bool, held uint64, diverged bool) {
	t.Helper()
	m := p.hearWatch()
	if m.Canvas != rigCanvas || m.Diverged != diverged || len(m.Shards) != 1 || m.Shards[0].Resume != resume || m.Shards[0].Held != held {
		t.Fatalf("%+v, want seq %d, diverged %v", m, held, diverged)
	}
}

// reach waits until the watcher's copy is at a seq.
func (w *watching) reach(t *testing.T, seq uint64) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for late := time.After(patience); w.Head(0) != seq; {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("the copy stays at %d, want %d", w.Head(0), seq)
		}
	}
}

// end stops the watcher and wants its copy to be px.
func (w *watching) end(t *testing.T, px pixels) {
	t.Helper()
	w.stop()
	if err := <-w.ended; err != nil {
		t.Fatal(err)
	}
	if got := string(w.Canvas().Shards[0].View.Pix); got != string(px.packed()) {
		t.Errorf("the copy is %x, want %x", got, px.packed())
	}
}

func TestWatcherFollowsBatchesAndResumesWithoutACanvas(t *testing.T) {
	r := newRig(t)
	w, p := startWatcher(t, r)
	var px pixels
	p.say((&pixels{}).batch(3, 9, 1)) // of before the catch-up: not for this copy
	p.say(catchUp(10, 10))
	p.say(px.batch(5, 3, 2))
	p.say(px.batch(6, 4, 1))
	p.say(wire.Check{Seq: 13, CRC: px.crc()})
	p.say(wire.Check{Seq: 12, CRC: 1}) // of another seq: ignored
	w.reach(t, 13)
	p.cut()
	p, _ = r.accept()
	wantWatch(t, p, true, 13, false)
	var e wire.Encoder
	missed, param := e.AppendRice(nil, px.view(), []wire.Pixel{{Index: 6, Color: 4}, {Index: 7, Color: 2}})
	px[7] = 2
	p.say(wire.CatchUp{From: 13, To: 20, TimeTenths: 5, Param: param, Payload: missed})
	p.say(px.batch(0, 1, 1))
	w.reach(t, 21)
	w.end(t, px)
	if n := r.server.Fetches(); n != 1 {
		t.Errorf("%d canvas fetches, want the first only", n)
	}
	if w.Reconnects.Load() != 1 || w.Diverged.Load() != 0 || w.Resyncs.Load() != 0 {
		t.Errorf("%d reconnects, %d diverged, %d resyncs", w.Reconnects.Load(), w.Diverged.Load(), w.Resyncs.Load())
	}
	if tos := *w.tos; len(tos) != 5 || tos[1] != 12 || tos[4] != 21 {
		t.Errorf("seen %v", tos)
	}
}

func TestWatcherFetchesTheShardAgain(t *testing.T) {
	for _, tt := range []struct {
		name     string
		say      func(p *peer)
		diverged int64
		resyncs  int64
	}{
		{"when a check differs", func(p *peer) { p.say(wire.Check{Seq: 10, CRC: 1}) }, 1, 0},
		{"when a batch is not canonical", func(p *peer) { p.say(wire.Batch{Param: 1, Advance: 1, Payload: []byte{0, 0, 0, 0}}) }, 1, 0},
		{"when a catch-up is not for its copy", func(p *peer) { p.say(catchUp(40, 41)) }, 0, 0},
		{"when the server says so", func(p *peer) { p.say(wire.Resync{Reason: wire.ResyncTooOld, Shards: []uint8{0}}) }, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t)
			w, p := startWatcher(t, r)
			p.say(catchUp(10, 10))
			w.reach(t, 10)
			px := pixels{1, 2, 3}
			r.serve(wire.CanvasShard{Seq: 50, Packed: px.packed()})
			tt.say(p)
			wantWatch(t, p, true, 50, tt.diverged > 0)
			p.say(px.batch(9, 9, 1)) // still of the old watch: ignored
			px[9] = 0
			p.say(catchUp(50, 50))
			p.say(px.batch(4, 4, 1))
			w.reach(t, 51)
			w.end(t, px)
			if w.Diverged.Load() != tt.diverged || w.Resyncs.Load() != tt.resyncs || r.server.Fetches() != 2 {
				t.Errorf("%d diverged, %d resyncs, %d fetches", w.Diverged.Load(), w.Resyncs.Load(), r.server.Fetches())
			}
		})
	}
}

func TestWatcherNeverResumesOnAnotherCanvas(t *testing.T) {
	r := newRig(t)
	w, p := startWatcher(t, r)
	p.say(wire.Resync{Reason: wire.ResyncOtherCanvas, Shards: []uint8{0}})
	if err := <-w.ended; !permanent(err) {
		t.Errorf("Run = %v", err)
	}
}

// Watchers of one crowd decode a batch once, but only for copies at one seq.
func TestDecoderSharesOnlyWhatIsTheSame(t *testing.T) {
	var d Decoder
	b := (&pixels{}).batch(3, 9, 1)
	msg := b.AppendTo(nil)
	decode := func(s *Shard) []wire.Pixel {
		px, err := d.decode(s, msg, b)
		if err != nil || len(px) != 1 || px[0] != (wire.Pixel{Index: 3, Color: 9}) {
			t.Fatalf("%v, %v", px, err)
		}
		return px
	}
	one := decode(&Shard{Seq: 4, View: pixels{}.view()})
	if two := decode(&Shard{Seq: 4, View: pixels{}.view()}); &two[0] != &one[0] {
		t.Error("the same batch was decoded twice")
	}
	if three := decode(&Shard{Seq: 5, View: pixels{}.view()}); &three[0] == &one[0] {
		t.Error("a copy at another seq got the pixels of this one")
	}
}

// A watcher whose server is gone resumes at the next one, and fetches from there
// when it has to.
func TestWatcherGoesToTheNextServer(t *testing.T) {
	a, b := newRig(t), newRig(t)
	w, p := startWatcher(t, a, b.server)
	var px pixels
	p.say(catchUp(10, 10))
	p.say(px.batch(5, 3, 2))
	w.reach(t, 12)
	during := w.Canvas()
	p.cut()
	p, _ = b.accept()
	wantWatch(t, p, true, 12, false)
	p.say(catchUp(12, 12))
	p.say(px.batch(6, 4, 1<<20)) // a take-over: the seq jumps, nothing else
	w.reach(t, 12+1<<20)
	px[9] = 9
	b.serve(wire.CanvasShard{Seq: 2 << 20, Packed: px.packed()})
	p.say(wire.Resync{Reason: wire.ResyncTooOld, Shards: []uint8{0}})
	wantWatch(t, p, true, 2<<20, false)
	p.say(catchUp(2<<20, 2<<20))
	p.say(px.batch(1, 1, 1))
	w.reach(t, 2<<20+1)
	w.end(t, px)
	if a.server.Fetches() != 1 || b.server.Fetches() != 1 || w.Reconnects.Load() != 1 || w.Resyncs.Load() != 1 {
		t.Errorf("%d and %d fetches, %d reconnects, %d resyncs", a.server.Fetches(), b.server.Fetches(), w.Reconnects.Load(), w.Resyncs.Load())
	}
	if s := during.Shards[0]; s.Seq != 12 || s.View.At(5) != 3 || s.View.At(6) != 0 {
		t.Errorf("the copy that was taken at seq 12 is at %d and has %x", s.Seq, s.View.Pix)
	}
}

// A server whose canvas is ahead of its batches says resync until they meet.
func TestWatcherAsksAgainUntilTheServerIsInStep(t *testing.T) {
	r := newRig(t)
	w, p := startWatcher(t, r)
	for range 3 {
		p.say(wire.Resync{Reason: wire.ResyncTooOld, Shards: []uint8{0}})
		wantWatch(t, p, true, 10, false)
	}
	p.say(catchUp(10, 11))
	w.reach(t, 11)
	w.end(t, pixels{})
	if w.Resyncs.Load() != 3 || w.repairs != 0 {
		t.Errorf("%d resyncs, %d repairs are not forgotten", w.Resyncs.Load(), w.repairs)
	}
}

// The copy may be taken while it changes.
func TestACopyIsWholeAtAnyTime(t *testing.T) {
	r := newRig(t)
	w, p := startWatcher(t, r)
	p.say(catchUp(10, 10))
	taken := make(chan *Canvas)
	go func() {
		defer close(taken)
		for w.Head(0) < 200 {
			taken <- w.Canvas()
		}
	}()
	var px pixels
	said := make(chan struct{})
	go func() {
		defer close(said)
		for seq := uint64(11); seq <= 200; seq++ {
			p.say(px.batch(uint32(seq%16), uint8(seq%16)^px[seq%16]^uint8(seq/16%2+1), 1))
		}
	}()
	var last uint64
	for c := range taken {
		// Batch n is the nth change: a copy at seq n has been folded n - 10 times.
		var want pixels
		for seq := uint64(11); seq <= c.Shards[0].Seq; seq++ {
			want[seq%16] ^= uint8(seq%16) ^ uint8(seq/16%2+1)
		}
		if string(c.Shards[0].View.Pix) != string(want.packed()) {
			t.Fatalf("the copy at seq %d is %x, want %x", c.Shards[0].Seq, c.Shards[0].View.Pix, want.packed())
		}
		if c.Shards[0].Seq < last {
			t.Fatalf("seq %d after %d", c.Shards[0].Seq, last)
		}
		last = c.Shards[0].Seq
	}
	<-said
	w.reach(t, 200)
	w.end(t, px)
}
