package redis

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"pixelwall/core"
	"pixelwall/core/coretest"
	"pixelwall/persist/relay"
	"pixelwall/tools/stack/servers"
)

// fill lets the shards' server reach maxmemory, with much of it in the stream of
// shard 0, and returns what still tries to place there.
func fill(t *testing.T, c *Client) (place func() core.Outcome) {
	t.Helper()
	place = func() core.Outcome { return outcomes(t, c, crowd(0, 64)...)[63] }
	for range 400 {
		if o := place(); o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	r, err := c.link.get()
	must(t, err)
	used, err := r.Do(t.Context(), r.B().Arbitrary("MEMORY", "STATS").Build()).AsMap()
	must(t, err)
	total := used["total.allocated"]
	bytes, err := total.AsInt64()
	must(t, err)
	const less = 128 << 10 // than the stream holds
	must(t, r.Do(t.Context(), r.B().ConfigSet().ParameterValue().ParameterValue("maxmemory", decimal(bytes-less)).Build()).Error())
	until(t, "memory is full", func() bool { return place().Err != nil })
	return place
}

// At maxmemory placements are refused before anything is written, a full outbox
// can be trimmed, and then placements are taken again.
func TestAFullRedisRefusesAndCanBeTrimmed(t *testing.T) {
	c := ownServer(t)
	keepArmed(t, c, testConfig())
	place := fill(t, c)
	before, err := c.Outbox().Stand(t.Context(), 0)
	must(t, err)
	refusedWith(t, place(), core.CodeUnavailable)
	after, err := c.Outbox().Stand(t.Context(), 0)
	if err != nil || after != before || after.Seq != after.Top {
		t.Fatalf("it stands at %+v after %+v (%v)", after, before, err)
	}
	must(t, c.Outbox().Trim(t.Context(), 0, after.Epoch, after.Seq))
	until(t, "there is room", func() bool { return place().Err == nil })
}

// A Redis that is full is emptied by a relay that finds it so: it takes the shards
// over, brings what they hold to the log, and trims them. Nobody else does anything.
func TestAFullRedisIsEmptiedByItsRelay(t *testing.T) {
	c := ownServer(t)
	topic := coretest.NewMemoryTopic(0)
	start := func(id uint64, trimAfter time.Duration) (stop func()) {
		r := relay.New(relay.Options{
			ID: id, Outbox: c.Outbox(), Leases: c.Outbox(), Topic: topic.As(nil), NowMS: c.opts.NowMS,
			Create: core.Create{Canvas: testCanvas, Config: testConfig()}, TrimAfter: trimAfter,
		})
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { r.Run(ctx) })
		stop = func() { cancel(); running.Wait() }
		t.Cleanup(stop)
		return stop
	}
	stand := func() core.Stand {
		st, err := c.Outbox().Stand(t.Context(), 0)
		must(t, err)
		return st
	}
	carried := func() bool {
		heads, err := topic.As(nil).Heads(t.Context())
		must(t, err)
		return heads[0] == stand().Seq
	}
	stop := start(1, time.Hour)
	until(t, "the first relay has armed the canvas", func() bool { return outcomes(t, c, crowd(0, 1)...)[0].Err == nil })
	place := fill(t, c)
	until(t, "all is carried while it is full", carried)
	must(t, c.Outbox().Report(t.Context(), 0, stand().Seq))
	must(t, c.Outbox().Archived(t.Context(), 1, core.Heads{}))
	if place().Err == nil {
		t.Fatal("it is full no more")
	}
	stop()
	start(2, time.Second)
	until(t, "the second relay takes over while it is full", func() bool { st := stand(); return st.Armed && st.Relay == 2 })
	until(t, "placements are taken again", func() bool { return place().Err == nil })
	until(t, "all is carried", carried)
}

// A disk is a small file system that a server's data lies on.
type disk struct {
	t      *testing.T
	dir    string
	holder *exec.Cmd // a process in whose mount namespace it is
}

// newDisk puts server, which is stopped, on a file system of six megabytes.
func newDisk(t *testing.T, server *servers.Server) *disk {
	t.Helper()
	d := &disk{t: t, dir: filepath.Join(server.Dir, "disk")}
	must(t, os.Mkdir(d.dir, 0o755))
	d.holder = exec.Command("unshare", "-m", "sh", "-c", fmt.Sprintf("mount -t tmpfs -o size=6m tmpfs %s && echo mounted && exec sleep 1000", d.dir))
	d.holder.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := d.holder.StdoutPipe()
	must(t, err)
	if err := d.holder.Start(); err != nil {
		t.Skipf("needs a file system of its own to fill: %v", err)
	}
	t.Cleanup(func() { d.holder.Process.Kill(); d.holder.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Skipf("needs a file system of its own to fill, which needs root: %q %v", line, err)
	}
	server.Args = d.inside("exec redis-server " + server.Args[1])
	return d
}

func (d *disk) inside(command string) []string {
	return []string{"nsenter", "-m", "-t", fmt.Sprint(d.holder.Process.Pid), "sh", "-c", "cd " + d.dir + " && " + command}
}

func (d *disk) run(command string) {
	d.t.Helper()
	args := d.inside(command)
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		d.t.Fatalf("%s: %v: %s", command, err, out)
	}
}

// The disk of the file is full. With everysec placements are refused before
// anything is written; with always the server ends instead of answering. Either
// way placements are taken again when there is room, with all that was acknowledged.
func TestAFullDiskRefusesAndRecovers(t *testing.T) {
	for _, policy := range []string{"everysec", "always"} {
		t.Run(policy, func(t *testing.T) { fullDisk(t, policy) })
	}
}

func fullDisk(t *testing.T, policy string) {
	server := ownServers(t, servers.RedisOptions{Extra: []string{"appendfsync " + policy, "auto-aof-rewrite-percentage 0"}}).Redis[0]
	must(t, server.Stop())
	d := newDisk(t, server)
	must(t, server.Restart(t.Context()))
	c := open(t, Options{Addrs: []string{server.Addr()}, CommandTimeout: shortly})
	keepArmed(t, c, testConfig())
	d.run("dd if=/dev/zero of=filler bs=1M count=3 2>/dev/null")
	s := newStorm(t, c, 4)
	s.more(64)
	if policy == "always" {
		until(t, "the disk is full and the server ends", func() bool { return !server.Running() })
		d.run("rm filler")
		must(t, server.Restart(t.Context()))
	} else {
		until(t, "the disk is full", func() bool { return outcomes(t, c, crowd(0, 64)...)[0].Err != nil })
		st, err := c.Outbox().Stand(t.Context(), 0)
		if err != nil || st.Seq != st.Top {
			t.Fatalf("it stands at %+v (%v)", st, err)
		}
		d.run("rm filler")
	}
	s.more(64)
	s.calmAmong(policy != "always")
}
