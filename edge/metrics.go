package main

import (
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"pixelwall/edge/api"
	"pixelwall/edge/gateway"
)

// A reading is one metric that is read when somebody asks for it: the parts
// count with atomics of their own, so that no hot path knows of Prometheus.
type reading struct {
	name, help string
	kind       prometheus.ValueType
	read       func() float64
	labels     prometheus.Labels // fixed, from our own constants; nil for none
}

func (r reading) collector() prometheus.Collector {
	return single{prometheus.NewDesc(r.name, r.help, nil, r.labels), r}
}

// writable is the metric by which an operator knows that nobody can paint.
func writable(state func() (api.Status, string)) reading {
	return reading{"pixelwall_store_writable", "1 while the store takes placements.", prometheus.GaugeValue, func() float64 {
		if status, _ := state(); status == api.StatusReadOnly {
			return 0
		}
		return 1
	}, nil}
}

// registerMetrics adds what the parts of e count.
func registerMetrics(e *edge) error {
	gw := func(f func(gateway.Stats) float64) func() float64 {
		return func() float64 {
			if g := e.gateway.Load(); g != nil {
				return f(g.Stats())
			}
			return 0
		}
	}
	const counter, gauge = prometheus.CounterValue, prometheus.GaugeValue
	readings := []reading{
		{"pixelwall_gateway_connections", "WebSocket connections that are open.", gauge, gw(func(s gateway.Stats) float64 { return float64(s.Conns) }), nil},
		{"pixelwall_gateway_sockets", "Sockets of all kinds that count for the limits.", gauge, gw(func(s gateway.Stats) float64 { return float64(s.Sockets) }), nil},
		{"pixelwall_gateway_http_sockets", "Of those, given to the HTTP server.", gauge, gw(func(s gateway.Stats) float64 { return float64(s.HTTP) }), nil},
		{"pixelwall_gateway_accepted_total", "Sockets accepted.", counter, gw(func(s gateway.Stats) float64 { return float64(s.Accepted) }), nil},
		{"pixelwall_gateway_upgraded_total", "WebSocket handshakes answered with 101.", counter, gw(func(s gateway.Stats) float64 { return float64(s.Upgraded) }), nil},
		{"pixelwall_gateway_messages_in_total", "Whole data messages received.", counter, gw(func(s gateway.Stats) float64 { return float64(s.MessagesIn) }), nil},
		{"pixelwall_gateway_deliveries_total", "Broadcasts handed to a connection.", counter, gw(func(s gateway.Stats) float64 { return float64(s.Deliveries) }), nil},
		{"pixelwall_gateway_broadcast_bytes_total", "Bytes of broadcasts that went out.", counter, gw(func(s gateway.Stats) float64 { return float64(s.BytesOut) }), nil},
		{"pixelwall_gateway_skipped_total", "Broadcasts that a slow client's backlog had no room for.", counter, gw(func(s gateway.Stats) float64 { return float64(s.Skipped) }), nil},
		{"pixelwall_gateway_unread_bytes", "What waits for clients that read slowly.", gauge, gw(func(s gateway.Stats) float64 { return float64(s.Unread) }), nil},
		{"pixelwall_gateway_broadcast_seconds_total", "Time that event loops spent on broadcasts.", counter, gw(func(s gateway.Stats) float64 { return s.Busy.Seconds() }), nil},
		{"pixelwall_gateway_queued_broadcasts", "Broadcasts that wait on the slowest loop.", gauge, gw(func(s gateway.Stats) float64 { return float64(s.Queued) }), nil},
		{"pixelwall_gateway_panics_total", "Handler calls that panicked.", counter, gw(func(s gateway.Stats) float64 { return float64(s.Panics) }), nil},

		{"pixelwall_fanout_ticks_total", "Ticks that had something to say.", counter, func() float64 { return float64(e.hub.Stats().Ticks) }, nil},
		{"pixelwall_fanout_postponed_ticks_total", "Ticks that waited because a loop was behind.", counter, func() float64 { return float64(e.hub.Stats().Postponed) }, nil},
		{"pixelwall_fanout_events_total", "Events that batches stood for.", counter, func() float64 { return float64(e.hub.Stats().Events) }, nil},
		{"pixelwall_fanout_pixels_total", "Pixels that batches held.", counter, func() float64 { return float64(e.hub.Stats().Pixels) }, nil},
		{"pixelwall_fanout_batch_bytes_total", "Bytes of batches, WebSocket headers included, each once.", counter, func() float64 { return float64(e.hub.Stats().BatchBytes) }, nil},
		{"pixelwall_fanout_encode_seconds_total", "Time spent on encoding batches.", counter, func() float64 { return float64(e.hub.Stats().EncodeNS) / 1e9 }, nil},
		{"pixelwall_fanout_catchups_total", "Catch-ups encoded; a crowd shares one.", counter, func() float64 { return float64(e.hub.Stats().CatchUps) }, nil},
		{"pixelwall_fanout_resyncs_total", "Shards that a client was told to fetch.", counter, func() float64 { return float64(e.hub.Stats().Resyncs) }, nil},
		{"pixelwall_fanout_stale_total", "Records of a deposed relay that were dropped.", counter, func() float64 { return float64(e.hub.Stats().Stale) }, nil},
		{"pixelwall_fanout_gaps_total", "Times that the log was fetched again because a record was missing.", counter, func() float64 { return float64(e.hub.Stats().Gaps) }, nil},
		{"pixelwall_fanout_phantoms_total", "Times that a shard held events that the log had lost.", counter, func() float64 { return float64(e.hub.Stats().Phantoms) }, nil},
		{"pixelwall_fanout_reloads_total", "Shards that were loaded anew from a snapshot.", counter, func() float64 { return float64(e.hub.Stats().Reloads) }, nil},
		{"pixelwall_fanout_ahead_joins_total", "Joins that waited until this edge was as far as the client.", counter, func() float64 { return float64(e.hub.Stats().AheadJoins) }, nil},
		{"pixelwall_fanout_ring_bytes", "Memory of the events that clients may resume from.", gauge, func() float64 { return float64(e.hub.Stats().RingBytes) }, nil},
		{"pixelwall_fanout_tick_seconds", "Time between two batches.", gauge, func() float64 { return e.hub.Tick().Seconds() }, nil},

		{"pixelwall_session_diverged_total", "Checks that a client found to differ.", counter, func() float64 { return float64(e.session.Stats().Diverged) }, nil},
		{"pixelwall_session_resumed_total", "Shards that a client wanted to go on with.", counter, func() float64 { return float64(e.session.Stats().Resumed) }, nil},
		{"pixelwall_session_resumes_denied_total", "Of those, answered by a resync because its network asked for too many.", counter, func() float64 { return float64(e.session.Stats().Denied) }, nil},
	}
	readings = append(readings, e.store.readings...)
	errs := []error{
		e.registry.Register(collectors.NewGoCollector()),
		e.registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
		e.registry.Register(labelled{e}),
	}
	for _, r := range readings {
		errs = append(errs, e.registry.Register(r.collector()))
	}
	return errors.Join(errs...)
}

// single collects a reading.
type single struct {
	desc *prometheus.Desc
	r    reading
}

func (s single) Describe(ch chan<- *prometheus.Desc) { ch <- s.desc }
func (s single) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(s.desc, s.r.kind, s.r.read())
}

// labelled collects the counters that have a label; its values come from our
// own constants.
type labelled struct{ e *edge }

var (
	placementsDesc = prometheus.NewDesc("pixelwall_session_placements_total", "Placements asked for, by result.", []string{"result"}, nil)
	closesDesc     = prometheus.NewDesc("pixelwall_gateway_closes_total", "WebSocket connections ended, by close code.", []string{"code"}, nil)
	refusedDesc    = prometheus.NewDesc("pixelwall_gateway_refused_total", "Handshakes refused, by HTTP status.", []string{"status"}, nil)
	buildDesc      = prometheus.NewDesc("pixelwall_build_info", "1; the version is in the label.", []string{"version"}, nil)
)

func (l labelled) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{placementsDesc, closesDesc, refusedDesc, buildDesc} {
		ch <- d
	}
}

func (l labelled) Collect(ch chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, n float64, label string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, n, label)
	}
	for result, n := range l.e.session.Stats().Results {
		count(placementsDesc, float64(n), result)
	}
	if g := l.e.gateway.Load(); g != nil {
		st := g.Stats()
		for code, n := range st.Closes {
			count(closesDesc, float64(n), strconv.Itoa(int(code)))
		}
		for status, n := range st.Refused {
			count(refusedDesc, float64(n), strconv.Itoa(status))
		}
	}
	ch <- prometheus.MustNewConstMetric(buildDesc, prometheus.GaugeValue, 1, version())
}
