package redis

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"pixelwall/core"
	"pixelwall/tools/stack/stacktest"
)

// A gate is a way to a Redis that can be shut: what comes meanwhile, from either
// side, waits there, and goes on when it is opened.
type gate struct {
	t    testing.TB
	l    net.Listener
	to   string
	done sync.WaitGroup

	mu    sync.Mutex // protects following
	shut  chan struct{}
	text  []byte // the gate shuts behind the request number left with this in it
	left  int
	conns []net.Conn
}

// newGate returns an open gate to the shared Redis, and options that lead through it.
func newGate(t testing.TB) (*gate, Options) {
	t.Helper()
	o := testOptions(t)
	o.CommandTimeout = shortly
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{t: t, l: l, to: stacktest.Redis(t)}
	g.done.Go(g.serve)
	t.Cleanup(func() {
		l.Close()
		g.cut()
		g.open()
		g.done.Wait()
	})
	o.Addrs = []string{l.Addr().String()}
	return g, o
}

func (g *gate) serve() {
	for {
		from, err := g.l.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", g.to)
		if err != nil {
			from.Close()
			continue
		}
		g.mu.Lock()
		g.conns = append(g.conns, from)
		g.mu.Unlock()
		g.done.Go(func() { g.carry(to, from, true) })
		g.done.Go(func() { g.carry(from, to, false) })
	}
}

// carry ends with either side; what a client sent before it hung up still arrives.
func (g *gate) carry(to, from net.Conn, requests bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if wait := g.pass(buf[:n], requests); wait != nil {
				<-wait
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass returns what some bytes have to wait for.
func (g *gate) pass(b []byte, requests bool) (wait chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if wait = g.shut; wait != nil || !requests || g.left == 0 {
		return wait
	}
	if g.left = max(0, g.left-bytes.Count(b, g.text)); g.left == 0 {
		g.shut = make(chan struct{}) // behind these bytes
	}
	return nil
}

// closeBehind shuts the gate behind the next request number n with text in it: that
// one is carried out, and its answer waits.
func (g *gate) closeBehind(text string, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.text, g.left = []byte(text), n
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

// cut ends every connection of a client.
func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.conns {
		c.Close()
	}
	g.conns = nil
}

// Redis falls silent within a call: what it answered before is told, and of the
// rest nobody says that it is not stored.
func TestWhatIsKnownIsToldBesideWhatIsNot(t *testing.T) {
	g, o := newGate(t)
	direct := o
	direct.Addrs = []string{g.to}
	keepArmed(t, open(t, direct), testConfig())
	o.ResendFor = o.CommandTimeout
	c := open(t, o)
	outcomes(t, c, crowd(0, 1)...) // it knows the fence and the configuration
	g.closeBehind(fnPlace, 2)
	ps := crowd(0, batchSize+8)
	ps = append(ps, crowd(63, 1)...) // a shard that the canvas has not
	first := outcomes(t, c, ps...)
	for i, o := range first {
		switch {
		case i < batchSize && (o.Err != nil || o.Unknown):
			t.Fatalf("placement %d was answered, and the outcome is %+v", i, o)
		case i >= batchSize && i < batchSize+8 && (!o.Unknown || o.Err == nil):
			t.Fatalf("placement %d was not answered, and the outcome is %+v", i, o)
		}
	}
	if refusedWith(t, first[batchSize+8], core.CodeUnknownShard); first[batchSize+8].Unknown {
		t.Error("a shard that there is not is unknown")
	}
	if n := c.Stats().Unknown; n != 8 {
		t.Errorf("%d are counted as unknown", n)
	}
	g.open()
	ps = ps[:batchSize+8]
	var again []core.Outcome
	until(t, "all is told", func() bool {
		again = outcomes(t, c, ps...)
		return again[0].Err == nil && again[batchSize].Err == nil
	})
	for i, o := range again {
		if !o.Repeated || i < batchSize && o.Seq != first[i].Seq {
			t.Errorf("placement %d is %+v, it was %+v", i, o, first[i])
		}
	}
}

// A client is closed while a batch is with Redis, as when another server is the
// master, and then its connection breaks: the batch was carried out all the same.
func TestABatchOfAClientThatIsClosedMayBeStored(t *testing.T) {
	g, o := newGate(t)
	direct := o
	direct.Addrs = []string{g.to}
	watch := open(t, direct)
	keepArmed(t, watch, testConfig())
	c := open(t, o)
	outcomes(t, c, crowd(0, 1)...)
	before, err := watch.Outbox().Stand(t.Context(), 0)
	must(t, err)
	old, err := c.link.get()
	must(t, err)
	g.closeBehind(fnPlace, 1)
	told := make(chan core.Outcome, 1)
	go func() {
		out := make([]core.Outcome, 1)
		if err := c.Sequencer().Place(t.Context(), crowd(0, 1), out); err != nil {
			t.Errorf("Place: %v", err)
		}
		told <- out[0]
	}()
	until(t, "it is stored", func() bool {
		now, err := watch.Outbox().Stand(t.Context(), 0)
		return err == nil && now.Seq > before.Seq
	})
	other, err := c.link.single(g.to)
	must(t, err)
	c.link.use(other, g.to)
	until(t, "the client is closed", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond) // one that was sent before has no answer
		defer cancel()
		return old.Do(ctx, old.B().Ping().Build()).Error() == rueidis.ErrClosing
	})
	g.cut()
	if o := <-told; o.Err != nil || !o.Repeated || o.Seq != before.Seq+1 {
		t.Errorf("%+v, want that it was stored as seq %d", o, before.Seq+1)
	}
}
