package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pixelwall/core"
	"pixelwall/edge/api"
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

// workHandler shows metrics, profiles and whether the process lives, to whom the
// admin API of an edge would show them.
func (e *edge) workHandler(c *cluster) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, r := range c.readings() {
		registry.MustRegister(r.collector()) // the names are our own constants
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	for _, path := range []string{"GET /livez", "GET /readyz"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	}
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := api.AuthorizeAdmin(e.s.adminToken, r.Host, []byte(r.Header.Get("Authorization"))); err != nil {
			http.Error(w, err.Error(), api.HTTPStatus(core.CodeOf(err)))
			return
		}
		mux.ServeHTTP(w, r)
	})
}
