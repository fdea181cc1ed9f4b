package token

import (
	cryptorand "crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestKeysStayTheSameOverARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token.keys")
	first, err := LoadOrCreateKeys(path, cryptorand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	second, err := LoadOrCreateKeys(path, cryptorand.Reader)
	if err != nil || second.Format() != first.Format() {
		t.Errorf("other keys after a restart, %v", err)
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}

func TestTwoThatStartAtOnceAgreeOnTheKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token.keys")
	var all [16]*Keys
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			k, err := LoadOrCreateKeys(path, cryptorand.Reader)
			if err != nil {
				t.Error(err)
				return
			}
			all[i] = k
		})
	}
	wg.Wait()
	for _, k := range all[1:] {
		if k == nil || all[0] == nil || k.Format() != all[0].Format() {
			t.Fatal("two starts have different keys")
		}
	}
}

func TestAKeyFileIsRefused(t *testing.T) {
	text := testKeys(t, 1).Format()
	lines := strings.Split(text, "\n")
	for _, tt := range []struct {
		name string // reads on from "a key file is refused when ..."
		text string
		mode os.FileMode
		says string
	}{
		{"its group can read it", text, 0o640, "chmod 600"},
		{"all can read it", text, 0o604, "chmod 600"},
		{"it is empty", "", 0o600, "first line"},
		{"its format is newer", strings.Replace(text, "keys-1", "keys-2", 1), 0o600, "first line"},
		{"it has no key", lines[0] + "\n" + lines[1], 0o600, "at least one key"},
		{"it has no salt", lines[0] + "\n" + lines[2], 0o600, "salt"},
		{"it has two salts", text + lines[1], 0o600, "line 4"},
		{"it has the same key twice", text + lines[2], 0o600, "line 4: the same key"},
		{"a key is cut", text + "key abcd", 0o600, "line 4"},
		{"a key is all zero", text + "key " + strings.Repeat("A", 43), 0o600, "line 4"},
		{"a word is unknown", text + strings.Replace(lines[2], "key", "lock", 1), 0o600, "line 4"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "token.keys")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tt.mode); err != nil {
				t.Fatal(err)
			}
			k, err := LoadOrCreateKeys(path, cryptorand.Reader)
			if err == nil || k != nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), path) {
				t.Fatalf("LoadOrCreateKeys = %v, %v", k, err)
			}
			if strings.Contains(err.Error(), lines[2][4:20]) {
				t.Error("the error shows the key")
			}
			if after, _ := os.ReadFile(path); string(after) != tt.text {
				t.Error("the file was changed")
			}
		})
	}
}
