package embedded

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// A memFS is a disk that forgets, fails and fills up. What a crash finds is what
// was synced, and of the rest whatever the disk happened to write: some sectors
// of some writes, and the first few changes of size.
type memFS struct {
	mu       sync.Mutex // protects everything, files and folders too
	root     *memDir
	locked   map[string]bool
	capacity int64 // bytes of all files, 0 for no limit
	ops      int   // changes so far
	offAt    int   // the power goes before this change, 0 never
	off      bool

	// fault is asked before each change of a file and may fail it. A write that
	// it fails leaves its first half behind. After a sync that it fails the file
	// reads as before, but no later sync writes what this one was to: pages that
	// could not be written count as clean.
	fault func(op, name string) error
}

var errPowerOff = errors.New("the power is off")

type memDir struct{ now, durable map[string]any } // *memDir or *memInode

type memInode struct {
	now, durable []byte
	pending      []memChange
}

// A memChange is a write, or a change of size when data is nil.
type memChange struct {
	data []byte
	at   int64
}

// apply returns b after c.
func (c memChange) apply(b []byte) []byte {
	if c.data == nil {
		return resize(b, c.at)
	}
	b = resize(b, max(int64(len(b)), c.at+int64(len(c.data))))
	copy(b[c.at:], c.data)
	return b
}

func newMemDir() *memDir { return &memDir{now: map[string]any{}, durable: map[string]any{}} }

func newMemFS() *memFS { return &memFS{root: newMemDir(), locked: map[string]bool{}} }

// crash returns the disk as it is found after the power was cut now. With a nil
// rnd it has nothing that was not synced.
func (m *memFS) crash(rnd *rand.Rand) *memFS {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.off = true
	seen := map[*memInode]*memInode{}
	c := newMemFS()
	c.root = m.root.crash(rnd, seen)
	c.capacity = m.capacity
	return c
}

func (d *memDir) crash(rnd *rand.Rand, seen map[*memInode]*memInode) *memDir {
	c := newMemDir()
	entries := maps.Clone(d.durable)
	if rnd != nil && rnd.IntN(2) == 0 { // the folder happened to be written
		entries = d.now
	}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		switch n := entries[name].(type) {
		case *memDir:
			c.now[name] = n.crash(rnd, seen)
		case *memInode:
			if seen[n] == nil {
				b := n.survives(rnd)
				seen[n] = &memInode{now: b, durable: slices.Clone(b)}
			}
			c.now[name] = seen[n]
		}
	}
	c.durable = maps.Clone(c.now)
	return c
}

const sectorBytes = 512

// survives returns what of a file is there after a crash.
func (n *memInode) survives(rnd *rand.Rand) []byte {
	b := slices.Clone(n.durable)
	if rnd == nil {
		return b
	}
	resized := rnd.IntN(len(n.pending) + 1)
	keep := rnd.Float64()
	for i, c := range n.pending {
		if c.data == nil {
			if i < resized {
				b = resize(b, c.at)
			}
			continue
		}
		for off := 0; off < len(c.data); off += sectorBytes {
			if rnd.Float64() < keep {
				part := c.data[off:min(off+sectorBytes, len(c.data))]
				at := c.at + int64(off)
				b = resize(b, max(int64(len(b)), at+int64(len(part))))
				copy(b[at:], part)
			}
		}
	}
	return b
}

func resize(b []byte, n int64) []byte {
	if n <= int64(len(b)) {
		return b[:n:n]
	}
	return append(b, make([]byte, n-int64(len(b)))...)
}

// change counts a change, and fails it when the power is off or fault says so.
func (m *memFS) change(op, name string) error {
	if m.ops++; m.ops == m.offAt {
		m.off = true
	}
	if m.off {
		return errPowerOff
	}
	if m.fault != nil {
		return m.fault(op, name)
	}
	return nil
}

// fail lets every op on a name that ends in suffix fail with err from now on, and
// nothing else.
func (m *memFS) fail(op, suffix string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = func(what, name string) error {
		if what == op && strings.HasSuffix(name, suffix) {
			return err
		}
		return nil
	}
}

func (m *memFS) used() (n int64) { return m.root.used() }

func (d *memDir) used() (n int64) {
	for _, e := range d.now {
		switch e := e.(type) {
		case *memDir:
			n += e.used()
		case *memInode:
			n += int64(len(e.now))
		}
	}
	return n
}

func (m *memFS) dir(name string) *memDir {
	d := m.root
	for _, part := range strings.Split(strings.Trim(filepath.Clean(name), "/"), "/") {
		if part == "" || part == "." {
			continue
		}
		next, ok := d.now[part].(*memDir)
		if !ok {
			return nil
		}
		d = next
	}
	return d
}

// lookup returns the folder that holds name, and the last part of it.
func (m *memFS) lookup(name string) (*memDir, string, error) {
	d := m.dir(filepath.Dir(name))
	if d == nil {
		return nil, "", fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return d, filepath.Base(name), nil
}

func (m *memFS) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change("create", name); err != nil {
		return nil, err
	}
	d, base, err := m.lookup(name)
	if err != nil {
		return nil, err
	}
	n := &memInode{}
	d.now[base] = n
	return &memFile{m, n, name}, nil
}

func (m *memFS) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, base, err := m.lookup(name)
	if err != nil {
		return nil, err
	}
	n, ok := d.now[base].(*memInode)
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return &memFile{m, n, name}, nil
}

func (m *memFS) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change("rename", to); err != nil {
		return err
	}
	fd, fb, err := m.lookup(from)
	if err != nil {
		return err
	}
	td, tb, err := m.lookup(to)
	if err != nil {
		return err
	}
	td.now[tb] = fd.now[fb]
	delete(fd.now, fb)
	return nil
}

func (m *memFS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change("remove", name); err != nil {
		return err
	}
	if d, base, err := m.lookup(name); err == nil {
		delete(d.now, base)
	}
	return nil
}

func (m *memFS) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dir(dir)
	if d == nil {
		return nil, nil
	}
	return slices.Sorted(maps.Keys(d.now)), nil
}

func (m *memFS) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dir(dir) != nil {
		return nil
	}
	if err := m.change("mkdir", dir); err != nil {
		return err
	}
	d := m.root
	for _, part := range strings.Split(strings.Trim(filepath.Clean(dir), "/"), "/") {
		if _, ok := d.now[part]; !ok {
			d.now[part] = newMemDir()
		}
		d = d.now[part].(*memDir)
	}
	return nil
}

func (m *memFS) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.change("syncdir", dir); err != nil {
		return err
	}
	d := m.dir(dir)
	if d == nil {
		return fs.ErrNotExist
	}
	d.durable = maps.Clone(d.now)
	return nil
}

func (m *memFS) FreeBytes(string) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.capacity == 0 {
		return 1 << 40, nil
	}
	return uint64(max(0, m.capacity-m.used())), nil
}

type memLock struct {
	m    *memFS
	name string
}

func (m *memFS) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked[name] {
		return nil, errLocked
	}
	m.locked[name] = true
	return memLock{m, name}, nil
}

func (l memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locked, l.name)
	return nil
}

type memFile struct {
	m    *memFS
	n    *memInode
	name string
}

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if off >= int64(len(f.n.now)) {
		return 0, io.EOF
	}
	n := copy(b, f.n.now[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	err := f.m.change("write", f.name)
	if errors.Is(err, errPowerOff) {
		return 0, err
	}
	if err != nil {
		b = b[:len(b)/2]
	}
	if grow := off + int64(len(b)) - int64(len(f.n.now)); grow > 0 && f.m.capacity > 0 {
		if room := f.m.capacity - f.m.used(); room < grow {
			b, err = b[:max(0, int64(len(b))-grow+max(0, room))], syscall.ENOSPC
		}
	}
	f.n.now = resize(f.n.now, max(int64(len(f.n.now)), off+int64(len(b))))
	copy(f.n.now[off:], b)
	f.n.pending = append(f.n.pending, memChange{slices.Clone(b), off})
	return len(b), err
}

func (f *memFile) Truncate(n int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.change("truncate", f.name); err != nil {
		return err
	}
	f.n.now = resize(f.n.now, n)
	f.n.pending = append(f.n.pending, memChange{nil, n})
	return nil
}

func (f *memFile) Allocate(off, n int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.change("allocate", f.name); err != nil {
		return err
	}
	grow := max(0, off+n-int64(len(f.n.now)))
	if f.m.capacity > 0 && f.m.capacity-f.m.used() < grow {
		return syscall.ENOSPC
	}
	f.n.now = resize(f.n.now, max(int64(len(f.n.now)), off+n))
	f.n.pending = append(f.n.pending, memChange{nil, int64(len(f.n.now))})
	return nil
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.change("sync", f.name); err != nil {
		if !errors.Is(err, errPowerOff) {
			f.n.pending = nil
		}
		return err
	}
	for _, c := range f.n.pending {
		f.n.durable = c.apply(f.n.durable)
	}
	f.n.pending = nil
	return nil
}

func (f *memFile) Bytes() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.n.now)), nil
}

func (f *memFile) Close() error { return nil }
