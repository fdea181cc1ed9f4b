package embedded

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"

	"pixelwall/core"
)

// errFull means that the disk has no room: nothing was written, and trying again
// later is safe.
var errFull = errors.New("the disk is full")

// errNoFile means that the next segment could not be made, as when the process has
// no descriptor left: nothing was written, and trying again later is safe.
var errNoFile = errors.New("a segment cannot be made")

// syncFailed hides what a failed fsync says: even "no space" is no reason to try
// that one again, because the system may have dropped what it could not write.
type syncFailed struct{ error }

// A segmentLog is the files of the log. One goroutine appends; any number read.
type segmentLog struct {
	fs            FS
	dir           string
	canvas        uint64
	segmentBytes  int64
	allocateBytes int64

	// Of the one writer: the open segment, the end of its last group, up to where
	// the file is known to have room, and where the last group begins while it has
	// still to be made durable, otherwise 0.
	file     File
	end      int64
	reserved int64
	unsure   int64

	mu       sync.Mutex // protects following
	segments []segment  // rising by number
	durable  int64      // end of the last segment, for readers
	heads    core.Heads // at durable
	timeMS   int64      // latest time at durable
	changed  chan struct{}
}

// A segment is one file as readers know it.
type segment struct {
	segmentHeader
	bytes int64 // whole length; of the last segment durable counts
}

func segmentName(number uint64) string { return fmt.Sprintf("%016x.seg", number) }

func (l *segmentLog) path(number uint64) string { return filepath.Join(l.dir, segmentName(number)) }

// floor returns what the log begins after.
func (l *segmentLog) floor() *segmentHeader {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.segments[0].segmentHeader
	return &h
}

// ends returns the heads that readers may see.
func (l *segmentLog) ends() core.Heads {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heads
}

// list reads the header of every segment. They must follow one another.
func (l *segmentLog) list() error {
	names, err := l.fs.List(l.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".seg") {
			if strings.HasSuffix(name, ".tmp") { // a rotation that a crash cut short
				if err := l.fs.Remove(filepath.Join(l.dir, name)); err != nil {
					return err
				}
			}
			continue
		}
		s, err := l.stat(name)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(l.dir, name), err)
		}
		if n := len(l.segments); n > 0 && s.number != l.segments[n-1].number+1 {
			return fmt.Errorf("%s: segment %s is missing before it", filepath.Join(l.dir, name), segmentName(l.segments[n-1].number+1))
		}
		l.segments = append(l.segments, s)
	}
	if len(l.segments) == 0 {
		return fmt.Errorf("%s: no segments", l.dir)
	}
	return nil
}

func (l *segmentLog) stat(name string) (s segment, err error) {
	f, err := l.fs.Open(filepath.Join(l.dir, name))
	if err != nil {
		return s, err
	}
	defer f.Close()
	if s.segmentHeader, err = readSegmentHeader(f); err != nil {
		return s, err
	}
	switch {
	case s.canvas != l.canvas:
		return s, fmt.Errorf("belongs to canvas %016x, this folder to %016x", s.canvas, l.canvas)
	case segmentName(s.number) != name:
		return s, fmt.Errorf("holds segment %d", s.number)
	}
	s.bytes, err = f.Bytes()
	return s, err
}

// openLast opens the last segment for writing, cuts off what a crash left behind
// its last whole group, and makes that group durable. On a full disk the latter is
// left to prepare, so that the log can be read.
func (l *segmentLog) openLast() error {
	s := &l.segments[len(l.segments)-1]
	f, err := l.fs.Open(l.path(s.number))
	if err != nil {
		return err
	}
	begin, end, err := wholeGroups(f, s.bytes)
	if err == nil {
		l.file, l.end, l.reserved, l.durable, l.unsure = f, end, end, end, begin
		s.bytes = end
		err = l.secure()
	}
	if err != nil && !errors.Is(err, errFull) {
		return errors.Join(fmt.Errorf("%s: %w", l.path(s.number), err), f.Close())
	}
	return nil
}

// secure makes the last group durable, and that its segment is there at all: a
// process may have died between the two steps that make one.
//
// For the group a sync alone is not enough. When the fdatasync of it failed, the
// system may have marked its pages clean: a process that starts again reads them
// from memory, a sync has nothing to do, and a power loss leaves a hole under all
// that was appended since. So the group is written once more. It is the only one
// that this can have happened to, because nothing is appended behind a failure.
// For the same reason secure itself may be called again when it failed.
func (l *segmentLog) secure() error {
	err := l.fs.SyncDir(l.dir)
	if err == nil {
		err = l.file.Truncate(l.end)
	}
	if err == nil {
		err = writeAgain(l.file, l.unsure, l.end)
	}
	if err == nil {
		err = l.file.Sync()
	}
	if err == nil {
		l.unsure = 0
	}
	return passing(err)
}

// writeAgain writes what f holds from begin to end over itself.
func writeAgain(f File, begin, end int64) error {
	if begin == end {
		return nil
	}
	b := make([]byte, end-begin)
	if n, err := f.ReadAt(b, begin); n < len(b) {
		return err
	}
	_, err := f.WriteAt(b, begin)
	return err
}

// wholeGroups returns where the last whole group of a file begins and ends. It fails
// when what follows is no torn write but damage to what was durable once.
func wholeGroups(f File, bytes int64) (begin, end int64, err error) {
	r := frameReader{file: f, at: segmentHeaderBytes, limit: bytes}
	begin, end = segmentHeaderBytes, segmentHeaderBytes
	for {
		if _, err = r.next(); err != nil {
			break
		}
		if r.last {
			begin, end = r.group, r.at
		}
	}
	var bad *badFrame
	if !errors.As(err, &bad) {
		if r.at >= bytes {
			return begin, end, nil
		}
		return 0, 0, err
	}
	at, found, err := laterGroup(f, bad.at, bytes)
	if err != nil {
		return 0, 0, err
	}
	if found {
		return 0, 0, fmt.Errorf("damaged %w; good records follow at byte %d, so nothing was changed", bad, at)
	}
	return begin, end, nil
}

// scan hands each record of the file up to end to fn.
func scan(f File, end int64, fn func(rec []byte) error) error {
	r := frameReader{file: f, at: segmentHeaderBytes, limit: end}
	for r.at < end {
		at := r.at
		rec, err := r.next()
		if err != nil {
			return err
		}
		if err := fn(rec); err != nil {
			return fmt.Errorf("at byte %d: %w", at, err)
		}
	}
	return nil
}

// scan hands each record from segment i on to fn.
//
// Ownership: the record is valid until fn returns.
func (l *segmentLog) scan(i int, fn func(rec []byte) error) error {
	for _, s := range l.segments[i:] {
		f, err := l.fs.Open(l.path(s.number))
		if err != nil {
			return err
		}
		if err := errors.Join(scan(f, s.bytes, fn), f.Close()); err != nil {
			return fmt.Errorf("%s: damaged %w; nothing was changed", l.path(s.number), err)
		}
	}
	return nil
}

// prepare makes sure that a group of n bytes has room, in a new segment when the
// present one is full. It fails with errFull or errNoFile and may then be called
// again; every other error is the end of this log.
func (l *segmentLog) prepare(n int64) error {
	if l.unsure != 0 {
		if err := l.secure(); err != nil {
			return err
		}
	}
	if l.end >= l.segmentBytes {
		if err := l.rotate(); err != nil {
			return passing(err)
		}
	}
	for l.end+n > l.reserved {
		step := max(l.allocateBytes, l.end+n-l.reserved)
		if err := l.file.Allocate(l.reserved, step); err != nil {
			return passing(err)
		}
		l.reserved += step
	}
	return nil
}

// passing sorts what passes, a full disk and a lack of descriptors, from every
// other fault.
func passing(err error) error {
	switch {
	case isFull(err):
		return fmt.Errorf("%w: %w", errFull, err)
	case isNoFile(err):
		return fmt.Errorf("%w: %w", errNoFile, err)
	}
	return err
}

// append writes the group and makes it durable. After errFull the file is as it
// was before; after any other error nobody knows what is in it, and nothing may
// be appended ever again.
func (l *segmentLog) append(group []byte) error {
	if _, err := l.file.WriteAt(group, l.end); err != nil {
		if !isFull(err) {
			return err
		}
		// A rest of this group behind a shorter next one could be read as its
		// continuation, so it has to go before anything else is written.
		if err := l.file.Truncate(l.end); err != nil {
			return err
		}
		l.reserved = l.end
		return passing(err)
	}
	if err := l.file.Sync(); err != nil {
		return err
	}
	l.end += int64(len(group))
	return nil
}

// publish lets readers see what was appended, which ends at heads and timeMS.
func (l *segmentLog) publish(heads *core.Heads, timeMS int64) {
	l.mu.Lock()
	l.durable, l.heads, l.timeMS = l.end, *heads, timeMS
	changed := l.changed
	l.changed = make(chan struct{})
	l.mu.Unlock()
	close(changed)
}

// rotate closes the segment at its last group and begins the next one.
func (l *segmentLog) rotate() error {
	if err := l.file.Truncate(l.end); err != nil {
		return err
	}
	l.reserved = l.end
	if err := l.file.Sync(); err != nil {
		return syncFailed{err}
	}
	last := l.segments[len(l.segments)-1]
	h := segmentHeader{canvas: l.canvas, number: last.number + 1, timeMS: l.timeMS, heads: l.heads}
	f, err := createSegment(l.fs, l.dir, &h)
	if err != nil {
		return err
	}
	if err := l.file.Close(); err != nil {
		return errors.Join(err, f.Close())
	}
	l.mu.Lock()
	l.segments[len(l.segments)-1].bytes = l.end
	l.segments = append(l.segments, segment{segmentHeader: h, bytes: segmentHeaderBytes})
	l.durable = segmentHeaderBytes
	l.mu.Unlock()
	l.file, l.end, l.reserved = f, segmentHeaderBytes, segmentHeaderBytes
	return nil
}

// createSegment makes the file of h, which is there whole or not at all. After a
// failure it may be called again, which makes the file anew.
func createSegment(fsys FS, dir string, h *segmentHeader) (File, error) {
	name := filepath.Join(dir, segmentName(h.number))
	f, err := fsys.Create(name + ".tmp")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoFile, err)
	}
	if _, err = f.WriteAt(h.append(nil), 0); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = fsys.Rename(name+".tmp", name)
	}
	if err == nil {
		err = fsys.SyncDir(dir)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), fsys.Remove(name+".tmp"))
	}
	return f, nil
}
