package api

import (
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"pixelwall/core"
)

// painted returns a packed canvas of 1000 × 1000 in 4 bits as people leave one:
// areas of one colour with odd pixels in them.
func painted() []byte {
	random := rand.New(rand.NewPCG(1, 2))
	geo := core.Geometry{Width: 1000, Height: 1000, Bits: 4}
	board := core.NewBoard(geo, 0)
	for range 4000 {
		x, y, w, h := random.IntN(1000), random.IntN(1000), 1+random.IntN(30), 1+random.IntN(30)
		color := uint8(random.IntN(16))
		for i := range w * h {
			if px, py := x+i%w, y+i/w; geo.Contains(px, py) && random.IntN(20) > 0 {
				s, off := core.Locate(px, py)
				board.Set(s, off, color)
			}
		}
	}
	var raw []byte
	for _, s := range geo.Shards() {
		raw = board.AppendPacked(raw, s)
	}
	return raw
}

func BenchmarkEncode(b *testing.B) {
	raw := painted()
	for c := range identity {
		b.Run(c.String(), func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			n := 0
			for b.Loop() {
				n = len(compress(c, raw))
			}
			b.ReportMetric(float64(n), "bytes")
		})
	}
}

// BenchmarkVersion is what a new version costs before anybody encodes it.
func BenchmarkVersion(b *testing.B) {
	geo := core.Geometry{Width: core.SideMax, Height: core.SideMax, Bits: 8}
	snap := core.Snapshot{Canvas: 1, Config: core.Config{Width: geo.Width, Height: geo.Height, Bits: geo.Bits}}
	for _, s := range geo.Shards() {
		snap.Shards[s] = make([]byte, geo.PackedBytes(s))
	}
	b.SetBytes(int64(geo.Width * geo.Height))
	for b.Loop() {
		c := snap
		newVersion(&c, time.Unix(0, 0))
	}
}

// BenchmarkGet is one GET over a connection in memory.
func BenchmarkGet(b *testing.B) {
	w := newWorld(b, 1000, 1000, "place2017", nil)
	for name, path := range map[string]string{"redirect": "/api/v1/canvas", "shard": w.location() + "/0", "info": "/api/v1/canvas/info"} {
		b.Run(name, func(b *testing.B) {
			ln := fasthttputil.NewInmemoryListener()
			defer ln.Close()
			go func() {
				for {
					c, err := ln.Accept()
					if err != nil {
						return
					}
					go w.api.ServeConn(c)
				}
			}()
			client := fasthttp.HostClient{Addr: "h", Dial: func(string) (net.Conn, error) { return ln.Dial() }}
			var req fasthttp.Request
			var resp fasthttp.Response
			req.SetRequestURI("http://h" + path)
			req.Header.Set("Accept-Encoding", "zstd")
			b.ReportAllocs()
			for b.Loop() {
				if err := client.Do(&req, &resp); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
