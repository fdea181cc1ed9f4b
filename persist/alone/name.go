package alone

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ownName returns the number under which this archive is known, kept in a file so
// that a restart does not leave a name behind that nobody speaks for. An empty file
// is what a power loss left of one that an older edge wrote.
func ownName(path string) (uint64, error) {
	text, err := os.ReadFile(path)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return 0, err
	case len(text) == 8:
		return binary.LittleEndian.Uint64(text), nil
	case len(text) != 0:
		return 0, fmt.Errorf("%s is not the name of an archive: it has %d bytes, not 8; without the file the archive gets another name", path, len(text))
	}
	var name [8]byte
	_, _ = rand.Read(name[:]) // it never fails; the program would end
	name[0] |= 1
	if err := writeFile(path, name[:]); err != nil {
		return 0, fmt.Errorf("keep the name of the archive: %w", err)
	}
	return binary.LittleEndian.Uint64(name[:]), nil
}

// writeFile replaces the file at path by data, whole or not at all, and durably.
func writeFile(path string, data []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
