package embedded

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// An FS is the file system under the log, the snapshots and meta.json. Tests
// bring one that forgets, fails and fills up.
type FS interface {
	// Create makes or empties a file and opens it for reading and writing.
	Create(name string) (File, error)
	// Open opens a file that exists for reading and writing.
	Open(name string) (File, error)
	// Rename is atomic, and durable after SyncDir.
	Rename(from, to string) error
	// Remove takes a file or a folder with all it holds; a missing one is no error.
	Remove(name string) error
	// List returns the names in dir, rising; a missing dir has none.
	List(dir string) ([]string, error)
	MkdirAll(dir string) error
	// SyncDir makes what was created, renamed and removed in dir durable.
	SyncDir(dir string) error
	// FreeBytes returns how much dir's file system can still take.
	FreeBytes(dir string) (uint64, error)
	// Lock keeps every other process from locking name until the closer is
	// closed or the process ends. It fails at once when another one has it.
	Lock(name string) (io.Closer, error)
}

// A File is one open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Truncate sets the length of the file.
	Truncate(bytes int64) error
	// Allocate extends the file to cover n bytes from off, zeros where nothing
	// was written, so that a write there does not run out of space.
	Allocate(off, n int64) error
	// Sync makes what was written durable. After a failure nobody knows what is.
	Sync() error
	// Bytes returns the length of the file.
	Bytes() (int64, error)
}

// errLocked is what Lock fails with when another process has the file.
var errLocked = errors.New("another process has locked it")

// isFull reports whether err says that there is no room, which passes, unlike a
// fault of the disk.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// isNoFile reports whether err says that there is no descriptor left, which passes
// too. Folders need one to be synced.
func isNoFile(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// osFS is the file system of the machine.
type osFS struct{}

func (osFS) Create(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	return osFile{f}, err
}

func (osFS) Open(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	return osFile{f}, err
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }

func (osFS) Remove(name string) error { return os.RemoveAll(name) }

func (osFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

func (osFS) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o755) }

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

type osFile struct{ *os.File }

func (f osFile) Bytes() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// readFile returns the whole of a small file, or nil when there is none.
func readFile(fsys FS, name string, bytesMax int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n, err := f.Bytes()
	if err != nil {
		return nil, err
	}
	if n > bytesMax {
		return nil, errors.New(name + ": larger than this file can be")
	}
	b := make([]byte, n)
	if _, err := f.ReadAt(b, 0); err != nil && !(err == io.EOF && n == 0) {
		return nil, err
	}
	return b, nil
}

// writeFile replaces name by data, whole or not at all, and durably.
func writeFile(fsys FS, name string, data []byte) error {
	f, err := fsys.Create(name + ".tmp")
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, fsys.Remove(name+".tmp"))
	}
	if err := fsys.Rename(name+".tmp", name); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}
