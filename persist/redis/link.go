package redis

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

const (
	silenceMax   = 500 * time.Millisecond // of a connection that was asked something, be it a ping
	dialTimeout  = 500 * time.Millisecond
	connectEvery = 250 * time.Millisecond
	// inFlightMax bounds the commands that wait for an answer below the ring of a
	// connection: a full ring holds callers beyond their deadline (rueidis#858).
	inFlightMax = 512
)

// A link is the way to one Redis, whatever form that has. It is there before the
// server is: commands fail until a connection was made in the background.
type link struct {
	opts   *Options
	addrs  []string
	client atomic.Pointer[rueidis.Client]
	slots  chan struct{}
	wake   chan struct{} // look whether another server is the master
	uses   atomic.Int64  // counts the clients
	doubt  atomic.Int64  // the client whose master was deposed: any other master is better
	tried  chan struct{} // closed after the first try to connect

	invalidations atomic.Int64
	mu            sync.Mutex
	master        string // the server that client talks to, where we choose it
}

func newLink(o *Options, addrs []string) *link {
	return &link{opts: o, addrs: addrs, slots: make(chan struct{}, inFlightMax), wake: make(chan struct{}, 1), tried: make(chan struct{})}
}

// get returns the client, or errDown.
func (l *link) get() (rueidis.Client, error) {
	if c := l.client.Load(); c != nil {
		return *c, nil
	}
	return nil, errDown
}

// with runs f with a client, a slot and a deadline.
func (l *link) with(ctx context.Context, f func(context.Context, rueidis.Client) error) error {
	c, err := l.get()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, l.opts.CommandTimeout)
	defer cancel()
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return errInFlight
	}
	if err = f(ctx, c); moveOn(err) {
		l.look()
	}
	return err
}

// look lets keep see whether another server is the master now.
func (l *link) look() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// lookElsewhere is look by somebody who has heard of the master of client use that it
// was deposed. It has no effect when another one is in use by now.
func (l *link) lookElsewhere(use int64) {
	if use == l.uses.Load() {
		l.doubt.Store(use)
		l.look()
	}
}

// keep connects, and stays with the master where servers are replicated, until ctx
// ends.
func (l *link) keep(ctx context.Context) {
	tick := time.NewTicker(connectEvery)
	defer tick.Stop()
	defer l.close()
	warned := ""
	for first := true; ; first = false {
		err := l.step(ctx)
		if first {
			close(l.tried)
		}
		if text := errorText(err); text != warned {
			warned = text
			if err != nil {
				l.opts.Logger.Warn("Redis cannot be reached; it is tried again", "addrs", l.addrs, "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if l.client.Load() != nil {
			select {
			case <-ctx.Done():
				return
			case <-l.wake:
			}
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (l *link) close() {
	if c := l.client.Swap(nil); c != nil {
		(*c).Close()
	}
}

// step makes the first connection, or the one to another master.
func (l *link) step(ctx context.Context) error {
	if l.client.Load() == nil {
		c, master, err := l.connect(ctx)
		if err != nil {
			return err
		}
		l.use(c, master)
		return nil
	}
	l.mu.Lock()
	present := l.master
	l.mu.Unlock()
	if present == "" {
		return nil // rueidis follows a Cluster itself
	}
	favourite := present
	if l.doubt.CompareAndSwap(l.uses.Load(), 0) {
		favourite = ""
	}
	master := l.findMaster(ctx, favourite, present)
	if master == "" || master == present {
		return nil
	}
	c, err := l.single(master)
	if err != nil {
		return err
	}
	l.opts.Logger.Info("another Redis server is the master", "addr", master, "before", present)
	l.use(c, master)
	return nil
}

func (l *link) use(c rueidis.Client, master string) {
	l.mu.Lock()
	l.master = master
	l.mu.Unlock()
	old := l.client.Swap(&c)
	l.uses.Add(1)
	if old != nil {
		go (*old).Close() // it waits for what is in flight
	}
}

// connect finds out what the addresses are. master is the one that was chosen of
// several servers, empty where rueidis chooses or there is one.
func (l *link) connect(ctx context.Context) (c rueidis.Client, master string, err error) {
	c, err = rueidis.NewClient(l.option(l.addrs))
	if err == nil || len(l.addrs) == 1 || !strings.Contains(strings.ToUpper(err.Error()), "CLUSTER") {
		return c, "", err
	}
	if master = l.findMaster(ctx, "", ""); master == "" {
		return nil, "", errors.New("none of the addresses is a master")
	}
	c, err = l.single(master)
	return c, master, err
}

func (l *link) single(addr string) (rueidis.Client, error) {
	o := l.option([]string{addr})
	o.ForceSingleClient = true
	c, err := rueidis.NewClient(o)
	if err != nil && c != nil {
		c.Close()
	}
	return c, err
}

// findMaster returns the address of the master. Of several, as after a failover that
// one was not told of, it is the one that has more replicas; of equals favourite comes
// first and last comes last.
func (l *link) findMaster(ctx context.Context, favourite, last string) (best string) {
	most := -1
	for _, addr := range l.addrs {
		replicas := l.replicas(ctx, addr)
		if replicas > most || replicas == most && replicas >= 0 && (addr == favourite || best == last && favourite == "") {
			best, most = addr, replicas
		}
	}
	return best
}

// replicas returns how many replicas the master at addr has, -1 when it is none.
func (l *link) replicas(ctx context.Context, addr string) int {
	c, err := l.single(addr)
	if err != nil {
		return -1
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, l.opts.CommandTimeout)
	defer cancel()
	role, err := c.Do(ctx, c.B().Role().Build()).ToArray()
	if err != nil || len(role) < 3 {
		return -1
	}
	if name, _ := role[0].ToString(); name != "master" {
		return -1
	}
	replicas, _ := role[2].ToArray()
	return len(replicas)
}

func (l *link) option(addrs []string) rueidis.ClientOption {
	return rueidis.ClientOption{
		InitAddress: addrs, Username: l.opts.Username, Password: l.opts.Password,
		ClientName: "pixelwall", ConnWriteTimeout: max(silenceMax, l.opts.CommandTimeout), DisableRetry: true,
		Dialer:            net.Dialer{Timeout: dialTimeout, KeepAlive: time.Second},
		RingScaleEachConn: 10, PipelineMultiplex: 1, ClientNoEvict: true,
		ReadBufferEachConn: 64 << 10, WriteBufferEachConn: 64 << 10,
		OnInvalidations: func(keys []rueidis.RedisMessage) { l.invalidations.Add(int64(len(keys))) },
	}
}
