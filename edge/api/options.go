package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"pixelwall/core"
	"pixelwall/edge/limit"
	"pixelwall/edge/token"
)

// A Canvas is what the API shows; fanout.Hub is one. All methods may be called
// concurrently.
type Canvas interface {
	// Config returns the present configuration. Nobody changes what it points to.
	Config() *core.Config
	// Heads returns the seqs at the last tick boundary.
	Heads() core.Heads
	// Snapshot returns the canvas at the last tick boundary, Config and Times of
	// the same moment included, or nil while it is not known yet.
	//
	// Ownership: the snapshot is a fresh copy and the caller's to keep.
	Snapshot() *core.Snapshot
}

// A Resetter is a Canvas that may take back what it gave: clients are told to
// fetch it again, and must not get what was made before that.
type Resetter interface {
	// Resets returns how often that happened.
	Resets() uint64
}

// Sessions makes guests; token.Issuer does it.
type Sessions interface {
	Issue(addr netip.Addr, exempt bool, now time.Time) (token.Guest, error)
	Renew(token string, now time.Time) (token.Guest, error)
}

// Options are what an API stands on. The first group is needed, the rest may be left out.
type Options struct {
	Canvas   Canvas
	CanvasID uint64
	History  core.History
	Sessions Sessions
	User     func(uid uint64) (id uint64, name string) // how others know a user
	Health   func() Health

	// ClientAddr returns whom limits and logs are about, and whether limits per
	// address leave it out. headers is the header block as it was received, valid
	// only during the call. By default it is the peer, and loopback without a
	// forwarding header is left out.
	ClientAddr func(peer netip.Addr, headers []byte) (addr netip.Addr, exempt bool)
	// Lookups bounds the questions to the history and the pictures of a network.
	Lookups *limit.Budget
	// AllowOrigin says whether a page of origin may make a session at host. By
	// default it has to be the same host.
	AllowOrigin func(host, origin string) bool
	// Configure stores a configuration that follows the present one. Without it
	// the admin listener shows the configuration, but does not change it.
	Configure func(context.Context, core.Config) error
	// Upgrade takes over a connection on which a WebSocket handshake arrived after
	// other requests. nc is what ServeConn was given, without deadlines; head is
	// the handshake and all bytes behind it that were read from nc already. The
	// callee owns both. Without it the answer is 426.
	Upgrade func(nc net.Conn, head []byte)
	// Page answers what is no route of the API, or reports false for a 404.
	Page func(*fasthttp.RequestCtx) bool
	// TickMS returns the ms between batches. By default 1000.
	TickMS func() int64

	Metrics *prometheus.Registry // where our metrics are kept, and what /metrics shows
	Now     func() time.Time
	Log     *slog.Logger

	CanvasURL      string // of a CDN in front of /api/v1/canvas: versions are at CanvasURL/<version>
	PublicURL      string // scheme and host of links; relative ones by default
	SocketPath     string // of the WebSocket, "/ws" by default
	FrameAncestors string // of the page's Content-Security-Policy, "'none'" by default
	AdminToken     string // asked for on the admin listener when it is not empty
	HasAdmin       bool   // there is an admin listener: /metrics is only there

	// CanvasBytesMax bounds the canvas versions that are kept with their
	// encodings, 256 MiB by default. A new version waits, up to a minute, while the
	// old ones and it would take more: clients then join from an older canvas.
	CanvasBytesMax int64
	// ReadTimeout is for a whole request once its first byte is there, 5 s by
	// default; IdleTimeout for the next one on the same connection, 60 s; and
	// WriteTimeout for each 64 KiB of an answer, 10 s.
	ReadTimeout, IdleTimeout, WriteTimeout time.Duration
}

func (o *Options) ensureDefaults() {
	setDefault(&o.SocketPath, "/ws")
	setDefault(&o.FrameAncestors, "'none'")
	setDefault(&o.CanvasBytesMax, 256<<20)
	setDefault(&o.ReadTimeout, 5*time.Second)
	setDefault(&o.IdleTimeout, 60*time.Second)
	setDefault(&o.WriteTimeout, 10*time.Second)
	if o.ClientAddr == nil {
		o.ClientAddr = peerAddr
	}
	if o.AllowOrigin == nil {
		o.AllowOrigin = sameHost
	}
	if o.TickMS == nil {
		o.TickMS = func() int64 { return 1000 }
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// validate reports everything that is wrong with o.
func (o *Options) validate() error {
	var errs []error
	if o.Canvas == nil || o.History == nil || o.Sessions == nil || o.User == nil || o.Health == nil {
		errs = append(errs, errors.New("api: Canvas, History, Sessions, User and Health are needed"))
	}
	for _, link := range []struct{ name, value string }{{"canvas URL", o.CanvasURL}, {"public URL", o.PublicURL}} {
		if link.value != "" && !ValidURL(link.value) {
			errs = append(errs, fmt.Errorf("%s %q: must be http:// or https:// with a host, without query and fragment", link.name, link.value))
		}
	}
	if !ValidSource(o.FrameAncestors) {
		errs = append(errs, fmt.Errorf("frame ancestors %q: must be sources as in a Content-Security-Policy, without ; and ,", o.FrameAncestors))
	}
	return errors.Join(errs...)
}

// ValidURL reports whether s may be a CanvasURL or PublicURL.
func ValidURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.RawQuery == "" && !u.ForceQuery && u.Fragment == "" && u.User == nil
}
