package embedded

import (
	"errors"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"pixelwall/core"
)

// Options say where a store lies and how it works. Only Dir must be set, and
// Create where Dir may be empty.
type Options struct {
	Dir string
	// Create is ignored where there is a canvas: see Store.Check for whether it is
	// what was asked for.
	Create core.Create

	Clock  func() int64 // unix ms; the machine's clock when nil
	Logger *slog.Logger // nothing is logged when nil

	SegmentBytes  int64 // a segment is closed beyond it; 64 MiB when 0, at most 1 GiB
	AllocateBytes int64 // reserved ahead of the log at a time; a 16th of SegmentBytes when 0

	SnapshotEvents  int           // a snapshot after so many events; 1,000,000 when 0
	SnapshotEvery   time.Duration // and after so long when there were any; 5 minutes when 0
	IndexSpareBytes uint64        // the index waits while the disk has less; 64 MiB when 0
	IndexFlushEvery time.Duration // how much of the index a crash costs; 30 s when 0
	ProbeEvery      time.Duration // how often a full disk is asked again; 1 s when 0

	FS      FS     // the machine's file system when nil
	IndexFS vfs.FS // of the index alone; the machine's when nil
}

func (o *Options) ensureDefaults() {
	setDefault(&o.Clock, func() int64 { return time.Now().UnixMilli() }, o.Clock == nil)
	setDefault(&o.Logger, slog.New(slog.DiscardHandler), o.Logger == nil)
	setDefault(&o.SegmentBytes, 64<<20, o.SegmentBytes == 0)
	setDefault(&o.AllocateBytes, o.SegmentBytes/16, o.AllocateBytes == 0)
	setDefault(&o.SnapshotEvents, 1_000_000, o.SnapshotEvents == 0)
	setDefault(&o.SnapshotEvery, 5*time.Minute, o.SnapshotEvery == 0)
	setDefault(&o.IndexSpareBytes, 64<<20, o.IndexSpareBytes == 0)
	setDefault(&o.IndexFlushEvery, 30*time.Second, o.IndexFlushEvery == 0)
	setDefault(&o.ProbeEvery, time.Second, o.ProbeEvery == 0)
	setDefault[FS](&o.FS, osFS{}, o.FS == nil)
	setDefault(&o.IndexFS, vfs.Default, o.IndexFS == nil)
}

func setDefault[T any](field *T, value T, unset bool) {
	if unset {
		*field = value
	}
}

func (o *Options) validate() error {
	var errs []error
	if o.Dir == "" {
		errs = append(errs, errors.New("no folder"))
	}
	if o.SegmentBytes < segmentHeaderBytes || o.SegmentBytes > 1<<30 {
		errs = append(errs, errors.New("a segment must be 548 bytes to 1 GiB"))
	}
	if o.AllocateBytes < 1 || o.AllocateBytes > o.SegmentBytes {
		errs = append(errs, errors.New("reserved space must be at least a byte and at most a segment"))
	}
	if o.SnapshotEvents < 1 || o.SnapshotEvery < 0 || o.IndexFlushEvery < 0 || o.ProbeEvery < 0 {
		errs = append(errs, errors.New("a number of events or a time is negative"))
	}
	return errors.Join(errs...)
}
