package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// work runs a process that serves no clients: a relay, an archive or a snapshot
// worker, or several of them, until ctx ends. What it does can be seen on
// --admin-listen.
func (e *edge) work(ctx context.Context, out io.Writer) (err error) {
	c, err := e.openCluster(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if e.s.AdminListen != "" {
		l, err := net.Listen("tcp", e.s.AdminListen)
		if err != nil {
			return fmt.Errorf("--admin-listen: %w", err)
		}
		e.log.Info("metrics", "addr", l.Addr())
		server := &http.Server{Handler: e.workHandler(c), ReadHeaderTimeout: 5 * time.Second}
		defer server.Close()
		go func() {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				e.log.Error("the admin listener ended", "err", err)
			}
		}()
	}
	fmt.Fprintf(out, "Pixelwall %s works as %v for the canvas in %s\n  %-16s Ctrl+C\n", version(), e.s.Roles, c.place(), "stop with")
	<-ctx.Done()
	return nil
}

// workHandler shows metrics and whether the process lives.
func (e *edge) workHandler(c *cluster) http.Handler {
	registry := prometheus.NewRegistry()
	for _, r := range c.readings() {
		registry.MustRegister(r.collector()) // the names are our own constants
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	return mux
}
