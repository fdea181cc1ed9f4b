package embedded

import (
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pixelwall/core"
	"pixelwall/core/coretest"
)

// openContract opens a store on a disk that forgets what was not synced. The
// index has no promise to keep over a crash, so it begins anew each time.
func openContract(t *testing.T, s coretest.Setup) *coretest.Store {
	o := Options{
		Dir: "/canvas", Clock: s.Clock.Now, FS: newMemFS(), IndexFS: vfs.NewMem(),
		SegmentBytes: 8 << 10, Create: core.Create{Canvas: testCanvas, Config: s.Config},
	}
	const seed = 5
	return contractStore(t, o, rand.New(rand.NewPCG(seed, 0)))
}

func contractStore(t *testing.T, o Options, rnd *rand.Rand) *coretest.Store {
	st := mustOpen(t, o)
	return &coretest.Store{
		Sequencer: st, Log: st, History: st.History(), Cooldowns: st.Cooldowns(), Snapshots: st.Snapshots(), Canvas: st.CanvasID(),
		Crash: func() *coretest.Store {
			o.FS, o.IndexFS = o.FS.(*memFS).crash(rnd), vfs.NewMem()
			return contractStore(t, o, rnd)
		},
		Trim: func(core.Heads) { // nobody places meanwhile, so the log is ours
			if err := st.log.rotate(); err != nil {
				t.Fatal(err)
			}
			st.log.mu.Lock()
			defer st.log.mu.Unlock()
			st.log.segments = st.log.segments[len(st.log.segments)-1:]
		},
	}
}

func TestStoreIsASequencer(t *testing.T) { coretest.TestSequencer(t, openContract) }
func TestStoreIsALog(t *testing.T)       { coretest.TestLog(t, openContract) }
func TestStoreIsAHistory(t *testing.T)   { coretest.TestHistory(t, openContract) }
func TestStoreIsCooldowns(t *testing.T)  { coretest.TestCooldowns(t, openContract) }
func TestStoreIsSnapshots(t *testing.T)  { coretest.TestSnapshots(t, openContract) }
