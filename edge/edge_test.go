package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/wire"
)

const all4 = 0b1111 // the shards of a 1000 × 1000 canvas

func TestTwoPaintersSeeEachOther(t *testing.T) {
	r := serve(t)
	a := r.fresh(1).hello(r.token()).watch(all4)
	b := r.fresh(2).hello(r.token()).watch(all4)
	pa := a.placed(a.place(3, 4, 5))
	pb := b.placed(b.place(999, 999, 6))
	for _, p := range []*peer{a, b} {
		p.until("both pixels", func() bool { return p.seqs[pa.Shard] >= pa.Seq && p.seqs[pb.Shard] >= pb.Seq })
		if p.board.At(0, 4*512+3) != 5 || p.board.At(3, 487*512+487) != 6 {
			t.Errorf("peer %d does not show both pixels: %d, %d; seqs %v, at %+v %+v", p.instance, p.board.At(0, 4*512+3), p.board.At(3, 487*512+487), p.seqs[:4], pa, pb)
		}
		p.same(r)
	}
	_, body := r.get("/api/v1/pixel?x=3&y=4")
	var history struct {
		Items []struct {
			Seq   uint64
			Color int
			User  struct{ Name string }
		}
	}
	if err := json.Unmarshal(body, &history); err != nil || len(history.Items) != 1 || history.Items[0].Seq != pa.Seq ||
		history.Items[0].Color != 5 || history.Items[0].User.Name != a.init.Name {
		t.Errorf("the history of the pixel is %s (%v)", body, err)
	}
}

func TestPlacementsThatTheRulesRefuse(t *testing.T) {
	r := serve(t)
	p := r.fresh(1).hello(r.token())
	for _, tt := range []struct {
		name        string
		x, y, color int
		want        core.Code
	}{
		{"x beyond the canvas", 1000, 0, 0, core.CodeOutOfCanvas},
		{"y beyond the canvas", 0, 1000, 0, core.CodeOutOfCanvas},
		{"x far beyond", 65535, 0, 0, core.CodeOutOfCanvas},
		{"a colour that the palette lacks", 0, 0, 16, core.CodeUnknownColor},
		{"a colour of 255", 0, 0, 255, core.CodeUnknownColor},
	} {
		if a, ok := p.answer(p.place(tt.x, tt.y, tt.color)).(wire.Refusal); !ok || core.Code(a.Code) != tt.want || a.Message == "" {
			t.Errorf("%s: got %+v, want %v", tt.name, a, tt.want)
		}
	}
	p.placed(p.place(0, 0, 1)) // and the connection goes on
}

func TestASecondPlacementInTheCooldownIsToldHowLongToWait(t *testing.T) {
	r := serve(t, "--cooldown", "1h")
	token := r.token()
	p, tab := r.fresh(1).hello(token), r.fresh(2).hello(token)
	first := p.placed(p.place(1, 1, 1))
	if first.Allowance.Available != 0 || first.Allowance.Max != 1 || first.Allowance.NextMS < first.TimeMS+3_500_000 {
		t.Errorf("the allowance after a placement is %+v", first.Allowance)
	}
	a, ok := p.answer(p.place(2, 2, 2)).(wire.Refusal)
	if !ok || core.Code(a.Code) != core.CodeCooldown || a.RetryAfterMS < 3_500_000 || a.RetryAfterMS > 3_600_000 || a.Allowance.NextMS != first.Allowance.NextMS {
		t.Errorf("the second placement got %+v", a)
	}
	tab.until("the other tab hears of it", func() bool { return len(tab.tells) > 0 })
	if tab.tells[0] != first.Allowance {
		t.Errorf("the other tab was told %+v, want %+v", tab.tells[0], first.Allowance)
	}
	if reload := r.fresh(3).hello(token); reload.init.Allowance != first.Allowance {
		t.Errorf("after a reload the allowance is %+v, want %+v", reload.init.Allowance, first.Allowance)
	}
	refused := 0.0
	_, metrics := r.get("/metrics")
	for line := range strings.Lines(string(metrics)) {
		fmt.Sscanf(line, `pixelwall_session_placements_total{result="cooldown"} %g`, &refused)
	}
	if refused != 1 {
		t.Errorf("the metric counts %v refusals", refused)
	}
}

// The same tap sent again, here or on a new connection, is the same event.
func TestATapThatIsSentAgainIsOneEvent(t *testing.T) {
	r := serve(t, "--cooldown", "1h")
	token := r.token()
	p := r.fresh(77).hello(token).watch(all4)
	first := p.placed(p.place(10, 10, 3))
	p.number--
	again := p.placed(p.place(10, 10, 3))
	p.conn.Close()
	back := r.fresh(77).hello(token)
	back.number = 0
	third := back.placed(back.place(10, 10, 3))
	for _, got := range []wire.Placed{again, third} {
		if got.Seq != first.Seq || got.Shard != first.Shard || got.TimeMS != first.TimeMS {
			t.Errorf("sent again it became %+v, want %+v", got, first)
		}
	}
	if heads := back.init.Heads[0].Seq; heads > 1 {
		t.Errorf("the shard is at %d after one tap", heads)
	}
}

func TestEachWatchedShardIsChecked(t *testing.T) {
	r := serve(t)
	p := r.fresh(1).hello("").watch(0b1011)
	p.until("a check of each shard", func() bool { return p.checked == 0b1011 })
}

// Anybody can say that its canvas differs, as often as it likes; operators alarm on
// the count.
func TestAClientThatFoundADifferenceIsCountedOnce(t *testing.T) {
	r := serve(t)
	differs := func(p *peer, shard uint8) {
		p.follow = 0
		p.send(wire.Watch{Canvas: p.canvas, Diverged: true, Shards: []wire.WatchShard{{Shard: shard, Resume: true}}})
		p.until("the shard", func() bool { return p.follow>>shard&1 == 1 })
	}
	p := r.fresh(1).hello("")
	differs(p, 2)
	if n := r.metric("pixelwall_session_diverged_total"); n != 0 {
		t.Errorf("%v differences are counted of one that was sent no check", n)
	}
	began := time.Now()
	differs(p, 1)
	if n := r.metric("pixelwall_session_diverged_total"); n != 1 {
		t.Errorf("%v differences are counted", n)
	}
	for i := range uint8(4) {
		differs(p, i)
		differs(r.fresh(uint64(2+i)).hello("").watch(all4), i)
	}
	if n := r.metric("pixelwall_session_diverged_total"); n != 1 && time.Since(began) < time.Minute {
		t.Errorf("%v differences of one network are counted in a minute", n)
	}
}

func TestEverybodyHearsHowManyThereAre(t *testing.T) {
	r := serve(t)
	a, b := r.fresh(1).hello(""), r.fresh(2).hello("")
	for _, p := range []*peer{a, b} {
		p.until("a presence of two", func() bool { return p.online == 2 })
	}
	b.conn.Close()
	a.until("a presence of one", func() bool { return a.online == 1 })
}

func TestAPingIsAnswered(t *testing.T) {
	r := serve(t)
	p := r.fresh(1).hello("")
	p.send(wire.Ping{Nonce: 77})
	p.until("the pong", func() bool { return p.pong.Nonce == 77 })
	if now := uint64(nowMS()); p.pong.TimeMS > now || p.pong.TimeMS < now-60_000 {
		t.Errorf("the server's clock says %d, ours %d", p.pong.TimeMS, now)
	}
}

func TestAnOperatorSeesHowClientsAreServed(t *testing.T) {
	r := serve(t)
	r.fresh(1).hello("")
	if n := r.metric("pixelwall_gateway_upgraded_total"); n != 1 {
		t.Errorf("%v handshakes, want 1", n)
	}
	if n := r.metric("pixelwall_gateway_http_sockets"); n < 1 {
		t.Errorf("%v connections of HTTP, and one asks", n)
	}
	if log := r.log.String(); !strings.Contains(log, "sender=uring") && !strings.Contains(log, "sender=sendto") {
		t.Errorf("the log does not say what frames are sent with:\n%s", log)
	}
}

func TestInitAndInfoNameTheSameCanvas(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "/api/v1/canvas"},
		{[]string{"--public-url", "https://wall.example"}, "/api/v1/canvas"},
		{[]string{"--public-url", "https://wall.example", "--canvas-url", "https://cdn.example/wall"}, "https://wall.example/api/v1/canvas"},
	} {
		r := serve(t, tt.args...)
		p := &peer{t: t, addr: r.addr, instance: 1, batches: map[uint8]int{}}
		init := p.hello("").init.CanvasURL
		var info struct {
			CanvasURL string `json:"canvas_url"`
		}
		r.getJSON("/api/v1/canvas/info", &info)
		if init != tt.want || info.CanvasURL != tt.want {
			t.Errorf("%v: init names %s, info %s, want %s", tt.args, init, info.CanvasURL, tt.want)
		}
	}
}

func TestAutoTickIsToldWhenItChanges(t *testing.T) {
	r := serve(t, "--tick", "auto")
	p := r.fresh(1).hello(r.token()).watch(all4)
	if p.init.Config.TickMS != uint32(firstAutoTick.Milliseconds()) {
		t.Fatalf("it begins with %d ms", p.init.Config.TickMS)
	}
	p.placed(p.place(1, 1, 1)) // something to measure
	p.until("the shortest tick", func() bool { return len(p.configs) > 0 && p.configs[0].TickMS == uint32(autoTicks[0].Milliseconds()) })
}

// The last pixel of a drag: many placements in a burst, cut off in the middle,
// sent again, end where they were last.
func TestTheLastPixelOfADragStays(t *testing.T) {
	r := serve(t)
	token := r.token()
	p := r.fresh(5).hello(token).watch(all4)
	for i := range 30 {
		p.place(100+i%3, 100, i%16)
	}
	p.conn.Close()
	p.follow, p.number = 0, 0
	p.hello(token).watch(all4)
	for i := range 30 {
		p.place(100+i%3, 100, i%16)
	}
	p.until("all answers", func() bool { return len(p.answers) == 30 })
	last := p.answers[29].(wire.Placed)
	if last.Seq != 30 {
		t.Errorf("30 taps are %d events", last.Seq)
	}
	p.until("the last one", func() bool { return p.seqs[0] >= last.Seq })
	for i := range 3 {
		if got, want := p.board.At(0, uint32(100*512+100+i)), uint8((27+i)%16); got != want {
			t.Errorf("pixel %d ended as colour %d, want %d", 100+i, got, want)
		}
	}
	p.same(r)
}

func TestTwoUsersWithTheSameInstanceAreApart(t *testing.T) {
	r := serve(t)
	a, b := r.fresh(7).hello(r.token()).watch(all4), r.fresh(7).hello(r.token())
	first, second := a.placed(a.place(20, 20, 1)), b.placed(b.place(30, 30, 2))
	if first.Seq == second.Seq {
		t.Error("the second user got the first one's answer")
	}
	a.until("the second pixel", func() bool { return a.seqs[0] >= second.Seq })
	if a.board.At(0, 30*512+30) != 2 {
		t.Error("the second user's pixel was not painted")
	}
}

func TestHelloAndTokens(t *testing.T) {
	r := serve(t)
	good := r.token()
	forged := good[:len(good)-2] + map[bool]string{true: "AA", false: "BB"}[!strings.HasSuffix(good, "AA")]
	hello := func(token string, version uint32) []byte {
		return wire.Hello{Version: version, Instance: 1, Token: token}.AppendTo(nil)
	}
	place := wire.Place{Number: 1, Color: 1}.AppendTo(nil)
	for _, tt := range []struct {
		name  string
		msgs  [][]byte
		code  core.Code
		close int // 0: stays open
	}{
		{"place before hello", [][]byte{place}, core.CodeHelloRequired, 0},
		{"watch before hello", [][]byte{wire.Watch{}.AppendTo(nil)}, core.CodeHelloRequired, 0},
		{"place without a token", [][]byte{hello("", 1), place}, core.CodeUnauthorized, 0},
		{"a token that is none", [][]byte{hello("nonsense", 1)}, core.CodeUnauthorized, 4003},
		{"a forged token", [][]byte{hello(forged, 1)}, core.CodeUnauthorized, 4003},
		{"a token that has expired", [][]byte{hello(r.expiredToken(), 1)}, core.CodeTokenExpired, 4003},
		{"hello twice", [][]byte{hello(good, 1), hello(good, 1)}, core.CodeInvalid, 0},
		{"another protocol version", [][]byte{hello(good, 2)}, core.CodeInvalid, 4002},
		{"another protocol version with other fields", [][]byte{append(hello("", 2)[:10], 0xff, 0xff)}, core.CodeInvalid, 4002},
		{"a hello that is cut", [][]byte{hello(good, 1)[:20]}, core.CodeMalformed, 4004},
		{"a message of an unknown type", [][]byte{hello(good, 1), {0x3f, 1, 2}}, core.CodeUnknownMessage, 0},
		{"a message of the server's", [][]byte{hello(good, 1), wire.Presence{Online: 1}.AppendTo(nil)}, core.CodeUnknownMessage, 0},
		{"an empty message", [][]byte{hello(good, 1), {}}, core.CodeMalformed, 4004},
		{"a place that is cut", [][]byte{hello(good, 1), place[:2]}, core.CodeMalformed, 4004},
		{"a shard that the canvas lacks", [][]byte{hello(good, 1), wire.Watch{Shards: []wire.WatchShard{{Shard: 63}}}.AppendTo(nil)}, core.CodeUnknownShard, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := r.fresh(1)
			p.t = t
			p.dial()
			for _, m := range tt.msgs {
				p.raw(m)
			}
			p.until("an error", func() bool { return len(p.answers) > 0 })
			if got := p.answers[0].(wire.Refusal); core.Code(got.Code) != tt.code {
				t.Errorf("got the error %v %q, want %v", core.Code(got.Code), got.Message, tt.code)
			}
			if tt.close != 0 {
				if code := p.closes(); code != tt.close {
					t.Errorf("closed with %d, want %d", code, tt.close)
				}
				return
			}
			p.raw(hello(good, 1)) // whatever its answer, there is one: the connection lives
			n := len(p.got)
			p.until("a further answer", func() bool { return len(p.got) > n })
		})
	}
	if strings.Contains(r.log.String(), good[:20]) {
		t.Error("a token is in the log")
	}
}

func TestAPageOfAnotherOriginIsRefused(t *testing.T) {
	r := serve(t, "--origin", "https://friend.example")
	for origin, want := range map[string]int{
		"https://evil.example": 403, "http://" + r.addr + ".evil.example": 403, "null": 403,
		"https://friend.example": 101, "http://" + r.addr: 101, "": 101,
	} {
		req, _ := http.NewRequest("GET", "http://"+r.addr+"/ws", nil)
		for k, v := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
			req.Header.Set(k, v)
		}
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("origin %q: status %d, want %d", origin, res.StatusCode, want)
		}
	}
}

func TestAPageZoomedIntoOneShardIsSentThatShardOnly(t *testing.T) {
	r := serve(t, "--message-burst", "100")
	token := r.token()
	painter := r.fresh(1).hello(token).watch(all4)
	zoomed := r.fresh(2).hello("").watch(0b0010)
	for i := range 40 {
		painter.place(i%2*600, i/2%2*600, 1+i%15)
	}
	painter.until("all answers", func() bool { return len(painter.answers) == 40 })
	last := core.Heads{}
	for _, a := range painter.answers {
		p, ok := a.(wire.Placed)
		if !ok {
			t.Fatalf("refused: %+v", a)
		}
		last[p.Shard] = max(last[p.Shard], p.Seq)
	}
	zoomed.until("the last pixel of its shard", func() bool { return zoomed.seqs[1] == last[1] })
	painter.until("the last pixels", func() bool { return painter.seqs == last })
	if zoomed.batches[1] == 0 || len(zoomed.batches) != 1 {
		t.Errorf("it was sent batches of %v, want shard 1 only", zoomed.batches)
	}
	// It looks elsewhere: that shard is caught up, the old one goes on.
	zoomed.send(wire.Watch{Canvas: zoomed.canvas, Shards: []wire.WatchShard{{Shard: 1}, {Shard: 2, Resume: true, Held: zoomed.seqs[2]}}})
	zoomed.until("the new shard", func() bool { return zoomed.follow&0b0100 != 0 })
	zoomed.same(r)
}

func TestGoodbyeTellsWhenToComeBack(t *testing.T) {
	r := serve(t)
	p := r.fresh(1).hello("")
	r.stop()
	if code := p.closes(); code != 1012 {
		t.Errorf("closed with %d, want 1012", code)
	}
	if last := p.got[len(p.got)-1]; last != wire.TypeBye {
		t.Errorf("the last message was %v, want bye", last)
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
}

func TestPlacementsUnderWayAreAnsweredBeforeGoodbye(t *testing.T) {
	r := serve(t)
	p := r.fresh(1).hello(r.token())
	for range 30 {
		p.place(3, 3, 3)
	}
	waitFor(t, "all placements to be read", func() bool { return r.metric("pixelwall_gateway_messages_in_total") >= 31 })
	r.stop()
	if code := p.closes(); code != 1012 {
		t.Errorf("closed with %d", code)
	}
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	if len(p.answers) != 30 { // placed, or refused as draining, but told
		t.Errorf("%d of 30 were answered", len(p.answers))
	}
}

func TestAWatchBeforeInitIsKept(t *testing.T) {
	r := serve(t)
	p := r.fresh(1).dial()
	p.send(wire.Hello{Version: wire.Version, Instance: 1, Capabilities: wire.CanRange, Token: r.token()})
	p.send(wire.Watch{Canvas: p.canvas, Shards: []wire.WatchShard{{Shard: 0, Resume: true}}})
	p.send(wire.Watch{Canvas: p.canvas, Shards: []wire.WatchShard{{Shard: 0}, {Shard: 1, Resume: true}}})
	p.until("both shards", func() bool { return (p.follow|p.lost)&0b11 == 0b11 })
	if p.lost != 0 {
		t.Errorf("shards %b have to be fetched", p.lost)
	}
}

func TestAPageOfAFriendMakesSessions(t *testing.T) {
	r := serve(t, "--origin", "https://friend.example")
	for origin, want := range map[string]int{"https://friend.example": 201, "https://evil.example": 403, "": 201} {
		req, _ := http.NewRequest("POST", "http://"+r.addr+"/api/v1/session", nil)
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("origin %q: status %d, want %d", origin, res.StatusCode, want)
		}
	}
}
