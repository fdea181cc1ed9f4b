package client

import (
	"context"
	"math/rand/v2"
	"time"

	"pixelwall/wire"
)

// Rotated returns servers beginning with number n, counted round and round, so
// that many clients spread over them and each still knows all.
func Rotated(servers []*Server, n int) []*Server {
	first := n % len(servers)
	all := make([]*Server, 0, len(servers))
	return append(append(all, servers[first:]...), servers[:first]...)
}

// lastedMin is how long a connection must have lasted for the tries to be
// counted anew.
const lastedMin = 10 * time.Second

// A route says at which of its servers a client is, and when it tries the next.
type route struct {
	servers []*Server
	at      int
	tries   int       // since a connection lasted
	arrived time.Time // zero while there is no connection
}

func (r *route) server() *Server { return r.servers[r.at] }

// arrive notes that the server took the client in.
func (r *route) arrive() { r.arrived = time.Now() }

// leave goes on to the next server, after the wait that PROTOCOL.md asks for:
// that of bye when the server said one, else a random time that doubles.
func (r *route) leave(ctx context.Context, bye wire.Bye) error {
	r.tries = triesNow(r.tries, r.arrived, time.Now())
	r.arrived = time.Time{}
	r.at = (r.at + 1) % len(r.servers)
	low, high := waitRange(r.tries, bye)
	return Pause(ctx, low+time.Duration(rand.Int64N(int64(max(1, high-low)))))
}

// triesNow counts one more try, or begins again when the connection that was
// made at arrived has lasted.
func triesNow(tries int, arrived, now time.Time) int {
	if !arrived.IsZero() && now.Sub(arrived) >= lastedMin {
		return 1
	}
	return tries + 1
}

// waitRange returns the least and the most that is waited before try n, from 1.
func waitRange(n int, bye wire.Bye) (low, high time.Duration) {
	if bye.WaitMaxMS > 0 {
		return time.Duration(bye.WaitMinMS) * time.Millisecond, time.Duration(bye.WaitMaxMS) * time.Millisecond
	}
	return 0, min(30*time.Second, time.Second/2<<min(n, 10))
}

// Pause waits for d, or returns why ctx ended.
func Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
