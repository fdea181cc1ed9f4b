package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"pixelwall/core"
	"pixelwall/edge/api"
	"pixelwall/edge/fanout"
	"pixelwall/edge/gateway"
	"pixelwall/edge/limit"
	"pixelwall/edge/session"
	"pixelwall/edge/token"
	"pixelwall/edge/web"
	"pixelwall/wire"
)

// An edge is all parts of one running process.
//
//	gateway -> session -> store (sequencer, log) -> hub -> gateway
//	gateway -> api -> hub (canvas), store (history), token (sessions), web (page)
type edge struct {
	s   settings
	log *slog.Logger

	store    *backend
	keys     *token.Keys
	hub      *fanout.Hub
	session  *session.Server
	api      *api.API
	gateway  atomic.Pointer[gateway.Gateway]
	admin    *fasthttp.Server
	registry *prometheus.Registry
	draining atomic.Bool

	untrusted sync.Once // the warning about a proxy that is not trusted
}

// run serves until ctx ends, says goodbye, and returns nil when all went well.
func run(ctx context.Context, s settings, out io.Writer, log *slog.Logger) (err error) {
	e := &edge{s: s, log: log}
	if !s.roles[roleGateway] {
		return e.work(ctx, out)
	}
	if e.store, err = e.openStore(ctx); err != nil || ctx.Err() != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.store.close()) }()
	if err := e.build(); err != nil {
		return err
	}

	// The parts end in the order in which work flows: nobody new, then the
	// placements under way, then the broadcasts.
	live, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	var parts sync.WaitGroup
	parts.Go(func() {
		if err := e.hub.Run(live); live.Err() == nil {
			stop(fmt.Errorf("the log ended: %w", err))
		}
	})
	select {
	case <-e.hub.Ready():
	case <-live.Done():
		return context.Cause(live)
	case <-ctx.Done():
		stop(nil)
		parts.Wait()
		return nil
	}
	serving, stopServing := context.WithCancel(live)
	defer stopServing()
	answered := make(chan struct{})
	parts.Go(func() {
		defer close(answered)
		e.session.Run(serving)
	})
	if err := e.listen(); err != nil {
		stop(err)
		parts.Wait()
		return err
	}
	parts.Go(func() { e.watchStatus(serving) })
	if s.tickAuto {
		parts.Go(func() { e.adaptTick(serving) })
	}
	e.announce(out)

	select {
	case <-ctx.Done():
	case <-live.Done():
		err = context.Cause(live)
	case <-e.gateway.Load().Done():
		err = fmt.Errorf("the gateway ended: %w", e.gateway.Load().Err())
	}
	e.draining.Store(true)
	e.session.Drain()
	stopServing()
	e.goodbye(answered)
	e.session.GiveUp()
	stop(nil)
	parts.Wait()
	return err
}

// openStore opens where the canvas is kept. It returns without one when ctx ends.
func (e *edge) openStore(ctx context.Context) (*backend, error) {
	if !e.s.clustered() {
		return e.openFolder(ctx)
	}
	c, err := e.openCluster(ctx)
	if err != nil {
		return nil, err
	}
	b, err := c.backend(ctx)
	if err != nil {
		err = errors.Join(err, c.close())
		if ctx.Err() != nil {
			return nil, nil
		}
	}
	return b, err
}

// build makes every part and ties it to the others; nothing runs yet.
func (e *edge) build() (err error) {
	if e.keys, err = token.LoadOrCreateKeys(e.s.keyFile(), rand.Reader); err != nil {
		return err
	}
	if e.hub, err = fanout.NewHub(fanout.Options{
		Log: e.store.log, Base: e.store.base, RingFrom: e.store.ringFrom, Reload: e.store.reload, Stored: e.store.stored, Armed: e.store.armed, TickEvery: e.s.tick, RingAge: e.s.RingAge, RingBytes: e.s.RingBytes,
		CheckEach: time.Minute, NowMS: nowMS, Logger: e.log,
		Broadcast: func(b *gateway.Broadcast) {
			if !e.gateway.Load().Broadcast(b) {
				e.log.Error("a loop refused a broadcast that had room") // Room was asked first, so this is a bug of ours
			}
		},
		Room:    func() bool { g := e.gateway.Load(); return g != nil && g.Queued() < broadcastsMax-3 },
		Say:     func() []byte { return e.session.Say() },
		Changed: func(c *core.Config) []byte { return e.session.ConfigFrame(c) },
		Reset: func(shards uint64, reason uint8) {
			e.gateway.Load().Each(func(c *gateway.Conn) { e.session.Reset(c, shards, reason) })
		},
	}); err != nil {
		return err
	}
	if err = e.buildAPI(); err != nil {
		return err
	}
	e.session = session.New(session.Options{
		Hub: e.hub, Sequencer: e.store.sequencer, Cooldowns: e.store.cooldowns, Verify: e.verify,
		ReadOnly: func() bool { status, _ := e.store.state(); return status == api.StatusReadOnly },
		Online:   e.online,
		Lanes:    e.store.lanes, Gather: e.store.gather,
		Resumes: e.oncePerConn(), Fresh: e.oncePerConn(),
		NowMS: nowMS, CanvasID: e.store.canvas, CanvasURL: e.api.CanvasURL(), Build: version(), Logger: e.log,
	})
	return nil
}

// oncePerConn budgets for each connection of a network all shards of the largest canvas,
// once a minute.
func (e *edge) oncePerConn() *limit.Budget {
	return limit.NewBudget(core.ShardsMax*max(0, e.s.ConnsPerAddress), time.Minute)
}

func (e *edge) buildAPI() (err error) {
	e.registry = prometheus.NewRegistry()
	pictures := api.Canvas(e.hub)
	if e.store.pictures != nil {
		pictures = e.store.pictures(e.hub)
	}
	page := web.Handler(web.Options{PublicURL: e.s.PublicURL, Size: func() (width, height int) {
		c := pictures.Config()
		return c.Width, c.Height
	}})
	e.api, err = api.New(api.Options{
		Canvas: pictures, CanvasID: e.store.canvas, History: e.store.history, Sessions: token.NewIssuer(e.keys, limit.NewBudget(e.s.GuestsPerHour, time.Hour), rand.Reader),
		User:        func(uid uint64) (uint64, string) { return e.keys.PublicID(uid), e.keys.Name(uid) },
		Health:      e.health,
		ClientAddr:  e.clientAddr,
		Lookups:     limit.NewBudget(e.s.LookupsPerMin, time.Minute),
		AllowOrigin: func(host, origin string) bool { return gateway.OriginAllowed(host, origin, e.s.Origin) },
		Configure:   e.store.sequencer.Configure,
		Upgrade: func(nc net.Conn, head []byte) {
			g := e.gateway.Load()
			if g == nil {
				nc.Close() // a moment before the start is complete
				return
			}
			if err := g.Adopt(nc, head); err != nil {
				e.log.Debug("an upgrade on an HTTP connection failed", "err", err)
			}
		},
		Page: page, TickMS: func() int64 { return e.hub.Tick().Milliseconds() },
		Metrics: e.registry, Now: time.Now, Log: e.log,
		CanvasURL: e.s.CanvasURL, PublicURL: e.s.PublicURL, FrameAncestors: strings.Join(e.s.FrameAncestors, " "),
		AdminToken: e.s.adminToken, HasAdmin: e.s.AdminListen != "",
	})
	if err != nil {
		return err
	}
	return registerMetrics(e)
}

// clientAddr tells the API whom limits per address are about.
func (e *edge) clientAddr(peer netip.Addr, headers []byte) (netip.Addr, bool) {
	if len(e.s.proxies) == 0 && peer.IsLoopback() && bytes.Contains(headers, []byte("\nX-Forwarded-For:")) {
		e.untrusted.Do(func() {
			e.log.Warn("a proxy on this machine forwards visitors, but --trusted-proxies does not name it: all of them share the limits of one address")
		})
	}
	return gateway.ClientAddr(peer, headers, e.s.proxies)
}

// online returns how many clients are connected. The first ones come before the
// gateway's start has returned.
func (e *edge) online() int {
	if g := e.gateway.Load(); g != nil {
		return g.Conns()
	}
	return 0
}

// verify tells the session who a token names.
func (e *edge) verify(text string) (session.User, error) {
	claim, err := e.keys.Verify(text, time.Now())
	if err != nil {
		return session.User{}, err
	}
	return session.User{ID: claim.UID, Public: e.keys.PublicID(claim.UID), Name: e.keys.Name(claim.UID)}, nil
}

// broadcastsMax is how many broadcasts may wait on a loop before a tick waits.
const broadcastsMax = 16

// listen opens the public port and, if asked for, the admin one.
func (e *edge) listen() error {
	g, err := gateway.Start(gateway.Config{
		Addr: e.s.Listen, Subprotocol: wire.Subprotocol, HTTP: e.api.ServeConn,
		MessagesPerSecond: e.s.MessagesPerSec, MessageBurst: e.s.MessageBurst, PingEvery: e.s.PingEvery, DeadAfter: e.s.DeadAfter,
		StuckAfter: e.s.StuckAfter, BacklogBytes: e.s.BacklogBytes, BacklogTotalBytes: e.s.BacklogTotal, BroadcastsMax: broadcastsMax,
		ConnsMax: e.s.ConnsMax, ConnsPerAddress: e.s.ConnsPerAddress, Origins: e.s.Origin, TrustedProxies: e.s.proxies, Logger: e.log,
	}, e.session)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	e.gateway.Store(g)
	e.log.Info("the gateway listens", "addr", g.Addr(), "sender", g.Stats().Sender)
	if e.s.AdminListen == "" {
		return nil
	}
	l, err := net.Listen("tcp", e.s.AdminListen)
	if err != nil {
		return errors.Join(fmt.Errorf("--admin-listen: %w", err), g.Stop(context.Background()))
	}
	e.log.Info("admin API", "addr", l.Addr())
	e.admin = e.api.AdminServer()
	go func() {
		if err := e.admin.Serve(l); err != nil {
			e.log.Error("the admin listener ended", "err", err)
		}
	}()
	return nil
}

// health is what /api/v1/health and /readyz tell.
func (e *edge) health() api.Health {
	status, _ := e.store.state()
	h := api.Health{Status: status, Connections: e.online(), Dependencies: e.store.health()}
	if e.draining.Load() {
		h.Status = api.StatusDraining
	}
	return h
}

// goodbye refuses what is new, lets every client know when to come back, and
// waits at most --drain for it. With nobody connected it takes no time.
func (e *edge) goodbye(answered <-chan struct{}) {
	g := e.gateway.Load()
	g.Drain()
	limit, cancel := context.WithTimeout(context.Background(), e.s.Drain)
	defer cancel()
	select {
	case <-answered: // placements under way, before their connections close
	case <-limit.Done():
	}
	spreadMS := uint64(min(30_000, 100+10*g.Conns()))
	g.Each(func(c *gateway.Conn) { e.session.Bye(c, 0, spreadMS) })
	if err := e.api.Shutdown(limit); err != nil {
		e.log.Warn("some requests were cut", "err", err)
	}
	if err := g.Stop(limit); err != nil {
		e.log.Warn("some connections were cut", "err", err)
	}
	if e.admin != nil {
		_ = e.admin.ShutdownWithContext(limit)
	}
}

func nowMS() int64 { return time.Now().UnixMilli() }
