package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"pixelwall/core"
	"pixelwall/core/coretest"
	"pixelwall/persist/kafka"
)

func broker(t *testing.T) []string {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()
}

func open(t *testing.T, brokers []string, name string) *kafka.Topic {
	t.Helper()
	topic, err := kafka.Open(kafka.Options{Brokers: brokers, Topic: name, FetchMaxWait: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(topic.Close)
	return topic
}

// paint appends n records of one placement to shard 0.
func paint(t *testing.T, topic *kafka.Topic, seq *uint64, n int) {
	t.Helper()
	rs := make([]*core.Record, 0, kafka.AppendMax)
	if *seq == 0 {
		rs = append(rs, &core.Record{Kind: core.KindClaim, Canvas: 1, Epoch: 1, Relay: 1})
	}
	for n > 0 {
		for ; n > 0 && len(rs) < cap(rs); n-- {
			*seq++
			rs = append(rs, &core.Record{Kind: core.KindPlacements, Canvas: 1, Epoch: 1, Relay: 1, First: *seq, Events: []core.Event{{Offset: uint32(*seq % core.ShardPixels)}}})
		}
		if err := topic.Append(coretest.Patiently(t), rs); err != nil {
			t.Fatal(err)
		}
		rs = rs[:0]
	}
}

// A mirror is a process.
type mirror struct {
	*exec.Cmd
	stderr bytes.Buffer
}

func start(t *testing.T, binary string, args ...string) *mirror {
	t.Helper()
	m := &mirror{Cmd: exec.Command(binary, args...)}
	m.Stderr = &m.stderr
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = m.Process.Kill()
		_ = m.Wait()
	})
	return m
}

func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "mirror")
	out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

func TestAMirrorThatIsKilledAndCopiesOldRecordsAgainLosesAndDoublesNothing(t *testing.T) {
	from, to := broker(t), broker(t)
	source, region := open(t, from, "pixel_events"), open(t, to, "pixel_events.eu")
	if err := source.Ensure(coretest.Patiently(t)); err != nil {
		t.Fatal(err)
	}
	var f core.Follower
	var head, doubled atomic.Int64
	ended := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		ended <- region.Tail(ctx, core.Heads{}, func(r *core.Record) error {
			switch v := f.Next(r); {
			case v == core.Apply:
				if r.Last() != uint64(head.Add(1)) {
					return fmt.Errorf("seq %d after %d", r.Last(), head.Load()-1)
				}
			case v == core.Duplicate && r.Kind != core.KindClaim:
				doubled.Add(1)
			case v != core.Duplicate:
				return fmt.Errorf("verdict %d on seq %d", v, r.First)
			}
			return nil
		})
	}()
	binary := build(t)
	args := []string{"--from", strings.Join(from, ","), "--to", strings.Join(to, ","), "--region", "eu", "--tell-every", "10ms"}
	var seq uint64
	for round := range 4 {
		paint(t, source, &seq, 3000)
		aim, again := int64(seq)-2000, doubled.Load()
		mirrors := []*mirror{start(t, binary, args...)}
		if round > 0 { // two at once, for good measure
			mirrors = append(mirrors, start(t, binary, append(args, "--recopy", "1000")...))
		}
		coretest.Eventually(t, "the mirror copies", func() bool { return head.Load() >= aim })
		if round > 0 {
			coretest.Eventually(t, "old records come again", func() bool { return doubled.Load() >= again+500 })
		}
		for _, m := range mirrors {
			if err := m.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	paint(t, source, &seq, 10)
	last := start(t, binary, args...)
	coretest.Eventually(t, "everything is copied", func() bool { return head.Load() == int64(seq) })
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the reader ended with %v", err)
	}
	if doubled.Load() < 1000 {
		t.Errorf("%d records came twice: the fault was not felt", doubled.Load())
	}
	if err := last.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := last.Wait(); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, last.stderr.String())
	}
}

func TestAMirrorWithoutBrokersEndsWhenItIsToldTo(t *testing.T) {
	m := start(t, build(t), "--from", "127.0.0.1:1", "--to", "127.0.0.1:1", "--region", "eu")
	if err := m.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	state, err := m.Process.Wait()
	if err != nil {
		t.Fatal(err)
	}
	// A signal that comes before the program has begun ends it as well.
	if ws := state.Sys().(syscall.WaitStatus); !state.Success() && ws.Signal() != syscall.SIGTERM {
		t.Errorf("%v\n%s", state, m.stderr.String())
	}
}

func TestWhatCannotBeIsSaidClearly(t *testing.T) {
	from := broker(t)
	source := open(t, from, "pixel_events")
	if err := source.Ensure(coretest.Patiently(t)); err != nil {
		t.Fatal(err)
	}
	var seq uint64
	paint(t, source, &seq, 10)
	region := open(t, from, "pixel_events.eu")
	if err := region.Ensure(coretest.Patiently(t)); err != nil {
		t.Fatal(err)
	}
	foreign := []*core.Record{{Kind: core.KindClaim, Canvas: 2, Epoch: 1, Relay: 1}, {Kind: core.KindPlacements, Canvas: 2, Epoch: 1, Relay: 1, First: 1, Events: make([]core.Event, 1)}}
	if err := region.Append(coretest.Patiently(t), foreign); err != nil {
		t.Fatal(err)
	}
	binary := build(t)
	broker := strings.Join(from, ",")
	for _, c := range []struct{ args, want string }{
		{"--from " + broker + " --to " + broker + " --region eu", "canvas 0000000000000002"},
		{"--from " + broker + " --to " + broker + " --region a/b", "--region \"a/b\""},
		{"--from " + broker + " --to " + broker + " --region eu --recopy=-1", "--recopy"},
		{"--to " + broker, "--from"},
		{"--from a:b:c --to " + broker + " --region eu", "a:b:c"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), coretest.Patience)
		cmd := exec.CommandContext(ctx, binary, strings.Fields(c.args)...)
		cmd.Env = os.Environ()
		out, err := cmd.CombinedOutput()
		cancel()
		if _, failed := errors.AsType[*exec.ExitError](err); !failed || !strings.Contains(string(out), c.want) {
			t.Errorf("%s: %v, want words of %q:\n%s", c.args, err, c.want, out)
		}
	}
}
