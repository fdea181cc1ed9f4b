package api

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"pixelwall/core/coretest"
)

func TestARequestIsBounded(t *testing.T) {
	patient := newWorld(t, 8, 8, "place2017", func(o *Options) { o.ReadTimeout = time.Minute })
	hasty := newWorld(t, 8, 8, "place2017", func(o *Options) { o.ReadTimeout = 300 * time.Millisecond })
	long := strings.Repeat("x", 9<<10)
	for _, tt := range []struct {
		name, request string
		want          int
	}{
		{"a head of more than 8 KiB", "GET /livez HTTP/1.1\r\nHost: h\r\nX: " + long + "\r\n\r\n", 431},
		{"a path of more than 8 KiB", "GET /" + long + " HTTP/1.1\r\nHost: h\r\n\r\n", 431},
		{"a body that is declared as more than 64 KiB", "POST /api/v1/session HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n", 413},
		{"a body that is declared as 2^62", "POST /api/v1/session HTTP/1.1\r\nHost: h\r\nContent-Length: 4611686018427387904\r\n\r\n", 413},
		{"chunks of more than 64 KiB", "POST /api/v1/session HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10001\r\n" + strings.Repeat("x", 0x10001), 413},
		{"half a head and then silence", "GET /livez HTTP/1.1\r\nHost:", 408},
		{"half a body and then silence", "POST /api/v1/session HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nxxx", 408},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := patient
			if tt.want == http.StatusRequestTimeout {
				w = hasty
			}
			got := w.raw(tt.request)
			resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(got)), nil)
			if err != nil {
				t.Fatalf("%v: %q", err, got)
			}
			body, _ := io.ReadAll(resp.Body)
			a := answer{resp, body}
			if a.StatusCode != tt.want || a.code() != "malformed" || !a.Close {
				t.Errorf("%v", a)
			}
		})
	}
}

// The time for a request is for all of it, not for each read.
func TestADrippingClientIsCut(t *testing.T) {
	w := newWorld(t, 8, 8, "place2017", func(o *Options) { o.ReadTimeout = 500 * time.Millisecond })
	c := w.dial()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for _, b := range "GET /livez HTTP/1.1\r\nX: " + strings.Repeat("x", 8000) {
			select {
			case <-tick.C:
				if _, err := c.Write([]byte{byte(b)}); err != nil {
					return
				}
			case <-stop:
				return
			}
		}
	}()
	if a := readAnswer(t, bufio.NewReader(c)); a.StatusCode != http.StatusRequestTimeout {
		t.Errorf("%v", a)
	}
}

// A client that asks for a large answer and reads nothing holds a connection for
// WriteTimeout, not for ever.
func TestAClientThatReadsNothingIsCut(t *testing.T) {
	w := newWorld(t, 4096, 4096, "place2022", func(o *Options) { o.WriteTimeout = 200 * time.Millisecond })
	served := make(chan struct{})
	addr := w.listen(func(nc net.Conn) {
		w.api.ServeConn(nc)
		close(served)
	})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET "+w.location()+" HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-served:
	case <-time.After(20 * time.Second):
		t.Fatal("the connection is still served")
	}
}

func TestShutdownClosesWhoWaitsAndLetsAnswersFinish(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	w := newWorld(t, 8, 8, "place2017", func(o *Options) {
		o.Page = func(ctx *fasthttp.RequestCtx) bool {
			close(entered)
			<-leave
			ctx.SetBodyString("done")
			return true
		}
	})
	idle, busy := w.dial(), w.dial()
	idleReader, busyReader := bufio.NewReader(idle), bufio.NewReader(busy)
	if _, err := io.WriteString(idle, "GET /livez HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	readAnswer(t, idleReader)
	if _, err := io.WriteString(busy, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-entered
	ended := make(chan error, 1)
	go func() { ended <- w.api.Shutdown(context.Background()) }()
	if _, err := idleReader.ReadByte(); err != io.EOF {
		t.Errorf("the idle connection: %v", err)
	}
	select {
	case err := <-ended:
		t.Fatalf("Shutdown did not wait for the answer: %v", err)
	default:
	}
	close(leave)
	if a := readAnswer(t, busyReader); string(a.body) != "done" {
		t.Errorf("%v", a)
	}
	if _, err := busyReader.ReadByte(); err != io.EOF {
		t.Errorf("the busy connection afterwards: %v", err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	late := w.dial()
	if n, err := late.Read(make([]byte, 1)); n > 0 || err == nil {
		t.Error("a connection after the end is served")
	}
}

func TestShutdownCutsWhatDoesNotEnd(t *testing.T) {
	w := newWorld(t, 8, 8, "place2017", nil)
	c := w.dial()
	if _, err := io.WriteString(c, "GET /livez HTTP/1.1\r\n"); err != nil { // and never the rest
		t.Fatal(err)
	}
	coretest.Eventually(t, "the connection is served", func() bool { return w.api.conns.count() > 0 })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.api.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Shutdown = %v", err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("%v", err)
	}
}
