package web

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"pixelwall/tools/trace"
	"pixelwall/wire"
)

// A flood is a crowd of painters, as fast as the server lets it be up to a rate.
type flood struct{ placed atomic.Int64 }

// startFlood paints at random on a canvas of that side until the test ends.
func startFlood(t testing.TB, url string, side, aSecond int) *flood {
	t.Helper()
	const painters = 16
	f := &flood{}
	ctx, end := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	t.Cleanup(func() {
		end()
		parts.Wait()
	})
	for i := range painters {
		conn := dialPainter(t, url, uint64(i+1))
		parts.Go(func() {
			defer conn.Close()
			if err := f.paint(ctx, conn, rand.New(rand.NewPCG(1, uint64(i))), side, aSecond/painters); err != nil && ctx.Err() == nil {
				t.Errorf("painter %d: %v", i, err)
			}
		})
	}
	return f
}

func dialPainter(t testing.TB, url string, instance uint64) net.Conn {
	t.Helper()
	res, err := http.Post(url+"/api/v1/session", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var session struct{ Token string }
	if err := json.NewDecoder(res.Body).Decode(&session); err != nil {
		t.Fatal(err)
	}
	d := ws.Dialer{Protocols: []string{wire.Subprotocol}}
	conn, _, _, err := d.Dial(t.Context(), "ws"+strings.TrimPrefix(url, "http")+"/ws")
	if err != nil {
		t.Fatal(err)
	}
	hello := wire.Hello{Version: wire.Version, Instance: instance, Capabilities: wire.CanRange, Token: session.Token}
	if err := wsutil.WriteClientBinary(conn, hello.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// paint sends windows of placements and reads their answers.
func (f *flood) paint(ctx context.Context, conn net.Conn, rnd *rand.Rand, side, aSecond int) error {
	tick := time.NewTicker(time.Second * window / time.Duration(aSecond))
	defer tick.Stop()
	for number := uint32(0); ; number += window {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		placed, err := paintWindow(conn, number, func(uint32) wire.Place {
			return wire.Place{X: uint16(rnd.IntN(side)), Y: uint16(rnd.IntN(side)), Color: uint8(rnd.IntN(16))}
		})
		f.placed.Add(placed)
		if err != nil {
			return err
		}
	}
}

const window = 32 // below the 64 that may be unanswered

// paintWindow sends the placements after number, and returns how many were accepted
// when all are answered.
func paintWindow(conn net.Conn, number uint32, where func(number uint32) wire.Place) (placed int64, err error) {
	var frames []byte
	for i := range uint32(window) {
		m := where(number + i)
		m.Number = number + i + 1
		frames = append(frames, ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewBinaryFrame(m.AppendTo(nil))))...)
	}
	if _, err := conn.Write(frames); err != nil {
		return 0, err
	}
	for answers := 0; answers < window; {
		msg, op, err := wsutil.ReadServerData(conn)
		switch {
		case err != nil:
			return placed, err
		case op != ws.OpBinary:
		case wire.TypeOf(msg) == wire.TypePlaced:
			placed++
			answers++
		case wire.TypeOf(msg) == wire.TypeError:
			answers++
		}
	}
	return placed, nil
}

// placeTrace returns the path of a recorded r/place, or skips t.
func placeTrace(t testing.TB) string {
	t.Helper()
	path, err := trace.Recorded("place2017_last89min_1000x1000.pxt.gz")
	if err != nil {
		t.Skip(err)
	}
	return path
}

// replay paints a trace with as many painters as it has, and says how that ended.
func (s *server) replay(path string, args ...string) <-chan error {
	s.t.Helper()
	exe := filepath.Join(s.t.TempDir(), "loadtest")
	if out, err := exec.Command("go", "build", "-o", exe, "pixelwall/loadtest").CombinedOutput(); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	socket := strings.Replace(s.url, "http", "ws", 1) + "/ws"
	run := exec.CommandContext(s.t.Context(), exe, append([]string{"replay", "--url", socket, "--trace", path, "--watchers", "1"}, args...)...)
	ended := make(chan error, 1)
	go func() {
		out, err := run.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("replay: %w\n%s", err, out)
		}
		ended <- err
	}()
	return ended
}
