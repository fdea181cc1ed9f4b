package web

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// blockingProxy is a network that lets HTTP through and no WebSocket, as some
// company proxies do.
func blockingProxy(t *testing.T, target string) string {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
	}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			http.Error(w, "no WebSockets here", http.StatusForbidden)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// patientProxy holds back the answers to some requests until release is called.
func patientProxy(t *testing.T, target string, held func(path string) bool) (at string, release func()) {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
	}}
	open := make(chan struct{})
	release = sync.OnceFunc(func() { close(open) })
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if held(r.URL.Path) {
			select {
			case <-open:
			case <-r.Context().Done():
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		release()
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL, release
}

// A gate is a slow network: what the server says over the WebSockets that are
// open when hold is called arrives only after release.
type gate struct {
	url string

	mu      sync.Mutex
	sockets []*held
}

type held struct {
	mu   sync.Mutex
	cond *sync.Cond
	held bool
}

func (h *held) set(on bool) {
	h.mu.Lock()
	h.held = on
	h.mu.Unlock()
	h.cond.Broadcast()
}

func (h *held) wait() {
	h.mu.Lock()
	for h.held {
		h.cond.Wait()
	}
	h.mu.Unlock()
}

func newGate(t *testing.T, target string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{url: "http://" + l.Addr().String()}
	t.Cleanup(func() {
		l.Close()
		g.release()
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go g.carry(c, strings.TrimPrefix(target, "http://"))
		}
	}()
	return g
}

func (g *gate) carry(client net.Conn, target string) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	h := &held{}
	h.cond = sync.NewCond(&h.mu)
	first := make([]byte, 4096)
	n, err := client.Read(first)
	if err != nil {
		return
	}
	if bytes.HasPrefix(first[:n], []byte("GET /ws ")) {
		g.mu.Lock()
		g.sockets = append(g.sockets, h)
		g.mu.Unlock()
	}
	if _, err := server.Write(first[:n]); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(server, client)
		server.Close()
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := server.Read(buf)
		h.wait()
		if _, wrong := client.Write(buf[:n]); wrong != nil || err != nil {
			return
		}
	}
}

func (g *gate) hold()    { g.setAll(true) }
func (g *gate) release() { g.setAll(false) }

func (g *gate) setAll(on bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, h := range g.sockets {
		h.set(on)
	}
}
