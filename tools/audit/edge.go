package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"pixelwall/core"
	"pixelwall/wire"
)

// edgeTimeout bounds what an edge may take to say what it holds.
const edgeTimeout = 20 * time.Second

// askEdge watches the whole canvas of an edge, from the canvas that it serves on,
// until it has said a check of every shard. An edge that resets a shard meanwhile
// is asked once more from a fresh canvas.
func askEdge(ctx context.Context, url string, canvas uint64) (claims []claim, err error) {
	ctx, cancel := context.WithTimeout(ctx, edgeTimeout)
	defer cancel()
	for {
		var again bool
		if claims, again, err = askEdgeOnce(ctx, url, canvas); !again || ctx.Err() != nil {
			return claims, err
		}
	}
}

func askEdgeOnce(ctx context.Context, url string, canvas uint64) (claims []claim, again bool, err error) {
	file, err := fetchCanvas(ctx, url)
	if err != nil {
		return nil, false, err
	}
	if file.Canvas != canvas {
		return nil, false, core.NewError(core.CodeMismatch, "it shows another canvas than Redis")
	}
	d := ws.Dialer{Protocols: []string{wire.Subprotocol}}
	conn, _, _, err := d.Dial(ctx, url)
	if err != nil {
		return nil, false, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, false, err
	}
	watch := wire.Watch{Canvas: file.Canvas}
	for _, s := range file.Shards {
		watch.Shards = append(watch.Shards, wire.WatchShard{Shard: s.Shard, Resume: true, Held: s.Seq})
	}
	for _, m := range [][]byte{wire.Hello{Version: wire.Version}.AppendTo(nil), watch.AppendTo(nil)} {
		if err := wsutil.WriteClientBinary(conn, m); err != nil {
			return nil, false, err
		}
	}
	return readChecks(conn, url, len(file.Shards))
}

// readChecks reads until n shards have had a check.
func readChecks(conn net.Conn, url string, n int) (claims []claim, again bool, err error) {
	said := make(map[uint8]bool)
	for len(said) < n {
		m, op, err := wsutil.ReadServerData(conn)
		if err != nil {
			return claims, false, fmt.Errorf("%d of %d shards were checked: %w", len(said), n, err)
		}
		if op != ws.OpBinary {
			continue
		}
		switch wire.TypeOf(m) {
		case wire.TypeResync:
			return nil, true, fmt.Errorf("it knows less than the canvas that it serves")
		case wire.TypeError:
			refusal, err := wire.ParseRefusal(m)
			if err != nil {
				return nil, false, err
			}
			return nil, false, fmt.Errorf("it answers: %s", refusal.Message)
		case wire.TypeCheck:
			c, err := wire.ParseCheck(m)
			if err != nil {
				return nil, false, err
			}
			if !said[c.Shard] {
				said[c.Shard] = true
				claims = append(claims, claim{url, core.ShardID(c.Shard), c.Seq, c.CRC})
			}
		}
	}
	return claims, false, nil
}

// fetchCanvas gets the canvas over HTTP from the host of a WebSocket address.
func fetchCanvas(ctx context.Context, url string) (f wire.CanvasFile, err error) {
	host, ok := strings.CutPrefix(url, "ws")
	if !ok || !strings.Contains(host, "://") {
		return f, fmt.Errorf("%q is not an address such as ws://localhost:8080/ws", url)
	}
	if at := strings.LastIndexByte(host, '/'); at > len("s://") {
		host = host[:at]
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http"+host+"/api/v1/canvas", nil)
	if err != nil {
		return f, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return f, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, canvasBytesMax))
	if err != nil {
		return f, err
	}
	if res.StatusCode != http.StatusOK {
		return f, fmt.Errorf("the canvas over HTTP: %s", res.Status)
	}
	return wire.ParseCanvasFile(body)
}

// canvasBytesMax is above what the largest canvas takes.
const canvasBytesMax = 32 << 20
