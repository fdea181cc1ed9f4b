package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
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
	"pixelwall/edge/session"
	"pixelwall/edge/token"
	"pixelwall/edge/web"
	"pixelwall/persist/embedded"
	"pixelwall/wire"
)

// An edge is all parts of one running process.
//
//	gateway -> session -> store (sequencer, log) -> hub -> gateway
//	gateway -> api -> hub (canvas), store (history), token (sessions), web (page)
type edge struct {
	s   settings
	log *slog.Logger

	store    *embedded.Store
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
	if err := e.open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.store.Close()) }()
	if err := e.build(ctx); err != nil {
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
	parts.Go(func() { e.session.Run(serving) })
	if err := e.listen(); err != nil {
		stop(err)
		parts.Wait()
		return err
	}
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
	e.goodbye(stopServing)
	stop(nil)
	parts.Wait()
	return err
}

// open opens the canvas, or makes it.
func (e *edge) open(ctx context.Context) error {
	s := &e.s
	palette := s.palette
	if palette == nil {
		palette, _ = core.NamedPalette(defaultPalette)
	}
	config := core.Config{
		Version: 1, Width: defaultSide, Height: defaultSide, Bits: core.BitsFor(len(palette)),
		Blank: core.BlankOf(palette), Palette: palette, CooldownMS: defaultCooldownMS, BurstMax: 1,
	}
	if s.width > 0 {
		config.Width, config.Height = s.width, s.height
	}
	if s.cooldownMS != nil {
		config.CooldownMS = *s.cooldownMS
	}
	create := embedded.Create{Canvas: randomID(), Config: config}
	if s.StartCanvas != "" {
		first, err := readStart(s.StartCanvas, palette)
		if err != nil {
			return err
		}
		g := first.board.Geometry()
		create.Config.Width, create.Config.Height = g.Width, g.Height
		create.Start, create.StartHash = first.board, first.hash
	}
	var err error
	if e.store, err = embedded.Open(embedded.Options{Dir: s.Data, Create: create, Logger: e.log}); err != nil {
		return fmt.Errorf("--data %s: %w", s.Data, err)
	}
	change, err := e.store.Check(embedded.Want{
		Width: s.width, Height: s.height, Palette: s.palette, StartHash: create.StartHash, CooldownMS: s.cooldownMS,
	})
	if err == nil && change != nil {
		err = e.store.Configure(ctx, *change)
	}
	if err != nil {
		return errors.Join(err, e.store.Close())
	}
	return nil
}

func randomID() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails; the program would end
	return binary.LittleEndian.Uint64(b[:]) | 1
}

// build makes every part and ties it to the others; nothing runs yet.
func (e *edge) build(ctx context.Context) (err error) {
	keyFile := e.s.KeyFile
	if keyFile == "" {
		keyFile = filepath.Join(e.s.Data, "guest-keys")
	}
	if e.keys, err = token.LoadOrCreateKeys(keyFile, rand.Reader); err != nil {
		return err
	}
	base, err := e.base(ctx)
	if err != nil {
		return err
	}
	ringFrom, err := e.ringFrom(ctx)
	if err != nil {
		return err
	}
	if e.hub, err = fanout.NewHub(fanout.Options{
		Log: e.store, Base: base, RingFrom: ringFrom, TickEvery: e.s.tick, RingAge: e.s.RingAge, RingBytes: e.s.RingBytes,
		CheckEach: time.Minute, NowMS: nowMS, Logger: e.log,
		Broadcast: func(b *gateway.Broadcast) {
			if !e.gateway.Load().Broadcast(b) {
				e.log.Error("a loop refused a broadcast that had room") // Room was asked first, so this is a bug of ours
			}
		},
		Room:    func() bool { g := e.gateway.Load(); return g != nil && g.Queued() < broadcastsMax-3 },
		Say:     func() []byte { return e.session.Say() },
		Changed: e.changed,
	}); err != nil {
		return err
	}
	path := "/api/v1/canvas"
	if e.s.CanvasURL != "" {
		path = strings.TrimSuffix(e.s.PublicURL, "/") + path // it redirects to the CDN, version by version
	}
	e.session = session.New(session.Options{
		Hub: e.hub, Sequencer: e.store, Cooldowns: e.store.Cooldowns(), Verify: e.verify,
		ReadOnly: func() bool { return e.store.State().Mode != embedded.OK },
		Online:   e.online,
		NowMS:    nowMS, CanvasID: e.store.CanvasID(), CanvasURL: path, Build: version(), Logger: e.log,
	})
	return e.buildAPI()
}

func (e *edge) buildAPI() (err error) {
	e.registry = prometheus.NewRegistry()
	page := web.Handler(web.Options{})
	e.api, err = api.New(api.Options{
		Canvas: e.hub, CanvasID: e.store.CanvasID(), History: e.store.History(), Sessions: token.NewIssuer(e.keys, token.NewBudget(e.s.GuestsPerHour), rand.Reader),
		User:        func(uid uint64) (uint64, string) { return e.keys.PublicID(uid), e.keys.Name(uid) },
		Health:      e.health,
		ClientAddr:  e.clientAddr,
		AllowOrigin: func(host, origin string) bool { return gateway.OriginAllowed(host, origin, e.s.Origin) },
		Configure:   e.store.Configure,
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
		AdminToken: e.s.AdminToken, HasAdmin: e.s.AdminListen != "",
	})
	if err != nil {
		return err
	}
	return registerMetrics(e)
}

// base returns the board that the hub begins with: the newest snapshot, or the
// canvas before the first event.
func (e *edge) base(ctx context.Context) (*core.Snapshot, error) {
	base, err := e.store.Snapshots().Latest(ctx)
	if err != nil && core.CodeOf(err) == core.CodeNotFound {
		return e.beginning(ctx)
	}
	return base, err
}

// beginning reads the start records, with which the log of every shard begins.
func (e *edge) beginning(ctx context.Context) (*core.Snapshot, error) {
	first := &core.Snapshot{Canvas: e.store.CanvasID()}
	errAll := errors.New("all start records were read")
	missing := -1
	err := e.store.Tail(ctx, core.Heads{}, func(r *core.Record) error {
		if r.Kind != core.KindStart {
			return nil
		}
		if missing < 0 {
			first.Config = *r.Config
			first.Config.Palette = slices.Clone(r.Config.Palette)
			missing = len(first.Config.Geometry().Shards())
		}
		first.Shards[r.Shard], first.Times[r.Shard] = slices.Clone(r.Pixels), r.TimeMS
		if missing--; missing == 0 {
			return errAll
		}
		return nil
	})
	if errors.Is(err, errAll) {
		return first, nil
	}
	return nil, err
}

// ringFrom returns where the events begin that a client may resume from. The
// index may have lost its last seconds, which only makes the ring longer; a
// snapshot bounds how much longer.
func (e *edge) ringFrom(ctx context.Context) (core.Heads, error) {
	since := nowMS() - e.s.RingAge.Milliseconds()
	heads, err := e.store.History().HeadsAt(ctx, since)
	if err != nil && core.CodeOf(err) != core.CodeUnavailable { // on a full disk there may be no index
		return heads, err
	}
	old, err := e.store.Snapshots().At(ctx, since)
	switch {
	case err == nil:
		for s := range heads {
			heads[s] = max(heads[s], old.Heads[s])
		}
	case core.CodeOf(err) != core.CodeNotFound:
		return heads, err
	}
	return heads, nil
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

// changed tells every client of a new configuration.
func (e *edge) changed(c *core.Config, grown bool) []byte {
	if grown {
		e.gateway.Load().Each(e.session.Grown)
	}
	return e.session.ConfigFrame(c)
}

// broadcastsMax is how many broadcasts may wait on a loop before a tick waits.
const broadcastsMax = 16

// listen opens the public port and, if asked for, the admin one.
func (e *edge) listen() error {
	g, err := gateway.Start(gateway.Config{
		Addr: e.s.Listen, Subprotocol: wire.Subprotocol, HTTP: e.api.ServeConn,
		MessagesPerSecond: e.s.MessagesPerSec, MessageBurst: e.s.MessageBurst, PingEvery: e.s.PingEvery, DeadAfter: e.s.DeadAfter,
		StuckAfter: e.s.StuckAfter, BacklogBytes: e.s.BacklogBytes, BroadcastsMax: broadcastsMax,
		ConnsMax: e.s.ConnsMax, ConnsPerAddress: e.s.ConnsPerAddress, Origins: e.s.Origin, TrustedProxies: e.s.proxies, Logger: e.log,
	}, e.session)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	e.gateway.Store(g)
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
	state := e.store.State()
	h := api.Health{Status: api.StatusOK, Connections: e.online(), Dependencies: map[string]string{"store": state.Mode.String()}, Reason: state.Reason}
	switch {
	case e.draining.Load():
		h.Status, h.Reason = api.StatusDraining, "this server goes away"
	case state.Mode != embedded.OK:
		h.Status = api.StatusReadOnly
	}
	return h
}

// goodbye refuses what is new, lets every client know when to come back, and
// waits at most --drain for it. With nobody connected it takes no time.
func (e *edge) goodbye(stopServing func()) {
	g := e.gateway.Load()
	e.draining.Store(true)
	e.session.Drain()
	g.Drain()
	limit, cancel := context.WithTimeout(context.Background(), e.s.Drain)
	defer cancel()
	stopServing() // placements under way are answered before their connections close
	spreadMS := uint64(min(30_000, 100+10*g.Conns()))
	g.Each(func(c *gateway.Conn) { e.session.Bye(c, 0, spreadMS) })
	if err := g.Stop(limit); err != nil {
		e.log.Warn("some connections were cut", "err", err)
	}
	if err := e.api.Shutdown(limit); err != nil {
		e.log.Warn("some requests were cut", "err", err)
	}
	if e.admin != nil {
		_ = e.admin.ShutdownWithContext(limit)
	}
}

func nowMS() int64 { return time.Now().UnixMilli() }
