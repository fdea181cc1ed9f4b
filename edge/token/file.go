package token

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// LoadOrCreateKeys reads the keys in the file at path, or draws new ones from
// chance and keeps them there, readable by their owner alone. A file that others
// may read is refused: who can read it can be anybody.
func LoadOrCreateKeys(path string, chance io.Reader) (*Keys, error) {
	k, err := loadKeys(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if k, err = NewKeys(chance); err != nil {
		return nil, err
	}
	if err := createKeys(path, k); errors.Is(err, fs.ErrExist) {
		return loadKeys(path) // somebody else was first
	} else if err != nil {
		return nil, fmt.Errorf("keep the token keys: %w", err)
	}
	return k, nil
}

// CheckFile reports whether LoadOrCreateKeys would refuse the file at path. A
// missing one is no error.
func CheckFile(path string) error {
	_, err := loadKeys(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func loadKeys(path string) (*Keys, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s: mode %v, but only its owner may read the token keys: chmod 600 %s", path, info.Mode(), path)
	}
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return nil, err
	}
	k, err := ParseKeys(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// createKeys writes the file whole or not at all, and never over another one.
func createKeys(path string, k *Keys) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".keys-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(k.Format())
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
