package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/core/coretest"
	"pixelwall/tools/stack/servers"
	"pixelwall/tools/stack/stacktest"
)

const (
	testCanvas = 0x5eed
	patience   = 20 * time.Second
)

// testConfig is a canvas of four shards, three of them filled in part.
func testConfig() core.Config {
	p, _ := core.NamedPalette("place2017")
	return core.Config{Version: 1, Width: 600, Height: 520, Bits: 4, Palette: p, BurstMax: 1}
}

// shortly is a CommandTimeout where a server falls silent on purpose.
const shortly = 500 * time.Millisecond

// testOptions lead to the shared server, under keys that nobody else has. It always
// answers, however long its disk takes.
func testOptions(t testing.TB) Options {
	t.Helper()
	return Options{Addrs: []string{stacktest.Redis(t)}, Prefix: fmt.Sprintf("t%016x", rand.Uint64()), PollEvery: 2 * time.Millisecond, CommandTimeout: patience, slow: true}
}

func open(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// until waits for something that must happen sooner or later.
func until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !cond() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// takeOver does for one shard what a relay does where the stream is the log, with
// the stream's pixels as they are. after is the fence that it knows of.
func takeOver(ctx context.Context, o *Outbox, s core.ShardID, relay uint64, config *core.Config, after *uint32) error {
	st, err := o.Stand(ctx, s)
	if err != nil || st.Armed && st.Epoch >= *after {
		return err
	}
	epoch := max(st.Epoch, *after) + 1
	*after = epoch
	if _, err := o.Fence(ctx, s, epoch); err != nil {
		return err
	}
	if st.Canvas == 0 {
		g := config.Geometry()
		b := core.Base{Canvas: testCanvas, Config: config, Pixels: core.NewBoard(g, config.Blank).Pixels(s)}
		if err := o.Rebuild(ctx, s, epoch, b); err != nil {
			return err
		}
	}
	return o.Arm(ctx, s, core.Holder{Epoch: epoch, Relay: relay}, core.EpochSeq(epoch), st.Top)
}

// keepArmed takes over every shard of the canvas again and again, as it grows,
// until the test ends.
func keepArmed(t testing.TB, c *Client, config core.Config) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	armed := make(chan struct{})
	done.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		relay, first := rand.Uint64(), true
		var epochs [core.ShardsMax]uint32
		for {
			var failed error
			if present, err := c.readConfig(ctx, 0); err == nil && present != nil {
				config = *present
			}
			for _, s := range config.Geometry().Shards() {
				if err := takeOver(ctx, c.Outbox(), s, relay, &config, &epochs[s]); err != nil {
					failed = err
				}
			}
			if failed == nil && first {
				first = false
				close(armed)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	stop = func() { cancel(); done.Wait() }
	t.Cleanup(stop)
	select {
	case <-armed:
	case <-time.After(patience):
		t.Fatal("the shards could not be armed")
	}
	return stop
}

func openContract(t *testing.T, s coretest.Setup) *coretest.Store {
	g, o := newGate(t)
	o.ResendFor = o.CommandTimeout
	c := open(t, o)
	keepArmed(t, c, s.Config)
	st := contractStore(t, c)
	st.Lose = func() (heal func()) {
		g.closeBehind(fnPlace, 2)
		return g.open
	}
	return st
}

func contractStore(t *testing.T, c *Client) *coretest.Store {
	return &coretest.Store{
		Sequencer: c.Sequencer(), Log: c.Stream(), Cooldowns: c.Cooldowns(), Canvas: testCanvas, RealTime: true,
		Trim: func(heads core.Heads) {
			for s, head := range heads {
				if head == 0 {
					continue
				}
				st, err := c.Outbox().Stand(t.Context(), core.ShardID(s))
				if err == nil {
					err = c.Outbox().Trim(t.Context(), core.ShardID(s), st.Epoch, head+1)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		},
	}
}

// outcomes places ps, which must be decided.
func outcomes(t testing.TB, c *Client, ps ...core.Placement) []core.Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out := make([]core.Outcome, len(ps))
	if err := c.Sequencer().Place(ctx, ps, out); err != nil {
		t.Fatalf("Place of %d: %v", len(ps), err)
	}
	return out
}

func placement(x, y, color int, user uint64, r core.Request) core.Placement {
	s, off := core.Locate(x, y)
	return core.Placement{Shard: s, Offset: off, Color: uint8(color), User: user, Request: r}
}

var errEnough = errors.New("enough")

// ownServers starts servers that the test may kill.
func ownServers(t testing.TB, o servers.RedisOptions) *servers.Stack {
	t.Helper()
	return stacktest.Own(t, servers.Options{Redis: &o})
}

// ownServer returns a client of a server that nobody else uses.
func ownServer(t testing.TB, extra ...string) *Client {
	t.Helper()
	c, _ := ownServerToKill(t, extra...)
	return c
}

func ownServerToKill(t testing.TB, extra ...string) (*Client, *servers.Server) {
	t.Helper()
	stack := ownServers(t, servers.RedisOptions{Extra: extra})
	return open(t, Options{Addrs: []string{stack.Redis[0].Addr()}, PollEvery: 2 * time.Millisecond, CommandTimeout: shortly}), stack.Redis[0]
}
