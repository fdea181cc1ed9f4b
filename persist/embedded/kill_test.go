package embedded

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"pixelwall/core"
)

const killEnv = "PIXELWALL_TEST_KILL_DIR"

// TestMain is the process that gets killed when it is asked to be.
func TestMain(m *testing.M) {
	if dir := os.Getenv(killEnv); dir != "" {
		if err := paintForEver(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func killOptions(dir string) Options {
	return Options{Dir: dir, SegmentBytes: 64 << 10, SnapshotEvents: 2000, Create: core.Create{Canvas: testCanvas, Config: testConfig(1000, 1000, 0)}}
}

// paintForEver places, and says what was acknowledged as soon as it was.
func paintForEver(dir string) error {
	s, err := Open(killOptions(dir))
	if err != nil {
		return err
	}
	heads, err := s.Heads(context.Background())
	if err != nil {
		return err
	}
	next := uint32(heads[0] + heads[1] + heads[2] + heads[3])
	ps, out := make([]core.Placement, 8), make([]core.Outcome, 8)
	for {
		for i := range ps {
			next++
			ps[i] = placement(int(next*7)%1000, int(next*3)%1000, int(next)%16, next)
		}
		if err := s.Place(context.Background(), ps, out); err != nil {
			return err
		}
		for i := range out {
			if out[i].Err != nil {
				return out[i].Err
			}
			// One write each, so that what the parent has read was said whole.
			if _, err := fmt.Printf("%d %d %d\n", ps[i].Request.Number, ps[i].Shard, out[i].Seq); err != nil {
				return err
			}
		}
	}
}

// A process that places is killed at a random moment, several times over the
// same folder. Everything that it said was acknowledged is there, once.
func TestWhatWasAcknowledgedOutlivesKill9(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	told := make(map[uint32][2]uint64) // number -> shard, seq
	for range 6 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), killEnv+"="+dir)
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for more := 200 + rnd.IntN(4000); lines.Scan(); more-- {
			var number uint32
			var at [2]uint64
			if n, _ := fmt.Sscan(lines.Text(), &number, &at[0], &at[1]); n == 3 {
				told[number] = at
			}
			if more == 0 {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = child.Wait() // killed
	}
	s := mustOpen(t, killOptions(dir))
	found := make(map[uint32][2]uint64)
	for _, r := range tail(t, s, core.Heads{}) {
		for i, e := range r.Events {
			if _, twice := found[e.Request.Number]; twice {
				t.Fatalf("request %d is stored twice", e.Request.Number)
			}
			found[e.Request.Number] = [2]uint64{uint64(r.Shard), r.First + uint64(i)}
		}
	}
	for number, at := range told {
		if found[number] != at {
			t.Fatalf("request %d was acknowledged as %v and is %v", number, at, found[number])
		}
	}
	t.Logf("%d acknowledged, %d stored", len(told), len(found))
	if len(told) < 6*200 {
		t.Errorf("only %d acknowledgements were heard", len(told))
	}
}
