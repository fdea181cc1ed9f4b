package alone

import (
	"errors"
	"path/filepath"
	"testing"

	"pixelwall/core"
	"pixelwall/core/coretest"
	"pixelwall/persist/embedded"
)

// While a folder may still open, nobody may take what is in it for lost.
func TestWhatIsSaidBeforeTheFolderIsOpen(t *testing.T) {
	for _, tt := range []struct {
		name     string
		dir      string
		isNew    bool
		snapshot core.Code
	}{
		{"no history is kept here", "", false, core.CodeNotFound},
		{"nobody has looked into the folder", "archive", false, core.CodeUnavailable},
		{"there is nothing in the folder", "archive", true, core.CodeNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := New(Options{Dir: tt.dir})
			m.folderIsNew.Store(tt.isNew)
			if _, err := m.Snapshots().Latest(t.Context()); core.CodeOf(err) != tt.snapshot {
				t.Errorf("the newest snapshot is %v, want %v", err, tt.snapshot)
			}
			if _, err := m.History().Pixel(t.Context(), 0, 0, 0, 1); core.CodeOf(err) != core.CodeUnavailable {
				t.Errorf("the history says %v", err)
			}
		})
	}
}

func TestTheNewestSnapshotIsWhatTheFolderHoldsNow(t *testing.T) {
	script := coretest.NewScript(t, 1024, 0)
	board := core.NewBoard(script.Config.Geometry(), script.Config.Blank)
	base := &core.Snapshot{Canvas: coretest.ScriptCanvas, Config: script.Config, TimeMS: coretest.ScriptNowMS()}
	for _, s := range script.Config.Geometry().Shards() {
		base.Times[s], base.Shards[s] = base.TimeMS, board.AppendPacked(nil, s)
	}
	folder, err := embedded.OpenArchive(embedded.ArchiveOptions{Dir: filepath.Join(t.TempDir(), "archive"), Base: base})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { folder.Close() })
	m := New(Options{})
	m.folder.Store(folder)
	for s := range core.ShardID(2) {
		script.Append(t, script.Events(s, 5, uint8(3+s)))
		if err := folder.Write(t.Context(), script.Topic.Records(s)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := m.Snapshots().Latest(coretest.Patiently(t))
	if err != nil {
		t.Fatal(err)
	}
	fold, err := core.NewFold(got)
	if err != nil {
		t.Fatal(err)
	}
	last := fold.Board.At(1, uint32(script.Heads[1])%80)
	if got.Heads != script.Heads || last != 4 {
		t.Errorf("it is of %v with the last pixel %d, want %v and 4", got.Heads[:2], last, script.Heads[:2])
	}
}

func TestWhatReadersOfTheLogAreGivenIsSeen(t *testing.T) {
	script := coretest.NewScript(t, 512, 0)
	script.Append(t, script.Events(0, 5, 3))
	m := New(Options{})
	if m.Existed(0) {
		t.Error("a shard existed before anything was seen")
	}
	enough := errors.New("enough")
	err := seenLog{script.Topic.As(nil), &m.seen}.Tail(coretest.Patiently(t), core.Heads{}, func(r *core.Record) error {
		if r.Last() == script.Heads[0] {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
	if got := m.seen[0].Load(); got != script.Heads[0] || !m.Existed(0) || m.Existed(1) {
		t.Errorf("seen was seq %d, want %d; shards 0 and 1 existed: %v %v", got, script.Heads[0], m.Existed(0), m.Existed(1))
	}
}
