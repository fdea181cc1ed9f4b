package chaos

import (
	"io"
	"net/http"
	"slices"
	"testing"
	"time"
)

var relayFaults = []scenario{
	{"T11 two relays", true, twoRelays},
	{"T11 two claims at once", false, twoClaims},
	{"T12 crash loops", false, crashLoops},
	{"T13 history down and slow", false, historyDown},
}

// twoRelays stops a relay with a produce under way, which reaches Kafka only when
// another relay has long taken over.
func twoRelays(t *testing.T, seed uint64) {
	door := openSideDoor(t)
	door.proxy.counts = func(request []byte) bool { return len(request) > 6 && request[4] == 0 && request[5] == 0 } // API key 0: produce
	w := newWall(t, seed, layout{})
	w.instead = map[string][]string{"relay-1": {"--kafka", door.addr}}
	w.open()
	before := w.epochs()
	second := w.process("relay-2", relays)
	second.start(upTime)
	first := w.get("relay-1")
	door.proxy.hold(true)
	within(t, 10*time.Second, "a produce under way", func() bool { return door.proxy.held.Load() > 0 })
	first.pause()
	w.tookOver(before, time.Minute)
	w.underLoad()
	door.proxy.hold(false)
	first.proceed()
	zombies := []string{"pixelwall_fanout_stale_total", "pixelwall_relay_stale_total", "pixelwall_archive_stale_total"}
	poll(30*time.Second, func() bool {
		return !slices.ContainsFunc(zombies, func(name string) bool { return w.count(name) == 0 })
	})
	w.felt(zombies...)
	w.felt("pixelwall_redis_unfenced_total", "pixelwall_relay_republished_total")
	w.underLoad()
	after := w.epochs()
	lasts(t, 2*time.Second) // two that depose each other would do so meanwhile
	if now := w.epochs(); now != after {
		t.Errorf("the relays depose each other: epochs %v, then %v", after, now)
	}
	w.settle(expected{})
}

// twoClaims lets two relays believe that they hold the lease at the same time.
func twoClaims(t *testing.T, seed uint64) {
	w := newWall(t, seed, layout{}).open()
	before := w.epochs()
	w.process("relay-2", relays).start(upTime)
	w.process("relay-3", relays).start(upTime)
	w.get("relay-1").kill()
	// Without leases nobody knows who may claim.
	poll(6*time.Second, func() bool {
		for _, key := range w.keys("*:lease:relay") {
			w.redisCLI(w.redis[0], "DEL", key)
		}
		return false
	})
	w.tookOver(before, time.Minute)
	w.underLoad()
	w.load.note("epochs %v to %v", before, w.epochs())
	w.felt("pixelwall_relay_stood_down_total", "pixelwall_redis_unfenced_total", "pixelwall_relay_takeovers_total")
	w.settle(expected{})
}

// crashLoops kills relay and archive worker again and again.
func crashLoops(t *testing.T, seed uint64) {
	w := newWall(t, seed, layout{separate: true}).open()
	loop := 8 * time.Second
	if full() {
		loop = 25 * time.Second
	}
	kills := 0
	for end := time.Now().Add(loop); time.Now().Before(end); kills++ {
		p := w.get("relay-1")
		if w.rnd.IntN(2) == 0 {
			p = w.get("archive-1")
		}
		lasts(t, time.Duration(200+w.rnd.IntN(600))*time.Millisecond)
		p.kill()
		p.launch()
	}
	// The last relay has to take over before anything is at rest.
	before, last := w.epochs(), w.get("relay-1")
	last.kill()
	last.start(upTime)
	w.tookOver(before, time.Minute)
	w.load.note("kills=%d", kills)
	w.underLoad()
	w.felt("pixelwall_relay_takeovers_total")
	w.settle(expected{})
}

// historyDown takes the database away, then makes it slow: painting goes on as
// always, and nothing is missing afterwards.
func historyDown(t *testing.T, seed uint64) {
	p := newProxy(t, theRig.cql(t)[0])
	w := newWall(t, seed, layout{cql: []string{p.addr()}}).open()
	pixel := func() int {
		res, err := http.Get("http://" + w.get("edge-A").addr + "/api/v1/pixel?x=5&y=5")
		if err != nil {
			return 0
		}
		defer res.Body.Close()
		_, _ = io.Copy(io.Discard, res.Body)
		return res.StatusCode
	}
	within(t, 30*time.Second, "a pixel's history", func() bool { return pixel() == http.StatusOK })
	p.hole()
	within(t, 30*time.Second, "503 for history", func() bool { return pixel() == http.StatusServiceUnavailable })
	lasts(t, 5*time.Second)
	w.underLoad()
	p.heal()
	p.delay.Store(int64(time.Second))
	lasts(t, 5*time.Second)
	w.underLoad()
	p.delay.Store(0)
	within(t, time.Minute, "a pixel's history again", func() bool { return pixel() == http.StatusOK })
	w.felt("pixelwall_archive_restarts_total", "pixelwall_history_disturbed_total")
	w.settle(expected{})
}

// full reports whether there is time for all.
func full() bool { return *which != "short" && !*brief }
