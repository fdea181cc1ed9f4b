package api

import (
	"bytes"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// metrics are the counters of this package. Label values come from our own
// constants: route patterns, kinds and classes of status.
type metrics struct {
	requests       *prometheus.CounterVec
	seconds        *prometheus.HistogramVec
	canvasRequests *prometheus.CounterVec
	canvasBytes    *prometheus.CounterVec
}

func newMetrics(r *prometheus.Registry) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		requests: counter("pixelwall_http_requests_total", "HTTP requests, by route and class of the answer's status.", "route", "status"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pixelwall_http_request_seconds", Help: "From a request's head to its answer being ready to be written, by route.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 9), // 0.1 ms to 6.6 s
		}, []string{"route"}),
		canvasRequests: counter("pixelwall_canvas_requests_total", "Requests for a canvas version, one shard of it or its picture, not modified included.", "kind"),
		canvasBytes:    counter("pixelwall_canvas_bytes_total", "Bytes of canvas that answers carried, as encoded.", "kind"),
	}
	for _, kind := range []string{"canvas", "shard", "png"} {
		m.canvasRequests.WithLabelValues(kind) // shown as 0 from the start
		m.canvasBytes.WithLabelValues(kind)
	}
	return m, errors.Join(r.Register(m.requests), r.Register(m.seconds), r.Register(m.canvasRequests), r.Register(m.canvasBytes))
}

// count notes a request for kind that was answered with n bytes.
func (m *metrics) count(kind string, n int) {
	m.canvasRequests.WithLabelValues(kind).Inc()
	m.canvasBytes.WithLabelValues(kind).Add(float64(n))
}

// getMetrics answers in the text format of Prometheus.
func (a *API) getMetrics(r *request) error {
	families, err := a.o.Metrics.Gather()
	if err != nil {
		return err
	}
	var body bytes.Buffer
	format := expfmt.NewFormat(expfmt.TypeTextPlain)
	encoder := expfmt.NewEncoder(&body, format)
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return err
		}
	}
	r.Response.Header.Set("Cache-Control", noStore)
	r.SetContentType(string(format))
	r.Response.SetBodyRaw(body.Bytes())
	return nil
}
